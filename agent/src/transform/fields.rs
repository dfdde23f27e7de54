//! The fields of an event, in their order. What was JSON stays the text that it was: numbers keep their digits, and what
//! nobody looks at is not taken apart.

use std::borrow::Cow;

use super::parse::json;

/// What comes before the name of what the agent knows itself where the event has a field of that name.
pub const AGENTS_OWN: &str = "agent_";

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<'a> {
    /// A value of JSON, as its text.
    Json(&'a str),
    /// Text.
    Text(Cow<'a, str>),
    /// The text of a number.
    Number(Cow<'a, str>),
}

impl<'a> Field<'a> {
    /// As a person would write it: a JSON string without its quotes, everything else as it is.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Json(text) if text.starts_with('"') => {
                serde_json::from_str::<String>(text).map_or(Cow::Borrowed(*text), Cow::Owned)
            }
            Self::Json(text) => Cow::Borrowed(text),
            Self::Text(text) | Self::Number(text) => Cow::Borrowed(text),
        }
    }

    /// As a member of a JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Json(text) => out.extend_from_slice(text.as_bytes()),
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => json::write_string(out, text),
        }
    }

    fn member(&self, name: &str) -> Option<Field<'a>> {
        let Self::Json(text) = self else {
            return None;
        };
        json::object(text.as_bytes()).ok()?.get(name)
    }
}

/// All values, by name. They are few, so they are looked for one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Field<'a>)>);

impl<'a> Fields<'a> {
    /// An event with more than so many is taken for something else.
    pub(super) const MAX: usize = 1000;

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field<'a>)> {
        self.0.iter().map(|(name, field)| (&**name, field))
    }

    /// Adds one; it takes the place of another with its name.
    pub fn put(&mut self, name: Cow<'a, str>, field: Field<'a>) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, place)) => *place = field,
            None => self.0.push((name, field)),
        }
    }

    /// Adds all of these.
    pub(super) fn put_all(&mut self, others: Self) {
        for (name, field) in others.0 {
            self.put(name, field);
        }
    }

    /// Adds what the agent knows itself. If the event has a field of that name, it keeps it.
    pub(super) fn put_unless_taken(&mut self, name: &'a str, text: &'a str) {
        let name = match self.has(name) {
            true => Cow::Owned(format!("{AGENTS_OWN}{name}")),
            false => Cow::Borrowed(name),
        };
        self.put(name, Field::Text(Cow::Borrowed(text)));
    }

    /// Whether there is one with exactly this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// One by its name; `a.b` is also the member `b` of the JSON object `a`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        if let Some((_, field)) = self.0.iter().find(|(other, _)| other == name) {
            return Some(field.clone());
        }
        let (outer, inner) = name.split_once('.')?;
        let (_, field) = self.0.iter().find(|(other, _)| other == outer)?;
        field.member(inner)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(index) = self.0.iter().position(|(name, _)| name == from) {
            let (_, field) = self.0.remove(index);
            self.0.retain(|(name, _)| name != to);
            self.0
                .insert(index.min(self.0.len()), (Cow::Owned(to.to_owned()), field));
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// What looks like a number becomes one.
    pub(super) fn make_number(&mut self, name: &str) {
        if let Some((_, field)) = self.0.iter_mut().find(|(other, _)| other == name) {
            let text = field.text();
            if json::is_number(&text) {
                *field = Field::Number(Cow::Owned(text.into_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_objects_are_found_by_their_path() {
        let fields = json::object(br#"{"a":{"b":{"c":"x\ty"},"b.c":1},"a.d":2}"#).unwrap();
        assert_eq!(fields.get("a.b.c").unwrap().text(), "1", "the shortest path first");
        assert_eq!(fields.get("a.d").unwrap().text(), "2");
        assert_eq!(fields.get("a.b").unwrap().text(), r#"{"c":"x\ty"}"#);
        assert_eq!(fields.get("a.x"), None);
        assert_eq!(fields.get("x"), None);
    }

    #[test]
    fn a_new_name_takes_the_place_of_what_had_it() {
        let mut fields = json::object(br#"{"a":1,"b":2,"c":3}"#).unwrap();
        fields.rename("c", "a");
        fields.rename("x", "b");
        fields.remove("y");
        let all: Vec<_> = fields
            .iter()
            .map(|(name, field)| format!("{name}={}", field.text()))
            .collect();
        assert_eq!(all, ["b=2", "a=3"]);
    }

    #[test]
    fn only_what_is_a_number_becomes_one() {
        let mut fields = Fields::default();
        for (name, text) in [("a", "200"), ("b", "-1.5e3"), ("c", "007"), ("d", "-"), ("e", "1,5")] {
            fields.put(name.into(), Field::Text(text.into()));
            fields.make_number(name);
        }
        let json = |name: &str| {
            let mut out = Vec::new();
            fields.get(name).unwrap().write_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(json),
            ["200", "-1.5e3", "\"007\"", "\"-\"", "\"1,5\""]
        );
    }
}
