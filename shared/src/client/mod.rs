//! A small asynchronous Kafka client: pipelined connections, a metadata cache, retries with jittered backoff.
//!
//! From below: a transport matches frames on one stream; a [`Connection`] agrees on versions and speaks typed requests;
//! a [`Cluster`] knows who leads what and keeps the connections. [`list_offsets`], [`Fetcher`], [`Producer`] and
//! [`GroupMember`] are what people's tools and tests use of it; the agent delivers through [`Cluster`] itself.
//!
//! TLS and SASL have their place between TCP and [`Connection::over`], which takes any [`Stream`].

mod backoff;
mod burst;
mod cluster;
mod connection;
mod error;
mod fetched_batch;
mod fetcher;
mod group;
mod metadata;
mod offsets;
mod producer;
mod security;
#[cfg(test)]
mod tests;
mod transport;

pub use backoff::{Backoff, retry_for};
pub use cluster::{Cluster, ClusterOptions, Lane};
pub use connection::{Connection, ConnectionOptions};
pub use error::ClientError;
pub use fetched_batch::FetchedBatch;
pub use fetcher::{FetchOptions, Fetcher};
pub use group::{Assignment, GroupMember, GroupOptions, Health, Offsets, commit_offsets};
pub use metadata::{Metadata, Partition, Topic};
pub use offsets::{OffsetSpec, list_offsets};
pub use producer::{Produced, Producer, ProducerIdentity, init_producer_id, produce};
pub use security::{Credentials, Security};
pub use transport::{Lost, Stream};
