//! What DescribeConfigs says of this broker beside its topics' defaults: the configuration file under Kafka's names.

use crate::catalog::topic_config::{ConfigSource, ConfigType};
use crate::config::{CollectorConfig, ListenerConfig};
use crate::kafka::BrokerConfig;

struct Row {
    name: &'static str,
    kind: ConfigType,
    value: fn(&CollectorConfig) -> String,
    documentation: &'static str,
}

const fn row(
    name: &'static str,
    kind: ConfigType,
    value: fn(&CollectorConfig) -> String,
    documentation: &'static str,
) -> Row {
    Row {
        name,
        kind,
        value,
        documentation,
    }
}

/// By name.
static ROWS: &[Row] = &[
    row(
        "advertised.listeners",
        ConfigType::String,
        |config| listeners(config, |one| one.advertised.as_ref().unwrap_or(&one.listen).to_string()),
        "kafka.advertised: where clients are told to connect to.",
    ),
    row(
        "auto.create.topics.enable",
        ConfigType::Boolean,
        |config| config.topics.auto_create.to_string(),
        "topics.auto_create: a topic that a client names is created.",
    ),
    row(
        "connections.max.idle.ms",
        ConfigType::Long,
        |config| config.kafka.idle_timeout.as_ms().to_string(),
        "kafka.idle_timeout: a connection without a request for so long is closed.",
    ),
    row(
        "connections.max.reauth.ms",
        ConfigType::Long,
        |config| {
            config
                .kafka
                .login_lifetime
                .map_or(0, |lifetime| lifetime.as_ms())
                .to_string()
        },
        "kafka.login_lifetime: how long a login holds; 0 is as long as the connection.",
    ),
    row(
        "default.replication.factor",
        ConfigType::Int,
        |_| "1".to_owned(),
        "Always 1: a batch is on stable storage when it is acknowledged, and there are no replicas.",
    ),
    row(
        "fetch.max.bytes",
        ConfigType::Int,
        |config| config.kafka.fetch_bytes_max.0.to_string(),
        "kafka.fetch_bytes_max: the most that one fetch answers.",
    ),
    row(
        "group.initial.rebalance.delay.ms",
        ConfigType::Int,
        |config| config.groups.initial_rebalance_delay.as_ms().to_string(),
        "groups.initial_rebalance_delay: how long an empty group waits for more members.",
    ),
    row(
        "group.max.session.timeout.ms",
        ConfigType::Int,
        |config| config.groups.session_timeout_max.as_ms().to_string(),
        "groups.session_timeout_max: the longest session timeout a member may ask for.",
    ),
    row(
        "group.max.size",
        ConfigType::Int,
        |config| config.groups.members_max.to_string(),
        "groups.members_max: how many members a group may have.",
    ),
    row(
        "group.min.session.timeout.ms",
        ConfigType::Int,
        |config| config.groups.session_timeout_min.as_ms().to_string(),
        "groups.session_timeout_min: the shortest session timeout a member may ask for.",
    ),
    row(
        "listeners",
        ConfigType::String,
        |config| listeners(config, |one| one.listen.to_string()),
        "kafka.listen, and that of each of kafka.listeners.",
    ),
    row(
        "log.dirs",
        ConfigType::String,
        |config| config.data_dir.display().to_string(),
        "data_dir: where everything is kept.",
    ),
    row(
        "max.connections",
        ConfigType::Int,
        |config| config.kafka.connections_max.to_string(),
        "kafka.connections_max: how many connections there may be at once.",
    ),
    row(
        "max.connections.per.ip",
        ConfigType::Int,
        |config| {
            let limit = config.kafka.connections_per_address_max;
            limit.map_or_else(|| i32::MAX.to_string(), |limit| limit.to_string())
        },
        "kafka.connections_per_address_max: how many of them one address may have.",
    ),
    row(
        "node.id",
        ConfigType::Int,
        |config| config.node_id.to_string(),
        "node_id: this broker's number in the cluster.",
    ),
    row(
        "num.partitions",
        ConfigType::Int,
        |config| config.topics.partitions.to_string(),
        "topics.partitions: how many partitions a topic gets.",
    ),
    row(
        "offsets.retention.minutes",
        ConfigType::Int,
        |config| (config.groups.offsets_retention.as_ms() / 60_000).to_string(),
        "groups.offsets_retention: how long a group without members keeps its offsets.",
    ),
    row(
        "socket.request.max.bytes",
        ConfigType::Int,
        |config| config.kafka.request_bytes_max.0.to_string(),
        "kafka.request_bytes_max: the largest request.",
    ),
];

/// What no collector can have by default.
const ALWAYS_SAID: &[&str] = &["advertised.listeners", "listeners", "log.dirs", "node.id"];

/// The configuration under Kafka's names.
pub(super) fn broker_configs(config: &CollectorConfig) -> Vec<BrokerConfig> {
    let defaults = CollectorConfig::new(config.data_dir.clone());
    ROWS.iter()
        .map(|row| {
            let (value, default) = ((row.value)(config), (row.value)(&defaults));
            let is_said = value != default || ALWAYS_SAID.contains(&row.name);
            BrokerConfig {
                name: row.name,
                kind: row.kind,
                source: if is_said {
                    ConfigSource::StaticBroker
                } else {
                    ConfigSource::Default
                },
                value,
                default,
                documentation: row.documentation,
            }
        })
        .collect()
}

fn listeners(config: &CollectorConfig, address: impl Fn(&ListenerConfig) -> String) -> String {
    let one = |listener: &ListenerConfig| {
        let protocol = match (listener.tls.is_some(), listener.sasl.is_empty()) {
            (false, true) => "PLAINTEXT",
            (true, true) => "SSL",
            (false, false) => "SASL_PLAINTEXT",
            (true, false) => "SASL_SSL",
        };
        format!("{protocol}://{}", address(listener))
    };
    let all: Vec<_> = config.kafka.all_listeners().iter().map(one).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn names_are_sorted_and_none_is_a_topic_default() {
        assert!(ROWS.is_sorted_by(|one, other| one.name < other.name));
        let of_topics = |row: &&Row| {
            crate::catalog::topic_config::KEYS
                .iter()
                .any(|key| key.broker_name == row.name)
        };
        assert_eq!(ROWS.iter().find(of_topics).map(|row| row.name), None);
        assert!(ALWAYS_SAID.iter().all(|name| ROWS.iter().any(|row| row.name == *name)));
    }

    #[test]
    fn what_the_file_says_is_told_from_what_is_built_in() {
        let mut config = CollectorConfig::new(PathBuf::from("/data"));
        config.topics.partitions = 7;
        config.kafka.advertised = Some("logs.example.org:9092".parse().unwrap());
        let configs = broker_configs(&config);
        let find = |name| {
            let found = configs.iter().find(|config| config.name == name).unwrap();
            (found.value.as_str(), found.source)
        };
        assert_eq!(find("num.partitions"), ("7", ConfigSource::StaticBroker));
        assert_eq!(find("auto.create.topics.enable"), ("true", ConfigSource::Default));
        assert_eq!(find("connections.max.reauth.ms"), ("0", ConfigSource::Default));
        let advertised = "PLAINTEXT://logs.example.org:9092";
        assert_eq!(find("advertised.listeners"), (advertised, ConfigSource::StaticBroker));
    }
}
