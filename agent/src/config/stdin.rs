//! `[stdin]`: what comes on standard input.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tailrace_shared::config::ByteSize;

use super::values::{labels, within};
use super::{RateLimitConfig, TopicConfig, TransformConfig};
use crate::batch::Format;

/// `[stdin]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdinConfig {
    /// Where its lines go.
    pub topic: TopicConfig,
    /// Longer lines are split into records of this size. Default 1 MB.
    #[serde(
        default = "super::default_max_line_bytes",
        deserialize_with = "within::<64, 16_777_216, _, _>"
    )]
    pub max_line_bytes: ByteSize,
    /// Constant record headers, beside `host`. Default none.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// `raw` (the line, byte for byte) or `json`. Default `raw`.
    #[serde(default)]
    pub format: Format,
    /// How much of it may become records in a second. Default: no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// What is done with lines before they are sent. Default: nothing.
    pub transform: Option<TransformConfig>,
}

impl StdinConfig {
    /// Whether another one reads in the same way, whatever it makes of the lines.
    #[must_use]
    pub fn reads_as(&self, other: &Self) -> bool {
        (self.topic.as_str(), self.max_line_bytes) == (other.topic.as_str(), other.max_line_bytes)
    }
}

impl fmt::Display for StdinConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to topic {}", self.topic)
    }
}

/// As a whole, for its topic may ask for fields.
pub(super) fn input<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StdinConfig>, D::Error> {
    let input = StdinConfig::deserialize(deserializer)?;
    let checked = input.topic.check(|_| false, &input.labels, input.transform.as_ref());
    checked.map_err(|problem| D::Error::custom(format!("[stdin] {problem}")))?;
    Ok(Some(input))
}
