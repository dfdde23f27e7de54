//! The configuration file of the collector: what the operator wrote, with every default in one place.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tailrace_shared::config::{ByteSize, HumanDuration, ListenAddr, Secret, within};
use tailrace_shared::sasl::Mechanism;
use tailrace_shared::telemetry::logging::LogConfig;
use tailrace_shared::tls::TlsFiles;

use crate::catalog::topic_config::InvalidConfig;
use crate::catalog::{MAX_PARTITIONS, TopicConfig};
use crate::group::GroupOptions;
use crate::security::tokens::OauthConfig;

/// `collector.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorConfig {
    /// Where everything is kept. One collector at a time.
    #[serde(deserialize_with = "data_dir")]
    pub data_dir: PathBuf,
    /// This broker's number in the cluster.
    #[serde(default = "default_node_id", deserialize_with = "node_id")]
    pub node_id: i32,
    /// The Kafka port.
    #[serde(default)]
    pub kafka: KafkaConfig,
    /// The operator's port.
    #[serde(default)]
    pub http: HttpConfig,
    /// What topics get unless they say otherwise.
    #[serde(default)]
    pub topics: TopicsConfig,
    /// Consumer groups.
    #[serde(default)]
    pub groups: GroupsConfig,
    /// Who may log in, beside those that are added later.
    #[serde(default)]
    pub users: Vec<UserConfig>,
    /// Who may do what.
    #[serde(default)]
    pub acls: AclsConfig,
    /// The write-ahead log.
    #[serde(default)]
    pub wal: WalConfig,
    /// Logging.
    #[serde(default)]
    pub log: LogConfig,
}

fn default_node_id() -> i32 {
    1
}

fn data_dir<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(D::Error::custom(
            "it is empty; name a directory that is this collector's alone",
        ));
    }
    Ok(path)
}

fn node_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    within(deserializer, 0..=i32::MAX)
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(deserializer, 1..=1_000_000)
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    within(deserializer, ByteSize::mib(1)..=ByteSize::gib(1024))
}

fn at_least_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    within(
        deserializer,
        HumanDuration::secs(1)..=HumanDuration::secs(365 * 24 * 60 * 60),
    )
}

fn partitions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    within(deserializer, 1..=MAX_PARTITIONS)
}

/// A batch is at most a frame of the WAL.
fn message_bytes_max<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    within(deserializer, ByteSize(1 << 10)..=ByteSize::mib(4))
}

impl CollectorConfig {
    /// A configuration with every default.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            node_id: default_node_id(),
            kafka: KafkaConfig::default(),
            http: HttpConfig::default(),
            topics: TopicsConfig::default(),
            groups: GroupsConfig::default(),
            users: Vec::new(),
            acls: AclsConfig::default(),
            wal: WalConfig::default(),
            log: LogConfig::default(),
        }
    }
}

/// `[kafka]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Where to listen.
    pub listen: ListenAddr,
    /// What clients are told to connect to; by default the address that is listened on.
    pub advertised: Option<ListenAddr>,
    /// Beyond loopback, whoever can reach the port may do everything, or passwords go over the network in the clear.
    pub insecure: bool,
    /// Connections are TLS.
    pub tls: Option<TlsFiles>,
    /// How clients may log in; where there is one, they must.
    pub sasl: Vec<Mechanism>,
    /// How long a login holds; without it, as long as the connection.
    pub login_lifetime: Option<HumanDuration>,
    /// Whose tokens are good, for OAUTHBEARER.
    pub oauth: Option<OauthConfig>,
    /// More addresses, each with security of its own.
    pub listeners: Vec<ListenerConfig>,
    /// How many connections there may be at once; more wait to be accepted.
    #[serde(deserialize_with = "at_least_one")]
    pub connections_max: usize,
    /// How many of them one address may have; more are closed. Without it, there is no limit.
    pub connections_per_address_max: Option<NonZeroUsize>,
    /// The largest request.
    #[serde(deserialize_with = "memory")]
    pub request_bytes_max: ByteSize,
    /// What the requests of all connections together may hold in memory.
    #[serde(deserialize_with = "memory")]
    pub request_memory: ByteSize,
    /// What fetched batches that are not sent yet may hold in memory, for all connections together.
    #[serde(deserialize_with = "memory")]
    pub fetch_memory: ByteSize,
    /// The most that one fetch answers, whatever the client asks for.
    #[serde(deserialize_with = "memory")]
    pub fetch_bytes_max: ByteSize,
    /// A connection without a request for so long is closed.
    #[serde(deserialize_with = "at_least_a_second")]
    pub idle_timeout: HumanDuration,
    /// A client that stops in the middle of a request, or stops reading its answers, is dropped after so long.
    #[serde(deserialize_with = "at_least_a_second")]
    pub stall_timeout: HumanDuration,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            listen: ListenAddr::loopback(9092),
            advertised: None,
            insecure: false,
            tls: None,
            sasl: Vec::new(),
            login_lifetime: None,
            oauth: None,
            listeners: Vec::new(),
            connections_max: 10_000,
            connections_per_address_max: None,
            request_bytes_max: ByteSize(16 << 20),
            request_memory: ByteSize(128 << 20),
            fetch_memory: ByteSize(128 << 20),
            fetch_bytes_max: ByteSize(32 << 20),
            idle_timeout: HumanDuration(Duration::from_secs(600)),
            stall_timeout: HumanDuration(Duration::from_secs(30)),
        }
    }
}

