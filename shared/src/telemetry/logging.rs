//! Logs to stderr, as text for a person or as JSON for a machine.

use std::io::IsTerminal;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tracing_subscriber::EnvFilter;

/// The environment variable that overrides `log.level`.
pub const LEVEL_VARIABLE: &str = "TAILRACE_LOG";

/// The `[log]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// What to log: a level, or levels by target such as `info,tailrace_collector::wal=debug`.
    pub level: Filter,
    /// How to write it.
    pub format: Format,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A valid filter; `info` by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A filter that cannot be read.
    #[error("`{filter}` is no log filter ({reason}); write a level, or `info,tailrace_collector::wal=debug`")]
    BadFilter {
        /// As it was written.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody has set up logging before.
    #[error("logging was already started in this process")]
    AlreadyStarted,
}

impl Default for Filter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Filter {
    type Err = LoggingError;

    fn from_str(filter: &str) -> Result<Self, Self::Err> {
        parse(filter).map(|_| Self(filter.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    // A word alone that is no level would be taken for the name of a module whose every line is wanted, and no other.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| levels.iter().any(|level| word.eq_ignore_ascii_case(level));
    let words = filter.split(',').map(str::trim);
    if let Some(word) = words
        .filter(|word| !word.contains(['=', ':', '[']))
        .find(|word| !is_level(word))
    {
        return Err(LoggingError::BadFilter {
            filter: filter.to_owned(),
            reason: format!("`{word}` is none of {}", levels.join(", ")),
        });
    }
    EnvFilter::builder()
        .parse(filter)
        .map_err(|error| LoggingError::BadFilter {
            filter: filter.to_owned(),
            reason: error.to_string(),
        })
}

/// Starts logging for the whole process.
pub fn init(config: &LogConfig) -> Result<(), LoggingError> {
    let filter = match std::env::var(LEVEL_VARIABLE) {
        Ok(filter) if !filter.is_empty() => parse(&filter)?,
        _ => parse(&config.level.0)?,
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match config.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LoggingError::AlreadyStarted)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn the_table_is_read_and_a_bad_level_is_refused_with_its_place() {
        let read = |text: &str| config::parse::<LogConfig>(Path::new("t"), text.as_bytes(), &|_| None);
        assert_eq!(read("").unwrap(), LogConfig::default());
        let config = read("level = 'warn,tailrace_agent=trace'\nformat = 'json'").unwrap();
        assert_eq!(config.format, Format::Json);
        assert_eq!(config.level, "warn,tailrace_agent=trace".parse().unwrap());
        assert!(read("level = 'WARN,tailrace_agent=trace'").is_ok());
        let error = read("level = 'loud'").unwrap_err().to_string();
        assert!(error.contains("`loud` is none of off, error, warn"), "{error}");
        let error = read("level = 'a=b=c'").unwrap_err();
        assert_eq!((error.key.as_str(), error.position.unwrap().column), ("level", 9));
        assert_eq!(
            read("format = 'jsn'").unwrap_err().remedy.unwrap(),
            "did you mean `json`?"
        );
    }
}
