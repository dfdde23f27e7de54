//! Gathers messages into stretches, on a thread of its own: to find fields and to compress takes time that the tasks which
//! empty sockets do not have.

use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::clock::Clock;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::origins::Origins;
use super::{Chunk, Message, Seams, Settings};
use crate::batch::{Batcher, StretchError};
use crate::frame::Event;
use crate::records::{Records, Template};
use crate::status::{ReadMetrics, ReceiveMetrics};
use crate::stretch::Stretch;

/// A stretch is closed after so many times the linger even if there is always more.
const LINGERS_MAX: u32 = 10;
/// Memory that is only needed under load is given back after this long without any.
const REST_AFTER: Duration = Duration::from_secs(5);

pub(super) struct Gatherer {
    templates: watch::Receiver<Vec<Template>>,
    origins: Origins,
    batcher: Batcher,
    linger: Duration,
    clock: Arc<dyn Clock>,
    chunks: mpsc::Receiver<Chunk>,
    stretches: mpsc::Sender<Stretch>,
    read_metrics: ReadMetrics,
    metrics: ReceiveMetrics,
}

/// Whether anybody takes stretches.
#[derive(PartialEq, Eq)]
enum Spool {
    Takes,
    Closed,
}

impl Gatherer {
    pub(super) fn new(
        templates: watch::Receiver<Vec<Template>>,
        settings: Settings,
        chunks: mpsc::Receiver<Chunk>,
        seams: Seams,
    ) -> Self {
        Self {
            templates,
            origins: Origins::new(settings.host),
            batcher: Batcher::new(seams.routes, settings.size),
            linger: settings.linger,
            clock: seams.clock,
            chunks,
            stretches: seams.stretches,
            read_metrics: seams.read_metrics,
            metrics: seams.metrics,
        }
    }

    /// Works until nobody sends chunks, or takes stretches, any more.
    pub(super) async fn run(mut self) -> Result<(), StretchError> {
        let (mut opened_at, mut closed_at) = (Instant::now(), None);
        loop {
            let next = match self.batcher.is_empty() {
                true => Ok(self.rest_until_next().await),
                false => {
                    // The first message need not wait for others.
                    let due = closed_at.map_or(opened_at, |closed_at| closed_at + self.linger);
                    let oldest = opened_at + self.linger * LINGERS_MAX;
                    timeout_at(due.min(oldest), self.chunks.recv()).await
                }
            };
            let now = Instant::now();
            let is_due = match next {
                Ok(Some(chunk)) => {
                    if self.batcher.is_empty() {
                        opened_at = now;
                    }
                    if self.take(chunk).await? == Spool::Closed {
                        return Ok(());
                    }
                    now >= opened_at + self.linger * LINGERS_MAX
                }
                Ok(None) => return self.close().await.map(|_| ()),
                Err(_) => true,
            };
            if is_due {
                if self.close().await? == Spool::Closed {
                    return Ok(());
                }
                closed_at = Some(now);
            }
        }
    }

    async fn rest_until_next(&mut self) -> Option<Chunk> {
        if let Ok(next) = timeout(REST_AFTER, self.chunks.recv()).await {
            return next;
        }
        self.batcher.rest();
        self.origins.clear();
        self.chunks.recv().await
    }

    /// Makes records of messages; closes the stretch as often as it is full.
    async fn take(&mut self, chunk: Chunk) -> Result<Spool, StretchError> {
        if self.templates.has_changed().unwrap_or(false) {
            self.templates.mark_unchanged();
            self.origins.clear();
        }
        let mut rest = &*chunk.messages;
        while !rest.is_empty() {
            let taken = self.append(&chunk, rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            if self.batcher.is_full() && self.close().await? == Spool::Closed {
                return Ok(Spool::Closed);
            }
        }
        Ok(Spool::Takes)
    }

    /// Appends the messages at the front that are of one sender, as far as the stretch has room, and returns how many that
    /// are.
    fn append(&mut self, chunk: &Chunk, messages: &[Message]) -> Result<usize, StretchError> {
        let templates = self.templates.borrow();
        let (Some(first), Some(template)) = (messages.first(), templates.get(chunk.input)) else {
            return Ok(messages.len());
        };
        let origin = self.origins.of(chunk.input, template, first.sender);
        let by = (origin.lane, &*origin.encoding);
        let now_ms = self.clock.now_ms();
        let mut records = Records::new(&mut self.batcher, template, &self.read_metrics, by, now_ms);
        let mut taken = 0;
        for message in messages.iter().take_while(|message| message.sender == first.sender) {
            let bytes = chunk.bytes.get(message.bytes.clone()).unwrap_or_default();
            taken += 1;
            records.count_bytes(bytes.len());
            if records.take(Event::plain(bytes, 1, message.cut)).is_break() {
                break;
            }
        }
        records.finish()?;
        Ok(taken)
    }

    /// Gives the stretch to the spool, and waits until it takes it.
    async fn close(&mut self) -> Result<Spool, StretchError> {
        if self.batcher.is_empty() {
            return Ok(Spool::Takes);
        }
        let stretch = Stretch {
            batches: self.batcher.finish()?,
            ..Stretch::default()
        };
        let sent = match self.stretches.try_send(stretch) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(stretch)) => {
                let blocked = self.metrics.blocked.with([]);
                blocked.set(1);
                let sent = self.stretches.send(stretch).await.is_ok();
                blocked.set(0);
                sent
            }
        };
        match sent {
            true => {
                self.read_metrics.stretches.with([]).inc();
                Ok(Spool::Takes)
            }
            false => Ok(Spool::Closed),
        }
    }
}
