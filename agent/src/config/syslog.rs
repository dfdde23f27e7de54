//! `[[syslog]]`: messages that others send.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tailrace_shared::config::{ByteSize, ListenAddr};
use tailrace_shared::tls::{ClientAuth, TlsFiles};

use super::values::{labels, within};
use super::{RateLimitConfig, TopicConfig, TransformConfig};
use crate::batch::Format;

/// `[[syslog]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogConfig {
    /// Where the messages go.
    pub topic: TopicConfig,
    /// Where datagrams are taken, each a message (RFC 5426), such as `0.0.0.0:5514`.
    pub udp: Option<ListenAddr>,
    /// Where senders connect (RFC 6587). A message is counted in octets or ends with its line, as each says itself.
    pub tcp: Option<ListenAddr>,
    /// TLS of the senders that connect (RFC 5425): `cert` and `key`, and for mTLS `client_ca` and `client_auth`. Default:
    /// they speak plain TCP.
    pub tls: Option<TlsFiles>,
    /// How many senders may be connected; others are refused. Default 1024.
    #[serde(
        default = "default_connections_max",
        deserialize_with = "within::<1, 1_000_000, _, _>"
    )]
    pub connections_max: usize,
    /// Longer messages are split into records of this size. Each sender may take so much memory. Default 64 KiB.
    #[serde(
        default = "default_max_message_bytes",
        deserialize_with = "within::<64, 1_000_000, _, _>"
    )]
    pub max_message_bytes: ByteSize,
    /// Constant record headers, beside `host` and `source_ip`. Default none.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// `raw` (the message, byte for byte) or `json`. Default `raw`.
    #[serde(default)]
    pub format: Format,
    /// How much of it may become records in a second: `events_per_second`, `bytes_per_second`, and in `exceeded` whether the rest is to
    /// `wait` or to `drop`. Default: no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// What is done with messages before they are sent; `parse = "syslog"` finds their fields. Default: nothing.
    pub transform: Option<TransformConfig>,
}

impl fmt::Display for SyslogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tcp = if self.tls.is_some() { "tls" } else { "tcp" };
        let ports = [("udp", &self.udp), (tcp, &self.tcp)];
        let ports = ports
            .iter()
            .filter_map(|(name, address)| Some(format!("{name} {}", address.as_ref()?)));
        let ports: Vec<_> = ports.collect();
        write!(f, "{} to topic {}", ports.join(", "), self.topic.as_str())
    }
}

impl SyslogConfig {
    /// Whether another one takes the same messages in the same way, whatever it makes of them. Metrics are by topic, so that
    /// is a part of it.
    #[must_use]
    pub fn listens_as(&self, other: &Self) -> bool {
        let how = |config: &Self| (config.connections_max, config.max_message_bytes);
        let own = (self.topic.as_str(), &self.udp, &self.tcp, &self.tls, how(self));
        own == (other.topic.as_str(), &other.udp, &other.tcp, &other.tls, how(other))
    }
}

/// Each as a whole, for some settings need others.
pub(super) fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SyslogConfig>, D::Error> {
    let inputs = Vec::<SyslogConfig>::deserialize(deserializer)?;
    for input in &inputs {
        let missing = if input.udp.is_none() && input.tcp.is_none() {
            "takes messages from nowhere: say udp = \"0.0.0.0:5514\", or tcp, or both"
        } else if input.tls.is_some() && input.tcp.is_none() {
            "has tls, which is for senders that connect: say tcp = \"0.0.0.0:6514\""
        } else if input.tls.as_ref().is_some_and(TlsFiles::lacks_authority) {
            "has tls.client_auth, and nothing says who signs the senders' certificates: set tls.client_ca"
        } else if input.tls.as_ref().is_some_and(asks_nobody) {
            "has tls.client_ca, and asks no sender for a certificate: set tls.client_auth = \"required\", or \"optional\""
        } else {
            let known = |name: &str| name == "source_ip";
            let checked = input.topic.check(known, &input.labels, input.transform.as_ref());
            checked.map_err(|problem| D::Error::custom(format!("[[syslog]] {problem}")))?;
            continue;
        };
        let topic = input.topic.as_str();
        return Err(D::Error::custom(format!("[[syslog]] with topic \"{topic}\" {missing}")));
    }
    Ok(inputs)
}

fn asks_nobody(tls: &TlsFiles) -> bool {
    tls.client_ca.is_some() && tls.client_auth == ClientAuth::None
}

fn default_connections_max() -> usize {
    1024
}

fn default_max_message_bytes() -> ByteSize {
    ByteSize(64 << 10)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::AgentConfig;

    fn parse(syslog: &str) -> Result<AgentConfig, String> {
        let text = format!("[collector]\nbootstrap = [\"collector:9092\"]\n[[syslog]]\ntopic = \"net\"\n{syslog}\n");
        let parsed = tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None);
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_port_is_enough() {
        let config = parse("udp = \"0.0.0.0:5514\"").unwrap();
        let input = &config.syslog[0];
        assert!(config.files.is_empty() && input.tcp.is_none());
        assert_eq!((input.connections_max, input.max_message_bytes.0), (1024, 65_536));
    }

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        let tls = "tls = { cert = \"c\", key = \"k\" }";
        for (lines, expected) in [
            ("", "say udp ="),
            (tls, "say udp ="),
            (&format!("udp = \"[::]:514\"\n{tls}"), "say tcp ="),
            (
                "tcp = \"[::]:6514\"\ntls = { cert = \"c\", key = \"k\", client_auth = \"required\" }",
                "set tls.client_ca",
            ),
            (
                "tcp = \"[::]:6514\"\ntls = { cert = \"c\", key = \"k\", client_ca = \"a\" }",
                "set tls.client_auth",
            ),
            ("udp = \"514\"", "an address to listen on"),
            ("port = 514", "unknown key `port`"),
            ("udp = \"[::]:514\"\nmax_message_bytes = 1", "is not between 64B and"),
            ("udp = \"[::]:514\"\nlabels = { source_ip = \"x\" }", "another name"),
        ] {
            let error = parse(lines).unwrap_err();
            assert!(
                error.contains("agent.toml") && error.contains(expected),
                "{lines}: {error}"
            );
        }
    }
}
