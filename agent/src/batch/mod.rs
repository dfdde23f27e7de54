//! Builds record batches from events: one per topic and route, closed together as the batches of one stretch.
//!
//! A batch should come out a little smaller than the largest that brokers accept by default. How small its lines will
//! compress is only known afterwards, so it is closed by an estimate; where that was wrong, the batch is built again in
//! pieces that fit for certain.

mod encoding;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::record::{
    BatchError, BatchWriter, Batches, BuildError, Compression, GatheredRecords, HEADER_LEN, RecordHeaders,
};

use crate::stretch::{KEY_LANES, LANES, Route, RoutedBatch, Routes};
use crate::transform::{Fields, Outcome, PROBLEM};

use encoding::write_object;
pub use encoding::{Encoding, Format, Labels, RESERVED_LABELS};

/// Why a stretch could not be built. None of these should ever be seen.
#[derive(Debug, thiserror::Error)]
pub enum StretchError {
    /// A batch could not be built.
    #[error("cannot build a record batch")]
    Build(#[from] BuildError),
    /// A batch that was just built could not be read back to cut it into pieces.
    #[error("cannot split a record batch that came out too large")]
    Split(#[from] BatchError),
}

/// When a stretch is full.
#[derive(Debug, Clone)]
pub struct Size {
    /// Batches are at most this large, unless one record is larger.
    pub batch_bytes: usize,
    /// Records of one stretch, before compression.
    pub stretch_bytes: usize,
    /// The codec's level.
    pub level: i32,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            // Kafka's message.max.bytes is 1,048,588 unless it was changed.
            batch_bytes: 1_000_000,
            stretch_bytes: 8 << 20,
            level: Compression::Zstd.default_level(),
        }
    }
}

/// Which open batch a file's lines go to; valid until the stretch is finished.
#[derive(Debug, Clone, Copy)]
pub struct Slot(usize);

#[derive(Debug)]
struct OpenBatch {
    topic: Arc<str>,
    route: Route,
    records: GatheredRecords,
    ratio: Ratio,
}

/// What compression made of the last batch of a topic, to estimate the next one by.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    before: usize,
    after: usize,
}

impl Ratio {
    const NONE: Self = Self { before: 1, after: 1 };

    fn estimate(self, records_len: usize) -> usize {
        HEADER_LEN + records_len.saturating_mul(self.after) / self.before.max(1)
    }
}

/// The batches of the stretch that is being gathered.
pub struct Batcher {
    size: Size,
    routes: Arc<dyn Routes>,
    open: Vec<OpenBatch>,
    /// Which of these the lines of a lane go to, and what has a route.
    lanes: HashMap<(Arc<str>, u16), usize>,
    routed: HashMap<(Arc<str>, Route), usize>,
    spare: Vec<GatheredRecords>,
    /// Made when it is first needed.
    writer: Option<BatchWriter>,
    /// By topic.
    ratios: HashMap<Arc<str>, Ratio>,
    gathered: usize,
    full: bool,
    /// Counts up with each stretch.
    finished: usize,
    value: Vec<u8>,
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher")
            .field("open", &self.open.len())
            .field("gathered", &self.gathered)
            .finish_non_exhaustive()
    }
}

impl Batcher {
    /// A batch is closed at nine tenths of what it may have, since its size is an estimate.
    const FILL_TENTHS: usize = 9;

    /// Nothing gathered yet.
    #[must_use]
    pub fn new(routes: Arc<dyn Routes>, size: Size) -> Self {
        Self {
            size,
            routes,
            open: Vec::new(),
            lanes: HashMap::new(),
            routed: HashMap::new(),
            spare: Vec::new(),
            writer: None,
            ratios: HashMap::new(),
            gathered: 0,
            full: false,
            // Not all agents at the same partition.
            finished: rand::random_range(0..usize::from(KEY_LANES)),
            value: Vec::new(),
        }
    }

    /// A lane for what may go anywhere: another one in each stretch.
    #[must_use]
    pub fn lane_in_turn(&self) -> u16 {
        // Those of keys are spread evenly over all partitions there are.
        LANES + u16::try_from(self.finished % usize::from(KEY_LANES)).unwrap_or(0)
    }

    /// The batch for a topic and a lane. Where the lane goes is asked once per stretch.
    pub fn slot(&mut self, topic: &Arc<str>, lane: u16) -> Slot {
        let key = (Arc::clone(topic), lane);
        if let Some(index) = self.lanes.get(&key) {
            return Slot(*index);
        }
        let route = self.routes.route(topic, lane);
        let index = match self.routed.get(&(Arc::clone(topic), route)) {
            Some(index) => *index,
            None => {
                self.routed.insert((Arc::clone(topic), route), self.open.len());
                self.open.push(OpenBatch {
                    topic: Arc::clone(topic),
                    route,
                    records: self.spare.pop().unwrap_or_default(),
                    ratio: self.ratios.get(topic).copied().unwrap_or(Ratio::NONE),
                });
                self.open.len() - 1
            }
        };
        self.lanes.insert(key, index);
        Slot(index)
    }

    /// Appends an event as a record with this key, as it is.
    #[inline]
    pub fn append(
        &mut self,
        slot: Slot,
        now_ms: i64,
        encoding: &Encoding,
        (key, event): (Option<&[u8]>, &[u8]),
    ) -> Result<(), StretchError> {
        if let Encoding::Raw(headers) = encoding {
            return self.put(slot, |records, _| records.append(now_ms, key, Some(event), headers));
        }
        let plain = Outcome {
            timestamp_ms: now_ms,
            line: event,
            fields: Fields::default(),
            is_parsed: false,
            said: &[],
            renamed: &[],
            headers: &[],
            problem: None,
        };
        self.append_outcome(slot, encoding, key, &plain)
    }

