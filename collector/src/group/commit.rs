//! OffsetCommit and OffsetFetch: who may commit, and what is remembered.

use std::time::Duration;

use bytestring::ByteString;
use tailrace_shared::clock::TimestampMs;

use super::effect::GroupError;
use super::record::OffsetValue;
use super::session::Caller;
use super::state::{Group, Phase};

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// Whatever the client stored with it.
    pub metadata: ByteString,
    /// When it was committed.
    pub committed_at_ms: TimestampMs,
    /// Where its record lies in `__consumer_offsets`: of two commits the later record wins.
    pub log_offset: i64,
}

impl CommittedOffset {
    /// What the log kept, found at `log_offset`.
    #[must_use]
    pub fn from_log(value: OffsetValue, log_offset: i64) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            committed_at_ms: value.committed_at_ms,
            log_offset,
        }
    }

    /// What the log keeps.
    #[must_use]
    pub fn to_log(&self) -> OffsetValue {
        OffsetValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.clone(),
            committed_at_ms: self.committed_at_ms,
        }
    }
}

/// One partition of an OffsetCommit, before it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitToWrite {
    /// The topic's name.
    pub topic: ByteString,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// Whatever the client stores with it.
    pub metadata: ByteString,
}

impl Group {
    /// May this caller commit now? A commit also counts as a sign of life.
    ///
    /// A consumer that assigns itself sends generation -1; it may commit while the group is empty.
    pub fn check_commit(&mut self, caller: &Caller, now: Duration) -> Result<(), GroupError> {
        if caller.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        self.check_caller(caller)?;
        self.heard_from(&caller.member_id, now);
        match self.phase {
            Phase::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::Empty | Phase::PreparingRebalance | Phase::Stable => Ok(()),
        }
    }

    /// A commit is in the log; an older record than the one remembered changes nothing.
    pub fn remember_offset(&mut self, topic: ByteString, partition: i32, committed: CommittedOffset) {
        let key = (topic, partition);
        if self
            .offsets
            .get(&key)
            .is_none_or(|known| known.log_offset <= committed.log_offset)
        {
            self.offsets.insert(key, committed);
        }
    }

    /// A tombstone is in the log.
    pub fn forget_offset(&mut self, topic: &ByteString, partition: i32) {
        self.offsets.remove(&(topic.clone(), partition));
    }

    /// The offset committed for a partition.
    #[must_use]
    pub fn committed(&self, topic: &ByteString, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.get(&(topic.clone(), partition))
    }

    /// All committed offsets, by topic and partition.
    pub fn offsets(&self) -> impl Iterator<Item = (&ByteString, i32, &CommittedOffset)> {
        self.offsets
            .iter()
            .map(|((topic, partition), committed)| (topic, *partition, committed))
    }

    /// The offsets that lapse: the group is empty, and has been for its retention, counted from the later of its last
    /// change and of the commit.
    #[must_use]
    pub fn expired_offsets(&self, now_ms: TimestampMs) -> Vec<(ByteString, i32)> {
        if self.phase != Phase::Empty {
            return Vec::new();
        }
        let retention_ms = i64::try_from(self.options.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let lapsed = |committed: &CommittedOffset| {
            now_ms.saturating_sub(committed.committed_at_ms.max(self.changed_at_ms)) > retention_ms
        };
        let expired = self.offsets.iter().filter(|(_, committed)| lapsed(committed));
        expired
            .map(|((topic, partition), _)| (topic.clone(), *partition))
            .collect()
    }

    /// True if nobody is a member or about to become one.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.phase == Phase::Empty && self.pending.is_empty()
    }

    /// True if the log holds something of it.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.logged.is_some() || !self.offsets.is_empty()
    }

    /// The log holds nothing of it any more.
    pub fn forget_logged(&mut self) {
        self.logged = None;
        self.offsets.clear();
    }

    /// True if nothing of it need be kept.
    #[must_use]
    pub fn is_forgettable(&self) -> bool {
        self.is_unused() && self.offsets.is_empty()
    }
}
