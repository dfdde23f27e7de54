//! Which offset a time means, exact to the record: what `ListOffsets` asks.

use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchView, Batches};

use super::Partition;
use super::reader::{Place, ReadError};
use super::tail::TailEntry;
use crate::segment::run::Run;

/// A batch that unfolds to more than this is answered by its first offset and not by its record.
const MAX_UNFOLDED_BYTES: usize = 64 << 20;

/// What `ListOffsets` can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// -2: the first offset that may be read.
    Earliest,
    /// -1: one past the last committed offset.
    Latest,
    /// -3: the first record that has the greatest timestamp of all (KIP-734).
    MaxTimestamp,
    /// -4: the first offset on the broker's own disks (KIP-405); here that is [`Self::Earliest`].
    EarliestLocal,
    /// -5: the last offset in tiered storage (KIP-1005), which answers nothing where there is none, as here.
    LatestTiered,
    /// The first record that is not older than this.
    At(TimestampMs),
}

impl OffsetQuery {
    /// From the `timestamp` field of a request.
    #[must_use]
    pub fn from_wire(timestamp: i64) -> Self {
        match timestamp {
            -1 => Self::Latest,
            -2 => Self::Earliest,
            -3 => Self::MaxTimestamp,
            -4 => Self::EarliestLocal,
            -5 => Self::LatestTiered,
            at => Self::At(at),
        }
    }
}

/// An answer to an [`OffsetQuery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: i64,
    /// The record's timestamp; none if the question was not about a record.
    pub timestamp: Option<TimestampMs>,
    /// The epoch that the offset was written in.
    pub leader_epoch: i32,
}

impl Partition {
    /// Answers a query; none where Kafka answers offset -1.
    pub async fn find_offset(&self, query: OffsetQuery) -> Result<Option<FoundOffset>, ReadError> {
        match query {
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal => Ok(Some(self.boundary(self.log_start()))),
            OffsetQuery::Latest => Ok(Some(self.boundary(self.high_watermark()))),
            OffsetQuery::LatestTiered => Ok(None),
            OffsetQuery::At(at) => self.first_since(at).await,
            OffsetQuery::MaxTimestamp => match self.max_timestamp() {
                Some(newest) => self.first_since(newest).await,
                None => Ok(None),
            },
        }
    }

    fn boundary(&self, offset: i64) -> FoundOffset {
        FoundOffset {
            offset,
            timestamp: None,
            leader_epoch: self.manifest().epoch_of(offset),
        }
    }

    fn max_timestamp(&self) -> Option<TimestampMs> {
        let state = self.state.lock();
        let runs = state.manifest.segments.iter().map(|run| run.max_timestamp);
        runs.chain(state.tail.iter().map(|entry| entry.max_timestamp)).max()
    }

    /// The first record that is not older than a time. A run or frame promises one by its greatest timestamp; where that
    /// one lies below the log start, the search goes on behind it.
    async fn first_since(&self, at: TimestampMs) -> Result<Option<FoundOffset>, ReadError> {
        let mut from = self.log_start();
        while let Some(place) = self.promising(from, at) {
            let found = match &place {
                Place::Run(run) => self.search_run(run, from, at).await,
                Place::Frame(entry) => self.search_frame(entry, from, at).await,
            };
            match found {
                Ok(Some((offset, timestamp))) => {
                    return Ok(Some(FoundOffset {
                        timestamp: Some(timestamp),
                        ..self.boundary(offset)
                    }));
                }
                Ok(None) => from = place.end(),
                // Flushed, merged or deleted meanwhile: look again, from where there is still something.
                Err(_) if self.promising(from, at).as_ref() != Some(&place) => from = from.max(self.log_start()),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Where the first record at or behind an offset and not older than a time may lie.
    fn promising(&self, from: i64, at: TimestampMs) -> Option<Place> {
        let state = self.state.lock();
        let mut runs = state.manifest.segments.iter();
        let run = runs.find(|run| run.end > from && run.max_timestamp >= at);
        let frame = || {
            let mut frames = state.tail.iter();
            frames.find(|entry| entry.end > from && entry.max_timestamp >= at)
        };
        run.map(|run| Place::Run(run.clone()))
            .or_else(|| frame().map(|entry| Place::Frame(*entry)))
    }

    async fn search_run(&self, run: &Run, from: i64, at: TimestampMs) -> Result<Option<(i64, i64)>, ReadError> {
        let found = self.engine.segments.offset_for_time(run, from, at).await?;
        Ok(found.map(|found| (found.offset, found.timestamp)))
    }

    async fn search_frame(
        &self,
        entry: &TailEntry,
        from: i64,
        at: TimestampMs,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        let payload = self.read_frame(entry, from).await?;
        for batch in Batches::split(payload, usize::MAX) {
            let batch = batch.map_err(|source| ReadError::Damaged {
                offset: entry.start,
                source: Some(source),
            })?;
            if let Some(found) = first_in_batch(&batch, from, at) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Place {
    fn end(&self) -> i64 {
        match self {
            Self::Frame(entry) => entry.end,
            Self::Run(run) => run.end,
        }
    }
}

/// The first record of a batch at or behind an offset and not older than a time. In a batch that cannot be opened the
/// first record is taken to be it: too early is safe.
fn first_in_batch(batch: &BatchView, from: i64, at: TimestampMs) -> Option<(i64, TimestampMs)> {
    let header = &batch.header;
    if header.max_timestamp < at || header.last_offset() < from {
        return None;
    }
    let in_doubt = (header.base_offset.max(from), header.max_timestamp);
    let Ok(records) = batch.records(MAX_UNFOLDED_BYTES) else {
        return Some(in_doubt);
    };
    for record in records {
        match record {
            Ok(record) if record.offset >= from && record.timestamp >= at => {
                return Some((record.offset, record.timestamp));
            }
            Ok(_) => {}
            Err(_) => return Some(in_doubt),
        }
    }
    None
}
