//! The table of topic configs: every key that CreateTopics and AlterConfigs take and that DescribeConfigs answers.
//!
//! Names, types and defaults are Kafka's. A key that is accepted so that tools work, but that changes nothing here,
//! says so in its documentation; a key that is not in the table is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tailrace_shared::config::suggest;

mod table;

pub use table::KEYS;

/// The type of a value, with the numbers that DescribeConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32 bits.
    Int = 3,
    /// 64 bits.
    Long = 5,
    /// A floating point number.
    Double = 6,
    /// Comma-separated values.
    List = 7,
}

/// Where a value comes from, with the numbers that DescribeConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set in the collector's configuration file.
    StaticBroker = 4,
    /// Built in.
    Default = 5,
}

/// Which values a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// A whole number in this range, both ends included.
    Integer(i64, i64),
    /// A number in this range, both ends included.
    Float(f64, f64),
    /// `true` or `false`.
    Boolean,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// At least one of these, separated by commas.
    SomeOf(&'static [&'static str]),
}

/// One key of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigKey {
    /// The topic's key, as in CreateTopics.
    pub name: &'static str,
    /// The broker's key for the same thing, shown as a synonym.
    pub broker_name: &'static str,
    /// The type.
    pub kind: ConfigType,
    /// The built-in value.
    pub default: &'static str,
    /// Which values it takes.
    pub rule: Rule,
    /// What it does, for people.
    pub documentation: &'static str,
}

/// A key or value that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic config {key}={value}: {reason}")]
pub struct InvalidConfig {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Why it is refused.
    pub reason: String,
}

/// What is set on a topic, or for all topics by the collector's configuration: only what differs from the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicConfig(BTreeMap<String, String>);

impl TopicConfig {
    /// Checks each key and value against the table.
    pub fn new(entries: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidConfig> {
        let mut config = Self::default();
        for (key, value) in entries {
            config.set(&key, Some(&value))?;
        }
        Ok(config)
    }

    /// Sets a key, or with `None` takes it back to its default.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), InvalidConfig> {
        check(key, value)?;
        match value {
            Some(value) => self.0.insert(key.to_owned(), value.trim().to_owned()),
            None => self.0.remove(key),
        };
        Ok(())
    }

    /// What is set for this key, if anything is.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All that is set, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// What DescribeConfigs says of one key of one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedConfig {
    /// The key.
    pub key: &'static ConfigKey,
    /// The value in force.
    pub value: String,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Every place that has a value, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A place that has a value for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key's name there.
    pub name: &'static str,
    /// The value there.
    pub value: String,
    /// Which place.
    pub source: ConfigSource,
}

/// Every key of the table, for a topic under a broker's own defaults.
#[must_use]
pub fn describe(topic: &TopicConfig, broker: &TopicConfig) -> Vec<DescribedConfig> {
    KEYS.iter()
        .map(|key| {
            let set_on_topic = topic.get(key.name).map(|value| (key.name, value, ConfigSource::Topic));
            let set_on_broker = broker
                .get(key.name)
                .map(|value| (key.broker_name, value, ConfigSource::StaticBroker));
            let built_in = Some((key.broker_name, key.default, ConfigSource::Default));
            let synonyms: Vec<_> = [set_on_topic, set_on_broker, built_in]
                .into_iter()
                .flatten()
                .map(|(name, value, source)| ConfigSynonym {
                    name,
                    value: value.to_owned(),
                    source,
                })
                .collect();
            let in_force = synonyms.first();
            DescribedConfig {
                key,
                value: in_force.map_or_else(String::new, |found| found.value.clone()),
                source: in_force.map_or(ConfigSource::Default, |found| found.source),
                synonyms,
            }
        })
        .collect()
}

/// The key of this name.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static ConfigKey> {
    KEYS.iter().find(|key| key.name == name)
}

fn check(name: &str, value: Option<&str>) -> Result<(), InvalidConfig> {
    let refuse = |reason: String| InvalidConfig {
        key: name.to_owned(),
        value: value.unwrap_or_default().to_owned(),
        reason,
    };
    let key = lookup(name).ok_or_else(|| {
        let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        refuse(format!("no such topic config; {}", suggest(name, &names, "there are")))
    })?;
    match value {
        Some(value) => key.rule.check(value.trim()).map_err(refuse),
        None => Ok(()),
    }
}

impl Rule {
    fn check(self, value: &str) -> Result<(), String> {
        let fits = match self {
            Self::Integer(min, max) => value.parse().is_ok_and(|number| (min..=max).contains(&number)),
            Self::Float(min, max) => value.parse().is_ok_and(|number| (min..=max).contains(&number)),
            Self::Boolean => matches!(value, "true" | "false"),
            Self::OneOf(allowed) => allowed.contains(&value),
            Self::SomeOf(allowed) => value.split(',').all(|part| allowed.contains(&part.trim())),
        };
        if fits { Ok(()) } else { Err(self.expectation()) }
    }

    fn expectation(self) -> String {
        match self {
            Self::Integer(min, max) => format!("must be a whole number from {min} to {max}"),
            Self::Float(min, max) => format!("must be a number from {min} to {max}"),
            Self::Boolean => "must be true or false".to_owned(),
            Self::OneOf(allowed) => format!("must be one of {}", allowed.join(", ")),
            Self::SomeOf(allowed) => format!("must be a comma-separated list of {}", allowed.join(", ")),
        }
    }
}

/// The values that the broker itself goes by, typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopicSettings {
    /// Batches older than this may be deleted; `None` keeps them for ever.
    pub retention_ms: Option<i64>,
    /// A partition's oldest batches beyond this size may be deleted; `None` is no limit.
    pub retention_bytes: Option<u64>,
    /// Whether retention deletes at all (`cleanup.policy` has `delete`).
    pub delete: bool,
    /// Whether only the newest record of each key is kept (`cleanup.policy` has `compact`).
    pub compact: bool,
    /// The largest batch that is taken, in bytes.
    pub max_message_bytes: usize,
    /// Whether the broker stamps batches with its own time (`message.timestamp.type=LogAppendTime`).
    pub log_append_time: bool,
    /// How long a deletion mark stays in a compacted topic.
    pub delete_retention_ms: i64,
    /// How long a record stays uncompacted at least.
    pub min_compaction_lag_ms: i64,
    /// How long a record stays uncompacted at most.
    pub max_compaction_lag_ms: i64,
    /// How long a batch of a compacted topic stays in the WAL.
    pub segment_ms: i64,
    /// How many bytes of a compacted partition stay in the WAL.
    pub segment_bytes: u64,
    /// How much of a partition must not be compacted yet, from 0 to 1, before it is worth compacting.
    pub min_cleanable_dirty_ratio: f64,
}

impl TopicSettings {
    /// The values in force for a topic under a broker's own defaults.
    #[must_use]
    pub fn resolve(topic: &TopicConfig, broker: &TopicConfig) -> Self {
        let text = |name: &str| {
            let default = || lookup(name).map_or("", |key| key.default);
            topic.get(name).or_else(|| broker.get(name)).unwrap_or_else(default)
        };
        let number = |name: &str| text(name).parse::<i64>().unwrap_or(-1);
        let cleanup = |policy: &str| text("cleanup.policy").split(',').any(|part| part.trim() == policy);
        Self {
            retention_ms: Some(number("retention.ms")).filter(|&limit| limit >= 0),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            delete: cleanup("delete"),
            compact: cleanup("compact"),
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or_default(),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            delete_retention_ms: number("delete.retention.ms"),
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            segment_ms: number("segment.ms"),
            segment_bytes: u64::try_from(number("segment.bytes")).unwrap_or_default(),
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
