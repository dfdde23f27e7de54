//! The agent's only state: batches on stable storage until they are acknowledged, and the file positions they advance to.
//!
//! The spool is a journal over preallocated, recycled files (`journal`, `files`, `format`, `record`; bytes in `docs/FORMATS.md`).
//! A stretch becomes one entry; what happens to its batches later (identity, acknowledgement, dead letter) becomes a
//! [`Control`]. One thread gathers both and commits them with one fdatasync (`inbox`, `committer`); the `ledger` is what
//! all records add up to, and a snapshot of it opens each file, so that older files count for live batches alone.
//!
//! [`Spool::open`] recovers, [`Opened::start`] starts the thread. A failed write or sync is never retried and never
//! believed: `on_fatal` is called and nothing is committed any more, so the process has to stop.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use tailrace_shared::disk::{Disk, DiskLock};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use self::committer::{Committer, Step};
use self::files::{Files, MIN_FILES, Sizes};
use self::inbox::{Inbox, Waiting};
use self::journal::Journal;
use self::recovery::{RecoverError, recover};
use self::shelf::Shelf;
use crate::position::{FilePosition, JournalCursor};
use crate::stretch::{Route, Stretch};

mod codec;
mod committer;
mod control;
mod files;
mod format;
mod inbox;
mod journal;
mod ledger;
mod record;
mod recovery;
pub(crate) mod set_aside;
mod shelf;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use committer::{Binder, Committed, Enough, NewBatch};
pub use control::{BatchNumber, Bind, Control, Part, Producer, Stamp};
pub use journal::FullReason;
pub use shelf::ReadError;

/// Stretches that may wait for a commit.
const STRETCHES_WAITING_MAX: usize = 8;

/// How large the spool is.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// All its files together, `spool.max_bytes`; at least five files.
    pub max_bytes: u64,
    /// Size of one file, `spool.file_bytes`: a multiple of 4096, and larger than the largest stretch.
    pub file_bytes: u64,
    /// What to do when that is used up, `spool.when_full`.
    pub when_full: WhenFull,
}

/// What a spool does that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It takes no more until there is room, and nothing is lost.
    #[default]
    Wait,
    /// It gives up what it has had for longest.
    DropOldest,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            file_bytes: 16 << 20,
            when_full: WhenFull::Wait,
        }
    }
}

impl SpoolOptions {
    /// Whether they can be worked with.
    pub fn check(&self) -> Result<(), OpenError> {
        check_sizes(self).map(drop)
    }
}

/// Why the spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{} is in use by another agent: stop it, or give this one a data_dir of its own", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Impossible sizes.
    #[error(
        "spool.max_bytes = {max_bytes} must hold at least five files of spool.file_bytes = {file_bytes}, and that must be a multiple of 4096, at least 65536 and at most 1 GiB"
    )]
    Sizes {
        /// As configured.
        max_bytes: u64,
        /// As configured.
        file_bytes: u64,
    },
    /// There is no room for even the first files.
    #[error("the disk of {} has no room for the spool: it needs {needed} bytes", path.display())]
    NoSpace {
        /// The spool's directory.
        path: PathBuf,
        /// The reserve.
        needed: u64,
    },
    /// Written by a later release.
    #[error("{} has version {version} of the spool format, which this release does not know: upgrade the agent, or move the file away and lose what it holds", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The disk failed.
    #[error("cannot open the spool: {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// As the system says.
        source: io::Error,
    },
}

/// What the last process left.
#[derive(Debug, Default, Clone)]
pub struct Recovered {
    /// How far each file was spooled.
    pub positions: Vec<FilePosition>,
    /// How far each journal was spooled.
    pub cursors: Vec<JournalCursor>,
    /// The partition of each lane that has one.
    pub lanes: Vec<(Arc<str>, u16, i32)>,
    /// For each topic and partition: topic id and an offset below which none of `batches` can lie.
    pub floors: Vec<(Arc<str>, i32, Uuid, i64)>,
    /// Batches that are not marked, in the order in which they were spooled.
    pub batches: Vec<RecoveredBatch>,
    /// What was damaged and set aside, in words.
    pub damage: Vec<String>,
}

/// A batch that is not marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredBatch {
    /// Its number.
    pub number: BatchNumber,
    /// The topic's name.
    pub topic: Arc<str>,
    /// Where it goes.
    pub route: Route,
    /// How many records it holds.
    pub records: u32,
    /// Length in bytes.
    pub len: u32,
    /// Its identity. If there is one it may have been sent.
    pub stamp: Option<Stamp>,
}

