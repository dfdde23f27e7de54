//! Where the partitions of a topic begin and end.

use bytestring::ByteString;
use serde_json::{Value, json};
use tailrace_shared::kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use tailrace_shared::kafka::messages::metadata::MetadataRequestTopic;
use tailrace_shared::kafka::messages::{ListOffsetsRequest, MetadataRequest};

use super::TopicArgs;
use super::wire::{self, Wire};

const UNKNOWN_TOPIC: i16 = 3;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// How many partitions the topic has.
pub(crate) fn partitions(wire: &mut Wire, topic: &str, create: bool) -> anyhow::Result<i32> {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.into()),
            ..Default::default()
        }]),
        allow_auto_topic_creation: create,
        ..Default::default()
    };
    let answer = wire.ask(&request, wire::METADATA)?;
    let found = answer.topics.first();
    let found = found.ok_or_else(|| anyhow::anyhow!("the answer has no topic"))?;
    if found.error_code == UNKNOWN_TOPIC {
        return Ok(0);
    }
    wire::check(found.error_code, "the topic")?;
    Ok(i32::try_from(found.partitions.len())?)
}

/// The offset of each partition at which it begins, or ends.
fn offsets(wire: &mut Wire, topic: &str, partitions: i32, timestamp: i64) -> anyhow::Result<Vec<i64>> {
    let asked = (0..partitions).map(|index| ListOffsetsPartition {
        partition_index: index,
        timestamp,
        ..Default::default()
    });
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: ByteString::from(topic),
            partitions: asked.collect(),
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, wire::LIST_OFFSETS)?;
    let mut found: Vec<_> = answer.topics.into_iter().flat_map(|topic| topic.partitions).collect();
    found.sort_by_key(|partition| partition.partition_index);
    found
        .iter()
        .try_for_each(|partition| wire::check(partition.error_code, "an offset"))?;
    Ok(found.iter().map(|partition| partition.offset).collect())
}

pub(crate) fn starts(wire: &mut Wire, topic: &str, partitions: i32) -> anyhow::Result<Vec<i64>> {
    offsets(wire, topic, partitions, EARLIEST)
}

pub(crate) fn ends(wire: &mut Wire, topic: &str, partitions: i32) -> anyhow::Result<Vec<i64>> {
    offsets(wire, topic, partitions, LATEST)
}

pub(crate) fn count(args: &TopicArgs) -> anyhow::Result<Value> {
    let mut wire = Wire::connect(&args.address)?;
    let partitions = partitions(&mut wire, &args.topic, false)?;
    let records = match partitions {
        0 => 0,
        _ => ends(&mut wire, &args.topic, partitions)?.iter().sum::<i64>(),
    };
    Ok(json!({ "records": records }))
}
