//! A run: a contiguous range of one partition's offsets inside a segment object; what manifests are made of.

use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

/// A contiguous range of one partition's batches inside a segment object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The segment object that holds it.
    pub object: Uuid,
    /// Where its first batch starts in the object, in bytes.
    pub position: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// First offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
    /// The greatest record timestamp in it.
    pub max_timestamp: TimestampMs,
    /// When the broker took its last batch: age counts from here.
    pub appended_at: TimestampMs,
}
