//! `tailrace topics`: what topics there are, what is in them, and how to make and remove them.

mod records;
mod remarks;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use bytestring::ByteString;
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use tailrace_shared::client::{Cluster, OffsetSpec, list_offsets};
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::create_partitions::CreatePartitionsTopic;
use tailrace_shared::kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use tailrace_shared::kafka::messages::delete_topics::DeleteTopicState;
use tailrace_shared::kafka::messages::describe_configs::{
    DescribeConfigsResource, RESOURCE_TOPIC, SOURCE_DEFAULT, SOURCE_TOPIC,
};
use tailrace_shared::kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, OPERATION_DELETE, OPERATION_SET,
};
use tailrace_shared::kafka::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest,
};

use crate::admin::{Common, check, confirm, controller};
use crate::connect::{self, MissingTopic};
use crate::from::From;
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  tailrace topics list
  tailrace topics describe nginx
  tailrace topics create nginx --partitions 4 --config retention.ms=604800000
  tailrace topics alter nginx --config max.message.bytes=4194304
  tailrace topics delete nginx
  tailrace topics list --output json | jq -r '.[].name'";

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  tailrace topics describe nginx
  tailrace topics describe nginx -o json | jq '[.partitions[].records] | add'

RECORDS is the distance between the offsets; a compacted topic holds fewer.";

const CREATE_EXAMPLES: &str = "\
Examples:
  tailrace topics create nginx
  tailrace topics create nginx --partitions 4 --config retention.ms=604800000
  tailrace topics create nginx -c retention.ms=-1 -c max.message.bytes=2097152";

const ALTER_EXAMPLES: &str = "\
Examples:
  tailrace topics alter nginx --config retention.ms=259200000
  tailrace topics alter nginx --reset retention.ms          back to the default
  tailrace topics alter nginx --partitions 8                more, never fewer";

const DELETE_RECORDS_EXAMPLES: &str = "\
Examples:
  tailrace topics delete-records nginx --before 7d --dry-run
  tailrace topics delete-records nginx --before 2026-01-31T14:00:00Z
  tailrace topics delete-records nginx --before end --yes

What lies below NEXT START is gone for every consumer, and given back to the
disk within minutes.";

const DELETE_EXAMPLES: &str = "\
Examples:
  tailrace topics delete nginx           asks first
  tailrace topics delete nginx --yes     for scripts";

/// `tailrace topics …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All topics, with the number of their partitions.
    #[command(
        after_help = "Examples:\n  tailrace topics list\n  tailrace topics list --output json | jq -r '.[].name'"
    )]
    List,
    /// Partitions with their offsets, and the configuration where it is not the default.
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe {
        /// Name of the topic.
        name: String,
    },
    /// Create a topic.
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Name of the topic.
        name: String,
        /// How many partitions; without it, what the broker is configured for.
        #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// A setting of the topic; may be given several times.
        #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_setting)]
        config: Vec<(String, String)>,
    },
    /// Change settings of a topic, or give it more partitions.
    #[command(after_help = ALTER_EXAMPLES)]
    #[command(group = ArgGroup::new("change").required(true).multiple(true))]
    Alter {
        /// Name of the topic.
        name: String,
        /// A setting and its new value; may be given several times.
        #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_setting, group = "change")]
        config: Vec<(String, String)>,
        /// A setting that gets its default back; may be given several times.
        #[arg(long, short, value_name = "KEY", group = "change")]
        reset: Vec<String>,
        /// How many partitions it shall have. Files that are followed keep theirs.
        #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..), group = "change")]
        partitions: Option<i32>,
    },
    /// Delete the oldest records of a topic: shows which, asks, and deletes.
    #[command(after_help = DELETE_RECORDS_EXAMPLES)]
    DeleteRecords {
        /// Name of the topic.
        name: String,
        /// What stays: from an offset on, from how long ago such as 15m, from a time such as 2026-01-31T14:00:00Z, or
        /// from the `end` on.
        #[arg(long, value_name = "WHERE")]
        before: From,
        /// Show what would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Delete a topic and all that is in it.
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        /// Name of the topic.
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example retention.ms=86400000".to_owned()),
    }
}

fn keys_of(config: &[(String, String)]) -> Vec<String> {
    config.iter().map(|(key, _)| key.clone()).collect()
}

/// A topic as listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    partitions: usize,
}

/// A topic as described.
#[derive(Debug, Serialize)]
struct Described {
    name: String,
    id: String,
    partitions: Vec<DescribedPartition>,
    /// What is not the default, by key.
    configs: BTreeMap<String, Setting>,
}

