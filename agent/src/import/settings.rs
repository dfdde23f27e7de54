//! A YAML file as settings with dotted names. Each says in which line it is, and whether anybody wanted it: what nobody
//! did is what cannot be carried over.

use std::cell::Cell;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

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
    /// Of the first document.
    pub(super) fn parse(yaml: &str) -> Result<Self, String> {
        let documents = MarkedYaml::load_from_str(yaml).map_err(|error| error.to_string())?;
        let mut settings = Self::default();
        if let Some(document) = documents.first() {
            settings.add("", document);
        }
        Ok(settings)
    }

    fn of(node: &MarkedYaml<'_>) -> Self {
        let mut settings = Self::default();
        settings.add("", node);
        settings
    }

    fn add(&mut self, prefix: &str, node: &MarkedYaml<'_>) {
        let YamlData::Mapping(members) = &node.data else {
            return;
        };
        for (key, value) in members {
            let name = format!("{prefix}{}", scalar(key));
            match &value.data {
                YamlData::Mapping(inner) if !inner.is_empty() => self.add(&format!("{name}."), value),
                _ => self.0.push(Setting {
                    name,
                    line: key.span.start.line(),
                    value: Value::of(value),
                    is_taken: Cell::new(false),
                }),
            }
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
            .is_some_and(|Text { text, .. }| matches!(&*text, "true" | "yes" | "on"))
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

impl Value {
    fn of(node: &MarkedYaml<'_>) -> Self {
        let YamlData::Sequence(items) = &node.data else {
            return Self::Text(scalar(node));
        };
        let item = |item: &MarkedYaml<'_>| match &item.data {
            YamlData::Mapping(_) => Item::Settings(Settings::of(item)),
            _ => Item::Text(scalar(item)),
        };
        Self::List(items.iter().map(item).collect())
    }
}

fn scalar(node: &MarkedYaml<'_>) -> String {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => text.to_string(),
        YamlData::Value(Scalar::Integer(number)) => number.to_string(),
        YamlData::Value(Scalar::FloatingPoint(number)) => number.to_string(),
        YamlData::Value(Scalar::Boolean(yes)) => yes.to_string(),
        YamlData::Representation(text, ..) => text.to_string(),
        YamlData::Tagged(_, inner) => scalar(inner),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_and_nested_names_are_the_same_and_what_nobody_took_is_left() {
        let yaml = "a:\n  b: 1\n  c.d: [x, yes]\ne.f:\n- g: true\n  h: {}\n- text\ni:\n";
        let settings = Settings::parse(yaml).unwrap();
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
    fn what_is_no_yaml_is_refused() {
        assert!(Settings::parse("a: [").is_err());
        assert_eq!(Settings::parse("").unwrap().left(), []);
    }
}
