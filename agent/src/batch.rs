//! Builds record batches from lines: one per topic and route, closed together as the batches of one stretch.
//!
//! A batch should come out a little smaller than the largest that brokers accept by default. How small its lines will
//! compress is only known afterwards, so it is closed by an estimate; where that was wrong, the batch is built again in
//! pieces that fit for certain.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use tailrace_shared::record::{BatchBuilder, BatchError, Batches, BuildError, Compression, HEADER_LEN, RecordHeaders};

use crate::stretch::{Route, RoutedBatch, Routes};
use crate::transform::{Fields, Outcome, PROBLEM, write_string};

/// What a record's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The line, byte for byte; host, path and labels are record headers.
    #[default]
    Raw,
    /// A JSON object of the event's fields, or of the event itself (`message`) if it was not parsed, and of `host`, `path` and
    /// the labels. Bytes that are not UTF-8 become U+FFFD.
    Json,
}

/// Names that labels may not have.
pub const RESERVED_LABELS: [&str; 3] = ["message", "host", "path"];

/// How the events of one file become records: all that is the same for each, encoded once.
#[derive(Debug)]
pub enum Encoding {
    /// The event as it is, with these headers.
    Raw(RecordHeaders),
    /// A JSON object that has these members too: their names, and their values as JSON.
    Json(Vec<(String, Vec<u8>)>),
}

/// What comes before the name of the agent's own member of a JSON object where the event has one of that name.
const AGENTS_OWN: &str = "agent_";

impl Encoding {
    /// For the events of one file.
    #[must_use]
    pub fn new(format: Format, host: &str, path: &Path, labels: &BTreeMap<String, String>) -> Self {
        let path = path.to_string_lossy();
        let constants = [("host", host), ("path", &path)];
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let pairs = constants.into_iter().chain(labels);
        match format {
            Format::Raw => Self::Raw(RecordHeaders::encode(
                pairs.map(|(key, value)| (key, Some(value.as_bytes()))),
            )),
            Format::Json => {
                let member = |(key, value): (&str, &str)| {
                    let mut json = Vec::new();
                    write_string(&mut json, value);
                    (key.to_owned(), json)
                };
                Self::Json(pairs.map(member).collect())
            }
        }
    }
}

/// Members of a JSON object.
struct Members<'a>(&'a mut Vec<u8>);

impl<'a> Members<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        out.push(b'{');
        Self(out)
    }

    fn put(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_string(self.0, name);
        self.0.push(b':');
        value(self.0);
    }

    fn end(self) {
        self.0.push(b'}');
    }
}

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
    builder: BatchBuilder,
}

