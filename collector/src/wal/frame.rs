//! What goes into the WAL and what comes back once it is on stable storage.

use bytes::Bytes;
use tailrace_shared::clock::TimestampMs;

use super::position::WalPosition;
use crate::topic_partition::TopicPartition;

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Record batches, one after another, as consumers will get them; `start..end` are offsets.
    Batches,
    /// One encoded change of the partition's manifest; `start` is the manifest version it makes, `end` one more.
    ManifestChange,
}

/// A piece of one partition's history on its way into the WAL.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What the payload is.
    pub kind: FrameKind,
    /// Whose history it is.
    pub partition: TopicPartition,
    /// First offset (or manifest version) of the payload.
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// When the broker took it; retention and producer expiry count from here.
    pub appended_at: TimestampMs,
    /// The bytes, in pieces so that a patched batch header need not be copied together with its records.
    pub payload: Vec<Bytes>,
}

/// Where a frame's payload lies in the WAL. Ordered as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameLocation {
    /// The broker incarnation that wrote it.
    pub incarnation: u64,
    /// The file within the incarnation.
    pub file: u64,
    /// Where the payload starts in the file, in bytes.
    pub offset: u64,
    /// How long the payload is, in bytes.
    pub len: u32,
}

impl FrameLocation {
    /// The file in which it lies.
    #[must_use]
    pub fn wal_file(&self) -> WalPosition {
        WalPosition {
            incarnation: self.incarnation,
            file: self.file,
        }
    }
}

/// A frame that is on stable storage. The committer may have joined adjacent submissions of one partition into it.
#[derive(Debug, Clone)]
pub struct CommittedFrame {
    /// As submitted.
    pub kind: FrameKind,
    /// As submitted.
    pub partition: TopicPartition,
    /// First offset (or manifest version).
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// The earliest `appended_at` of what was joined.
    pub appended_at: TimestampMs,
    /// Where to read it again.
    pub location: FrameLocation,
}

/// Told, on the WAL's writer thread and in order, of each frame that became durable. Must not block.
pub trait FrameSink: Send + Sync {
    /// The frame is on stable storage.
    fn committed(&self, frame: &CommittedFrame);
}