/// `[[kafka.listeners]]`: the same keys as those of `[kafka]` itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// What it is called in logs and metrics.
    pub name: String,
    /// Where to listen.
    pub listen: ListenAddr,
    /// See [`KafkaConfig::advertised`].
    pub advertised: Option<ListenAddr>,
    /// See [`KafkaConfig::insecure`].
    #[serde(default)]
    pub insecure: bool,
    /// See [`KafkaConfig::tls`].
    pub tls: Option<TlsFiles>,
    /// See [`KafkaConfig::sasl`].
    #[serde(default)]
    pub sasl: Vec<Mechanism>,
}

impl KafkaConfig {
    /// What the listener of `[kafka]` itself is called.
    const OWN_NAME: &str = "kafka";

    /// All listeners, the one of `[kafka]` itself first.
    #[must_use]
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        let own = ListenerConfig {
            name: Self::OWN_NAME.to_owned(),
            listen: self.listen.clone(),
            advertised: self.advertised.clone(),
            insecure: self.insecure,
            tls: self.tls.clone(),
            sasl: self.sasl.clone(),
        };
        let mut all = vec![own];
        all.extend(self.listeners.iter().cloned());
        all
    }
}

/// `[[users]]`: somebody who may log in, beside those that `tailrace users` adds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// The name.
    pub name: String,
    /// The password; better in a file of its own (`password_file`).
    pub password: Secret,
}

/// `[acls]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AclsConfig {
    /// Whether access is controlled; without it, everybody may do everything.
    pub enabled: bool,
    /// Principals (`User:name`) that may do everything, whatever the entries say.
    #[serde(deserialize_with = "super_users")]
    pub super_users: HashSet<String>,
    /// Whether everybody may use what no entry is about.
    pub allow_without_entries: bool,
}

fn super_users<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashSet<String>, D::Error> {
    let users = HashSet::<String>::deserialize(deserializer)?;
    match users
        .iter()
        .find(|user| user.strip_prefix("User:").is_none_or(str::is_empty))
    {
        Some(user) => Err(D::Error::custom(format!("{user:?} is not of the form \"User:name\""))),
        None => Ok(users),
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where `/metrics`, `/healthz` and `/readyz` are.
    pub listen: ListenAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: ListenAddr::loopback(9600),
        }
    }
}

/// `[topics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicsConfig {
    /// A topic that a client names is created.
    pub auto_create: bool,
    /// How many partitions a topic gets.
    #[serde(deserialize_with = "partitions")]
    pub partitions: i32,
    /// How long batches are kept, counted from when they were appended.
    pub retention: HumanDuration,
    /// How large a partition may grow before its oldest batches go; without it, there is no limit.
    pub retention_bytes: Option<ByteSize>,
    /// The largest batch.
    #[serde(deserialize_with = "message_bytes_max")]
    pub message_bytes_max: ByteSize,
    /// What compaction may hold in memory of a partition's keys. With more keys than fit it takes more passes.
    #[serde(deserialize_with = "memory")]
    pub compaction_memory: ByteSize,
}

impl Default for TopicsConfig {
    fn default() -> Self {
        Self {
            auto_create: true,
            partitions: 4,
            retention: HumanDuration(Duration::from_secs(7 * 24 * 60 * 60)),
            retention_bytes: None,
            message_bytes_max: ByteSize(2 << 20),
            compaction_memory: ByteSize(64 << 20),
        }
    }
}

