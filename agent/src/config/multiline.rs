//! `files.multiline`: the name of a mode, or a table with patterns and limits.

use std::time::Duration;

use serde::Deserialize;
use serde::de::Deserializer;
use tailrace_shared::config::HumanDuration;

use super::values::{name_or_table, within};
use crate::frame::{Languages, Multiline, Rule};
use crate::line_regex::LineRegex;

/// Which lines make one record.
#[derive(Debug, Clone)]
pub struct MultilineConfig {
    rule: Rule,
    max_lines: usize,
    timeout: Duration,
}

impl From<MultilineConfig> for Multiline {
    fn from(config: MultilineConfig) -> Self {
        Self {
            rule: config.rule,
            max_lines: config.max_lines as u64,
            timeout: config.timeout,
        }
    }
}

/// What is known without a pattern.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// All of the others.
    Auto,
    /// Indented lines belong to the line before them.
    Indent,
    /// And the exceptions of the JVM.
    Java,
    /// And tracebacks.
    Python,
    /// And panics.
    Go,
}

impl From<Mode> for Rule {
    fn from(mode: Mode) -> Self {
        let mut languages = Languages::NONE;
        match mode {
            Mode::Auto => languages = Languages::ALL,
            Mode::Indent => {}
            Mode::Java => languages.java = true,
            Mode::Python => languages.python = true,
            Mode::Go => languages.go = true,
        }
        Self::Trace(languages)
    }
}

/// `[files.multiline]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// A mode, instead of a pattern.
    mode: Option<Mode>,
    /// A line that matches is the first of its event.
    start: Option<LineRegex>,
    /// A line that matches is the last of its event.
    end: Option<LineRegex>,
    /// A line that matches belongs to the one before it.
    continuation: Option<LineRegex>,
    /// A line that matches has the next one with it.
    continued: Option<LineRegex>,
    /// Default 1000.
    #[serde(default = "default_max_lines", deserialize_with = "within::<2, 1_000_000, _, _>")]
    max_lines: usize,
    /// How long the last event of a file waits for more lines. Default 1 s.
    #[serde(default = "default_timeout", deserialize_with = "within::<10, 3_600_000, _, _>")]
    timeout: HumanDuration,
}

fn default_max_lines() -> usize {
    1000
}

fn default_timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(1))
}

impl TryFrom<Table> for MultilineConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let rule = match (table.mode, table.start, table.end, table.continuation, table.continued) {
            (Some(mode), None, None, None, None) => mode.into(),
            (None, Some(start), end, None, None) => Rule::Start { start, end },
            (None, None, Some(end), None, None) => Rule::End(end),
            (None, None, None, Some(continuation), None) => Rule::Continuation(continuation),
            (None, None, None, None, Some(continued)) => Rule::Continued(continued),
            _ => {
                return Err(
                    "say which lines belong together by one of `mode`, `start`, `end`, `continuation` and \
                     `continued`; only `start` and `end` go together"
                        .to_owned(),
                );
            }
        };
        Ok(Self {
            rule,
            max_lines: table.max_lines,
            timeout: table.timeout.0,
        })
    }
}

impl From<Mode> for MultilineConfig {
    fn from(mode: Mode) -> Self {
        Self {
            rule: mode.into(),
            max_lines: default_max_lines(),
            timeout: default_timeout().0,
        }
    }
}

pub(super) fn named_or_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MultilineConfig>, D::Error> {
    name_or_table::<Mode, Table, _, _>(deserializer, "the name of a mode, such as \"auto\", or a table").map(Some)
}
