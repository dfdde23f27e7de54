//! The collector: a partitioned, durable log broker that speaks the Kafka protocol.
//!
//! Layers, top down; a layer knows only those below it: [`kafka`] and [`http`] decode requests and call [`broker`], the
//! facade over [`partition`] (one log each), [`group`] (consumer groups) and [`catalog`] (topics, producer ids,
//! incarnations). Partitions commit through the [`wal`] and keep history in [`segment`] objects, both on a [`store`] or
//! a `Disk`. [`server`] composes them; [`config`] says how.

pub mod broker;
pub mod catalog;
pub mod config;
pub mod group;
pub mod http;
pub mod kafka;
pub mod metrics;
pub mod offsets_topic;
pub mod partition;
pub mod security;
pub mod segment;
pub mod server;
pub mod store;
pub mod topic_partition;
pub mod wal;
