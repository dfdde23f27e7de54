//! A file as settings with dotted names. Each says in which line it is, and whether anybody wanted it: what nobody
//! did is what cannot be carried over.

use std::cell::Cell;

use super::tree::{Member, Node};

/// Some settings of one level, those of deeper levels among them: `a: { b: 1 }` is the same as `a.b: 1`.
#[derive(Debug, Default)]
pub(super) struct Settings(Vec<Setting>);

#[derive(Debug)]
struct Setting {
    name: String,
    line: usize,
    value: Value,
    is_taken: Cell<bool>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    List(Vec<Item>),
}

#[derive(Debug)]
enum Item {
    Text(String),
    Settings(Settings),
}

/// The text of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Settings {
    pub(super) fn parse_yaml(text: &str) -> Result<Self, String> {
        Node::from_yaml(text).map(Self::of)
    }

    pub(super) fn parse_toml(text: &str) -> Result<Self, String> {
        Node::from_toml(text).map(Self::of)
    }

    pub(super) fn of(node: Node) -> Self {
        let mut settings = Self::default();
        if let Node::Map(members) = node {
            settings.add("", members);
        }
        settings
    }

    fn add(&mut self, prefix: &str, members: Vec<Member>) {
        for Member { name, line, value } in members {
            let name = format!("{prefix}{name}");
            let value = match value {
                Node::Map(inner) if !inner.is_empty() => {
                    self.add(&format!("{name}."), inner);
                    continue;
                }
                Node::Map(_) => Value::Text(String::new()),
                Node::Text(text) => Value::Text(text),
                Node::List(items) => Value::List(items.into_iter().map(Item::of).collect()),
            };
            let is_taken = Cell::new(false);
            self.0.push(Setting {
                name,
                line,
                value,
                is_taken,
            });
        }
    }

    fn take(&self, name: &str) -> Option<&Setting> {
        let setting = self.0.iter().find(|setting| setting.name == name)?;
        setting.is_taken.set(true);
        Some(setting)
    }

    /// Whether there is one of that name or below it.
    pub(super) fn has(&self, name: &str) -> bool {
        let below = format!("{name}.");
        self.0
            .iter()
            .any(|setting| setting.name == name || setting.name.starts_with(&below))
    }

    /// Whether there is one whose name begins like this.
    pub(super) fn has_below(&self, prefix: &str) -> bool {
        self.0.iter().any(|setting| setting.name.starts_with(prefix))
    }

    /// One that is not a list.
    pub(super) fn text(&self, name: &str) -> Option<Text> {
        let setting = self.0.iter().find(|setting| setting.name == name)?;
        let Value::Text(text) = &setting.value else {
            return None;
        };
        setting.is_taken.set(true);
        Some(Text {
            line: setting.line,
            text: text.clone(),
        })
    }

    /// Whether one says yes.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|Text { text, .. }| matches!(&*text.to_ascii_lowercase(), "true" | "yes" | "on"))
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&self, name: &str) -> Vec<Text> {
        let Some(setting) = self.take(name) else {
            return Vec::new();
        };
        let line = setting.line;
        let texts = match &setting.value {
            Value::Text(text) => vec![text],
            Value::List(items) => items
                .iter()
                .filter_map(|item| match item {
                    Item::Text(text) => Some(text),
                    Item::Settings(_) => None,
                })
                .collect(),
        };
        let text = |text: &String| Text {
            line,
            text: text.clone(),
        };
        texts.into_iter().map(text).collect()
    }

    /// A list of settings.
    pub(super) fn list(&self, name: &str) -> Vec<&Settings> {
        let Some(Value::List(items)) = self.take(name).map(|setting| &setting.value) else {
            return Vec::new();
        };
        let settings = items.iter().filter_map(|item| match item {
            Item::Settings(settings) => Some(settings),
            Item::Text(_) => None,
        });
        settings.collect()
    }

    /// The names that begin like this, up to their next dot, and the line of each.
    pub(super) fn sections(&self, prefix: &str) -> Vec<(usize, String)> {
        let mut sections: Vec<(usize, String)> = Vec::new();
        for setting in &self.0 {
            let rest = setting.name.strip_prefix(prefix);
            let Some((section, _)) = rest.and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            if !sections.iter().any(|(_, other)| other == section) {
                sections.push((setting.line, section.to_owned()));
            }
        }
        sections
    }

    /// The rests of all names that begin like this.
    pub(super) fn names_below(&self, prefix: &str) -> Vec<String> {
        let rests = self.0.iter().filter_map(|setting| setting.name.strip_prefix(prefix));
        rests.map(str::to_owned).collect()
    }

    /// All texts whose names begin like this, with the rest of their names.
    pub(super) fn below(&self, prefix: &str) -> Vec<(String, Text)> {
        let below = self.0.iter().filter_map(|setting| {
            let rest = setting.name.strip_prefix(prefix)?;
            let Value::Text(text) = &setting.value else {
                return None;
            };
            setting.is_taken.set(true);
            let (line, text) = (setting.line, text.clone());
            Some((rest.to_owned(), Text { line, text }))
        });
        below.collect()
    }

    /// Those that nobody wanted, and the lines that they are in.
    pub(super) fn left(&self) -> Vec<(usize, &str)> {
        let left = self.0.iter().filter(|setting| !setting.is_taken.get());
        left.map(|setting| (setting.line, &*setting.name)).collect()
    }

    /// The line of the first one.
    pub(super) fn line(&self) -> usize {
        self.0.first().map_or(0, |setting| setting.line)
    }
}

impl Item {
    fn of(node: Node) -> Self {
        match node {
            Node::Text(text) => Self::Text(text),
            Node::Map(_) => Self::Settings(Settings::of(node)),
            // Nobody has lists of lists.
            Node::List(_) => Self::Text(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_and_nested_names_are_the_same_and_what_nobody_took_is_left() {
        let yaml = "a:\n  b: 1\n  c.d: [x, yes]\ne.f:\n- g: true\n  h: {}\n- text\ni:\n";
        let settings = Settings::parse_yaml(yaml).unwrap();
        assert_eq!(
            settings.text("a.b").unwrap(),
            Text {
                line: 2,
                text: "1".to_owned()
            }
        );
        let texts: Vec<_> = settings.texts("a.c.d").into_iter().map(|text| text.text).collect();
        assert_eq!(texts, ["x", "yes"]);
        let list = settings.list("e.f");
        assert!(list.len() == 1 && list[0].is_set("g") && list[0].has("h"));
        assert_eq!(list[0].left(), [(6, "h")]);
        assert_eq!(settings.left(), [(8, "i")]);
        assert!(settings.has("a") && !settings.has("g"));
    }

    #[test]
    fn toml_has_lines_as_well() {
        let settings = Settings::parse_toml("x = 1\n\n[a.b]\nc = [\"d\"]\nd.e = true\n[a.f]\ng = 2.5\n").unwrap();
        assert_eq!(
            settings.text("a.f.g").unwrap(),
            Text {
                line: 7,
                text: "2.5".to_owned()
            }
        );
        assert_eq!(settings.sections("a."), [(4, "b".to_owned()), (7, "f".to_owned())]);
        assert!(settings.is_set("a.b.d.e"));
        assert_eq!(settings.left(), [(1, "x"), (4, "a.b.c")]);
        assert!(Settings::parse_toml("a = [").is_err());
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        assert!(Settings::parse_yaml("a: [").is_err());
        assert_eq!(Settings::parse_yaml("").unwrap().left(), []);
    }
}