/// The batches of the stretch that is being gathered.
pub struct Batcher {
    size: Size,
    routes: Arc<dyn Routes>,
    open: Vec<OpenBatch>,
    lanes: HashMap<(Arc<str>, u16), usize>,
    spare: Vec<BatchBuilder>,
    gathered: usize,
    full: bool,
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
    /// Builders that are kept for the next stretch.
    const SPARE_MAX: usize = 8;

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
            spare: Vec::new(),
            gathered: 0,
            full: false,
            value: Vec::new(),
        }
    }

    /// The batch for a topic and a lane. Where the lane goes is asked once per stretch.
    pub fn slot(&mut self, topic: &Arc<str>, lane: u16) -> Result<Slot, StretchError> {
        let key = (Arc::clone(topic), lane);
        if let Some(index) = self.lanes.get(&key) {
            return Ok(Slot(*index));
        }
        let route = self.routes.route(topic, lane);
        let same = |batch: &OpenBatch| batch.route == route && batch.topic == *topic;
        let index = match self.open.iter().position(same) {
            Some(index) => index,
            None => {
                let builder = match self.spare.pop() {
                    Some(builder) => builder,
                    None => BatchBuilder::new(Compression::Zstd, self.size.level)?,
                };
                let topic = Arc::clone(topic);
                self.open.push(OpenBatch { topic, route, builder });
                self.open.len() - 1
            }
        };
        self.lanes.insert(key, index);
        Ok(Slot(index))
    }

    /// Appends an event as a record, as it is.
    #[inline]
    pub fn append(&mut self, slot: Slot, now_ms: i64, encoding: &Encoding, event: &[u8]) -> Result<(), StretchError> {
        if let Encoding::Raw(headers) = encoding {
            return self.put(slot, |builder, _| builder.append(now_ms, None, Some(event), headers));
        }
        let plain = Outcome {
            timestamp_ms: now_ms,
            line: event,
            fields: Fields::default(),
            headers: &[],
            problem: None,
        };
        self.append_outcome(slot, encoding, &plain)
    }

    /// Appends what a transform has made of an event.
    pub fn append_outcome(
        &mut self,
        slot: Slot,
        encoding: &Encoding,
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
                let more: Vec<_> = fields.chain(problem).collect();
                let headers = constants.with(more.iter().map(|(name, text)| (*name, text.as_bytes())));
                self.put(slot, |builder, _| {
                    builder.append(time, None, Some(outcome.line), &headers)
                })
            }
            Encoding::Json(constants) => {
                let more: Vec<_> = fields.collect();
                let headers = match more.is_empty() {
                    true => RecordHeaders::empty(),
                    false => RecordHeaders::encode(more.iter().map(|(name, text)| (*name, Some(text.as_bytes())))),
                };
                self.put(slot, |builder, value| {
                    write_object(value, constants, outcome);
                    builder.append(time, None, Some(value), &headers)
                })
            }
        }
    }

    #[inline]
    fn put(
        &mut self,
        slot: Slot,
        append: impl FnOnce(&mut BatchBuilder, &mut Vec<u8>) -> Result<(), BuildError>,
    ) -> Result<(), StretchError> {
        let Some(OpenBatch { builder, .. }) = self.open.get_mut(slot.0) else {
            return Ok(());
        };
        let before = builder.uncompressed_len();
        append(builder, &mut self.value)?;
        self.gathered += builder.uncompressed_len() - before;
        self.full |= self.gathered >= self.size.stretch_bytes
            || builder.estimated_len() >= self.size.batch_bytes / 10 * Self::FILL_TENTHS;
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
        (self.gathered, self.full) = (0, false);
        for OpenBatch {
            topic,
            route,
            mut builder,
        } in self.open.drain(..)
        {
            if builder.is_empty() {
                continue;
            }
            let records = builder.record_count();
            let batch = builder.finish()?;
            let known = self.routes.batch_bytes_max(&topic);
            let max = known.map_or(self.size.batch_bytes, |known| known.min(self.size.batch_bytes));
            let pieces = if batch.len() > max && records > 1 {
                split(&batch, &mut builder, max)?
            } else {
                vec![(batch, records)]
            };
            batches.extend(pieces.into_iter().map(|(bytes, records)| RoutedBatch {
                topic: topic.to_string(),
                route,
                bytes,
                records: u32::try_from(records).unwrap_or(0),
            }));
            if self.spare.len() < Self::SPARE_MAX {
                self.spare.push(builder);
            }
        }
        Ok(batches)
    }

    /// Gives back the memory that is only needed under load.
    pub fn rest(&mut self) {
        self.spare.clear();
        self.value = Vec::new();
    }
}

/// The fields of an event, or the event itself if it has none, and what the agent knows of it.
fn write_object(out: &mut Vec<u8>, constants: &[(String, Vec<u8>)], outcome: &Outcome<'_>) {
    let mut members = Members::begin(out);
    for (name, field) in outcome.fields.iter() {
        members.put(name, |out| field.write_json(out));
    }
    if outcome.fields.is_empty() {
        members.put("message", |out| {
            write_string(out, &String::from_utf8_lossy(outcome.line))
        });
    }
    for (name, value) in constants {
        match outcome.fields.has(name) {
            true => members.put(&format!("{AGENTS_OWN}{name}"), |out| out.extend_from_slice(value)),
            false => members.put(name, |out| out.extend_from_slice(value)),
        }
    }
    if let Some(reason) = &outcome.problem {
        members.put(PROBLEM, |out| write_string(out, reason));
    }
    members.end();
}

