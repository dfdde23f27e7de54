//! `topic`: where records go, a name or a table.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::TransformConfig;
use super::values::{TopicName, name_or_table, within};
use crate::routing::{FieldText, PartitionBy, Routing, TOPIC_LEN_MAX, Topic, Topics, is_topic_letter};

/// `topic = "nginx"`, or `topic = { name = "logs-{namespace}", otherwise = "logs", key = "{user}" }`.
#[derive(Debug, Clone)]
pub struct TopicConfig {
    name: String,
    fields: Option<FieldText>,
    otherwise: Option<TopicName>,
    max_topics: usize,
    key: Option<FieldText>,
    partition: PartitionBy,
}

impl TopicConfig {
    /// As it was written: metrics are called after it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// A topic that there is in any case.
    #[must_use]
    pub fn surely(&self) -> &str {
        self.otherwise
            .as_ref()
            .map_or(&self.name, |otherwise| otherwise.as_str())
    }

    /// Where records go.
    #[must_use]
    pub fn routing(&self) -> Routing {
        let topic = match &self.fields {
            Some(fields) => Topic::Of(Topics::new(fields.clone(), self.surely().into(), self.max_topics)),
            None => Topic::One(self.name.as_str().into()),
        };
        Routing {
            topic,
            key: self.key.clone(),
            partition: self.partition,
        }
    }

    /// Says which of its fields no event can have: none of those that the agent knows of each (`known`, and labels), and
    /// nothing finds others.
    pub(super) fn check(
        &self,
        known: impl Fn(&str) -> bool,
        labels: &BTreeMap<String, String>,
        transform: Option<&TransformConfig>,
    ) -> Result<(), String> {
        if transform.is_some_and(TransformConfig::finds_fields) {
            return Ok(());
        }
        let asked = self.fields.iter().chain(&self.key).flat_map(FieldText::fields);
        let mut missing = asked.filter(|name| *name != "host" && !known(name) && !labels.contains_key(*name));
        missing.next().map_or(Ok(()), |name| {
            Err(format!(
                "(topic \"{}\") asks for the field `{name}`, which nothing has: say with transform.parse how fields are found, or \
                 add a label of that name",
                self.name
            ))
        })
    }
}

impl fmt::Display for TopicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<TopicName> for TopicConfig {
    fn from(name: TopicName) -> Self {
        Self {
            name: name.as_str().to_owned(),
            fields: None,
            otherwise: None,
            max_topics: 0,
            key: None,
            partition: PartitionBy::Source,
        }
    }
}

/// A name without fields.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Plain(TopicName);

impl TryFrom<String> for Plain {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name.contains('{') {
            return Err(format!(
                "\"{name}\" has fields in it: say what takes what has not all of them, topic = {{ name = \"{name}\", otherwise = \
                 \"logs\" }}"
            ));
        }
        TopicName::try_from(name).map(Self)
    }
}

impl From<Plain> for TopicConfig {
    fn from(plain: Plain) -> Self {
        plain.0.into()
    }
}

/// Where records go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The topic's name. `{field}` in it stands for a field of the event, a label, or what the agent knows of a file.
    name: String,
    /// Takes what has not all of the fields, and what would make more than `max_topics`. Has to be said if there are fields.
    otherwise: Option<TopicName>,
    /// How many topics there may be by `name`. Default 100.
    #[serde(default = "default_max_topics", deserialize_with = "within::<1, 10_000, _, _>")]
    max_topics: usize,
    /// The key of a record, with fields as in `name`. What has not all of them has none. Default: there are no keys.
    key: Option<String>,
    /// How a partition is found: `source` (a file, a sender, a journal or a command has its own, so that its order holds), `key`, or
    /// `round_robin`. Default `key` if there are keys, or else `source`.
    partition: Option<PartitionBy>,
}

fn default_max_topics() -> usize {
    100
}

impl TryFrom<Table> for TopicConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let text = FieldText::parse(&table.name)?;
        let fields = Some(text).filter(|text| !text.is_settled());
        match (&fields, &table.otherwise) {
            (None, None) => drop(TopicName::try_from(table.name.clone())?),
            (None, Some(_)) => {
                return Err("topic.otherwise is of no use where the name has no {field} in it".to_owned());
            }
            (Some(_), None) => {
                return Err(
                    "topic.otherwise is missing: it takes what has not all of the fields in the name".to_owned(),
                );
            }
            (Some(text), Some(_)) => check_letters(&table.name, text)?,
        }
        let key = table.key.as_deref().map(FieldText::parse).transpose()?;
        let by_default = match key {
            Some(_) => PartitionBy::Key,
            None => PartitionBy::Source,
        };
        if table.partition == Some(PartitionBy::Key) && key.is_none() {
            return Err("topic.partition = \"key\" needs a key, such as key = \"{user}\"".to_owned());
        }
        Ok(Self {
            name: table.name,
            fields,
            otherwise: table.otherwise,
            max_topics: table.max_topics,
            key,
            partition: table.partition.unwrap_or(by_default),
        })
    }
}

