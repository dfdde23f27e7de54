//! What the brokers say about themselves, as far as we asked: who they are, who leads which partition. A snapshot is
//! immutable; [`super::Cluster`] replaces it as a whole.

use std::collections::HashMap;
use std::time::Instant;

use bytestring::ByteString;
use uuid::Uuid;

use crate::kafka::ErrorCode;
use crate::kafka::messages::MetadataResponse;
use crate::kafka::messages::metadata::MetadataResponseTopic;

/// A snapshot of the cluster.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The cluster's own id; none before the first answer, or from very old brokers.
    pub cluster_id: Option<ByteString>,
    /// Node id of the controller, -1 where unknown.
    pub controller_id: i32,
    /// Addresses (`host:port`) by node id.
    pub brokers: HashMap<i32, String>,
    /// The topics that were asked for and exist.
    pub topics: HashMap<ByteString, Topic>,
    /// Those that the brokers had an error for, when they were last asked for.
    pub refused: HashMap<ByteString, ErrorCode>,
}

/// One topic of a snapshot.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Nil where the broker knows no topic ids.
    pub id: Uuid,
    /// In ascending order of their numbers.
    pub partitions: Vec<Partition>,
    /// When this was learnt.
    pub(super) learnt: Instant,
}

/// One partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// Node id of its leader, if it has one.
    pub leader: Option<i32>,
    /// Epoch of that leader, -1 where unknown.
    pub leader_epoch: i32,
}

impl Metadata {
    /// The leader's address, if the partition is known and led by a known broker.
    #[must_use]
    pub fn leader_address(&self, topic: &str, partition: i32) -> Option<&str> {
        let leader = self.topics.get(topic)?.partition(partition)?.leader?;
        self.brokers.get(&leader).map(String::as_str)
    }

    /// This snapshot with an answer worked in. Topics that the answer has an error for are forgotten.
    pub(super) fn updated(&self, answer: MetadataResponse, now: Instant) -> Self {
        let mut topics = self.topics.clone();
        let mut refused = self.refused.clone();
        for topic in answer.topics {
            let Some(name) = topic.name.clone() else { continue };
            match ErrorCode::from_code(topic.error_code) {
                ErrorCode::None => {
                    refused.remove(&name);
                    topics.insert(name, Topic::from_answer(topic, now));
                }
                code => {
                    topics.remove(&name);
                    refused.insert(name, code);
                }
            }
        }
        let brokers = answer.brokers.into_iter().map(|broker| {
            let address = address(&broker.host, broker.port);
            (broker.node_id, address)
        });
        Self {
            cluster_id: answer.cluster_id,
            controller_id: answer.controller_id,
            brokers: brokers.collect(),
            topics,
            refused,
        }
    }
}

impl Topic {
    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        let place = self
            .partitions
            .binary_search_by_key(&index, |partition| partition.index)
            .ok()?;
        self.partitions.get(place)
    }

    fn from_answer(topic: MetadataResponseTopic, now: Instant) -> Self {
        let mut partitions: Vec<_> = topic
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition_index,
                leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                leader_epoch: partition.leader_epoch,
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        Self {
            id: topic.topic_id,
            partitions,
            learnt: now,
        }
    }
}

/// Host and port in one string; an IPv6 host needs brackets.
pub(super) fn address(host: &str, port: i32) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
