//! One pass over a partition: notes the newest offsets, then replaces runs, one object after another.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngCore;
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::Batches;
use tokio::task::spawn_blocking;

use super::filter::{Filter, FilterError, Left, RECORDS_BYTES_MAX};
use super::newest::NewestOffsets;
use super::{CompactionLimits, Plan};
use crate::segment::error::SegmentError;
use crate::segment::flush::random_name;
use crate::segment::part::Part;
use crate::segment::pending::{Pending, PendingObjects};
use crate::segment::reader::SegmentReader;
use crate::segment::run::Run;
use crate::segment::writer::{Output, RunHead, SegmentWriter, WriteError};
use crate::topic_partition::TopicPartition;

/// Why a pass ended early. What it replaced until then stays replaced.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// A segment could not be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// A batch cannot be opened, so its keys are not known.
    #[error(
        "the batch at offset {offset} cannot be opened: {reason}; until it is gone (DeleteRecords) the partition is not \
         compacted beyond it"
    )]
    Batch {
        /// Its base offset.
        offset: i64,
        /// Why.
        reason: String,
    },
    /// What is left could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The broker stops.
    #[error("the broker stops")]
    Stopping,
}

/// Runs that are durable and in no manifest yet, and those that they replace.
#[derive(Debug)]
pub struct Compacted {
    /// What is left.
    pub add: Run,
    /// Neighbours, as they stand in the manifest.
    pub remove: Vec<Run>,
    /// Keeps the new one from being collected as an orphan.
    pub pending: Pending,
}

/// A pass on its way.
#[derive(Debug)]
pub struct Pass {
    partition: TopicPartition,
    runs: std::vec::IntoIter<Run>,
    filter: Arc<Filter>,
    limits: CompactionLimits,
    reader: SegmentReader,
}

impl Pass {
    /// Notes the newest offset of each key that was not compacted yet.
    pub async fn begin(
        partition: TopicPartition,
        plan: Plan,
        limits: CompactionLimits,
        reader: SegmentReader,
    ) -> Result<Self, CompactionError> {
        let mut noting = Noting {
            newest: NewestOffsets::with_memory(limits.key_memory),
            from: plan.compacted_to,
            upto: plan.compacted_to,
            full: false,
        };
        for run in plan.runs.iter().filter(|run| run.end > plan.compacted_to) {
            let mut scan = reader.scan(run).await?;
            while let Some(piece) = scan.next().await?
                && !noting.full
            {
                noting = blocking(move || noting.note(piece)).await??;
            }
            if noting.full {
                break;
            }
            noting.upto = run.end;
        }
        Ok(Self {
            partition,
            runs: plan.runs.into_iter(),
            filter: Arc::new(Filter {
                newest: noting.newest,
                upto: noting.upto,
                delete_retention_ms: plan.delete_retention_ms,
            }),
            limits,
            reader,
        })
    }

    /// No key will be twice below this offset, once all has been replaced.
    #[must_use]
    pub fn upto(&self) -> i64 {
        self.filter.upto
    }

    /// Writes the next object; on return it is durable. `None` once there is nothing left to replace. What it gives must
    /// be in the manifest before the next call.
    pub async fn next(
        &mut self,
        output: Output<'_>,
        now: TimestampMs,
        pending: &PendingObjects,
        rng: &mut (dyn RngCore + Send),
    ) -> Result<Option<Compacted>, CompactionError> {
        loop {
            let group = self.next_group(now).await?;
            let (Some(first), Some(last)) = (group.runs.first(), group.runs.last()) else {
                return Ok(None);
            };
            if !group.changed || group.pieces.is_empty() {
                continue;
            }
            let head = RunHead {
                partition: self.partition,
                start: first.start,
                end: last.end,
                appended_at: group.appended_at(),
            };
            let mut pending = pending.guard();
            let object = random_name(rng);
            pending.add(object);
            let mut writer = SegmentWriter::new(output, object, Part::default());
            writer.begin(head).map_err(WriteError::from)?;
            for piece in group.pieces {
                writer.push(&piece).await?;
            }
            let Some((_, add)) = writer.finish().await?.runs.into_iter().next() else {
                continue;
            };
            return Ok(Some(Compacted {
                add,
                remove: group.runs,
                pending,
            }));
        }
    }

