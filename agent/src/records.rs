//! Makes records of events, and counts what becomes of them: the same wherever the events come from.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::batch::{Batcher, Encoding, Format, Labels, Slot, StretchError};
use crate::frame::{Cut, Event};
use crate::status::ReadMetrics;
use crate::transform::{Dropped, Transform};

/// What the events of an input become.
#[derive(Debug, Clone)]
pub struct Template {
    /// Where they go.
    pub topic: Arc<str>,
    /// What is said of each.
    pub labels: Labels,
    /// What a record is.
    pub format: Format,
    /// What is done before, if they are not sent as they are; always something where a container runtime says more than the
    /// file.
    pub transform: Option<Arc<Transform>>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is a record.
    Well,
    /// It is a record that says why it could not be parsed.
    WithProblem,
    /// It is none.
    Not(Dropped),
}

impl Template {
    /// Appends an event as a record, if it is to be sent.
    #[inline]
    pub fn append(
        &self,
        batcher: &mut Batcher,
        slot: Slot,
        encoding: &Encoding,
        event: &Event<'_>,
        now_ms: i64,
    ) -> Result<Sent, StretchError> {
        let Some(transform) = &self.transform else {
            batcher.append(slot, now_ms, encoding, event.bytes)?;
            return Ok(Sent::Well);
        };
        let appended = transform.apply(event, now_ms, |outcome| {
            batcher.append_outcome(slot, encoding, &outcome)?;
            Ok(match outcome.problem {
                Some(_) => Sent::WithProblem,
                None => Sent::Well,
            })
        });
        appended.unwrap_or_else(|dropped| Ok(Sent::Not(dropped)))
    }
}

/// Takes the events of one origin, as far as the stretch has room; counts them when it is finished.
pub struct Records<'a> {
    batcher: &'a mut Batcher,
    template: &'a Template,
    metrics: &'a ReadMetrics,
    encoding: &'a Encoding,
    slot: Slot,
    now_ms: i64,
    count: Count,
    failed: Option<StretchError>,
}

#[derive(Debug, Default)]
struct Count {
    bytes: u64,
    lines: u64,
    split: u64,
    unfinished: u64,
    too_many_lines: u64,
    problems: u64,
    dropped: u64,
    not_kept: u64,
    not_sampled: u64,
}

impl<'a> Records<'a> {
    /// Of what comes through `lane`, read at `now_ms`.
    pub fn new(
        batcher: &'a mut Batcher,
        template: &'a Template,
        metrics: &'a ReadMetrics,
        (lane, encoding): (u16, &'a Encoding),
        now_ms: i64,
    ) -> Self {
        Self {
            slot: batcher.slot(&template.topic, lane),
            batcher,
            template,
            metrics,
            encoding,
            now_ms,
            count: Count::default(),
            failed: None,
        }
    }

    /// So many bytes were read, events and what is between them.
    pub fn count_bytes(&mut self, len: usize) {
        self.count.bytes += len as u64;
    }

    /// Makes a record of an event; wants no more once the stretch is full.
    #[inline]
    pub fn take(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let (batcher, encoding) = (&mut *self.batcher, self.encoding);
        let count = &mut self.count;
        match self.template.append(batcher, self.slot, encoding, &event, self.now_ms) {
            Ok(Sent::Well) => {}
            Ok(Sent::WithProblem) => count.problems += 1,
            Ok(Sent::Not(Dropped::Drop)) => count.dropped += 1,
            Ok(Sent::Not(Dropped::Keep)) => count.not_kept += 1,
            Ok(Sent::Not(Dropped::Sample)) => count.not_sampled += 1,
            Err(error) => {
                self.failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        count.lines += event.lines;
        match event.cut {
            Cut::Terminated => {}
            Cut::TooLong => count.split += 1,
            Cut::Unfinished => count.unfinished += 1,
            Cut::TooManyLines => count.too_many_lines += 1,
        }
        match self.batcher.is_full() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Whether there may be more events, for which the stretch has no room.
    pub fn finish(self) -> Result<bool, StretchError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // An event may have no bytes.
        if self.count.bytes > 0 || self.count.lines > 0 {
            let (metrics, topic, count) = (self.metrics, [&*self.template.topic], &self.count);
            metrics.read_bytes.with(topic).inc_by(count.bytes);
            metrics.read_lines.with(topic).inc_by(count.lines);
            metrics.lines_split.with(topic).inc_by(count.split);
            metrics.lines_unfinished.with(topic).inc_by(count.unfinished);
            metrics.events_cut.with(topic).inc_by(count.too_many_lines);
            metrics.parse_errors.with(topic).inc_by(count.problems);
            let dropped = [
                (Dropped::Drop, count.dropped),
                (Dropped::Keep, count.not_kept),
                (Dropped::Sample, count.not_sampled),
            ];
            for (why, events) in dropped.into_iter().filter(|(_, events)| *events > 0) {
                metrics
                    .events_dropped
                    .with([&*self.template.topic, why.name()])
                    .inc_by(events);
            }
        }
        Ok(self.batcher.is_full())
    }
}
