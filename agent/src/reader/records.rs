//! Makes records of the events of one file, as far as the stretch has room.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Input, Sent};
use crate::batch::{Batcher, Encoding, Slot, StretchError};
use crate::frame::{Consumed, Cut, End, Event, Mark};
use crate::status::ReadMetrics;
use crate::transform::Dropped;

/// What the records of a file have in common.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) input: usize,
    pub(super) lane: u16,
    pub(super) encoding: Arc<Encoding>,
}

/// Takes events; counts them when it is finished.
pub(super) struct Records<'a> {
    batcher: &'a mut Batcher,
    input: &'a Input,
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
    pub(super) fn new(
        batcher: &'a mut Batcher,
        input: &'a Input,
        metrics: &'a ReadMetrics,
        source: &'a Source,
        now_ms: i64,
    ) -> Self {
        Self {
            slot: batcher.slot(&input.topic, source.lane),
            batcher,
            input,
            metrics,
            encoding: &source.encoding,
            now_ms,
            count: Count::default(),
            failed: None,
        }
    }

    /// Takes the events at the front of some bytes, at least one.
    pub(super) fn cut(&mut self, bytes: &[u8], mark: Mark, mid_line: bool, end: End) -> Consumed {
        let framing = &self.input.framing;
        let consumed = framing.cut(bytes, mark, mid_line, end, |event| self.take(event));
        self.count.bytes += consumed.len as u64;
        consumed
    }

    #[inline]
    fn take(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let (batcher, encoding) = (&mut *self.batcher, self.encoding);
        let count = &mut self.count;
        match self.input.append(batcher, self.slot, encoding, &event, self.now_ms) {
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
    pub(super) fn finish(self) -> Result<bool, StretchError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.count.bytes > 0 {
            let (metrics, topic, count) = (self.metrics, [&*self.input.topic], &self.count);
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
                    .with([&*self.input.topic, why.name()])
                    .inc_by(events);
            }
        }
        Ok(self.batcher.is_full())
    }
}
