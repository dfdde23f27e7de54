//! Reads raw bytes by offset from handles that it owns; drains rotated files; notices truncation.
//!
//! A file is in one of three states. *Ready*: it has its turn in a round, a chunk at a time, so that a loud file does not
//! starve the others. *Hot*: it was read to its end a moment ago and is tried again at short intervals; events would only
//! cost here. *Asleep*: nothing happened for a while, and it waits to be woken by what the directories show.
//!
//! Handles are kept open while there are not too many, so that a file that is deleted can still be read to its end. Of
//! those that were closed for want of room, what is written between the last look and the deletion is lost; it is counted
//! as far as it was seen.

mod buffer;
mod copy;
mod file;
mod open;
mod resume;
mod turn;
mod window;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::disk::{Disk, DiskFile, Metadata};

pub use buffer::{Buffer, Fill, Mark};
pub use copy::Original;
pub use file::{Arrival, Continues, Followed, Opening, StartAt, begin, read_head};
pub use resume::{Look, Resume, resume};
pub use turn::{After, Turned, Unread};
pub use window::Window;

use file::Turn;
use open::OpenFiles;

use crate::discover::FileNo;

/// How much, how long, how many.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes read from one file before the next has its turn.
    pub chunk_len: usize,
    /// Handles kept open.
    pub open_files: usize,
    /// The shortest interval at which files at their end are tried again.
    pub poll_interval: Duration,
    /// For how long after it has grown a file is tried again that way.
    pub hot_for: Duration,
    /// How long an unterminated line waits for its end.
    pub partial_line_timeout: Duration,
    /// How long a file without a name is kept after it last grew: who wrote it may not be done.
    pub drain_for: Duration,
    /// How long a file without a name is kept although not all of it was read.
    pub close_deleted_after: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk_len: 256 << 10,
            open_files: 8192,
            poll_interval: Duration::from_millis(10),
            hot_for: Duration::from_secs(2),
            partial_line_timeout: Duration::from_secs(5),
            drain_for: Duration::from_secs(10),
            close_deleted_after: None,
        }
    }
}

/// Polling a file costs about ten microseconds: this keeps it to a fiftieth of the time.
const POLL_SHARE: Duration = Duration::from_micros(500);
/// To ask for the file that has its name costs a quarter of that, and is a two-hundredth of the time.
const NAME_SHARE: Duration = Duration::from_micros(500);

/// All followed files, and whose turn it is.
#[derive(Debug)]
pub struct Tail {
    disk: Arc<dyn Disk>,
    limits: Limits,
    files: HashMap<FileNo, Followed>,
    ready: VecDeque<FileNo>,
    /// May hold files that are not hot any more: a file's own word counts.
    hot: BTreeSet<FileNo>,
    polled_at: Duration,
    /// The file that was read last: those behind it come first in the next round.
    served: FileNo,
    open: OpenFiles,
    window: Window,
    touched: Vec<FileNo>,
    /// Bytes that all files hold together.
    held_len: usize,
}

