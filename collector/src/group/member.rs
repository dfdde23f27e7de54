//! A member of a group.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::effect::ReplyTo;

/// A member of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its id, made by the coordinator.
    pub id: ByteString,
    /// Its `group.instance.id`, if it is a static member (KIP-345).
    pub instance_id: Option<ByteString>,
    /// The `client.id` of its requests.
    pub client_id: ByteString,
    /// The address it came from.
    pub client_host: ByteString,
    /// How long a rebalance waits for it.
    pub rebalance_timeout: Duration,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// The protocols it knows, most preferred first, each with its metadata.
    pub protocols: Vec<(ByteString, Bytes)>,
    /// What it was assigned in this generation.
    pub assignment: Bytes,
    pub(super) awaiting_join: Option<ReplyTo>,
    pub(super) awaiting_sync: Option<ReplyTo>,
    pub(super) last_heard: Duration,
    /// It has asked for its assignment in this generation.
    pub(super) synced: bool,
}

impl Member {
    /// Its metadata for a protocol; empty if it does not know it.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, bytes)| bytes.clone())
            .unwrap_or_default()
    }

    /// What its names and metadata take in memory and, about, in the log.
    pub(super) fn size_in_bytes(&self) -> usize {
        let names = [&self.id, &self.client_id, &self.client_host];
        let names: usize = names.into_iter().chain(&self.instance_id).map(|name| name.len()).sum();
        names + protocols_size(&self.protocols)
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// When its session ends; never while it waits for us.
    pub(super) fn session_ends(&self) -> Option<Duration> {
        let waiting = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        (!waiting).then(|| self.last_heard + self.session_timeout)
    }
}

pub(super) fn protocols_size(protocols: &[(ByteString, Bytes)]) -> usize {
    protocols.iter().map(|(name, bytes)| name.len() + bytes.len()).sum()
}
