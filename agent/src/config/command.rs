//! `[[command]]`: what programs write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tailrace_shared::config::{ByteSize, HumanDuration};

use super::values::{labels, some, within};
use super::{RateLimitConfig, TopicConfig, TransformConfig};
use crate::batch::Format;

/// `[[command]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// Where its lines go.
    pub topic: TopicConfig,
    /// The program and its arguments, such as `["vmstat", "5"]`. There is no shell in between; `["sh", "-c", "…"]` is one.
    #[serde(deserialize_with = "some")]
    pub command: Vec<String>,
    /// What it is called in the header `command`. Several need different names. Default: what the program's file is called.
    name: Option<String>,
    /// How often it is run, if it ends by itself. Default: it should not end, and is run again when it does.
    #[serde(default, deserialize_with = "interval")]
    pub every: Option<HumanDuration>,
    /// Longer lines are split into records of this size. Default 1 MB.
    #[serde(
        default = "super::default_max_line_bytes",
        deserialize_with = "within::<64, 16_777_216, _, _>"
    )]
    pub max_line_bytes: ByteSize,
    /// Constant record headers, beside `host` and `command`. Default none.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// `raw` (the line, byte for byte) or `json`. Default `raw`.
    #[serde(default)]
    pub format: Format,
    /// How much of it may become records in a second: `events_per_second`, `bytes_per_second`, and in `exceeded` whether the rest is to
    /// `wait` or to `drop`. Default: no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// What is done with lines before they are sent. Default: nothing.
    pub transform: Option<TransformConfig>,
}

impl CommandConfig {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        let file = || Path::new(self.command.first()?).file_name()?.to_str();
        self.name.as_deref().or_else(file).unwrap_or("command")
    }

    /// Whether another one runs the same in the same way, whatever it makes of what that writes. Metrics are by topic, so that
    /// is a part of it.
    #[must_use]
    pub fn runs_as(&self, other: &Self) -> bool {
        let key = |config: &Self| {
            (
                config.topic.as_str().to_owned(),
                config.command.clone(),
                config.every,
                config.max_line_bytes,
            )
        };
        self.name() == other.name() && key(self) == key(other)
    }
}

impl fmt::Display for CommandConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to topic {}", self.command.join(" "), self.topic.as_str())
    }
}

/// All together, for their names have to differ.
pub(super) fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CommandConfig>, D::Error> {
    let inputs = Vec::<CommandConfig>::deserialize(deserializer)?;
    let mut names = BTreeSet::new();
    for input in &inputs {
        let refuse = |why: &str| {
            let topic = input.topic.as_str();
            D::Error::custom(format!("[[command]] with topic \"{topic}\" {why}"))
        };
        if !names.insert(input.name()) {
            return Err(refuse("has the name of another one; say name = \"…\""));
        }
        if input.labels.contains_key("command") {
            return Err(refuse(
                "has the label `command`, which says what was run; use another name",
            ));
        }
        let checked = input
            .topic
            .check(|name| name == "command", &input.labels, input.transform.as_ref());
        checked.map_err(|problem| D::Error::custom(format!("[[command]] {problem}")))?;
    }
    Ok(inputs)
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HumanDuration>, D::Error> {
    let every = Option::<HumanDuration>::deserialize(deserializer)?;
    match every {
        Some(every) if every.0 < Duration::from_secs(1) => Err(D::Error::custom("it is run once a second at most")),
        every => Ok(every),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::AgentConfig;

    fn parse(command: &str) -> Result<AgentConfig, String> {
        let text = format!("[collector]\nbootstrap = [\"collector:9092\"]\n[[command]]\ntopic = \"host\"\n{command}\n");
        let parsed = tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None);
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_goes_by_the_name_of_its_program() {
        let config = parse("command = [\"/usr/bin/vmstat\", \"5\"]").unwrap();
        assert_eq!((config.command[0].name(), config.command[0].every), ("vmstat", None));
    }

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        for (lines, expected) in [
            ("command = []", "nothing in it"),
            ("command = [\"df\"]\nevery = \"10ms\"", "once a second"),
            ("command = [\"df\"]\nlabels = { command = \"x\" }", "another name"),
            (
                "command = [\"df\"]\n[[command]]\ntopic = \"b\"\ncommand = [\"df\", \"/\"]",
                "say name =",
            ),
            ("command = [\"df\"]\ninterval = \"1s\"", "unknown key `interval`"),
        ] {
            let error = parse(lines).unwrap_err();
            assert!(
                error.contains("agent.toml") && error.contains(expected),
                "{lines}: {error}"
            );
        }
    }
}