impl Tail {
    /// Nothing followed yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, limits: Limits) -> Self {
        Self {
            disk,
            files: HashMap::new(),
            ready: VecDeque::new(),
            hot: BTreeSet::new(),
            polled_at: Duration::ZERO,
            served: FileNo(0),
            open: OpenFiles::default(),
            window: Window::new(limits.chunk_len),
            touched: Vec::new(),
            held_len: 0,
            limits,
        }
    }

    /// Follows a file from its mark on, once its predecessor was read to its end.
    pub fn follow(
        &mut self,
        file: FileNo,
        arrival: Arrival,
        handle: Arc<dyn DiskFile>,
        opening: &Opening,
        now: Duration,
    ) {
        let predecessor = arrival.after;
        self.files.insert(file, Followed::new(arrival, opening, now));
        self.keep_open(file, handle);
        if let Some(predecessor) = predecessor {
            self.drain(predecessor);
        }
        // Even a position at the start says that the file is followed, should it leave the glob while the agent is down.
        if opening.continues != Continues::There {
            self.touch(file);
        }
        self.wake(file);
    }

    /// Reads a file to its end before its successor starts.
    fn drain(&mut self, file: FileNo) {
        if let Some(followed) = self.files.get_mut(&file) {
            followed.drained = false;
        }
        self.wake(file);
    }

    /// Gives a file its turn.
    pub fn wake(&mut self, file: FileNo) {
        if let Some(followed) = self.files.get_mut(&file)
            && followed.turn != Turn::Ready
        {
            followed.turn = Turn::Ready;
            self.ready.push_back(file);
        }
    }

    /// A file was seen under its name.
    pub fn seen(&mut self, file: FileNo, metadata: &Metadata) {
        if let Some(followed) = self.files.get_mut(&file) {
            followed.see(metadata);
        }
        self.wake(file);
    }

    /// A file has this name.
    pub fn named(&mut self, file: FileNo, path: Arc<Path>) {
        if let Some(followed) = self.files.get_mut(&file) {
            followed.path = path;
            (followed.nameless_since, followed.nameless_for_sure) = (None, false);
            self.open.rank(file, followed);
        }
        self.wake(file);
    }

    /// A file has no name that could be found; `for_sure` if it was looked for everywhere.
    pub fn nameless(&mut self, file: FileNo, for_sure: bool, now: Duration) {
        if let Some(followed) = self.files.get_mut(&file) {
            followed.nameless_since.get_or_insert(now);
            followed.nameless_for_sure |= for_sure;
            self.open.rank(file, followed);
        }
        self.wake(file);
    }

    /// Open files without a name that were kept for as long as they may be although they are not read to their end.
    #[must_use]
    pub fn overdue(&self, now: Duration) -> Vec<FileNo> {
        let Some(longest) = self.limits.close_deleted_after else {
            return Vec::new();
        };
        let is_overdue = |followed: &Followed| {
            let since = followed.nameless_since.filter(|_| followed.nameless_for_sure);
            let is_late = since.is_some_and(|since| now.saturating_sub(since) >= longest);
            let len = || followed.handle.as_ref()?.metadata().ok().map(|metadata| metadata.len);
            is_late && len().is_some_and(|len| len > followed.mark.offset)
        };
        self.iter()
            .filter(|(_, followed)| is_overdue(followed))
            .map(|(file, _)| file)
            .collect()
    }

    /// Follows a file no longer.
    pub fn forget(&mut self, file: FileNo) -> Option<Followed> {
        self.release_held(file);
        let mut followed = self.files.remove(&file)?;
        self.open.close(file, &mut followed);
        Some(followed)
    }

    /// One of the files.
    #[must_use]
    pub fn get(&self, file: FileNo) -> Option<&Followed> {
        self.files.get(&file)
    }

    /// One of the files, to note something about it.
    pub fn get_mut(&mut self, file: FileNo) -> Option<&mut Followed> {
        self.files.get_mut(&file)
    }

    /// All files, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (FileNo, &Followed)> {
        self.files.iter().map(|(file, followed)| (*file, followed))
    }

    /// Whether a file is not read before something wakes it.
    #[must_use]
    pub fn is_asleep(&self, file: FileNo) -> bool {
        self.files
            .get(&file)
            .is_none_or(|followed| followed.turn == Turn::Asleep)
    }

    /// Whether a file waits for its turn.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When files at their end are tried again.
    #[must_use]
    pub fn next_poll(&self) -> Option<Duration> {
        let interval = self.limits.poll_interval.max(self.share_of(POLL_SHARE));
        (!self.hot.is_empty()).then(|| self.polled_at + interval)
    }

    /// For all hot files, those whose turn it is among them.
    fn share_of(&self, one: Duration) -> Duration {
        one.saturating_mul(u32::try_from(self.hot.len() + self.ready.len()).unwrap_or(u32::MAX))
    }

    /// Gives all hot files their turn, if it is time.
    pub fn poll(&mut self, now: Duration) {
        if self.next_poll().is_some_and(|due| due <= now) {
            self.polled_at = now;
            let mut round = std::mem::take(&mut self.hot);
            // Who has just been read may have used up what its input may have in a second.
            let behind = round.split_off(&FileNo(self.served.0.saturating_add(1)));
            for file in behind.into_iter().chain(round) {
                if let Some(followed) = self.files.get_mut(&file)
                    && followed.turn == Turn::Hot
                {
                    followed.turn = Turn::Ready;
                    self.ready.push_back(file);
                }
            }
        }
    }

    /// The files whose marks moved since this was last asked.
    pub fn take_touched(&mut self) -> Vec<FileNo> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.retain(|file| {
            self.files
                .get_mut(file)
                .is_some_and(|followed| std::mem::replace(&mut followed.touched, false))
        });
        touched
    }

    /// Whether any mark moved since the marks were last taken.
    #[must_use]
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Other limits, from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Gives back what is only needed while there is something to read.
    pub fn rest(&mut self) {
        self.window.release();
    }

    fn touch(&mut self, file: FileNo) {
        if let Some(followed) = self.files.get_mut(&file)
            && !std::mem::replace(&mut followed.touched, true)
        {
            self.touched.push(file);
        }
    }

    fn sleep(&mut self, file: FileNo) {
        if let Some(followed) = self.files.get_mut(&file) {
            followed.turn = Turn::Asleep;
            followed.common = None;
            self.open.rank(file, followed);
        }
    }

    fn keep_open(&mut self, file: FileNo, handle: Arc<dyn DiskFile>) {
        if let Some(followed) = self.files.get_mut(&file) {
            self.open.open(file, followed, handle);
        }
        while let Some(oldest) = self.open.above(self.limits.open_files.max(1)) {
            match self.files.get_mut(&oldest) {
                Some(followed) => self.open.close(oldest, followed),
                None => self.open.drop_rank(oldest),
            }
        }
    }
}
