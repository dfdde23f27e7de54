//! Writes one segment object from runs, part by part: no more than a part of it is in memory.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode};
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchHeader, check_batch};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::error::SegmentError;
use super::format::{Footer, FooterRun, HEADER_BYTES, encode_header};
use super::index::{BLOCK_BYTES, IndexEntry};
use super::object_path;
use super::part::{PART_BYTES, Part};
use super::run::Run;
use crate::topic_partition::TopicPartition;

/// What a run is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHead {
    /// Whose it is.
    pub partition: TopicPartition,
    /// First offset.
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// When the broker took its last batch.
    pub appended_at: TimestampMs,
}

/// How fast segments are written.
pub trait Pace: fmt::Debug + Send + Sync {
    /// How long to rest after a part that took so long, so that others find the disk free.
    fn rest(&self, took: Duration) -> Duration;
}

/// As fast as it goes.
#[derive(Debug, Clone, Copy)]
pub struct WithoutRest;

impl Pace for WithoutRest {
    fn rest(&self, _: Duration) -> Duration {
        Duration::ZERO
    }
}

/// Where segments go, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Where.
    pub store: &'a dyn ObjectStore,
    /// How fast.
    pub pace: &'a dyn Pace,
}

/// A segment on its way to the store. Dropped before [`SegmentWriter::finish`], it is none.
#[derive(Debug)]
pub struct SegmentWriter<'a> {
    output: Output<'a>,
    object: Uuid,
    /// Begun with the second part.
    upload: Option<Box<dyn MultipartUpload>>,
    part: Part,
    /// Runs that are complete.
    rows: Vec<FooterRun>,
    open: Option<IndexBuilder>,
    position: u64,
}

/// A segment that is durable.
#[derive(Debug)]
pub struct Finished {
    /// What it holds, in the order given.
    pub runs: Vec<(TopicPartition, Run)>,
    /// Memory for the next one.
    pub part: Part,
}

/// Why a segment was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It would not be one.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store did not take it.
    #[error(transparent)]
    Segment(#[from] SegmentError),
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
    /// No run was begun.
    #[error("batches that belong to no run")]
    NoRun,
    /// More than four gigabytes of footer.
    #[error("the segment would have too many runs and blocks for one footer")]
    TooLarge,
}

impl<'a> SegmentWriter<'a> {
    /// An empty segment, which gathers its parts in this memory.
    #[must_use]
    pub fn new(output: Output<'a>, object: Uuid, mut part: Part) -> Self {
        part.push(&encode_header());
        Self {
            output,
            object,
            upload: None,
            part,
            rows: Vec::new(),
            open: None,
            position: HEADER_BYTES,
        }
    }

    /// What is pushed from now on belongs to this run.
    pub fn begin(&mut self, run: RunHead) -> Result<(), BuildError> {
        self.end_run()?;
        self.open = Some(IndexBuilder {
            head: run,
            start: self.position,
            position: self.position,
            next_offset: run.start,
            blocks: Vec::new(),
        });
        Ok(())
    }

    /// Whole batches, the next ones of the run. They are checked.
    pub async fn push(&mut self, batches: &[u8]) -> Result<(), WriteError> {
        let before = self.part.filled().len();
        self.part.push(batches);
        self.pushed(before).await
    }

    /// The same with whatever `fill` puts behind what is in the part: so batches need no place of their own before.
    pub async fn push_with<E>(&mut self, fill: impl AsyncFnOnce(Part) -> Result<Part, E>) -> Result<(), E>
    where
        E: From<WriteError>,
    {
        let before = self.part.filled().len();
        self.part = fill(std::mem::take(&mut self.part)).await?;
        Ok(self.pushed(before).await?)
    }

    /// Batches lie in the part from here on.
    async fn pushed(&mut self, from: usize) -> Result<(), WriteError> {
        let open = self.open.as_mut().ok_or(BuildError::NoRun)?;
        open.push_all(self.part.filled().get(from..).unwrap_or_default())?;
        self.position = open.position;
        if self.part.filled().len() >= PART_BYTES {
            self.put_part().await?;
        }
        Ok(())
    }

    /// Gives it its name; on return it is durable.
    pub async fn finish(mut self) -> Result<Finished, WriteError> {
        self.end_run()?;
        let footer = Footer {
            start: self.position,
            runs: std::mem::take(&mut self.rows),
        };
        let encoded = footer.encode(self.object).ok_or(BuildError::TooLarge)?;
        self.part.push(&encoded);
        if self.upload.is_some() {
            self.put_part().await?;
        }
        let completed = match &mut self.upload {
            Some(upload) => upload.complete().await,
            None => {
                let (store, path) = (self.output.store, object_path(self.object));
                let put = async |whole: Bytes| store.put_opts(&path, whole.into(), PutMode::Create.into()).await;
                self.part.send(put).await
            }
        };
        completed.map_err(|error| SegmentError::store(self.object, error))?;
        Ok(Finished {
            runs: footer.runs.into_iter().map(|row| (row.partition, row.run)).collect(),
            part: self.part,
        })
    }

    fn end_run(&mut self) -> Result<(), BuildError> {
        if let Some(open) = self.open.take() {
            self.rows.push(open.finish(self.object)?);
        }
        Ok(())
    }

    async fn put_part(&mut self) -> Result<(), SegmentError> {
        let object = self.object;
        let failed = |error| SegmentError::store(object, error);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let begun = self.output.store.put_multipart(&object_path(object)).await;
                self.upload.insert(begun.map_err(failed)?)
            }
        };
        let began = Instant::now();
        let put = async |part: Bytes| upload.put_part(part.into()).await;
        self.part.send(put).await.map_err(failed)?;
        let rest = self.output.pace.rest(began.elapsed());
        if !rest.is_zero() {
            sleep(rest).await;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct IndexBuilder {
    head: RunHead,
    /// Where the run starts in the object.
    start: u64,
    /// Where the next batch goes.
    position: u64,
    /// The lowest offset that it may have.
    next_offset: i64,
    blocks: Vec<IndexEntry>,
}

impl IndexBuilder {
    fn push_all(&mut self, mut batches: &[u8]) -> Result<(), BuildError> {
        while !batches.is_empty() {
            let header = check_batch(batches, usize::MAX).map_err(|source| BuildError::Batch {
                partition: self.head.partition,
                after: self.next_offset,
                source,
            })?;
            self.push(&header)?;
            batches = batches.get(header.size_in_bytes()..).unwrap_or_default();
        }
        Ok(())
    }

    fn push(&mut self, header: &BatchHeader) -> Result<(), BuildError> {
        let (start, end) = (header.base_offset, header.next_offset());
        if start < self.next_offset || end <= start || end > self.head.end {
            return Err(BuildError::Misplaced {
                partition: self.head.partition,
                found_start: start,
                found_end: end,
                expected: self.next_offset,
                end: self.head.end,
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
                before: self.position - self.start,
                max_timestamp: header.max_timestamp,
            }),
        }
        self.position += bytes;
        self.next_offset = end;
        Ok(())
    }

    fn finish(self, object: Uuid) -> Result<FooterRun, BuildError> {
        let RunHead {
            partition,
            start,
            end,
            appended_at,
        } = self.head;
        let latest = self.blocks.iter().map(|block| block.max_timestamp).max();
        Ok(FooterRun {
            partition,
            run: Run {
                object,
                position: self.start,
                bytes: self.position - self.start,
                start,
                end,
                max_timestamp: latest.ok_or(BuildError::Empty { partition, start, end })?,
                appended_at,
            },
            index: self.blocks,
        })
    }
}
