//! Read: the stored bytes from an offset on, whether they lie in memory, in the WAL or in segments.
//!
//! Each round asks the state where the next offset lies, then reads there without the lock. Meanwhile the WAL file may be
//! released or the segment deleted, because its content moved on; so a read that fails is looked up again, and only
//! where the offset still lies at the same place the failure counts.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::record::{BatchError, BatchHeader};

use super::Partition;
use super::tail::TailEntry;
use crate::segment::{Run, RunRead, SegmentError};
use crate::wal::frame::FrameLocation;

/// How much is read from the files of the WAL at once.
const FRAME_BYTES_AT_ONCE: usize = 4 << 20;

/// How much to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of all batches together.
    pub max_bytes: usize,
    /// Give the first batch even if it alone is larger, as Kafka does for the first partition of a response, so that a
    /// consumer with a small limit is not stuck.
    pub at_least_one: bool,
}

/// What was read, and the state of the partition thereafter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBatches {
    /// Whole batches, in pieces of any number of them. The first one holds the offset that was asked for, or is the
    /// first behind it that compaction has left.
    pub batches: Vec<Bytes>,
    /// One past the last committed offset.
    pub high_watermark: i64,
    /// One past the last offset below all open transactions. There are none yet, so it is the high watermark.
    pub last_stable_offset: i64,
    /// The first offset that may be read.
    pub log_start: i64,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `OFFSET_OUT_OF_RANGE`.
    #[error("offset {asked} is not within {log_start}..={high_watermark}")]
    OutOfRange {
        /// As asked.
        asked: i64,
        /// The first offset that may be read.
        log_start: i64,
        /// One past the last committed offset.
        high_watermark: i64,
    },
    /// `NOT_LEADER_OR_FOLLOWER`: the topic was deleted, or the broker stops.
    #[error("the partition is closed")]
    Closed,
    /// `KAFKA_STORAGE_ERROR`: the WAL cannot be read.
    #[error("cannot read offset {offset} from the WAL")]
    Wal {
        /// Where the read was to start.
        offset: i64,
        /// Why.
        source: io::Error,
    },
    /// `KAFKA_STORAGE_ERROR`: a segment cannot be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// `KAFKA_STORAGE_ERROR`: what was read are not the batches that should be there.
    #[error("the stored bytes at offset {offset} are not the batches that should be there")]
    Damaged {
        /// Where the read was to start.
        offset: i64,
        /// What is wrong with them, if they are batches at all.
        source: Option<BatchError>,
    },
}

/// Where an offset lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Frame(TailEntry),
    Run(Run),
}

impl Place {
    /// Where to go on from an offset at which nothing was read here.
    fn after(&self, offset: i64, to_the_end: bool) -> i64 {
        match self {
            Self::Run(run) if to_the_end => run.end,
            _ => offset,
        }
    }
}

impl Partition {
    /// Whole batches from the one that holds `from`, up to the high watermark.
    pub async fn read(&self, from: i64, limits: ReadLimits) -> Result<ReadBatches, ReadError> {
        let mut read = self.bounds(from)?;
        let mut taken = 0;
        let mut next = from;
        while next < read.high_watermark && (taken < limits.max_bytes || (limits.at_least_one && taken == 0)) {
            let left = ReadLimits {
                max_bytes: limits.max_bytes - taken.min(limits.max_bytes),
                at_least_one: limits.at_least_one && taken == 0,
            };
            let (pieces, after) = self.read_some(next, left).await?;
            if after == next {
                break;
            }
            taken += pieces.iter().map(Bytes::len).sum::<usize>();
            read.batches.extend(pieces);
            next = after;
        }
        // Commits since may have been read too, and nobody should see a batch beyond the high watermark.
        read.high_watermark = self.high_watermark();
        read.last_stable_offset = read.high_watermark;
        Ok(read)
    }

    fn bounds(&self, asked: i64) -> Result<ReadBatches, ReadError> {
        let progress = *self.progress().borrow();
        let (log_start, high_watermark) = (progress.log_start, progress.high_watermark);
        if progress.closed {
            return Err(ReadError::Closed);
        }
        if asked < log_start || asked > high_watermark {
            return Err(ReadError::OutOfRange {
                asked,
                log_start,
                high_watermark,
            });
        }
        Ok(ReadBatches {
            batches: Vec::new(),
            high_watermark,
            last_stable_offset: high_watermark,
            log_start,
        })
    }

