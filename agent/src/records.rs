//! Makes records of events, and counts what becomes of them: the same wherever the events come from.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::batch::{Batcher, Format, Labels, Slot, StretchError};
use crate::frame::{Cut, Event};
use crate::rate_limit::{Exceeded, RateLimit};
use crate::routing::{Destination, Origin, Routing};
use crate::status::ReadMetrics;
use crate::transform::{Dropped, Outcome, Transform};

/// What the events of an input become.
#[derive(Debug, Clone)]
pub struct Template {
    /// What the configuration calls the topic: metrics count by that.
    pub topic: Arc<str>,
    /// Where they go.
    pub routing: Routing,
    /// What is said of each.
    pub labels: Labels,
    /// What a record is.
    pub format: Format,
    /// How much there may be in a second.
    pub limit: Arc<RateLimit>,
    /// What is done before, if they are not sent as they are; always something where a container runtime says more than the
    /// file.
    pub transform: Option<Arc<Transform>>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is a record.
    Record {
        /// That says why it could not be parsed.
        has_problem: bool,
        /// Of the topic that takes what has no other.
        is_otherwise: bool,
    },
    /// It is none.
    Not(Dropped),
}

impl Sent {
    fn record(problem: Option<&str>, to: &Destination) -> Self {
        Self::Record {
            has_problem: problem.is_some(),
            is_otherwise: to.is_otherwise,
        }
    }
}

/// Where records go, and the batch that is open for them; valid until the stretch is finished.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    slot: Slot,
    to: &'a Destination,
}

impl<'a> Settled<'a> {
    /// Finds the batch.
    pub fn new(batcher: &mut Batcher, to: &'a Destination) -> Self {
        let slot = to.slot(batcher);
        Self { slot, to }
    }
}

impl Template {
    /// Takes the place of another one of the same source, which waits at the limit that it has.
    pub fn replace(&mut self, new: Self) {
        self.limit.take_on(&new.limit);
        let limit = Arc::clone(&self.limit);
        *self = Self { limit, ..new };
    }

    /// The same for the inputs of a kind.
    pub fn replace_all(running: &mut [Self], new: Vec<Self>) {
        running
            .iter_mut()
            .zip(new)
            .for_each(|(running, new)| running.replace(new));
    }

    /// How the events of one file, sender, journal or command become records.
    #[must_use]
    pub fn origin(&self, constants: &[(&str, &str)], lane: u16) -> Origin {
        Origin::new(&self.routing, self.format, constants, &self.labels, &[], lane)
    }

    /// Appends an event as a record, if it is to be sent. `settled` is where all of its origin go, if that is the same for all.
    #[inline]
    pub fn append(
        &self,
        batcher: &mut Batcher,
        origin: &Origin,
        settled: Option<Settled<'_>>,
        exceeded: Option<Exceeded>,
        event: &Event<'_>,
        now_ms: i64,
    ) -> Result<Sent, StretchError> {
        let is_too_much = || exceeded == Some(Exceeded::Drop) && !self.limit.admits(event.bytes.len(), now_ms);
        if let (None, Some(Settled { slot, to })) = (&self.transform, settled) {
            if is_too_much() {
                return Ok(Sent::Not(Dropped::RateLimit));
            }
            let key = to.key.as_deref().map(str::as_bytes);
            batcher.append(slot, now_ms, &origin.encoding, (key, event.bytes))?;
            return Ok(Sent::record(None, to));
        }
        let send = |outcome: Outcome<'_>| {
            if is_too_much() {
                return Ok(Sent::Not(Dropped::RateLimit));
            }
            let own;
            let Settled { slot, to } = match settled {
                Some(settled) => settled,
                None => {
                    own = origin.destination(&outcome.fields, outcome.said);
                    Settled::new(batcher, &own)
                }
            };
            let key = to.key.as_deref().map(str::as_bytes);
            batcher.append_outcome(slot, &origin.encoding, key, &outcome)?;
            Ok(Sent::record(outcome.problem.as_deref(), to))
        };
        let nothing = Transform::default();
        let transform = self.transform.as_deref().unwrap_or(&nothing);
        let appended = transform.apply(event, now_ms, send);
        appended.unwrap_or_else(|dropped| Ok(Sent::Not(dropped)))
    }
}

/// Takes the events of one origin, as far as the stretch has room; counts them when it is finished.
pub struct Records<'a> {
    batcher: &'a mut Batcher,
    template: &'a Template,
    metrics: &'a ReadMetrics,
    origin: &'a Origin,
    settled: Option<Settled<'a>>,
    now_ms: i64,
    exceeded: Option<Exceeded>,
    /// Nothing more may be taken for a while.
    exhausted: bool,
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
    otherwise: u64,
    dropped: u64,
    not_kept: u64,
    not_sampled: u64,
    too_many: u64,
}

impl<'a> Records<'a> {
    /// Of what `origin` has, read at `now_ms`.
    pub fn new(
        batcher: &'a mut Batcher,
        template: &'a Template,
        metrics: &'a ReadMetrics,
        origin: &'a Origin,
        now_ms: i64,
    ) -> Self {
        Self {
            settled: origin.settled().map(|to| Settled::new(batcher, to)),
            batcher,
            template,
            metrics,
            origin,
            now_ms,
            exceeded: template.limit.exceeded(),
            exhausted: false,
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
        let (batcher, origin) = (&mut *self.batcher, self.origin);
        let count = &mut self.count;
        let sent = self
            .template
            .append(batcher, origin, self.settled, self.exceeded, &event, self.now_ms);
        match sent {
            Ok(Sent::Record {
                has_problem,
                is_otherwise,
            }) => {
                if self.exceeded == Some(Exceeded::Wait) {
                    self.exhausted = self.template.limit.spend(event.bytes.len(), self.now_ms);
                }
                count.problems += u64::from(has_problem);
                count.otherwise += u64::from(is_otherwise);
            }
            Ok(Sent::Not(Dropped::Drop)) => count.dropped += 1,
            Ok(Sent::Not(Dropped::Keep)) => count.not_kept += 1,
            Ok(Sent::Not(Dropped::Sample)) => count.not_sampled += 1,
            Ok(Sent::Not(Dropped::RateLimit)) => count.too_many += 1,
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
        match self.batcher.is_full() || self.exhausted {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Whether there may be more events, for which the stretch has no room, or which have to wait.
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
            metrics.topic_otherwise.with(topic).inc_by(count.otherwise);
            let dropped = [
                (Dropped::Drop, count.dropped),
                (Dropped::Keep, count.not_kept),
                (Dropped::Sample, count.not_sampled),
                (Dropped::RateLimit, count.too_many),
            ];
            for (why, events) in dropped.into_iter().filter(|(_, events)| *events > 0) {
                metrics
                    .events_dropped
                    .with([&*self.template.topic, why.name()])
                    .inc_by(events);
            }
        }
        if self.exhausted {
            self.metrics.rate_limit_waits.with([&*self.template.topic]).inc();
        }
        Ok(self.batcher.is_full() || self.exhausted)
    }
}
