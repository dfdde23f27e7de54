//! What every handler is given: the broker and its groups, and who is calling.

use std::net::SocketAddr;
use std::sync::Arc;

use bytestring::ByteString;
use tailrace_shared::kafka::ApiKey;

use super::memory::MemoryBudget;
use crate::broker::Broker;
use crate::group::Coordinator;
use crate::metrics::CollectorMetrics;

/// What handlers work on.
pub struct Context {
    /// Topics and partitions.
    pub broker: Arc<Broker>,
    /// Consumer groups.
    pub groups: Arc<Coordinator>,
    /// What is counted.
    pub metrics: Arc<CollectorMetrics>,
    /// Where clients are told to connect.
    pub advertised_host: ByteString,
    /// Where clients are told to connect.
    pub advertised_port: u16,
    /// What bounds requests.
    pub limits: Limits,
    /// What fetched batches may hold until they are sent.
    pub fetch_memory: MemoryBudget,
}

/// What bounds requests and what they may set off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that one Fetch answers, whatever the client asks for.
    pub fetch_bytes_max: usize,
    /// A topic that a client names is created.
    pub auto_create_topics: bool,
    /// How many partitions a topic gets unless somebody says otherwise.
    pub default_partitions: i32,
}

/// Who is calling, and how.
#[derive(Debug, Clone)]
pub struct Call {
    /// The API.
    pub api: ApiKey,
    /// The version that the client speaks.
    pub version: i16,
    /// What the client calls itself.
    pub client_id: ByteString,
    /// Where it calls from.
    pub peer: SocketAddr,
}
