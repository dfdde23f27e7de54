//! `[[journald]]`: what the system's journal has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tailrace_shared::config::ByteSize;

use super::values::{labels, within};
use super::{RateLimitConfig, TopicConfig, TransformConfig, transform};
use crate::batch::Format;
use crate::journald::{FIELDS, Selection};
use crate::tail::StartAt;

/// `[[journald]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournaldConfig {
    /// Where its entries go.
    pub topic: TopicConfig,
    /// How far it was read is kept under this name, so several `[[journald]]` need different ones. Default `journal`.
    #[serde(default = "default_name")]
    pub name: String,
    /// Only entries of these units, such as `nginx.service`: whole names. Default: all.
    #[serde(default)]
    pub units: Vec<String>,
    /// Only entries with one of these identifiers (`SYSLOG_IDENTIFIER`), such as `sshd`. Default: all.
    #[serde(default)]
    pub identifiers: Vec<String>,
    /// Only entries that are so important or more: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info` or `debug`. Default:
    /// all.
    pub priority: Option<Severity>,
    /// Only entries with one of the values given for each field, such as `_TRANSPORT=kernel`. Default: all.
    #[serde(default)]
    pub matches: Vec<String>,
    /// Fields of the journal that become record headers too, beside `unit`, `identifier`, `pid` and `severity`, such as
    /// `_HOSTNAME` or `MESSAGE_ID`. Default none.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Constant record headers, beside `host`. Default none.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// `raw` (the message, byte for byte) or `json`. Default `raw`.
    #[serde(default)]
    pub format: Format,
    /// How much of it may become records in a second: `events_per_second`, `bytes_per_second`, and in `exceeded` whether the rest is to
    /// `wait` or to `drop`. Default: no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// What is done with entries before they are sent. Default: nothing.
    #[serde(default, deserialize_with = "transform::with_fields")]
    pub transform: Option<TransformConfig>,
    /// `beginning`, or `end`: when the agent reads the journal for the first time, only what is written from then on. Default
    /// `beginning`.
    #[serde(default)]
    pub start_at: StartAt,
    /// Longer messages are split into records of this size. Default 1 MB.
    #[serde(
        default = "super::default_max_line_bytes",
        deserialize_with = "within::<64, 16_777_216, _, _>"
    )]
    pub max_message_bytes: ByteSize,
    /// Where the journal's files are, such as `/var/log/journal/remote`. Default: where the system has its own.
    pub directory: Option<PathBuf>,
    /// The journal of this namespace (`LogNamespace=` of units), unless there is a `directory`. Default: that of the system.
    pub namespace: Option<String>,
    /// The program that reads journals. Default `journalctl`, wherever `PATH` has it.
    #[serde(default = "default_journalctl")]
    pub journalctl: PathBuf,
}

/// How important an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they are what syslog calls them")]
pub enum Severity {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Severity {
    fn name(self) -> &'static str {
        crate::transform::SEVERITIES
            .get(self as usize)
            .copied()
            .unwrap_or_default()
    }
}

impl JournaldConfig {
    /// What is asked of `journalctl`.
    #[must_use]
    pub fn selection(&self) -> Selection {
        Selection {
            journalctl: self.journalctl.clone(),
            directory: self.directory.clone(),
            namespace: self.namespace.clone(),
            units: self.units.clone(),
            identifiers: self.identifiers.clone(),
            priority: self.priority.map(Severity::name),
            matches: self.matches.clone(),
        }
    }

    /// Whether another one reads the same entries in the same way, whatever it makes of them. Metrics are by topic, so that is a
    /// part of it.
    #[must_use]
    pub fn reads_as(&self, other: &Self) -> bool {
        let key = |config: &Self| {
            let (topic, name, fields) = (
                config.topic.as_str().to_owned(),
                config.name.clone(),
                config.fields.clone(),
            );
            (topic, name, fields, config.selection(), config.max_message_bytes)
        };
        key(self) == key(other)
    }
}

impl fmt::Display for JournaldConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match &self.directory {
            Some(directory) => format!(" in {}", directory.display()),
            None => String::new(),
        };
        write!(f, "\"{}\"{of} to topic {}", self.name, self.topic.as_str())
    }
}

