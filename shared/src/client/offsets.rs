//! Where partitions begin and end, and where a point in time lies in them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytestring::ByteString;

use super::cluster::{check, refusal};
use super::{ClientError, Cluster, Connection, Lane, retry_for};
use crate::clock::TimestampMs;
use crate::kafka::ApiKey;
use crate::kafka::messages::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic,
};
use crate::kafka::messages::{ListOffsetsRequest, ListOffsetsResponse};

const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// A place in a partition that only its leader can turn into an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record that is still there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// The first record with this timestamp or a later one; where there is none, behind the last.
    At(TimestampMs),
}

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            Self::Latest => LATEST_TIMESTAMP,
            Self::Earliest => EARLIEST_TIMESTAMP,
            Self::At(timestamp) => timestamp.max(0),
        }
    }
}

/// Asks the leaders of these partitions; retries what may pass.
pub async fn list_offsets(
    cluster: &Cluster,
    topic: &ByteString,
    partitions: &[i32],
    spec: OffsetSpec,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let ask = |partitions: Vec<i32>, spec| {
        retry_for(RETRY_LIMIT, move || {
            let partitions = partitions.clone();
            async move {
                let asked = ask_leaders(cluster, topic, &partitions, spec).await;
                asked.inspect_err(|_| cluster.forget(topic))
            }
        })
    };
    let mut offsets = ask(partitions.to_vec(), spec).await?;
    let nothing_later: Vec<i32> = offsets
        .iter()
        .filter(|(_, offset)| **offset < 0)
        .map(|(index, _)| *index)
        .collect();
    if !nothing_later.is_empty() {
        offsets.extend(ask(nothing_later, OffsetSpec::Latest).await?);
    }
    Ok(offsets)
}

async fn ask_leaders(
    cluster: &Cluster,
    topic: &ByteString,
    partitions: &[i32],
    spec: OffsetSpec,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let mut offsets = BTreeMap::new();
    for (leader, led) in cluster
        .brokers_for(topic, partitions.iter().copied(), Lane::Prompt)
        .await?
    {
        let wanted = led.iter().map(|index| ListOffsetsPartition {
            partition_index: *index,
            timestamp: spec.wire(),
            ..Default::default()
        });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.clone(),
                partitions: wanted.collect(),
            }],
            ..Default::default()
        };
        let answer = leader.send(&request).await?;
        for index in led {
            offsets.insert(index, offset_in(&answer, topic, index, &leader)?);
        }
    }
    Ok(offsets)
}

fn offset_in(
    answer: &ListOffsetsResponse,
    topic: &ByteString,
    partition: i32,
    leader: &Connection,
) -> Result<i64, ClientError> {
    let subject = || format!("partition {partition} of topic {topic}");
    let mut answered = answer
        .topics
        .iter()
        .filter(|answered| answered.name == *topic)
        .flat_map(|it| &it.partitions);
    let Some(found) = answered.find(|answered| answered.partition_index == partition) else {
        let address = leader.address().to_owned();
        return Err(ClientError::Missing {
            address,
            api: ApiKey::ListOffsets,
            subject: subject(),
        });
    };
    check(found.error_code, |code| {
        refusal::<ListOffsetsRequest>(leader.address(), subject(), code, None)
    })?;
    Ok(found.offset)
}