#[derive(Debug, Serialize)]
struct Setting {
    /// None for a secret.
    value: Option<String>,
    set_on: &'static str,
}

#[derive(Debug, Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: Option<i32>,
    start_offset: i64,
    end_offset: i64,
    records: i64,
}

/// What came of a change, for programs.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    name: &'a str,
    done: &'static str,
}

pub(crate) async fn run(args: TopicsArgs) -> Result<()> {
    let cluster = args.common.connect().await?;
    match args.command {
        Command::List => list(&cluster, args.common.output).await,
        Command::Describe { name } => show(&describe(&cluster, name.into()).await?, args.common.output),
        Command::Create {
            name,
            partitions,
            config,
        } => {
            let keys = keys_of(&config);
            create(&cluster, &name, partitions, config).await?;
            remarks::without_effect(&cluster, &name, keys).await;
            report(&name, "created", args.common.output)
        }
        Command::Alter {
            name,
            config,
            reset,
            partitions,
        } => {
            let keys = keys_of(&config);
            alter(&cluster, &name, config, reset).await?;
            remarks::without_effect(&cluster, &name, keys).await;
            if let Some(count) = partitions {
                grow(&cluster, &name, count).await?;
            }
            report(&name, "altered", args.common.output)
        }
        Command::DeleteRecords {
            name,
            before,
            dry_run,
            yes,
        } => {
            let topic = name.as_str().into();
            let deletions = records::plan(&cluster, &topic, before).await?;
            if !dry_run && !deletions.is_empty() {
                if !yes {
                    eprint!("{}", records::table(&deletions));
                    if !confirm(&format!("Delete these records of topic {name}?"))? {
                        return Err(anyhow!("topic {name} was left as it is"));
                    }
                }
                records::delete(&cluster, &topic, &deletions).await?;
            }
            records::show(&deletions, args.common.output)
        }
        Command::Delete { name, yes } => {
            connect::topic(&cluster, &name.clone().into(), MissingTopic::Fail).await?;
            if !yes && !confirm(&format!("Delete topic {name} and all that is in it?"))? {
                return Err(anyhow!("topic {name} was left as it is"));
            }
            delete(&cluster, &name).await?;
            report(&name, "deleted", args.common.output)
        }
    }
}

async fn list(cluster: &Cluster, format: Format) -> Result<()> {
    let metadata = cluster.refresh_all().await?;
    let mut topics: Vec<Listed> = metadata
        .topics
        .iter()
        .map(|(name, topic)| Listed {
            name: name.to_string(),
            partitions: topic.partitions.len(),
        })
        .collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    if format == Format::Json {
        return output::print_json(&topics);
    }
    let mut table = Table::new(&["TOPIC", "PARTITIONS"]);
    for topic in topics {
        table.row([topic.name, topic.partitions.to_string()]);
    }
    output::print(&table.render(output::has_colour()))
}

async fn describe(cluster: &Cluster, name: ByteString) -> Result<Described> {
    let topic = connect::topic(cluster, &name, MissingTopic::Fail).await?;
    let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
    let starts = list_offsets(cluster, &name, &indexes, OffsetSpec::Earliest).await?;
    let ends = list_offsets(cluster, &name, &indexes, OffsetSpec::Latest).await?;
    let partitions = topic.partitions.iter().map(|partition| {
        let offset_in = |offsets: &BTreeMap<i32, i64>| offsets.get(&partition.index).copied().unwrap_or(0);
        let (start_offset, end_offset) = (offset_in(&starts), offset_in(&ends));
        DescribedPartition {
            partition: partition.index,
            leader: partition.leader,
            start_offset,
            end_offset,
            records: end_offset.saturating_sub(start_offset),
        }
    });
    Ok(Described {
        id: topic.id.to_string(),
        partitions: partitions.collect(),
        configs: changed_configs(cluster, &name).await?,
        name: name.to_string(),
    })
}

/// The settings of a topic whose values do not come from the defaults.
async fn changed_configs(cluster: &Cluster, name: &ByteString) -> Result<BTreeMap<String, Setting>> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: name.clone(),
            configuration_keys: None,
        }],
        ..Default::default()
    };
    let answer = cluster.any_broker().await?.send(&request).await?;
    let mut configs = BTreeMap::new();
    for result in answer.results {
        let what = format!("read the configuration of topic {name}");
        check(result.error_code, result.error_message.as_deref(), &what, |_| None)?;
        let changed = result
            .configs
            .into_iter()
            .filter(|config| config.config_source != SOURCE_DEFAULT);
        configs.extend(changed.map(|config| {
            let setting = Setting {
                value: config.value.map(|value| value.to_string()),
                set_on: match config.config_source {
                    SOURCE_TOPIC => "topic",
                    _ => "broker",
                },
            };
            (config.name.to_string(), setting)
        }));
    }
    Ok(configs)
}

