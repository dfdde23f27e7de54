//! Compaction: of the records with the same key only the newest stays, as in Kafka's topics with
//! `cleanup.policy=compact`.
//!
//! [`plan`] is pure and says what of one manifest is worth a pass. A [`Pass`] first reads what was not compacted yet and
//! notes the newest offset of each key ([`newest`]), as many keys as its memory has room for; then it goes over all runs
//! from the log start on and writes, object by object, what stays ([`filter`]). Neither holds more than one object in
//! memory. Every record that stays keeps its offset and its bytes; only offsets go missing between them.
//!
//! Objects are replaced in the order of their offsets. So wherever a crash ends a pass, a deletion mark (a record without
//! a value) that is there has nothing older of its key before it that could come back once it goes. It goes in the first
//! pass after its batch's delete horizon, which the pass that first met it has set (KIP-534).

mod filter;
mod newest;
mod pass;
#[cfg(test)]
mod tests;

use tailrace_shared::clock::TimestampMs;

use super::run::Run;

pub use filter::{BLAMED_MAX, KeyError, RECORDS_BYTES_MAX, check_keys};
pub use newest::KEY_BYTES;
pub use pass::{Compacted, CompactionError, Pass};

/// A topic's configs for compaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionPolicy {
    /// `min.cleanable.dirty.ratio`: how much of the partition must not be compacted yet, for a pass to be worth it.
    pub dirty_ratio_min: f64,
    /// `min.compaction.lag.ms`: what was appended since stays as it is.
    pub lag_ms_min: i64,
    /// `max.compaction.lag.ms`: what was appended before is worth a pass in any case.
    pub lag_ms_max: i64,
    /// `delete.retention.ms`: how long a deletion mark stays after the pass that first met it.
    pub delete_retention_ms: i64,
    /// `segment.ms`: what is in the WAL for longer is moved into a segment, where it can be compacted.
    pub wal_ms_max: i64,
    /// `segment.bytes`: and so is what takes more than this there.
    pub wal_bytes_max: u64,
}

/// How much a pass may take.
#[derive(Debug, Clone, Copy)]
pub struct CompactionLimits {
    /// Memory for keys. What has more keys takes more passes.
    pub key_memory: u64,
    /// A pass writes objects of about so much, and holds one of them in memory.
    pub object_bytes: u64,
    /// No run holds batches appended further apart than this, unless it did before: retention drops a run as a whole.
    pub span_ms_max: i64,
}

impl Default for CompactionLimits {
    fn default() -> Self {
        Self {
            key_memory: 64 << 20,
            object_bytes: 64 << 20,
            span_ms_max: 24 * 60 * 60 * 1000,
        }
    }
}

/// What is worth a pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// All runs from the log start to the last that may be compacted.
    pub runs: Vec<Run>,
    /// Below this offset each key is there once at most.
    pub compacted_to: i64,
    /// The share of bytes in runs that were not compacted, from 0 to 1.
    pub dirty_ratio: f64,
    /// See [`CompactionPolicy::delete_retention_ms`].
    pub delete_retention_ms: i64,
}

/// What of a partition is worth a pass now, given the runs that were compacted as a whole, the others, and the offset
/// between them. What is still in the WAL, and so the end of the partition as a rule, is left alone.
#[must_use]
pub fn plan(
    (compacted, dirty): (&[Run], &[Run]),
    compacted_to: i64,
    policy: CompactionPolicy,
    now: TimestampMs,
) -> Option<Plan> {
    let age = |run: &Run| now.saturating_sub(run.appended_at);
    let may = dirty.partition_point(|run| age(run) >= policy.lag_ms_min);
    let dirty = dirty.get(..may)?;
    let overdue = dirty.first().is_some_and(|run| age(run) > policy.lag_ms_max);
    let dirty_ratio = ratio(bytes(dirty), bytes(compacted));
    (!dirty.is_empty() && (overdue || dirty_ratio >= policy.dirty_ratio_min)).then(|| Plan {
        runs: [compacted, dirty].concat(),
        compacted_to,
        dirty_ratio,
        delete_retention_ms: policy.delete_retention_ms,
    })
}

fn bytes(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.bytes).sum()
}

/// Bytes of a partition stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn ratio(dirty: u64, compacted: u64) -> f64 {
    dirty as f64 / dirty.saturating_add(compacted).max(1) as f64
}