    /// Reads from one place. Also gives the offset to go on from: the same again if the next batch does not fit, and the
    /// end of a run in which compaction has left nothing from there on.
    async fn read_some(&self, next: i64, limits: ReadLimits) -> Result<(Vec<Bytes>, i64), ReadError> {
        let mut place = self.locate(next)?;
        loop {
            match self.read_at(&place, next, limits).await {
                Ok(read) if read.pieces.is_empty() => return Ok((read.pieces, place.after(next, read.to_the_end))),
                Ok(read) => return cut(read.pieces, next, limits),
                Err(error) => {
                    let moved = self.locate(next)?;
                    if moved == place {
                        return Err(error);
                    }
                    place = moved;
                }
            }
        }
    }

    pub(super) fn locate(&self, offset: i64) -> Result<Place, ReadError> {
        let state = self.state.lock();
        let run = || state.manifest.run_of(offset).map(|run| Place::Run(run.clone()));
        let frame = state.tail.from(offset).next().map(|entry| Place::Frame(*entry));
        frame.or_else(run).ok_or(ReadError::OutOfRange {
            asked: offset,
            log_start: state.manifest.log_start,
            high_watermark: state.sequencer.high_watermark(),
        })
    }

    async fn read_at(&self, place: &Place, offset: i64, limits: ReadLimits) -> Result<RunRead, ReadError> {
        match place {
            Place::Frame(entry) => Ok(RunRead {
                pieces: self.read_frames(entry, offset, limits.max_bytes).await?,
                to_the_end: true,
            }),
            Place::Run(run) => {
                let ReadLimits {
                    max_bytes,
                    at_least_one,
                } = limits;
                Ok(self.engine.segments.read(run, offset, max_bytes, at_least_one).await?)
            }
        }
    }

    /// A frame, and where that is not in memory any more, those behind it that are wanted too: a consumer that is a little
    /// behind is not made to wait for each by itself.
    async fn read_frames(&self, first: &TailEntry, offset: i64, max_bytes: usize) -> Result<Vec<Bytes>, ReadError> {
        if let Some(cached) = self.engine.wal.read_cached(first.location) {
            return Ok(vec![cached]);
        }
        let wanted = max_bytes.min(FRAME_BYTES_AT_ONCE);
        let mut frames = vec![first.location];
        let mut bytes = first.location.len as usize;
        for entry in self.state.lock().tail.from(first.end) {
            bytes += entry.location.len as usize;
            if bytes > wanted {
                break;
            }
            frames.push(entry.location);
        }
        self.read_from_wal(frames, offset).await
    }

    pub(super) async fn read_frame(&self, entry: &TailEntry, offset: i64) -> Result<Bytes, ReadError> {
        let read = self.read_frames(entry, offset, 0).await?;
        read.into_iter().next().ok_or(ReadError::Closed)
    }

    /// The first of these frames, and of the others as many as can be read.
    async fn read_from_wal(&self, frames: Vec<FrameLocation>, offset: i64) -> Result<Vec<Bytes>, ReadError> {
        let wal = Arc::clone(&self.engine.wal);
        let _permit = self.engine.disk_reads.acquire().await.map_err(|_| ReadError::Closed)?;
        let read = move || {
            let mut read = Vec::with_capacity(frames.len());
            for frame in frames {
                match wal.read(frame, 0..frame.len as usize) {
                    Ok(payload) => read.push(payload),
                    // Whoever wants that one meets the error.
                    Err(_) if !read.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(read)
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| ReadError::Closed)?
            .map_err(|source| ReadError::Wal { offset, source })
    }
}

/// Of pieces of whole batches those from the batch that holds `from` on that fit the limits, and the offset behind them.
fn cut(pieces: Vec<Bytes>, from: i64, limits: ReadLimits) -> Result<(Vec<Bytes>, i64), ReadError> {
    let mut next = from;
    let mut taken = 0;
    let mut out = Vec::new();
    let damaged = |source| ReadError::Damaged { offset: from, source };
    for piece in pieces {
        let mut start = None;
        let mut at = 0;
        while at < piece.len() {
            let rest = piece.get(at..).unwrap_or_default();
            let header = BatchHeader::decode(rest).map_err(|error| damaged(Some(error)))?;
            let size = header.size_in_bytes();
            if size > rest.len() {
                return Err(damaged(None));
            }
            if header.last_offset() >= from {
                let fits = taken + size <= limits.max_bytes || (limits.at_least_one && taken == 0);
                if !fits {
                    out.extend(start.map(|start| piece.slice(start..at)));
                    return Ok((out, next));
                }
                start.get_or_insert(at);
                taken += size;
                next = header.next_offset();
            }
            at += size;
        }
        out.extend(start.map(|start| piece.slice(start..)));
    }
    if out.is_empty() {
        Err(damaged(None))
    } else {
        Ok((out, next))
    }
}
