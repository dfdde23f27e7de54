//! `rate_limit`: how much of an input may become records in a second.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tailrace_shared::config::ByteSize;

use crate::rate_limit::{Exceeded, Rate, RateLimit};

/// `rate_limit = { events_per_second = 1000, bytes_per_second = "1MB", exceeded = "wait" }`
#[derive(Debug, Clone, Copy)]
pub struct RateLimitConfig(Rate);

impl RateLimitConfig {
    /// One of which nothing was taken yet, or none.
    #[must_use]
    pub fn limit(config: Option<Self>) -> RateLimit {
        RateLimit::new(config.map(|config| config.0))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// So many, or a fraction: 0.1 is one in ten seconds.
    events_per_second: Option<f64>,
    /// So many, as they are read.
    bytes_per_second: Option<ByteSize>,
    /// `wait`: the rest is read later. `drop`: it is not sent, and counted. Default `wait`.
    #[serde(default)]
    exceeded: Exceeded,
}

impl<'de> Deserialize<'de> for RateLimitConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let refuse = |what: fmt::Arguments<'_>| Err(D::Error::custom(what));
        match (table.events_per_second, table.bytes_per_second) {
            (None, None) => refuse(format_args!(
                "there is no limit in it: say events_per_second, bytes_per_second, or both"
            )),
            (Some(events), _) if !(events >= 0.001 && events.is_finite()) => {
                refuse(format_args!("events_per_second = {events} is not 0.001 or more"))
            }
            (_, Some(ByteSize(0))) => refuse(format_args!("bytes_per_second is not 1 or more")),
            (events, bytes) => Ok(Self(Rate {
                events,
                #[allow(clippy::cast_precision_loss, reason = "nobody has a rate of 2^53 bytes a second")]
                bytes: bytes.map(|bytes| bytes.0 as f64),
                exceeded: table.exceeded,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::AgentConfig;

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        for (limit, expected) in [
            ("{}", "say events_per_second"),
            ("{ events_per_second = 0 }", "not 0.001 or more"),
            ("{ events_per_second = nan }", "not 0.001 or more"),
            ("{ bytes_per_second = 0 }", "not 1 or more"),
            ("{ events_per_second = 1, exceeded = \"block\" }", "wait"),
            ("{ events = 1 }", "unknown key `events`"),
        ] {
            let text = format!(
                "[collector]\nbootstrap = [\"c:9092\"]\n[[files]]\ntopic = \"t\"\ninclude = [\"/a\"]\nrate_limit = {limit}\n"
            );
            let parsed =
                tailrace_shared::config::parse::<AgentConfig>(Path::new("agent.toml"), text.as_bytes(), &|_| None);
            let error = parsed.unwrap_err().to_string();
            assert!(
                error.contains("agent.toml:6") && error.contains(expected),
                "{limit}: {error}"
            );
        }
    }
}