/// What an operator wants to know of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolStats {
    /// What its files take on the disk.
    pub file_bytes: u64,
    /// Bytes of batches that wait for their acknowledgement.
    pub waiting_bytes: u64,
    /// Set while it takes no entries.
    pub full: Option<FullReason>,
}

/// A spool that was read and not started yet.
#[derive(Debug)]
pub struct Opened {
    journal: Journal,
    when_full: WhenFull,
    lock: DiskLock,
}

/// The spool has stopped: by [`Spool::stop`], or because the disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool has stopped")]
pub struct Stopped;

/// The running spool.
#[derive(Debug)]
pub struct Spool {
    inbox: Arc<Inbox>,
    shelf: Arc<Shelf>,
    stats: Arc<Mutex<SpoolStats>>,
    permits: Semaphore,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Told of the error after which nothing can be committed any more.
pub type OnFatal = Box<dyn FnOnce(io::Error) + Send>;

impl Spool {
    /// Locks and reads the spool under `data_dir`. Everything it returns is on stable storage.
    pub fn open(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        options: &SpoolOptions,
    ) -> Result<(Opened, Recovered), OpenError> {
        let dir = data_dir.join("spool");
        let failed = |source| io_error(&dir, source);
        let sizes = check_sizes(options)?;
        disk.create_dir_all(&dir).map_err(failed)?;
        let lock = take_lock(&disk, &dir)?;
        let mut aside = set_aside::SetAside::new(Arc::clone(&disk), data_dir.join("set-aside"));
        let recovery = recover(&disk, &dir, &mut aside).map_err(OpenError::from)?;
        let recovered = describe(&recovery);
        let mut journal = Journal::new(
            Files::new(disk, &dir, sizes),
            sizes.file_bytes,
            recovery.ledger,
            recovery.last_number,
            recovery.slots,
        );
        begin(&mut journal, sizes).map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull => OpenError::NoSpace {
                path: dir.clone(),
                needed: sizes.file_bytes * MIN_FILES,
            },
            _ => io_error(&dir, source),
        })?;
        let opened = Opened {
            journal,
            when_full: options.when_full,
            lock,
        };
        Ok((opened, recovered))
    }

    /// Makes a stretch durable, and returns once it is. Waits while the spool is full. Stretches become durable in the
    /// order of the calls; one whose future was dropped may or may not.
    pub async fn append(&self, stretch: Stretch) -> Result<(), Stopped> {
        let _permit = self.permits.acquire().await.map_err(|_| Stopped)?;
        let (done, durable) = oneshot::channel();
        if !self.inbox.put_stretch(Waiting { stretch, done }) {
            return Err(Stopped);
        }
        durable.await.map_err(|_| Stopped)
    }

    /// Hands controls to the next commit; [`Binder::committed`] tells when they are durable. Those that are not urgent
    /// may wait a moment for company.
    pub fn submit(&self, controls: Vec<Control>, urgent: bool) {
        self.inbox.put_controls(controls, urgent);
    }

    /// A batch as it was built. Blocks on the disk.
    pub fn read(&self, number: BatchNumber) -> Result<Bytes, ReadError> {
        self.shelf.read(number)
    }

    /// Its state at the last commit.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        *self.stats.lock()
    }

    /// Commits what waits and fits, and gives the lock back. Blocks.
    pub fn stop(&self) {
        self.inbox.close();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the spool's commit thread panicked");
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Opened {
    /// Starts the commit thread.
    pub fn start(self, binder: Arc<dyn Binder>, on_fatal: OnFatal) -> io::Result<Spool> {
        let inbox = Arc::new(Inbox::default());
        let stats = Arc::new(Mutex::new(SpoolStats::default()));
        let shelf = Arc::clone(&self.journal.shelf);
        let run = CommitThread {
            committer: Committer::new(self.journal, binder, self.when_full),
            inbox: Arc::clone(&inbox),
            stats: Arc::clone(&stats),
            full: None,
            _lock: self.lock,
        };
        run.publish();
        let thread = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || run.run(on_fatal))?;
        Ok(Spool {
            inbox,
            shelf,
            stats,
            permits: Semaphore::new(STRETCHES_WAITING_MAX),
            thread: Mutex::new(Some(thread)),
        })
    }
}

