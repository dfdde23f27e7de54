//! What stays of one batch. Pure.

use bytes::Bytes;
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchView, BuildError, RecordView, rewrite};

use super::newest::NewestOffsets;

/// A batch of a compacted topic may unfold to so much.
pub const RECORDS_BYTES_MAX: usize = 64 << 20;

/// So many records of a batch are blamed by their place.
pub const BLAMED_MAX: usize = 10_000;

/// Why a compacted topic does not take a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `INVALID_RECORD`: nothing could ever take the records' place, or be compacted because of them.
    #[error(
        "{} of the batch without a key: a compacted topic keeps the newest record of each key",
        these(records)
    )]
    NoKey {
        /// Their positions within the batch, from 0; the first [`BLAMED_MAX`] of them.
        records: Vec<i32>,
    },
    /// The batch cannot be opened, so that its keys are not known.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

fn these(records: &[i32]) -> String {
    match records {
        [one] => format!("record {one}"),
        [first, ..] => format!("record {first} and others"),
        [] => "a record".to_owned(),
    }
}

/// Checks that a batch can be compacted one day.
pub fn check_keys(batch: &BatchView) -> Result<(), KeyError> {
    let mut without = Vec::new();
    for (index, record) in (0..).zip(batch.records(RECORDS_BYTES_MAX)?) {
        if record?.key.is_none() && without.len() < BLAMED_MAX {
            without.push(index);
        }
    }
    if without.is_empty() {
        Ok(())
    } else {
        Err(KeyError::NoKey { records: without })
    }
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// It stays as it is.
    All,
    /// It is rewritten to this.
    Some(Bytes),
    /// None of its records stays.
    None,
}

/// What a pass goes by.
#[derive(Debug)]
pub(super) struct Filter {
    /// Of everything from where the last pass ended to `upto`.
    pub(super) newest: NewestOffsets,
    /// The first offset that this pass leaves alone.
    pub(super) upto: i64,
    /// See [`super::CompactionPolicy::delete_retention_ms`].
    pub(super) delete_retention_ms: i64,
}

/// Why a batch could not be compacted.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Filter {
    pub(super) fn apply(&self, batch: &BatchView, now: TimestampMs) -> Result<Left, FilterError> {
        if batch.header.base_offset >= self.upto {
            return Ok(Left::All);
        }
        let records: Vec<_> = batch.records(RECORDS_BYTES_MAX)?.collect::<Result<_, _>>()?;
        let horizon = batch.header.delete_horizon();
        let marks_may_go = horizon.is_some_and(|horizon| horizon <= now);
        let count = records.len();
        let kept: Vec<_> = records
            .into_iter()
            .filter(|record| self.keeps(record, marks_may_go))
            .collect();
        // A batch that goes on beyond the end has marks whose older values are still there: their time begins with them gone.
        let is_whole = batch.header.next_offset() <= self.upto;
        let first_met = horizon.is_none() && is_whole && kept.iter().any(is_mark);
        if kept.is_empty() {
            return Ok(Left::None);
        }
        if kept.len() == count && !first_met {
            return Ok(Left::All);
        }
        let horizon = first_met.then(|| now.saturating_add(self.delete_retention_ms));
        Ok(Left::Some(rewrite(&batch.header, &kept, horizon)?))
    }

    /// The last record below the end stays in any case, so that a reader that has come there finds something to read: a log
    /// must not end in a gap.
    fn keeps(&self, record: &RecordView, marks_may_go: bool) -> bool {
        let Some(key) = &record.key else {
            return true;
        };
        if record.offset >= self.upto - 1 {
            return true;
        }
        let goes = marks_may_go && is_mark(record);
        !goes && !self.newest.supersede(key, record.offset)
    }
}

fn is_mark(record: &RecordView) -> bool {
    record.key.is_some() && record.value.is_none()
}
