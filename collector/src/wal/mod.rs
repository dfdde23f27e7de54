//! The commit path: one log for all partitions of this broker, made durable once for everything that has gathered.
//!
//! The way of a frame: [`Wal::reserve`] waits until there is sure to be room ([`admission`]); the caller sequences it
//! and calls [`Wal::submit`], whose order is the order in the log ([`queue`]); the [`writer`] thread takes all that has
//! gathered, joins adjacent batches into frames ([`commit`], [`codec`]), writes them with one write and one fdatasync,
//! and only then tells each [`FrameSink`](frame::FrameSink). The latest commits stay in memory ([`cache`]); older ones
//! are read from their [`files`] until [`Wal::release_before`]. A second thread keeps the next file ready ([`space`]).
//!
//! A restart opens a new incarnation and never appends to an old one: [`recovery`] replays what is committed, writes
//! the tail again that may have been in a cache only, and says what it does about each kind of damage. A failed write
//! or sync ends the process; it is never tried again and never believed after the restart.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::admission::Class;
pub use self::codec::FrameFault;
pub use self::error::{FatalError, ReplayError, ReserveError, RollError, WalOpenError};
pub use self::files::ClosedFile;
pub use self::options::{CommitSummary, WalOptions};
pub use self::position::WalPosition;
pub use self::queue::Reservation;
pub use self::recovery::{LogEnd, RecoveryReport, ReplayedFrame};
pub use self::stats::WalStats;

use self::admission::Admission;
use self::cache::RecentCommits;
use self::codec::{BLOCK, FRAME_HEADER_BYTES, round_up};
use self::commit::Pending;
use self::commit_buffer::FullBlocks;
use self::files::{LiveFile, LiveFiles};
use self::frame::{Frame, FrameLocation, FrameSink};
use self::queue::{Entry, Queue};
use self::recovery::Recovered;
use self::space::{Space, SpaceKeeper};
use self::stats::Counters;

mod admission;
mod cache;
mod codec;
mod commit;
mod commit_buffer;
mod error;
mod file_header;
mod files;
pub mod frame;
mod options;
mod position;
mod queue;
mod recovery;
mod space;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

/// The broker's log. Dropping it writes what was submitted and ends its threads.
pub struct Wal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the callers and the threads of the WAL share.
struct Shared {
    options: WalOptions,
    file_header: Bytes,
    queue: Arc<Queue>,
    space: Space,
    files: LiveFiles,
    recent: Mutex<RecentCommits>,
    full_blocks: FullBlocks,
    rolled: watch::Sender<WalPosition>,
    /// Whether a file that is closed is likely to stay as it is.
    files_stay: AtomicBool,
    counters: Counters,
}

impl Wal {
    /// Hands every committed frame at or after `from` to `replay`, in order, and opens `incarnation`, which must be
    /// greater than any before. Frames of the last commit come with their new location. `from` is where the latest
    /// durable checkpoint points, `None` if there never was one.
    ///
    /// Blocks while it reads and writes.
    pub fn open(
        options: WalOptions,
        incarnation: u64,
        from: Option<WalPosition>,
        replay: &mut dyn FnMut(ReplayedFrame) -> Result<(), ReplayError>,
    ) -> Result<(Arc<Self>, RecoveryReport), WalOpenError> {
        options.check().map_err(WalOpenError::Options)?;
        let (recovered, report) = recovery::recover(&options, incarnation, from, replay)?;
        Ok((Self::start(options, recovered)?, report))
    }

    fn start(options: WalOptions, recovered: Recovered) -> Result<Arc<Self>, WalOpenError> {
        let Recovered { first, mut files, .. } = recovered;
        let backlog = files.values().map(|file: &LiveFile| file.bytes).sum::<u64>();
        let current = first.place.file;
        let file_room = options.file_bytes - header_room(&recovered.file_header);
        let mut limits = options.limits();
        // A budget that was lowered must not keep out the changes that release what is there.
        limits.budget_reserve += backlog.saturating_sub(limits.budget);
        let admission = Admission {
            limits,
            room: first.file_len - first.place.offset,
            next_file: None,
            disk_full: false,
            backlog: backlog + first.place.offset,
            outstanding: 0,
        };
        files.insert(
            current,
            LiveFile {
                handle: Arc::clone(&first.file),
                bytes: 0,
                len: first.file_len,
                has_footer: false,
            },
        );
        let mut recent = RecentCommits::new(options.cache_bytes);
        recent.push(current.file, 0, recovered.first_commit);
        let next = WalPosition {
            file: current.file + 1,
            ..current
        };
        let keeper = SpaceKeeper::new(&options, file_room, next);
        let shared = Arc::new(Shared {
            queue: Queue::new(&options, admission, file_room),
            space: Space::default(),
            files: LiveFiles::new(options.dir.clone(), files),
            recent: Mutex::new(recent),
            full_blocks: FullBlocks::for_cache(options.cache_bytes),
            rolled: watch::Sender::new(current),
            files_stay: AtomicBool::new(false),
            counters: Counters::default(),
            file_header: recovered.file_header,
            options,
        });
        let threads = vec![
            spawn("wal-space", &shared, |shared| keeper.run(&shared.space, &shared.queue))?,
            spawn("wal-writer", &shared, |shared| first.run(shared))?,
        ];
        Ok(Arc::new(Self {
            shared,
            threads: Mutex::new(threads),
        }))
    }