/// Each as a whole, and all together.
pub(super) fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<JournaldConfig>, D::Error> {
    let inputs = Vec::<JournaldConfig>::deserialize(deserializer)?;
    let mut names = BTreeSet::new();
    for input in &inputs {
        let topic = input.topic.as_str();
        let refuse = |why: String| D::Error::custom(format!("[[journald]] with topic \"{topic}\" {why}"));
        if !names.insert(&input.name) {
            return Err(refuse(format!(
                "has the name \"{}\" of another one; say name = \"…\", for how far each was read is kept under its name",
                input.name
            )));
        }
        if let Some(pattern) = input.units.iter().find(|unit| unit.contains(['*', '?', '['])) {
            return Err(refuse(format!(
                "asks for the units \"{pattern}\", and journalctl looks up patterns only when it starts; say transform = {{ keep = [{{ \
                 field = \"unit\", matches = '^web@' }}] }}"
            )));
        }
        if let Some(no_match) = input.matches.iter().find(|text| !is_match(text)) {
            return Err(refuse(format!("has the match \"{no_match}\"; write it as FIELD=value")));
        }
        if let Some(no_field) = input.fields.iter().find(|name| !is_field(name)) {
            return Err(refuse(format!(
                "asks for the field \"{no_field}\"; the journal's names are of A-Z, 0-9 and _"
            )));
        }
        if let Some(known) = input.fields.iter().find(|name| is_there_anyway(name)) {
            return Err(refuse(format!(
                "asks for the field \"{known}\", which is in each record anyway; leave it out"
            )));
        }
        let is_taken = |label: &&String| FIELDS.iter().any(|(_, ours)| ours == label) || input.fields.contains(label);
        if let Some(label) = input.labels.keys().find(is_taken) {
            return Err(refuse(format!(
                "has the label `{label}`, which is what a field of entries is called; use another name"
            )));
        }
        let is_of_entries = |name: &str| is_taken(&&name.to_owned());
        let checked = input
            .topic
            .check(is_of_entries, &input.labels, input.transform.as_ref());
        checked.map_err(|problem| D::Error::custom(format!("[[journald]] {problem}")))?;
    }
    Ok(inputs)
}

fn is_there_anyway(name: &str) -> bool {
    let is_usual = FIELDS.iter().any(|(journal, _)| *journal == name);
    is_usual || name == "MESSAGE" || name.starts_with("__")
}

fn is_match(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| is_field(name))
}

fn is_field(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.len() <= 64 && name.chars().all(is_allowed)
}

fn default_name() -> String {
    "journal".to_owned()
}

fn default_journalctl() -> PathBuf {
    PathBuf::from("journalctl")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::AgentConfig;

    fn parse(journald: &str) -> Result<AgentConfig, String> {
        let text =
            format!("[collector]\nbootstrap = [\"collector:9092\"]\n[[journald]]\ntopic = \"system\"\n{journald}\n");
        let parsed = tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None);
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_topic_is_enough() {
        let config = parse("").unwrap();
        let input = &config.journald[0];
        assert_eq!((&*input.name, input.selection().priority), ("journal", None));
        let config =
            parse("priority = \"warning\"\ntransform = { drop = [{ field = \"unit\", is = \"a\" }] }").unwrap();
        assert_eq!(config.journald[0].selection().priority, Some("warning"));
    }

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        for (lines, expected) in [
            ("[[journald]]\ntopic = \"other\"", "say name ="),
            ("units = [\"web@*.service\"]", "keep = "),
            ("fields = [\"_PID\"]", "leave it out"),
            ("matches = [\"kernel\"]", "FIELD=value"),
            ("fields = [\"message_id\"]", "A-Z"),
            ("priority = \"error\"", "`err`"),
            ("labels = { unit = \"x\" }", "another name"),
            (
                "labels = { _HOSTNAME = \"x\" }\nfields = [\"_HOSTNAME\"]",
                "another name",
            ),
            ("unit = [\"a\"]", "did you mean `units`"),
        ] {
            let error = parse(lines).unwrap_err();
            assert!(
                error.contains("agent.toml") && error.contains(expected),
                "{lines}: {error}"
            );
        }
    }
}