    /// Neighbours of whom enough is left for an object. Those of whom nothing is left go with the ones behind them, so that
    /// no run is empty.
    async fn next_group(&mut self, now: TimestampMs) -> Result<Group, CompactionError> {
        let mut group = Group::default();
        while let Some(run) = self.runs.as_slice().first() {
            if run.start >= self.filter.upto || (!group.pieces.is_empty() && group.is_full_with(run, self.limits)) {
                break;
            }
            let mut scan = self.reader.scan(run).await?;
            while let Some(piece) = scan.next().await? {
                let filter = Arc::clone(&self.filter);
                let left = blocking(move || left_of(&filter, piece, now)).await??;
                group.changed |= left.changed;
                group.pieces.extend(Some(left.bytes).filter(|bytes| !bytes.is_empty()));
            }
            group.bytes += run.bytes;
            group.runs.extend(self.runs.next());
        }
        Ok(group)
    }
}

#[derive(Debug, Default)]
struct Group {
    runs: Vec<Run>,
    /// Of the runs as they were.
    bytes: u64,
    /// What is left of them.
    pieces: Vec<Bytes>,
    changed: bool,
}

impl Group {
    fn appended_at(&self) -> TimestampMs {
        self.runs.iter().map(|run| run.appended_at).max().unwrap_or_default()
    }

    fn is_full_with(&self, run: &Run, limits: CompactionLimits) -> bool {
        let since = self.runs.first().map_or(run.appended_at, |first| first.appended_at);
        self.bytes + run.bytes > limits.object_bytes || run.appended_at.saturating_sub(since) > limits.span_ms_max
    }
}

/// The newest offsets so far.
struct Noting {
    newest: NewestOffsets,
    from: i64,
    upto: i64,
    full: bool,
}

impl Noting {
    fn note(mut self, piece: Bytes) -> Result<Self, CompactionError> {
        for batch in Batches::split(piece, usize::MAX) {
            let batch = batch.map_err(|error| unopened(self.upto, &error.into()))?;
            let offset = batch.header.base_offset;
            if batch.header.next_offset() <= self.from {
                continue;
            }
            let records = batch.records(RECORDS_BYTES_MAX);
            for record in records.map_err(|error| unopened(offset, &error.into()))? {
                let record = record.map_err(|error| unopened(offset, &error.into()))?;
                let Some(key) = record.key.filter(|_| record.offset >= self.from) else {
                    continue;
                };
                if !self.newest.note(&key, record.offset) {
                    self.upto = record.offset;
                    self.full = true;
                    return Ok(self);
                }
            }
        }
        Ok(self)
    }
}

/// What is left of a piece.
struct PieceLeft {
    bytes: Bytes,
    changed: bool,
}

fn left_of(filter: &Filter, piece: Bytes, now: TimestampMs) -> Result<PieceLeft, CompactionError> {
    let mut left = Vec::new();
    let mut changed = false;
    for batch in Batches::split(piece.clone(), usize::MAX) {
        let batch = batch.map_err(|error| unopened(filter.upto, &error.into()))?;
        let outcome = filter.apply(&batch, now);
        match outcome.map_err(|error| unopened(batch.header.base_offset, &error))? {
            Left::All => left.extend_from_slice(&batch.bytes),
            Left::Some(rewritten) => {
                changed = true;
                left.extend_from_slice(&rewritten);
            }
            Left::None => changed = true,
        }
    }
    let bytes = if changed { left.into() } else { piece };
    Ok(PieceLeft { bytes, changed })
}

fn unopened(offset: i64, error: &FilterError) -> CompactionError {
    CompactionError::Batch {
        offset,
        reason: error.to_string(),
    }
}

/// Opening batches takes long enough to be kept from the threads that serve clients.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CompactionError> {
    spawn_blocking(work).await.map_err(|_| CompactionError::Stopping)
}
