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
mod file;
mod open;
mod resume;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::disk::{Disk, DiskFile, OpenMode};

pub use buffer::{Buffer, Fill, Mark};
pub use file::{Arrival, Continues, Followed, Opening, StartAt, begin};
pub use resume::{Look, Resume, resume};

use file::{Turn, read_head};
use open::OpenFiles;

use crate::discover::FileNo;
use crate::frame::{End, Lines};
use crate::position::Fingerprint;

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
        }
    }
}

/// Polling a file that has nothing new costs about a microsecond: this keeps it to a fiftieth of the time.
const POLL_SHARE: Duration = Duration::from_micros(50);

/// What became of the file whose turn it was.
#[derive(Debug)]
pub enum Turned {
    /// No file has its turn.
    Nobody,
    /// There may be lines: see [`Tail::lines`], then [`Tail::consumed`].
    Read(FileNo, End),
    /// It was cut or written over, and goes on at its start; so many bytes had not been read.
    Restarted(FileNo, u64),
    /// Under its name is another file: find out where it went.
    Misplaced(FileNo),
    /// Its inode has another content that may belong elsewhere; so many bytes had not been read. Forget it.
    Replaced(FileNo, u64),
    /// It has neither a name nor an open handle; so many bytes had not been read. Forget it.
    Vanished(FileNo, u64),
    /// It could not be read.
    Failed(FileNo, io::Error),
}

/// What [`Tail::consumed`] leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    GoOn,
    /// The file is gone and read to its end. Forget it.
    Finished,
}

/// All followed files, and whose turn it is.
#[derive(Debug)]
pub struct Tail {
    disk: Arc<dyn Disk>,
    limits: Limits,
    files: HashMap<FileNo, Followed>,
    ready: VecDeque<FileNo>,
    /// May hold files that are not hot any more, or some twice: a file's own word counts.
    hot: Vec<FileNo>,
    polled_at: Duration,
    open: OpenFiles,
    buffer: Buffer,
    at_end: bool,
    end: End,
    touched: Vec<FileNo>,
}

