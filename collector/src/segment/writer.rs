//! Builds one segment object from runs, without copying their batches, and puts it into the store.

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, PutPayload};
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchHeader, Batches};
use uuid::Uuid;

use super::error::SegmentError;
use super::format::{Footer, FooterRun, HEADER_BYTES, encode_header};
use super::index::{BLOCK_BYTES, IndexEntry};
use super::object_path;
use super::run::Run;
use crate::topic_partition::TopicPartition;

/// A run to be written.
#[derive(Debug, Clone)]
pub struct RunPayload {
    /// Whose it is.
    pub partition: TopicPartition,
    /// First offset.
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// When the broker took its last batch.
    pub appended_at: TimestampMs,
    /// Its batches, in offset order; no batch is divided between two pieces.
    pub pieces: Vec<Bytes>,
}

/// A segment that is ready to be put.
#[derive(Debug, Clone)]
pub struct BuiltSegment {
    /// Its name.
    pub object: Uuid,
    /// Its bytes.
    pub payload: PutPayload,
    /// What it holds, in the order given.
    pub runs: Vec<(TopicPartition, Run)>,
}

/// Why a segment was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A batch is damaged: it must not be written on as if it were whole.
    #[error("partition {partition}: the batch after offset {after} cannot be written to a segment: {source}")]
    Batch {
        /// The partition.
        partition: TopicPartition,
        /// The last offset before it, or the run's start.
        after: i64,
        /// What is wrong with it.
        source: BatchError,
    },
    /// The batches are not those that the run promises.
    #[error("partition {partition}: a batch {found_start}..{found_end} has no place in the run at {expected}..{end}")]
    Misplaced {
        /// The partition.
        partition: TopicPartition,
        /// The first offset of the batch.
        found_start: i64,
        /// One past its last.
        found_end: i64,
        /// The lowest offset that it may start at.
        expected: i64,
        /// One past the last offset of the run.
        end: i64,
    },
    /// The run has no batch.
    #[error("partition {partition}: the run {start}..{end} has no batch")]
    Empty {
        /// The partition.
        partition: TopicPartition,
        /// The run's first offset.
        start: i64,
        /// One past its last.
        end: i64,
    },
    /// More than four gigabytes of footer.
    #[error("the segment would have too many runs and blocks for one footer")]
    TooLarge,
}

/// Checks every batch, builds the index, and lays the object out.
pub fn build(object: Uuid, runs: Vec<RunPayload>) -> Result<BuiltSegment, BuildError> {
    let mut pieces = vec![encode_header()];
    let mut position = HEADER_BYTES;
    let mut rows = Vec::new();
    for run in runs {
        let row = index_run(object, position, &run)?;
        position += row.run.bytes;
        rows.push(row);
        pieces.extend(run.pieces);
    }
    let footer = Footer {
        start: position,
        runs: rows,
    };
    pieces.push(footer.encode(object).ok_or(BuildError::TooLarge)?);
    Ok(BuiltSegment {
        object,
        payload: pieces.into_iter().collect(),
        runs: footer.runs.into_iter().map(|row| (row.partition, row.run)).collect(),
    })
}

/// Puts a segment; on return it is durable. One of the same name is never overwritten.
pub async fn put(store: &dyn ObjectStore, segment: &BuiltSegment) -> Result<(), SegmentError> {
    let path = object_path(segment.object);
    let put = store
        .put_opts(&path, segment.payload.clone(), PutMode::Create.into())
        .await;
    put.map(drop)
        .map_err(|error| SegmentError::store(segment.object, error))
}

fn index_run(object: Uuid, position: u64, payload: &RunPayload) -> Result<FooterRun, BuildError> {
    let mut index = IndexBuilder {
        position,
        next_offset: payload.start,
        blocks: Vec::new(),
    };
    for piece in &payload.pieces {
        for batch in Batches::split(piece.clone(), usize::MAX) {
            let batch = batch.map_err(|source| BuildError::Batch {
                partition: payload.partition,
                after: index.next_offset,
                source,
            })?;
            index.push(payload, &batch.header)?;
        }
    }
    let latest = index.blocks.iter().map(|block| block.max_timestamp).max();
    let run = Run {
        object,
        position,
        bytes: index.position - position,
        start: payload.start,
        end: payload.end,
        max_timestamp: latest.ok_or(BuildError::Empty {
            partition: payload.partition,
            start: payload.start,
            end: payload.end,
        })?,
        appended_at: payload.appended_at,
    };
    Ok(FooterRun {
        partition: payload.partition,
        run,
        index: index.blocks,
    })
}

struct IndexBuilder {
    /// Where the next batch goes.
    position: u64,
    /// The lowest offset that it may have.
    next_offset: i64,
    blocks: Vec<IndexEntry>,
}

impl IndexBuilder {
    fn push(&mut self, payload: &RunPayload, header: &BatchHeader) -> Result<(), BuildError> {
        let (start, end) = (header.base_offset, header.next_offset());
        if start < self.next_offset || end <= start || end > payload.end {
            return Err(BuildError::Misplaced {
                partition: payload.partition,
                found_start: start,
                found_end: end,
                expected: self.next_offset,
                end: payload.end,
            });
        }
        let bytes = header.size_in_bytes() as u64;
        match self.blocks.last_mut() {
            Some(block) if block.bytes < BLOCK_BYTES => {
                block.bytes += bytes;
                block.max_timestamp = block.max_timestamp.max(header.max_timestamp);
            }
            _ => self.blocks.push(IndexEntry {
                offset: start,
                position: self.position,
                bytes,
                max_timestamp: header.max_timestamp,
            }),
        }
        self.position += bytes;
        self.next_offset = end;
        Ok(())
    }
}