impl TopicsConfig {
    /// The same under Kafka's names: the defaults that DescribeConfigs shows for every topic.
    ///
    /// # Errors
    /// When a value is outside of what Kafka allows for it.
    pub fn as_topic_config(&self) -> Result<TopicConfig, InvalidConfig> {
        let retention_bytes = self
            .retention_bytes
            .map(|limit| ("retention.bytes".to_owned(), limit.0.to_string()));
        let entries = [
            ("retention.ms".to_owned(), self.retention.as_ms().to_string()),
            ("max.message.bytes".to_owned(), self.message_bytes_max.0.to_string()),
        ];
        TopicConfig::new(entries.into_iter().chain(retention_bytes))
    }
}

/// `[groups]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupsConfig {
    /// How long an empty group waits for more members before it assigns partitions.
    pub initial_rebalance_delay: HumanDuration,
    /// The shortest session timeout a member may ask for.
    pub session_timeout_min: HumanDuration,
    /// The longest session timeout a member may ask for.
    pub session_timeout_max: HumanDuration,
    /// How long a group without members keeps its offsets.
    pub offsets_retention: HumanDuration,
    /// How many groups there may be; a member of one more is refused.
    #[serde(deserialize_with = "at_least_one")]
    pub groups_max: usize,
    /// How many members a group may have.
    #[serde(deserialize_with = "at_least_one")]
    pub members_max: usize,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        let options = GroupOptions::default();
        Self {
            initial_rebalance_delay: HumanDuration(options.initial_rebalance_delay),
            session_timeout_min: HumanDuration(options.session_timeout_min),
            session_timeout_max: HumanDuration(options.session_timeout_max),
            offsets_retention: HumanDuration(options.offsets_retention),
            groups_max: options.groups_max,
            members_max: options.members_max,
        }
    }
}

impl GroupsConfig {
    pub(crate) fn options(&self) -> GroupOptions {
        GroupOptions {
            initial_rebalance_delay: self.initial_rebalance_delay.0,
            session_timeout_min: self.session_timeout_min.0,
            session_timeout_max: self.session_timeout_max.0,
            offsets_retention: self.offsets_retention.0,
            groups_max: self.groups_max,
            members_max: self.members_max,
            ..GroupOptions::default()
        }
    }
}

/// `[wal]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WalConfig {
    /// Length of one of its files.
    pub file_bytes: ByteSize,
    /// How much may wait to be moved into segments; also what a restart after a crash reads at most.
    pub budget_bytes: ByteSize,
    /// How much of what came last stays in memory for consumers.
    pub cache_bytes: ByteSize,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            file_bytes: ByteSize(64 << 20),
            budget_bytes: ByteSize(1 << 30),
            cache_bytes: ByteSize(16 << 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> CollectorConfig {
        tailrace_shared::config::parse(Path::new("collector.toml"), text.as_bytes(), &|_| None).unwrap()
    }

    #[test]
    fn full_example_shows_the_defaults() {
        let example = include_str!("../../config-examples/collector.toml");
        let mut said = parse(example);
        let default = CollectorConfig::new(said.data_dir.clone());
        said.kafka.listen = default.kafka.listen.clone();
        said.kafka.advertised = None;
        said.kafka.sasl.clear();
        said.kafka.login_lifetime = None;
        said.kafka.oauth = None;
        said.kafka.connections_per_address_max = None;
        said.kafka.tls = None;
        said.kafka.listeners.clear();
        said.users.clear();
        said.topics.retention_bytes = None;
        said.acls.enabled = default.acls.enabled;
        said.acls.super_users.clear();
        assert_eq!(format!("{said:#?}"), format!("{default:#?}"));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_line() {
        let cases = [
            ("data_dir = ''", "collector.toml:1", "it is empty"),
            ("data_dir = 'x'\nnode_id = -4", "collector.toml:2", "between 0 and"),
            (
                "data_dir = 'x'\n[kafka]\nconnections_max = 0",
                "collector.toml:3",
                "0 is not between 1 and",
            ),
            (
                "data_dir = 'x'\n[topics]\npartitions = 20000",
                "collector.toml:3",
                "between 1 and 10000",
            ),
            (
                "data_dir = 'x'\n[topics]\nmessage_bytes_max = '8MiB'",
                "collector.toml:3",
                "8MiB is not between 1KiB and 4MiB",
            ),
        ];
        for (text, place, expected) in cases {
            let parsed = tailrace_shared::config::parse::<CollectorConfig>(
                Path::new("collector.toml"),
                text.as_bytes(),
                &|_| None,
            );
            let error = parsed.unwrap_err().to_string();
            assert!(error.contains(place) && error.contains(expected), "{error}");
        }
    }
}