    /// Waits until one frame with a payload of that size is sure to be written. An error means that nothing was or
    /// need be sequenced. Cancel it at any time.
    pub async fn reserve(&self, payload_bytes: usize, class: Class) -> Result<Reservation, ReserveError> {
        self.shared.queue.reserve(payload_bytes, class).await
    }

    /// Queues a frame; does not block. The order of calls is the order in the log, for each partition at least, and
    /// `sink` is told once the frame, perhaps joined with its neighbours of the same sink, is on stable storage.
    pub fn submit(&self, reservation: Reservation, frame: Frame, sink: Arc<dyn FrameSink>) {
        let pending = Pending::new(frame, Some(sink));
        if pending.payload_bytes > reservation.payload_bytes() {
            self.shared.fail(FatalError::Overdrawn {
                bytes: pending.payload_bytes,
                reserved: reservation.payload_bytes(),
            });
            return;
        }
        self.shared.queue.submit(Entry { pending, reservation });
    }

    /// Reads a part of a committed frame's payload, `0..location.len` for all of it, from memory or else (blocking)
    /// from its file. Only a payload that is read from its file as a whole is checked against its checksum; record
    /// batches have their own. `NotFound` once the file was released: look in the segments.
    pub fn read(&self, location: FrameLocation, range: Range<usize>) -> io::Result<Bytes> {
        if range.start > range.end || range.end > location.len as usize {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{range:?} is not within a payload of {} bytes", location.len),
            ));
        }
        match self.recent(location, range.clone()) {
            Some(bytes) => Ok(bytes),
            None => self.shared.files.read(location, range),
        }
    }

    /// Reads all of a committed frame's payload, as [`Wal::read`] does, to where it is wanted.
    pub fn read_into(&self, location: FrameLocation, payload: &mut [u8]) -> io::Result<()> {
        match self.recent(location, 0..payload.len()) {
            Some(bytes) => {
                payload.copy_from_slice(&bytes);
                Ok(())
            }
            None => self.shared.files.read_into(location, payload),
        }
    }

    /// The payload, if its commit is still in memory; never blocks.
    #[must_use]
    pub fn read_cached(&self, location: FrameLocation) -> Option<Bytes> {
        self.recent(location, 0..location.len as usize)
    }

    fn recent(&self, location: FrameLocation, range: Range<usize>) -> Option<Bytes> {
        if location.incarnation != self.current().incarnation {
            return None;
        }
        self.shared.recent.lock().get(location, range)
    }

    /// The files that take no more frames and are not released, in order; those of earlier incarnations too.
    #[must_use]
    pub fn closed_files(&self) -> Vec<ClosedFile> {
        self.shared.files.closed()
    }

    /// Changes to the current file whenever one was closed.
    #[must_use]
    pub fn rolled(&self) -> watch::Receiver<WalPosition> {
        self.shared.rolled.subscribe()
    }

    /// Closes the current file behind everything submitted so far, unless it is empty, and returns the current one.
    pub async fn roll(&self) -> Result<WalPosition, RollError> {
        self.shared.queue.roll().await
    }

    /// The file that takes new frames. It is on stable storage: a checkpoint may point at it.
    #[must_use]
    pub fn current(&self) -> WalPosition {
        *self.shared.rolled.borrow()
    }

    /// Gives up every file before `position`, never the current one. Call it when all that they hold is in segments
    /// and a durable checkpoint points at or after `position`.
    pub fn release_before(&self, position: WalPosition) {
        let released = self.shared.files.take_before(position);
        let bytes = released.values().map(|file| file.bytes).sum();
        self.shared.space.release(released);
        self.shared.queue.change_room(|admission| admission.released(bytes));
    }

    /// Writes a footer behind the commits of a closed file, once at most, cuts the file there, and tells where it lies.
    /// The file is on stable storage then, never changes any more and is not recycled: it may have another name, and
    /// live on under that. Blocks.
    pub fn end_with(&self, file: WalPosition, footer: &[u8]) -> io::Result<PathBuf> {
        let path = file.path(&self.shared.options.dir);
        let (handle, end) = self.shared.files.begin_footer(file).ok_or_else(|| {
            let reason = format!("{} takes no footer: it is in use, released, or has one", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        })?;
        handle.write_all_at(footer, end)?;
        handle.set_len(end + footer.len() as u64)?;
        handle.sync_data().inspect_err(|error| {
            self.shared.fail(FatalError::Io {
                action: "sync",
                path: path.clone(),
                source: io::Error::new(error.kind(), error.to_string()),
            });
        })?;
        Ok(path)
    }

    /// Whether files are likely to stay as they are once they are closed, so that nobody reads them a moment later.
    pub fn expect_files_to_stay(&self, stay: bool) {
        self.shared.files_stay.store(stay, Ordering::Relaxed);
    }

    /// Keeps no commit before `position` in memory any more: whoever wants one finds it in a segment.
    pub fn uncache_before(&self, position: WalPosition) {
        let current = self.current();
        if position <= current && position.incarnation == current.incarnation {
            let mut recent = self.shared.recent.lock();
            recent.drop_before(position.file);
            if recent.bytes() <= u64::from(BLOCK) {
                self.shared.full_blocks.clear();
            }
        }
    }

    /// How much of the budget is in use: 0 to 1, and beyond when the budget was lowered.
    #[must_use]
    pub fn fullness(&self) -> f64 {
        let backlog = self.shared.queue.look(|admission| admission.backlog);
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let fullness = backlog as f64 / self.shared.options.budget_bytes as f64;
        fullness
    }

    /// Whether the budget may be used up before another file is closed.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        let WalOptions {
            file_bytes,
            budget_bytes,
            ..
        } = self.shared.options;
        self.stats().backlog_bytes + 2 * file_bytes > budget_bytes
    }

    /// How it stands.
    #[must_use]
    pub fn stats(&self) -> WalStats {
        let stats = self.shared.queue.look(|admission| WalStats {
            backlog_bytes: admission.backlog,
            queue_bytes: admission.outstanding,
            disk_full: admission.disk_full,
            ..WalStats::default()
        });
        self.shared.counters.add_to(WalStats {
            cache_bytes: self.shared.recent.lock().bytes(),
            closed_files: self.closed_files().len(),
            ..stats
        })
    }

    /// Refuses new frames, waits until those submitted are durable, and ends the threads.
    pub async fn close(self: Arc<Self>) {
        // A panic in there would be that of a thread which has already reported it.
        tokio::task::spawn_blocking(move || self.end()).await.ok();
    }

    fn end(&self) {
        self.shared.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        // The writer first: it may still need files.
        for thread in threads.into_iter().rev() {
            if thread.thread().id() != thread::current().id() {
                thread.join().ok();
            }
            self.shared.space.stop();
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// What a fresh file can hold beside its header.
    fn fresh_file_room(&self) -> u64 {
        self.options.file_bytes - header_room(&self.file_header)
    }

    /// The end: nothing is acknowledged any more.
    fn fail(&self, error: FatalError) {
        self.queue.abandon();
        self.space.stop();
        (self.options.on_fatal)(error);
    }
}

/// What a file header takes of a file at most.
fn header_room(file_header: &Bytes) -> u64 {
    round_up((FRAME_HEADER_BYTES + file_header.len()) as u64)
}

/// Runs one of the WAL's threads; whatever ends it but the order to end is fatal.
fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Shared) -> Result<(), FatalError> + Send + 'static,
) -> Result<JoinHandle<()>, WalOpenError> {
    struct OnPanic(Arc<Shared>);
    impl Drop for OnPanic {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.fail(FatalError::Panicked);
            }
        }
    }
    let shared = Arc::clone(shared);
    let dir = shared.options.dir.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let on_panic = OnPanic(shared);
        if let Err(error) = run(&on_panic.0) {
            on_panic.0.fail(error);
        }
    });
    thread.map_err(|source| WalOpenError::Io {
        action: "start a thread for",
        path: dir,
        source,
    })
}