impl Tail {
    /// Nothing followed yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, limits: Limits) -> Self {
        Self {
            disk,
            files: HashMap::new(),
            ready: VecDeque::new(),
            hot: Vec::new(),
            polled_at: Duration::ZERO,
            open: OpenFiles::default(),
            buffer: Buffer::new(limits.chunk_len),
            at_end: false,
            end: End::Open,
            touched: Vec::new(),
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

    /// A file was seen with this length.
    pub fn seen(&mut self, file: FileNo, len: u64) {
        if let Some(followed) = self.files.get_mut(&file) {
            followed.high = followed.high.max(len);
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

    /// Follows a file no longer.
    pub fn forget(&mut self, file: FileNo) -> Option<Followed> {
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

    /// Whether a file waits for its turn.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When files at their end are tried again.
    #[must_use]
    pub fn next_poll(&self) -> Option<Duration> {
        let share = POLL_SHARE.saturating_mul(u32::try_from(self.hot.len()).unwrap_or(u32::MAX));
        (!self.hot.is_empty()).then(|| self.polled_at + self.limits.poll_interval.max(share))
    }

    /// Gives all hot files their turn, if it is time.
    pub fn poll(&mut self, now: Duration) {
        if self.next_poll().is_some_and(|due| due <= now) {
            self.polled_at = now;
            for file in self.hot.drain(..) {
                if let Some(followed) = self.files.get_mut(&file)
                    && followed.turn == Turn::Hot
                {
                    followed.turn = Turn::Ready;
                    self.ready.push_back(file);
                }
            }
        }
    }

    /// Reads on in the file whose turn it is; its lines may have up to `enough(input)` bytes.
    pub fn turn(&mut self, enough: impl Fn(usize) -> usize, now: Duration) -> Turned {
        while let Some(file) = self.ready.pop_front() {
            let Some(followed) = self.files.get_mut(&file) else {
                continue;
            };
            followed.turn = Turn::Hot;
            self.hot.push(file);
            let waits_for = followed.after;
            if waits_for.is_some_and(|predecessor| self.files.get(&predecessor).is_some_and(|p| !p.drained)) {
                continue;
            }
            let enough = self.files.get_mut(&file).map_or(0, |followed| {
                followed.after = None;
                enough(followed.input)
            });
            match self.read(file, enough, now) {
                Ok(Some(turned)) => return turned,
                Ok(None) => {}
                Err(error) => {
                    self.sleep(file);
                    if let Some(followed) = self.files.get_mut(&file) {
                        // A successor need not wait for what cannot be read.
                        followed.drained = true;
                    }
                    return Turned::Failed(file, error);
                }
            }
        }
        Turned::Nobody
    }

    /// `None` if there is nothing to tell yet.
    fn read(&mut self, file: FileNo, enough: usize, now: Duration) -> io::Result<Option<Turned>> {
        let Some((handle, mark)) = self.handle(file)? else {
            return Ok(self.unreachable(file));
        };
        let Some(followed) = self.files.get_mut(&file) else {
            return Ok(None);
        };
        let mut fill = self.buffer.fill(&*handle, &mark, enough)?;
        if matches!(fill, Fill::Fresh { .. }) && !grow_fingerprint(followed, &*handle, &self.buffer)? {
            fill = Fill::Differs;
        }
        let Fill::Fresh { at_end } = fill else {
            // Not `unread`: a length seen since may be that of the new content.
            let lost = followed.reached.saturating_sub(followed.mark.offset);
            if followed.reopened {
                return Ok(Some(Turned::Replaced(file, lost)));
            }
            followed.restart(handle.metadata()?.len);
            self.touch(file);
            self.wake(file);
            return Ok(Some(Turned::Restarted(file, lost)));
        };
        followed.reopened = false;
        let end_of_file = mark.offset + self.buffer.fresh().len() as u64;
        followed.read_to(end_of_file, at_end, now);
        self.at_end = at_end;
        self.end = end_of(followed, &self.limits, at_end, now);
        Ok(Some(Turned::Read(file, self.end)))
    }

    /// The lines that the last read gave.
    #[must_use]
    pub fn lines(&self, file: FileNo, max_len: usize) -> Lines<'_> {
        let mid_line = self.files.get(&file).is_some_and(|followed| followed.mark.mid_line);
        Lines::new(self.buffer.fresh(), mid_line, max_len, self.end)
    }

    /// Moves on by what was consumed of the last read; `stopped` if there may be more lines in it.
    pub fn consumed(&mut self, file: FileNo, len: usize, mid_line: bool, stopped: bool, now: Duration) -> After {
        let left = self.buffer.fresh().len() - len;
        let Some(followed) = self.files.get_mut(&file) else {
            return After::GoOn;
        };
        if len > 0 {
            followed.mark = self.buffer.advance(&followed.mark, len, mid_line);
            self.touch(file);
        }
        if stopped || !self.at_end {
            self.wake(file);
            return After::GoOn;
        }
        let Some(followed) = self.files.get_mut(&file) else {
            return After::GoOn;
        };
        // One byte may stay behind an unfinished line: the first half of its terminator.
        followed.drained = left == 0 || (followed.mark.mid_line && left == 1);
        if self.end == End::Final {
            return After::Finished;
        }
        let quiet = now.saturating_sub(followed.grown_at) >= self.limits.hot_for;
        if quiet && followed.drained && followed.nameless_since.is_none() {
            self.sleep(file);
        }
        After::GoOn
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

    /// Gives back what is only needed while there is something to read.
    pub fn rest(&mut self) {
        self.buffer.release();
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
            followed.encoding = None;
            self.open.rank(file, followed);
        }
    }

    /// The handle and the mark; opens the file by its path if need be. `None` if that is not possible.
    fn handle(&mut self, file: FileNo) -> io::Result<Option<(Arc<dyn DiskFile>, Mark)>> {
        let Some(followed) = self.files.get(&file) else {
            return Ok(None);
        };
        if let Some(handle) = &followed.handle {
            return Ok(Some((Arc::clone(handle), followed.mark)));
        }
        if followed.nameless_since.is_some() {
            return Ok(None);
        }
        let mark = followed.mark;
        let handle = match self.disk.open(&followed.path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if handle.metadata()?.id != followed.key.id {
            return Ok(None);
        }
        self.keep_open(file, Arc::clone(&handle));
        if let Some(followed) = self.files.get_mut(&file) {
            followed.reopened = true;
        }
        Ok(Some((handle, mark)))
    }

    /// What to say of a file that has no handle and could not be opened under its name.
    fn unreachable(&mut self, file: FileNo) -> Option<Turned> {
        let followed = self.files.get_mut(&file)?;
        followed.drained = true;
        if followed.nameless_since.is_none() {
            self.sleep(file);
            return Some(Turned::Misplaced(file));
        }
        followed
            .nameless_for_sure
            .then(|| Turned::Vanished(file, followed.unread()))
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

/// While a file is short its fingerprint grows with it. False if its start is not what it was.
fn grow_fingerprint(followed: &mut Followed, handle: &dyn DiskFile, buffer: &Buffer) -> io::Result<bool> {
    let fingerprint = followed.key.fingerprint;
    if fingerprint.len as usize >= Fingerprint::HEAD_LEN || (buffer.fresh().is_empty() && !followed.reopened) {
        return Ok(true);
    }
    let head = match buffer.head(&followed.mark) {
        Some(head) => Fingerprint::of(head),
        None => {
            let head = read_head(handle)?;
            if fingerprint.same_start(&head) != Some(true) {
                return Ok(false);
            }
            Fingerprint::of(&head)
        }
    };
    followed.key.fingerprint = head;
    Ok(true)
}

/// What may follow the bytes that were read.
fn end_of(followed: &Followed, limits: &Limits, at_end: bool, now: Duration) -> End {
    let quiet_for = now.saturating_sub(followed.grown_at);
    match followed.nameless_since {
        _ if !at_end => End::Open,
        Some(since) if followed.nameless_for_sure && now.saturating_sub(since).min(quiet_for) >= limits.drain_for => {
            End::Final
        }
        _ if quiet_for >= limits.partial_line_timeout => End::Idle,
        _ => End::Open,
    }
}