/// Builds a batch again in pieces that are no larger than `max` even if nothing in them can be compressed.
fn split(batch: &Bytes, builder: &mut BatchBuilder, max: usize) -> Result<Vec<(Bytes, i32)>, StretchError> {
    // Incompressible data grows by less than a hundredth.
    let max = max.saturating_sub(HEADER_LEN + max / 100);
    let mut pieces = Vec::new();
    for view in Batches::split(batch.clone(), usize::MAX) {
        for record in view?.records(1 << 30)? {
            let record = record?;
            let value = record.value.unwrap_or_default();
            let about = value.len() + record.headers.as_bytes().len() + 32;
            if !builder.is_empty() && builder.uncompressed_len() + about > max {
                pieces.push((builder.record_count(), builder.finish()?));
            }
            builder.append(record.timestamp, None, Some(&value), &record.headers)?;
        }
    }
    if !builder.is_empty() {
        pieces.push((builder.record_count(), builder.finish()?));
    }
    Ok(pieces.into_iter().map(|(records, bytes)| (bytes, records)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lane 7 is bound to partition 3, and lane 8 too; others to nothing.
    struct Bound;

    impl Routes for Bound {
        fn route(&self, _topic: &str, lane: u16) -> Route {
            match lane {
                7 | 8 => Route::Partition(3),
                lane => Route::Lane(lane),
            }
        }
    }

    fn batcher(size: Size) -> Batcher {
        Batcher::new(Arc::new(Bound), size)
    }

    fn encoding(format: Format) -> Encoding {
        let labels = BTreeMap::from([("env".to_owned(), "\"prod\"".to_owned())]);
        Encoding::new(format, "web-1", Path::new("/log/a"), &labels)
    }

    fn records(batch: &RoutedBatch) -> Vec<tailrace_shared::record::RecordView> {
        Batches::split(batch.bytes.clone(), usize::MAX)
            .flat_map(|view| view.unwrap().records(usize::MAX).unwrap())
            .map(Result::unwrap)
            .collect()
    }

    fn values(batch: &RoutedBatch) -> Vec<Bytes> {
        records(batch).into_iter().map(|record| record.value.unwrap()).collect()
    }

    #[test]
    fn lanes_of_one_partition_share_a_batch_and_unbound_lanes_have_their_own() {
        let mut batcher = batcher(Size::default());
        let (topic, other): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let raw = encoding(Format::Raw);
        for (topic, lane) in [(&topic, 7), (&topic, 1), (&topic, 8), (&topic, 2), (&other, 7)] {
            let slot = batcher.slot(topic, lane).unwrap();
            batcher
                .append(slot, 5, &raw, format!("{topic}{lane}").as_bytes())
                .unwrap();
        }
        let batches = batcher.finish().unwrap();
        let summary: Vec<_> = batches
            .iter()
            .map(|batch| (&*batch.topic, batch.route, values(batch)))
            .collect();
        assert_eq!(
            summary,
            [
                ("a", Route::Partition(3), vec![Bytes::from("a7"), Bytes::from("a8")]),
                ("a", Route::Lane(1), vec![Bytes::from("a1")]),
                ("a", Route::Lane(2), vec![Bytes::from("a2")]),
                ("b", Route::Partition(3), vec![Bytes::from("b7")]),
            ]
        );
        assert!(batcher.is_empty() && batcher.finish().unwrap().is_empty());
    }

    #[test]
    fn a_raw_record_is_the_line_with_headers() {
        let mut batcher = batcher(Size::default());
        let slot = batcher.slot(&"t".into(), 0).unwrap();
        batcher.append(slot, 5, &encoding(Format::Raw), b"\xff\0line").unwrap();
        let record = records(&batcher.finish().unwrap()[0]).remove(0);
        assert_eq!(record.value.as_deref(), Some(&b"\xff\0line"[..]));
        assert_eq!(record.timestamp, 5);
        let headers: Vec<_> = record.headers.iter().collect();
        assert_eq!(
            headers,
            [
                (&b"host"[..], Some(&b"web-1"[..])),
                (b"path", Some(b"/log/a")),
                (b"env", Some(b"\"prod\""))
            ]
        );
    }

    #[test]
    fn a_json_record_wraps_the_line() {
        let mut batcher = batcher(Size::default());
        let slot = batcher.slot(&"t".into(), 0).unwrap();
        batcher
            .append(slot, 5, &encoding(Format::Json), b"say \"hi\" \xff")
            .unwrap();
        let record = records(&batcher.finish().unwrap()[0]).remove(0);
        let value: serde_json::Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        let expected = serde_json::json!({
            "message": "say \"hi\" \u{fffd}", "host": "web-1", "path": "/log/a", "env": "\"prod\""
        });
        assert_eq!(value, expected);
        assert!(record.headers.is_empty());
    }

    fn json_line(line: &'static str) -> Outcome<'static> {
        Outcome {
            timestamp_ms: 7,
            line: line.as_bytes(),
            fields: serde_json::from_str(line).unwrap(),
            headers: &[],
            problem: None,
        }
    }

    #[test]
    fn fields_stand_before_what_the_agent_knows_and_keep_their_names() {
        let mut batcher = batcher(Size::default());
        let slot = batcher.slot(&"t".into(), 0).unwrap();
        let names = ["n".to_owned()];
        let outcome = Outcome {
            headers: &names,
            ..json_line(r#"{"n": 1.0, "host": "other", "m": {"a": []}}"#)
        };
        batcher.append_outcome(slot, &encoding(Format::Json), &outcome).unwrap();
        let record = records(&batcher.finish().unwrap()[0]).remove(0);
        let expected =
            r#"{"n":1.0,"host":"other","m":{"a": []},"agent_host":"web-1","path":"/log/a","env":"\"prod\""}"#;
        assert_eq!(record.value.unwrap(), expected);
        assert_eq!(record.timestamp, 7);
        assert_eq!(record.headers.last("n"), Some(&b"1.0"[..]));
    }

    #[test]
    fn fields_become_headers_and_a_problem_is_one_too() {
        let mut batcher = batcher(Size::default());
        let slot = batcher.slot(&"t".into(), 0).unwrap();
        let names = ["level", "nothing"].map(str::to_owned);
        let outcome = Outcome {
            headers: &names,
            problem: Some("why".to_owned()),
            ..json_line(r#"{"level":"info"}"#)
        };
        batcher.append_outcome(slot, &encoding(Format::Raw), &outcome).unwrap();
        let record = records(&batcher.finish().unwrap()[0]).remove(0);
        assert_eq!(record.value.as_deref(), Some(outcome.line));
        let headers: Vec<_> = record.headers.iter().skip(3).collect();
        assert_eq!(
            headers,
            [(&b"level"[..], Some(&b"info"[..])), (b"parse_error", Some(b"why"))]
        );
    }

    /// Bytes that no codec makes smaller.
    fn noise(len: usize, mut seed: u64) -> Vec<u8> {
        std::iter::repeat_with(|| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed.to_be_bytes()[0]
        })
        .take(len)
        .collect()
    }

    #[test]
    fn lines_that_compress_worse_than_expected_come_out_in_several_batches_in_order() {
        let size = Size {
            batch_bytes: 10_000,
            stretch_bytes: 100_000,
            ..Size::default()
        };
        let mut batcher = batcher(size);
        let raw = encoding(Format::Raw);
        let topic: Arc<str> = "t".into();
        let slot = batcher.slot(&topic, 0).unwrap();
        for _ in 0..50 {
            batcher.append(slot, 0, &raw, &[b'a'; 100]).unwrap();
        }
        assert!(!batcher.is_full());
        batcher.finish().unwrap();
        let slot = batcher.slot(&topic, 0).unwrap();
        let lines: Vec<_> = (0..90).map(|seed| noise(1000, seed)).collect();
        for line in &lines {
            batcher.append(slot, 0, &raw, line).unwrap();
        }
        let batches = batcher.finish().unwrap();
        assert!(batches.len() > 5 && batches.iter().all(|batch| batch.bytes.len() <= 10_000));
        assert_eq!(batches.iter().flat_map(values).collect::<Vec<_>>(), lines);
        assert_eq!(batches.iter().map(|batch| batch.records).sum::<u32>(), 90);
    }

    /// A topic that takes no more than so many bytes.
    struct Narrow(usize);

    impl Routes for Narrow {
        fn route(&self, _topic: &str, _lane: u16) -> Route {
            Route::Partition(0)
        }

        fn batch_bytes_max(&self, topic: &str) -> Option<usize> {
            (topic == "narrow").then_some(self.0)
        }
    }

    #[test]
    fn a_topic_that_takes_less_gets_smaller_batches() {
        let mut batcher = Batcher::new(Arc::new(Narrow(2000)), Size::default());
        let raw = encoding(Format::Raw);
        let lines: Vec<_> = (0..20).map(|seed| noise(500, seed)).collect();
        for topic in ["narrow", "wide"] {
            let slot = batcher.slot(&topic.into(), 0).unwrap();
            for line in &lines {
                batcher.append(slot, 0, &raw, line).unwrap();
            }
        }
        let batches = batcher.finish().unwrap();
        let (wide, narrow): (Vec<_>, Vec<_>) = batches.iter().partition(|batch| batch.topic == "wide");
        assert_eq!(wide.len(), 1);
        assert!(narrow.len() > 5 && narrow.iter().all(|batch| batch.bytes.len() <= 2000));
        assert_eq!(narrow.into_iter().flat_map(values).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_stretch_is_full_by_what_was_gathered_or_by_a_batch_that_nears_its_limit() {
        for (batch_bytes, stretch_bytes) in [(1000, 1 << 20), (1 << 20, 1000)] {
            let mut batcher = batcher(Size {
                batch_bytes,
                stretch_bytes,
                ..Size::default()
            });
            let slot = batcher.slot(&"t".into(), 0).unwrap();
            let mut lines = 0;
            while !batcher.is_full() {
                batcher.append(slot, 0, &encoding(Format::Raw), &[b'a'; 50]).unwrap();
                lines += 1;
            }
            assert!((8..=11).contains(&lines), "{lines}");
        }
    }
}