    /// Appends what a transform has made of an event.
    pub fn append_outcome(
        &mut self,
        slot: Slot,
        encoding: &Encoding,
        key: Option<&[u8]>,
        outcome: &Outcome<'_>,
    ) -> Result<(), StretchError> {
        let time = outcome.timestamp_ms;
        let fields = outcome.headers.iter().filter_map(|name| {
            let field = outcome.fields.get(name)?;
            Some((name.as_str(), field.text().into_owned()))
        });
        match encoding {
            Encoding::Raw(constants) => {
                let problem = outcome.problem.iter().map(|reason| (PROBLEM, reason.clone()));
                let said = outcome.said.iter().map(|(name, text)| {
                    let renamed = outcome.renamed.iter().find(|(from, _)| from == name);
                    (renamed.map_or(*name, |(_, to)| to), (*text).to_owned())
                });
                // Not those that were removed, nor twice those that are asked for.
                let said = said.filter(|(name, _)| {
                    outcome.fields.has(name) && !outcome.headers.iter().any(|header| header == name)
                });
                let more: Vec<_> = fields.chain(said).chain(problem).collect();
                let headers = constants.with(more.iter().map(|(name, text)| (*name, text.as_bytes())));
                self.put(slot, |records, _| {
                    records.append(time, key, Some(outcome.line), &headers)
                })
            }
            Encoding::Json(constants) => {
                let more: Vec<_> = fields.collect();
                let headers = match more.is_empty() {
                    true => RecordHeaders::empty(),
                    false => RecordHeaders::encode(more.iter().map(|(name, text)| (*name, Some(text.as_bytes())))),
                };
                self.put(slot, |records, value| {
                    write_object(value, constants, outcome);
                    records.append(time, key, Some(value), &headers)
                })
            }
        }
    }

    #[inline]
    fn put(
        &mut self,
        slot: Slot,
        append: impl FnOnce(&mut GatheredRecords, &mut Vec<u8>) -> Result<(), BuildError>,
    ) -> Result<(), StretchError> {
        let Some(OpenBatch { records, ratio, .. }) = self.open.get_mut(slot.0) else {
            return Ok(());
        };
        let before = records.len();
        append(records, &mut self.value)?;
        self.gathered += records.len() - before;
        self.full |= self.gathered >= self.size.stretch_bytes
            || ratio.estimate(records.len()) >= self.size.batch_bytes / 10 * Self::FILL_TENTHS;
        Ok(())
    }

    /// Whether the stretch should be finished before more is appended.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gathered == 0
    }

    /// The batches of the stretch; the next one begins.
    pub fn finish(&mut self) -> Result<Vec<RoutedBatch>, StretchError> {
        let mut batches = Vec::with_capacity(self.open.len());
        self.lanes.clear();
        self.routed.clear();
        self.finished = self.finished.wrapping_add(1);
        (self.gathered, self.full) = (0, false);
        for mut open in self.open.drain(..) {
            if !open.records.is_empty() {
                let writer = match &mut self.writer {
                    Some(writer) => writer,
                    none => none.insert(BatchWriter::new(Compression::Zstd, self.size.level)?),
                };
                let (count, before) = (open.records.count(), open.records.len());
                let batch = writer.finish(&mut open.records)?;
                let after = batch.len() - HEADER_LEN;
                self.ratios.insert(Arc::clone(&open.topic), Ratio { before, after });
                let known = self.routes.batch_bytes_max(&open.topic);
                let max = known.map_or(self.size.batch_bytes, |known| known.min(self.size.batch_bytes));
                let pieces = if batch.len() > max && count > 1 {
                    split(&batch, &mut open.records, writer, max)?
                } else {
                    vec![(batch, count)]
                };
                batches.extend(pieces.into_iter().map(|(bytes, records)| RoutedBatch {
                    topic: open.topic.to_string(),
                    route: open.route,
                    bytes,
                    records: u32::try_from(records).unwrap_or(0),
                }));
            }
            keep(&mut self.spare, open.records);
        }
        Ok(batches)
    }

    /// Gives back the memory that is only needed under load.
    pub fn rest(&mut self) {
        self.spare.clear();
        self.ratios.clear();
        self.writer = None;
        self.value = Vec::new();
    }
}

/// Keeps a buffer for the next stretch, unless there are enough.
fn keep(spare: &mut Vec<GatheredRecords>, records: GatheredRecords) {
    const SPARE_MAX: usize = 8;
    if spare.len() < SPARE_MAX {
        spare.push(records);
    }
}

/// Builds a batch again in pieces that are no larger than `max` even if nothing in them can be compressed.
fn split(
    batch: &Bytes,
    gathered: &mut GatheredRecords,
    writer: &mut BatchWriter,
    max: usize,
) -> Result<Vec<(Bytes, i32)>, StretchError> {
    // Incompressible data grows by less than a hundredth.
    let max = max.saturating_sub(HEADER_LEN + max / 100);
    let mut pieces = Vec::new();
    for view in Batches::split(batch.clone(), usize::MAX) {
        for record in view?.records(1 << 30)? {
            let record = record?;
            let (key, value) = (record.key.as_deref(), record.value.unwrap_or_default());
            let about = key.map_or(0, <[u8]>::len) + value.len() + record.headers.as_bytes().len() + 32;
            if !gathered.is_empty() && gathered.len() + about > max {
                pieces.push((gathered.count(), writer.finish(gathered)?));
            }
            gathered.append(record.timestamp, key, Some(&value), &record.headers)?;
        }
    }
    if !gathered.is_empty() {
        pieces.push((gathered.count(), writer.finish(gathered)?));
    }
    Ok(pieces.into_iter().map(|(count, bytes)| (bytes, count)).collect())
}