fn check_letters(name: &str, text: &FieldText) -> Result<(), String> {
    match text.letters().find(|letter| !is_topic_letter(*letter)) {
        Some(letter) => Err(format!(
            "topics have no `{letter}` in their names (\"{name}\"): use a-z A-Z 0-9 . _ -"
        )),
        None if text.letters().count() > TOPIC_LEN_MAX => Err(format!(
            "\"{name}\" is longer than the {TOPIC_LEN_MAX} characters of a topic's name"
        )),
        None => Ok(()),
    }
}

impl<'de> Deserialize<'de> for TopicConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let topic =
            name_or_table::<Plain, Table, Self, D>(deserializer, "the name of a topic, or a table with a `name`")?;
        let names = [topic.name.as_str(), topic.surely()];
        if let Some(name) = names.iter().find(|name| name.starts_with("__")) {
            return Err(D::Error::custom(format!(
                "\"{name}\": topics that begin with __ belong to the brokers"
            )));
        }
        Ok(topic)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::AgentConfig;

    fn parse(lines: &str) -> Result<AgentConfig, String> {
        let text = format!("[collector]\nbootstrap = [\"c:9092\"]\n[[files]]\ninclude = [\"/a\"]\n{lines}\n");
        let parsed = tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None);
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_topic_is_a_name_or_a_table() {
        for topic in [
            "topic = \"nginx\"",
            "topic = { name = \"nginx\" }",
            "topic = { name = \"nginx\", partition = \"round_robin\" }",
            "topic = { name = \"logs-{host}\", otherwise = \"logs\" }",
            "topic = { name = \"{team}\", otherwise = \"logs\", max_topics = 7 }\nlabels = { team = \"shop\" }",
            "topic = { name = \"a\", key = \"{user.id}\" }\ntransform = { parse = \"json\" }",
            "topic = { name = \"a\", key = \"{path}/{host}\", partition = \"source\" }",
            "topic = { name = \"{namespace}\", otherwise = \"a\", key = \"{pod}{stream}\" }\ncontainer = true",
        ] {
            parse(topic).unwrap_or_else(|error| panic!("{topic}: {error}"));
        }
    }

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        for (topic, expected) in [
            ("\"logs-{host}\"", "topic = { name = \"logs-{host}\", otherwise ="),
            ("\"a b\"", "no topic name"),
            ("\"__consumer_offsets\"", "belong to the brokers"),
            ("{ name = \"{host}\", otherwise = \"__x\" }", "belong to the brokers"),
            ("{ name = \"a b\" }", "no topic name"),
            ("{ name = \"{host}\" }", "topic.otherwise is missing"),
            ("{ name = \"a\", otherwise = \"b\" }", "no use"),
            ("{ name = \"{host\", otherwise = \"b\" }", "not closed"),
            ("{ name = \"{}\", otherwise = \"b\" }", "nothing in them"),
            ("{ name = \"a}{host}\", otherwise = \"b\" }", "a brace too many"),
            ("{ name = \"a/{host}\", otherwise = \"b\" }", "no `/` in their names"),
            (
                "{ name = \"{host}\", otherwise = \"b\", max_topics = 0 }",
                "not between 1",
            ),
            ("{ name = \"a\", partition = \"key\" }", "needs a key"),
            ("{ name = \"a\", partition = \"roundrobin\" }", "round_robin"),
            ("{ name = \"a\", key = \"{user}\" }", "asks for the field `user`"),
            (
                "{ name = \"{namespace}\", otherwise = \"b\" }",
                "asks for the field `namespace`",
            ),
            ("{ name = \"a\", keys = \"x\" }", "unknown key `keys`"),
            ("7", "the name of a topic, or a table"),
        ] {
            let error = parse(&format!("topic = {topic}")).unwrap_err();
            assert!(
                error.contains("agent.toml") && error.contains(expected),
                "{topic}: {error}"
            );
        }
    }
}
