//! The one thread that looks for files, reads them, cuts lines, and gathers them into stretches.
//!
//! [`Reader::step`] does one small thing and says when to be called again; [`Reader::run`] calls it until it is told to
//! stop. All time comes from the clock and all files from the disk that it is given, so that a test can turn the one and
//! fail the other.

mod find;
mod glance;
mod reload;
mod report;
mod resume;
#[cfg(test)]
mod tests;
mod unseen;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::clock::Clock;
use tailrace_shared::disk::{Disk, FileId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::batch::{Batcher, Size, StretchError};
use crate::discover::{CONTAINER_FIELDS, FileNo, Selection, Walker, container_of};
use crate::frame::{End, Event, Framing};
use crate::position::FilePosition;
use crate::records::{Records, Template};
use crate::routing::Origin;
use crate::status::{FilesRequest, ReadMetrics};
use crate::stretch::{Routes, Stretch};
use crate::tail::{After, Limits, StartAt, Tail, Turned, Unread};
use crate::watch::{Signal, Watch};

use find::Finder;
pub use reload::Reload;
use reload::selections;

/// One `[[files]]` of the configuration.
#[derive(Debug)]
pub struct Input {
    /// What its events become.
    pub records: Template,
    /// Which files.
    pub selection: Selection,
    /// What is an event.
    pub framing: Framing,
    /// Where the first run begins.
    pub start_at: StartAt,
    /// A file that was not written to for so long is not begun with.
    pub ignore_older: Option<Duration>,
}

impl Input {
    /// What the events of a file have in common.
    #[must_use]
    pub fn origin(&self, host: &str, path: &Path, lane: u16) -> Origin {
        let mut labels = self.records.labels.clone();
        if self.framing.container {
            for (name, value) in container_of(path) {
                labels.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        let constants = [("host", host), ("path", &path.to_string_lossy())];
        let withheld: &[&str] = if self.framing.container { &CONTAINER_FIELDS } else { &[] };
        Origin::new(
            &self.records.routing,
            self.records.format,
            &constants,
            &labels,
            withheld,
            lane,
        )
    }
}

/// What all inputs have in common.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this machine in records.
    pub host: Arc<str>,
    /// Directories that are never entered, and files that are never followed.
    pub off_limits: Vec<PathBuf>,
    /// How often everything is scanned.
    pub scan_interval: Duration,
    /// The shortest time between two stretches while there is little to read.
    pub linger: Duration,
    /// How files are read.
    pub tail: Limits,
    /// How large stretches become.
    pub size: Size,
}

/// What the reader is connected to.
pub struct Seams {
    /// The followed files.
    pub disk: Arc<dyn Disk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where lanes go.
    pub routes: Arc<dyn Routes>,
    /// To the spool.
    pub stretches: Sender<Stretch>,
    /// Configurations that take the place of this one.
    pub reloads: Receiver<Reload>,
    /// Questions for the state of the files.
    pub questions: Receiver<FilesRequest>,
    /// Wakes the reader.
    pub signal: Signal,
    /// Watches directories.
    pub watch: Watch,
    /// What is counted.
    pub metrics: ReadMetrics,
}

/// When to call [`Reader::step`] again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once.
    Now,
    /// At this time, or when woken.
    At(Duration),
    /// Never: the spool takes no more.
    Closed,
}

/// While the spool cannot take a stretch, it is asked again this often.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// A stretch is closed after so many times the linger even if there is always more to read.
const LINGERS_MAX: u32 = 10;
/// Memory that is only needed under load is given back after this long without any.
const REST_AFTER: Duration = Duration::from_secs(5);
/// Looks, reads, cuts, gathers.
pub struct Reader {
    seams: Seams,
    inputs: Vec<Input>,
    settings: Settings,
    finder: Finder,
    tail: Tail,
    batcher: Batcher,
    /// A configuration that waits until nothing is gathered under this one.
    coming: Option<Reload>,
    /// Forgotten since the last stretch.
    gone: Vec<FileId>,
    /// Finished, and not taken yet.
    waiting: Option<Stretch>,
    opened_at: Option<Duration>,
    closed_at: Duration,
    resting: bool,
    gauges_at: Duration,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader that goes on from `positions`, which the spool has kept.
    #[must_use]
    pub fn new(mut inputs: Vec<Input>, settings: Settings, positions: Vec<FilePosition>, seams: Seams) -> Self {
        let (selections, taking) = selections(&mut inputs);
        let walker = Walker::new(Arc::clone(&seams.disk), selections, settings.off_limits.clone());
        Self {
            finder: Finder::new(
                Arc::clone(&seams.disk),
                walker,
                positions,
                Arc::clone(&settings.host),
                taking,
                settings.scan_interval,
                seams.metrics.clone(),
            ),
            tail: Tail::new(Arc::clone(&seams.disk), settings.tail.clone()),
            batcher: Batcher::new(Arc::clone(&seams.routes), settings.size.clone()),
            coming: None,
            gone: Vec::new(),
            waiting: None,
            opened_at: None,
            closed_at: Duration::ZERO,
            resting: true,
            gauges_at: Duration::ZERO,
            seams,
            inputs,
            settings,
        }
    }

    /// Works until it is told to stop, or nobody takes stretches any more.
    pub fn run(mut self) -> Result<(), StretchError> {
        while !self.seams.signal.is_stopped() {
            match self.step()? {
                Next::Now => {}
                Next::At(due) => {
                    let now = self.seams.clock.monotonic();
                    self.seams.signal.wait(due.saturating_sub(now));
                }
                Next::Closed => return Ok(()),
            }
        }
        self.finish()
    }

    /// Hands over what was gathered. What cannot be handed over is read again by the next process.
    fn finish(mut self) -> Result<(), StretchError> {
        let last = match self.waiting.take() {
            Some(waiting) => [Some(waiting), self.close()?],
            None => [self.close()?, None],
        };
        for stretch in last.into_iter().flatten() {
            if self.seams.stretches.blocking_send(stretch).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Does one small thing.
    pub fn step(&mut self) -> Result<Next, StretchError> {
        let now = self.seams.clock.monotonic();
        self.answer();
        let times = (now, self.seams.clock.now_ms());
        let lost = self
            .finder
            .look(&mut self.tail, &mut self.seams.watch, &self.seams.signal, times);
        self.gone.extend(lost);
        if self.refresh_gauges(now) {
            self.close_overdue(now)?;
        }
        match self.hand_over() {
            Some(Next::Now) => {}
            Some(next) => return Ok(self.sooner(next, now)),
            None => {}
        }
        if self.reload()? {
            self.closed_at = now;
            return Ok(Next::Now);
        }
        self.tail.poll(now);
        self.read(now)?;
        if self.is_due(now) {
            self.waiting = self.close()?;
            self.closed_at = now;
            return Ok(Next::Now);
        }
        Ok(self.next(now))
    }

    /// Reads a chunk of the file whose turn it is.
    fn read(&mut self, now: Duration) -> Result<(), StretchError> {
        let now_ms = self.seams.clock.now_ms();
        let may_be_read = |input: &&Input| input.records.limit.wait(now_ms).is_zero();
        let framing = |input: usize| self.inputs.get(input).filter(may_be_read).map(|input| &input.framing);
        match self.tail.turn(framing, now) {
            Turned::Nobody => {}
            Turned::Read(file) => self.take_events(file, now)?,
            Turned::Restarted(file, unread) => {
                self.give_up(file, &unread, now)?;
                self.count(file, |metrics, topic| metrics.truncations.with([topic]).inc());
            }
            Turned::Misplaced(file) => self.finder.look_for(file, &mut self.seams.watch),
            Turned::Replaced(file, unread) | Turned::Vanished(file, unread) => {
                self.give_up(file, &unread, now)?;
                self.forget(file);
            }
            Turned::Failed(file, error) => {
                self.count(file, |metrics, topic| metrics.read_errors.with([topic]).inc());
                if let Some(followed) = self.tail.get_mut(file)
                    && followed.error.is_none()
                {
                    tracing::warn!(path = %followed.path.display(), %error, "cannot read a followed file; trying again");
                    followed.error = Some(error.to_string().into());
                }
            }
        }
        Ok(())
    }

    /// Makes records of the events that were read, as far as the stretch has room.
    fn take_events(&mut self, file: FileNo, now: Duration) -> Result<(), StretchError> {
        let Some((input, origin)) = self.origin(file) else {
            return Ok(());
        };
        let Some(input) = self.inputs.get(input) else {
            return Ok(());
        };
        let (metrics, now_ms) = (&self.seams.metrics, self.seams.clock.now_ms());
        let mut records = Records::new(&mut self.batcher, &input.records, metrics, &origin, now_ms);
        let window = self.tail.window();
        let (bytes, mark) = (window.bytes(), window.charset());
        let consumed = input
            .framing
            .cut(bytes, mark, window.mid_line(), window.end(), |event| {
                records.take(event)
            });
        records.count_bytes(consumed.len);
        let stopped = records.finish()?;
        if consumed.len > 0 {
            self.gathered(now);
        }
        if let Some(followed) = self.tail.get_mut(file) {
            followed.error = None;
        }
        if self.tail.consumed(file, consumed, stopped, now) == After::Finished {
            self.forget(file);
        }
        Ok(())
    }

    /// Makes records of what was held of a content that is no more, and says what is lost.
    fn give_up(&mut self, file: FileNo, unread: &Unread, now: Duration) -> Result<(), StretchError> {
        self.count_lost(file, unread.lost);
        let Some((input, origin)) = self.origin(file) else {
            return Ok(());
        };
        let Some(input) = self.inputs.get(input) else {
            return Ok(());
        };
        let (mut rest, mut mid_line) = (&*unread.event, unread.mid_line);
        let (metrics, now_ms) = (&self.seams.metrics, self.seams.clock.now_ms());
        while !rest.is_empty() {
            let mut records = Records::new(&mut self.batcher, &input.records, metrics, &origin, now_ms);
            let take = |event: Event<'_>| records.take(event);
            let consumed = input.framing.cut(rest, unread.charset, mid_line, End::Final, take);
            records.count_bytes(consumed.len);
            records.finish()?;
            (rest, mid_line) = (rest.get(consumed.len..).unwrap_or_default(), consumed.mid_line);
        }
        if !unread.event.is_empty() {
            self.gathered(now);
        }
        Ok(())
    }

    /// Files that were deleted long ago take their space until they are closed.
    fn close_overdue(&mut self, now: Duration) -> Result<(), StretchError> {
        for file in self.tail.overdue(now) {
            let unread = self.tail.abandon(file);
            self.give_up(file, &unread, now)?;
            self.forget(file);
        }
        Ok(())
    }

    /// The input of a file, and what its events have in common.
    fn origin(&mut self, file: FileNo) -> Option<(usize, Arc<Origin>)> {
        let followed = self.tail.get_mut(file)?;
        let input = self.inputs.get(followed.input)?;
        let (path, lane) = (&followed.origin, followed.lane);
        let common = followed
            .common
            .get_or_insert_with(|| Arc::new(input.origin(&self.settings.host, path, lane)));
        Some((followed.input, Arc::clone(common)))
    }

    fn gathered(&mut self, now: Duration) {
        self.resting = false;
        self.opened_at.get_or_insert(now);
    }

    /// A file is no more; its position need not be kept.
    fn forget(&mut self, file: FileNo) {
        if let Some(followed) = self.tail.forget(file) {
            self.gone.push(followed.key.id);
            self.finder.forget(file, &followed, &mut self.seams.watch);
        }
    }

    fn has_gathered(&self) -> bool {
        !self.batcher.is_empty() || self.tail.has_touched() || !self.gone.is_empty()
    }

    /// Whether the stretch should be closed: it is full, or there is nothing more to read right now and the last one was
    /// closed long enough ago, or it has been open for too long.
    fn is_due(&self, now: Duration) -> bool {
        let linger = self.settings.linger;
        let idle = !self.tail.is_ready() && now >= self.closed_at + linger;
        let old = self
            .opened_at
            .is_some_and(|opened| now >= opened + linger * LINGERS_MAX);
        self.batcher.is_full() || (self.has_gathered() && (idle || old))
    }

    fn close(&mut self) -> Result<Option<Stretch>, StretchError> {
        self.opened_at = None;
        if !self.has_gathered() {
            return Ok(None);
        }
        let batches = self.batcher.finish()?;
        let touched = self.tail.take_touched();
        let position = |file: &FileNo| {
            let followed = self.tail.get(*file)?;
            Some(followed.position(&self.inputs.get(followed.input)?.records.topic))
        };
        Ok(Some(Stretch {
            batches,
            positions: touched.iter().filter_map(position).collect(),
            gone: std::mem::take(&mut self.gone),
            ..Stretch::default()
        }))
    }

    /// Gives the waiting stretch to the spool. `None` if there is none.
    fn hand_over(&mut self) -> Option<Next> {
        let stretch = self.waiting.take()?;
        let blocked = self.seams.metrics.blocked.with([]);
        match self.seams.stretches.try_send(stretch) {
            Ok(()) => {
                self.seams.metrics.stretches.with([]).inc();
                blocked.set(0);
                Some(Next::Now)
            }
            Err(TrySendError::Full(stretch)) => {
                self.waiting = Some(stretch);
                blocked.set(1);
                Some(Next::At(self.seams.clock.monotonic() + RETRY_INTERVAL))
            }
            Err(TrySendError::Closed(_)) => Some(Next::Closed),
        }
    }

    fn next(&mut self, now: Duration) -> Next {
        if self.tail.is_ready() {
            return Next::Now;
        }
        if !self.resting && !self.has_gathered() && now >= self.closed_at + REST_AFTER {
            self.resting = true;
            self.tail.rest();
            self.batcher.rest();
        }
        let linger = self.has_gathered().then(|| self.closed_at + self.settings.linger);
        let rest = (!self.resting).then(|| self.closed_at + REST_AFTER);
        let due = [linger, rest, self.tail.next_poll()].into_iter().flatten().min();
        self.sooner(due.map_or(Next::At(Duration::MAX), Next::At), now)
    }

    /// That, or the next look at directories if it comes before.
    fn sooner(&self, next: Next, now: Duration) -> Next {
        match next {
            Next::At(due) => Next::At(due.min(self.finder.next_due()).max(now)),
            other => other,
        }
    }
}
