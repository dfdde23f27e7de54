//! A file of YAML or TOML, as far as settings are concerned: texts, lists and maps, with the line of each name.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

impl Node {
    /// The first document.
    pub(super) fn from_yaml(text: &str) -> Result<Self, String> {
        let documents = MarkedYaml::load_from_str(text).map_err(|error| error.to_string())?;
        Ok(documents.first().map_or(Self::Map(Vec::new()), Self::of_yaml))
    }

    fn of_yaml(node: &MarkedYaml<'_>) -> Self {
        match &node.data {
            YamlData::Mapping(members) => {
                let member = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| Member {
                    name: scalar(key),
                    line: key.span.start.line(),
                    value: Self::of_yaml(value),
                };
                Self::Map(members.iter().map(member).collect())
            }
            YamlData::Sequence(items) => Self::List(items.iter().map(Self::of_yaml).collect()),
            _ => Self::Text(scalar(node)),
        }
    }

    pub(super) fn from_toml(text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| error.to_string())?;
        Ok(Self::of_table(document.get_ref(), text))
    }

    fn of_table(table: &DeTable<'_>, text: &str) -> Self {
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(name, _)| name.span().start);
        let member = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let before = text.get(..name.span().start).unwrap_or_default();
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            Member {
                name: name.to_string(),
                line: 1 + before.matches('\n').count(),
                value: Self::of_toml(value.get_ref(), text),
            }
        };
        Self::Map(members.into_iter().map(member).collect())
    }

    fn of_toml(value: &DeValue<'_>, text: &str) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => Self::Text(number.as_str().to_owned()),
            DeValue::Float(number) => Self::Text(number.as_str().to_owned()),
            DeValue::Boolean(yes) => Self::Text(yes.to_string()),
            DeValue::Datetime(time) => Self::Text(time.to_string()),
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::of_toml(item.get_ref(), text)).collect()),
            DeValue::Table(table) => Self::of_table(table, text),
        }
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
