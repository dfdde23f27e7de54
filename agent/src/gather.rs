//! Gathers what comes from outside into stretches, on a thread of its own: to find fields and to compress takes time that the
//! tasks which read do not have.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use tailrace_shared::clock::Clock;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout, timeout_at};

use crate::batch::{Batcher, Size, StretchError};
use crate::position::JournalCursor;
use crate::status::{ReadMetrics, ReceiveMetrics};
use crate::stretch::{Routes, Stretch};

/// A stretch is closed after so many times the linger even if there is always more.
const LINGERS_MAX: u32 = 10;
/// Memory that is only needed under load is given back after this long without any.
const REST_AFTER: Duration = Duration::from_secs(5);

/// Makes records of what comes from one kind of source.
pub(crate) trait Intake {
    /// What comes at once: several events.
    type Piece: Send;

    /// How many events a piece has.
    fn events(piece: &Self::Piece) -> usize;

    /// Makes records of the events of a piece that follow the first `taken`, as far as the stretch has room, and returns how
    /// many that are: one at least.
    fn append(&mut self, batcher: &mut Batcher, piece: &Self::Piece, taken: usize) -> Result<usize, StretchError>;

    /// How far sources that can be read again have been, if anything was appended since the last time.
    fn take_cursors(&mut self) -> Vec<JournalCursor> {
        Vec::new()
    }

    /// Whether [`Self::take_cursors`] has something to say.
    fn has_moved(&self) -> bool {
        false
    }

    /// Nothing has come for a while.
    fn rest(&mut self) {}
}

/// What all sources that are gathered have in common.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this machine in records.
    pub host: Arc<str>,
    /// The shortest time between two stretches while little comes.
    pub linger: Duration,
    /// How large stretches become.
    pub size: Size,
}

/// What they are connected to.
#[derive(Clone)]
pub struct Seams {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where lanes go.
    pub routes: Arc<dyn Routes>,
    /// To the spool.
    pub stretches: mpsc::Sender<Stretch>,
    /// What is counted of records.
    pub read_metrics: ReadMetrics,
    /// What is counted of what comes from outside.
    pub receive_metrics: ReceiveMetrics,
}

/// What a thread runs to gather.
pub(crate) struct Gatherer<I: Intake> {
    intake: I,
    batcher: Batcher,
    pieces: mpsc::Receiver<I::Piece>,
    stretches: mpsc::Sender<Stretch>,
    linger: Duration,
    /// 1 while the spool takes no more.
    blocked: IntGauge,
    /// Counts stretches.
    sent: IntCounter,
}

/// Whether anybody takes stretches.
#[derive(PartialEq, Eq)]
enum Spool {
    Takes,
    Closed,
}

impl<I: Intake> Gatherer<I> {
    /// One that is called `source` in metrics.
    pub(crate) fn new(
        intake: I,
        pieces: mpsc::Receiver<I::Piece>,
        source: &str,
        settings: &Settings,
        seams: Seams,
    ) -> Self {
        Self {
            intake,
            batcher: Batcher::new(seams.routes, settings.size.clone()),
            pieces,
            stretches: seams.stretches,
            linger: settings.linger,
            blocked: seams.receive_metrics.blocked.with([source]),
            sent: seams.read_metrics.stretches.with([]),
        }
    }

    /// What a thread has to run.
    ///
    /// # Errors
    /// When the system has no more of what a thread needs to wait with.
    pub(crate) fn on_a_thread(self) -> io::Result<impl FnOnce() -> Result<(), StretchError> + Send + 'static>
    where
        I: Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(move || runtime.block_on(self.run()))
    }

    /// Works until nobody sends pieces, or takes stretches, any more.
    async fn run(mut self) -> Result<(), StretchError> {
        let linger = self.linger;
        let (mut opened_at, mut closed_at) = (Instant::now(), None);
        loop {
            let next = match self.is_empty() {
                true => Ok(self.rest_until_next().await),
                false => {
                    // The first event need not wait for others.
                    let due = closed_at.map_or(opened_at, |closed_at| closed_at + linger);
                    let oldest = opened_at + linger * LINGERS_MAX;
                    timeout_at(due.min(oldest), self.pieces.recv()).await
                }
            };
            let now = Instant::now();
            let is_due = match next {
                Ok(Some(piece)) => {
                    if self.is_empty() {
                        opened_at = now;
                    }
                    if self.take(piece).await? == Spool::Closed {
                        return Ok(());
                    }
                    now >= opened_at + linger * LINGERS_MAX
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

    fn is_empty(&self) -> bool {
        self.batcher.is_empty() && !self.intake.has_moved()
    }

    async fn rest_until_next(&mut self) -> Option<I::Piece> {
        if let Ok(next) = timeout(REST_AFTER, self.pieces.recv()).await {
            return next;
        }
        self.batcher.rest();
        self.intake.rest();
        self.pieces.recv().await
    }

    /// Makes records of a piece; closes the stretch as often as it is full.
    async fn take(&mut self, piece: I::Piece) -> Result<Spool, StretchError> {
        let mut taken = 0;
        while taken < I::events(&piece) {
            taken += self.intake.append(&mut self.batcher, &piece, taken)?;
            if self.batcher.is_full() && self.close().await? == Spool::Closed {
                return Ok(Spool::Closed);
            }
        }
        Ok(Spool::Takes)
    }

    /// Gives the stretch to the spool, and waits until it takes it.
    async fn close(&mut self) -> Result<Spool, StretchError> {
        if self.is_empty() {
            return Ok(Spool::Takes);
        }
        let stretch = Stretch {
            batches: self.batcher.finish()?,
            cursors: self.intake.take_cursors(),
            ..Stretch::default()
        };
        let is_sent = match self.stretches.try_send(stretch) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(stretch)) => {
                self.blocked.set(1);
                let is_sent = self.stretches.send(stretch).await.is_ok();
                self.blocked.set(0);
                is_sent
            }
        };
        if !is_sent {
            return Ok(Spool::Closed);
        }
        self.sent.inc();
        Ok(Spool::Takes)
    }
}