struct CommitThread {
    committer: Committer,
    inbox: Arc<Inbox>,
    stats: Arc<Mutex<SpoolStats>>,
    full: Option<FullReason>,
    _lock: DiskLock,
}

impl CommitThread {
    fn run(mut self, on_fatal: OnFatal) {
        let mut held = VecDeque::new();
        loop {
            let mut work = self.inbox.gather(
                held,
                self.full.is_some(),
                self.committer.waits_for_room(),
                self.committer.has_deferred(),
            );
            let step = self
                .committer
                .step(work.controls, work.stretches.iter().map(|waiting| &waiting.stretch));
            match step {
                Ok(step) => {
                    self.note(&step);
                    for waiting in work.stretches.drain(..step.taken) {
                        // Whoever appended may have stopped waiting.
                        waiting.done.send(()).ok();
                    }
                }
                Err(error) => {
                    on_fatal(error);
                    self.inbox.abandon();
                    return;
                }
            }
            let is_idle = !self.committer.has_deferred() && (work.stretches.is_empty() || self.full.is_some());
            if work.closed && is_idle {
                self.inbox.abandon();
                return;
            }
            held = work.stretches;
        }
    }

    fn note(&mut self, step: &Step) {
        if step.full != self.full {
            match step.full {
                Some(FullReason::Limit) => tracing::warn!(
                    "the spool has reached spool.max_bytes: reading pauses until the collector acknowledges more"
                ),
                Some(FullReason::Batches) => tracing::warn!(
                    "the spool holds as many batches as it can list, though they are small: reading pauses until the collector \
                     acknowledges more; a longer read.linger, or a larger spool.file_bytes, makes room for more lines"
                ),
                Some(FullReason::DiskFull) => tracing::error!(
                    "the disk has no room for the spool: reading pauses until there is room or the collector acknowledges more"
                ),
                None => tracing::info!("the spool has room again: reading goes on"),
            }
        }
        self.full = step.full;
        self.publish();
    }

    fn publish(&self) {
        let journal = &self.committer.journal;
        *self.stats.lock() = SpoolStats {
            file_bytes: journal.files.total_bytes(),
            waiting_bytes: journal.files.live_bytes(),
            full: self.full,
        };
    }
}

fn check_sizes(options: &SpoolOptions) -> Result<Sizes, OpenError> {
    let SpoolOptions {
        max_bytes, file_bytes, ..
    } = *options;
    let is_sound = (65536..=1 << 30).contains(&file_bytes)
        && file_bytes.is_multiple_of(4096)
        && max_bytes / file_bytes >= MIN_FILES;
    is_sound
        .then_some(Sizes { file_bytes, max_bytes })
        .ok_or(OpenError::Sizes { max_bytes, file_bytes })
}

fn take_lock(disk: &Arc<dyn Disk>, dir: &Path) -> Result<DiskLock, OpenError> {
    let path = dir.join("lock");
    disk.lock(&path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { path },
        _ => io_error(&path, source),
    })
}

/// A new file at each start: nothing is ever appended behind what a crash left.
fn begin(journal: &mut Journal, sizes: Sizes) -> io::Result<()> {
    journal.roll(0)?;
    journal.files.fill_reserve()?;
    if journal.files.total_bytes() < sizes.file_bytes * (MIN_FILES - 1) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

fn describe(recovery: &recovery::Recovery) -> Recovered {
    let snapshot = recovery.ledger.snapshot();
    let floors = snapshot.floors.into_iter();
    let live = snapshot.live.into_iter();
    Recovered {
        positions: snapshot.positions,
        cursors: snapshot.cursors,
        lanes: snapshot.lanes,
        floors: floors
            .map(|floor| (floor.topic, floor.partition, floor.topic_id, floor.offset))
            .collect(),
        batches: live
            .map(|(number, batch)| RecoveredBatch {
                number,
                topic: batch.topic,
                route: batch.route,
                records: batch.records,
                len: batch.place.len,
                stamp: batch.stamp,
            })
            .collect(),
        damage: recovery.damage.clone(),
    }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

impl From<RecoverError> for OpenError {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Io { path, source } => Self::Io { path, source },
            RecoverError::UnknownVersion { path, version } => Self::UnknownVersion { path, version },
        }
    }
}
