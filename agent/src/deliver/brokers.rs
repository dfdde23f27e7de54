//! The seam between delivery and a cluster, so that tests can be the cluster.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::answer::Answer;
use super::machine::ClusterView;
use super::reason::Reason;
use crate::spool::{BatchNumber, Producer, Stamp};

/// A batch as it goes over the wire: stamped, with its CRC.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// Its number in the spool.
    pub number: BatchNumber,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The identity that is in the bytes.
    pub stamp: Stamp,
    /// The RecordBatch.
    pub bytes: Bytes,
}

/// Batches to look for in a log by their headers.
#[derive(Debug, Clone)]
pub struct Search {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Who sent them.
    pub producer: Producer,
    /// Their base sequences.
    pub base_sequences: Vec<i32>,
    /// None of them lies below this offset, if it is known.
    pub from: Option<i64>,
    /// The lowest of their timestamps, in milliseconds since the epoch: where to begin if no offset is known.
    pub oldest_ms: i64,
}

/// Why something could not be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The agent may not ask, or the brokers cannot answer.
    NotAllowed,
    /// For now; in words.
    Failed(Reason),
}

/// The answers to one request, one for each batch in its order.
pub type Answers = BoxFuture<'static, Vec<(BatchNumber, Answer)>>;

/// A cluster. Errors are words for the operator.
pub trait Brokers: Send + Sync {
    /// The cluster's id, and those of the topics that exist.
    fn view(&self, topics: Vec<Arc<str>>) -> BoxFuture<'_, Result<ClusterView, String>>;

    /// A producer id that was never given out before.
    fn init_producer(&self) -> BoxFuture<'_, Result<Producer, String>>;

    /// The address of a partition's leader, as far as it is known.
    fn leader(&self, topic: &str, partition: i32) -> Option<String>;

    /// Queues one request with at most one batch per partition. Requests to a leader arrive in the order of the calls.
    /// An error means that nothing was sent.
    fn produce(&self, leader: &str, batches: Vec<Stamped>) -> BoxFuture<'_, Result<Answers, String>>;

    /// The last sequence of a producer in a partition, if its leader knows the producer.
    fn last_sequence(
        &self,
        topic: Arc<str>,
        partition: i32,
        producer: Producer,
    ) -> BoxFuture<'_, Result<Option<i32>, Unknown>>;

    /// The topic's `max.message.bytes`.
    fn batch_bytes_max(&self, topic: Arc<str>) -> BoxFuture<'_, Result<u32, Unknown>>;

    /// Reads batch headers up to the end of the log, and tells base sequence and base offset of those that are there.
    fn find(&self, search: Search) -> BoxFuture<'_, Result<Vec<(i32, i64)>, Unknown>>;
}