fn show(topic: &Described, format: Format) -> Result<()> {
    if format == Format::Json {
        return output::print_json(topic);
    }
    let total: i64 = topic.partitions.iter().map(|partition| partition.records).sum();
    let mut text = format!("Topic {}, id {}, {}\n\n", topic.name, topic.id, output::records(total));
    let mut partitions = Table::new(&["PARTITION", "LEADER", "START", "END", "RECORDS"]);
    for it in &topic.partitions {
        let leader = it.leader.map_or_else(|| "-".to_owned(), |leader| leader.to_string());
        partitions.row([
            it.partition.to_string(),
            leader,
            it.start_offset.to_string(),
            it.end_offset.to_string(),
            it.records.to_string(),
        ]);
    }
    text += &partitions.render(output::has_colour());
    if topic.configs.is_empty() {
        text += "\nAll settings are the default.\n";
    } else {
        let mut configs = Table::new(&["SETTING", "VALUE", "SET ON"]);
        for (key, setting) in &topic.configs {
            let value = setting.value.clone().unwrap_or_else(|| "(hidden)".to_owned());
            configs.row([key.clone(), value, setting.set_on.to_owned()]);
        }
        text += &format!("\n{}", configs.render(output::has_colour()));
    }
    output::print(&text)
}

async fn create(cluster: &Cluster, name: &str, partitions: Option<i32>, config: Vec<(String, String)>) -> Result<()> {
    let settings = config.into_iter().map(|(name, value)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
    });
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: partitions.unwrap_or(-1),
            replication_factor: -1,
            configs: settings.collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = controller(cluster).await?.send(&request).await?;
    for topic in answer.topics {
        let what = format!("create topic {name}");
        check(
            topic.error_code,
            topic.error_message.as_deref(),
            &what,
            |code| match code {
                ErrorCode::TopicAlreadyExists => Some("`tailrace topics describe` shows the one that is there"),
                _ => None,
            },
        )?;
    }
    Ok(())
}

async fn alter(cluster: &Cluster, name: &str, set: Vec<(String, String)>, reset: Vec<String>) -> Result<()> {
    let sets = set.into_iter().map(|(key, value)| AlterableConfig {
        name: key.into(),
        config_operation: OPERATION_SET,
        value: Some(value.into()),
    });
    let resets = reset.into_iter().map(|key| AlterableConfig {
        name: key.into(),
        config_operation: OPERATION_DELETE,
        value: None,
    });
    let configs: Vec<_> = sets.chain(resets).collect();
    if configs.is_empty() {
        return Ok(());
    }
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: name.into(),
            configs,
        }],
        validate_only: false,
    };
    let answer = controller(cluster).await?.send(&request).await?;
    for topic in answer.responses {
        check_topic(name, "alter", topic.error_code, topic.error_message.as_deref())?;
    }
    Ok(())
}

async fn grow(cluster: &Cluster, name: &str, count: i32) -> Result<()> {
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: None,
        }],
        timeout_ms: 60_000,
        ..Default::default()
    };
    let answer = controller(cluster).await?.send(&request).await?;
    for topic in answer.results {
        check_topic(
            name,
            "add partitions to",
            topic.error_code,
            topic.error_message.as_deref(),
        )?;
    }
    Ok(())
}

/// What became of a change to a topic that should be there.
fn check_topic(name: &str, change: &str, code: i16, message: Option<&str>) -> Result<()> {
    if ErrorCode::from_code(code) == ErrorCode::UnknownTopicOrPartition {
        return Err(connect::no_such_topic(name));
    }
    check(code, message, &format!("{change} topic {name}"), |_| None)
}

async fn delete(cluster: &Cluster, name: &str) -> Result<()> {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(name.into()),
            ..Default::default()
        }],
        topic_names: vec![name.into()],
        timeout_ms: 60_000,
    };
    let answer = controller(cluster).await?.send(&request).await?;
    for topic in answer.responses {
        check_topic(name, "delete", topic.error_code, topic.error_message.as_deref())?;
    }
    Ok(())
}

fn report(name: &str, done: &'static str, format: Format) -> Result<()> {
    match format {
        Format::Json => output::print_json(&Changed { name, done }),
        Format::Table => output::print(&format!("{done} topic {name}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_split_at_the_first_equals_sign() {
        assert_eq!(parse_setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_setting("a="), Ok(("a".into(), String::new())));
        assert!(parse_setting("a").is_err() && parse_setting("=b").is_err());
    }
}
