//! One file's turn: read on, find out what happened to it, and say what that means.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::disk::{DiskFile, OpenMode};

use super::buffer::{Buffer, Fill, Mark};
use super::file::{Followed, Turn, read_head};
use super::{Limits, NAME_SHARE, Tail};
use crate::discover::{FileNo, is_rotated};
use crate::frame::{End, Lines};
use crate::position::Fingerprint;

/// What became of the file whose turn it was.
#[derive(Debug)]
pub enum Turned {
    /// No file has its turn.
    Nobody,
    /// There may be lines: see [`Tail::lines`], then [`Tail::consumed`].
    Read(FileNo, End),
    /// It was cut or written over, and goes on at its start; so many bytes had not been read.
    Restarted(FileNo, u64),
    /// Under its name is another file, or none: find out where it went.
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

impl Tail {
    /// Reads on in the file whose turn it is; its lines may have up to `enough(input)` bytes.
    pub fn turn(&mut self, enough: impl Fn(usize) -> usize, now: Duration) -> Turned {
        while let Some(file) = self.ready.pop_front() {
            let Some(followed) = self.files.get_mut(&file) else {
                continue;
            };
            followed.turn = Turn::Hot;
            self.hot.insert(file);
            let waits_for = followed.after;
            if waits_for.is_some_and(|predecessor| self.files.get(&predecessor).is_some_and(|p| !p.drained)) {
                continue;
            }
            if self.has_left(file, now) {
                self.wake(file);
                return Turned::Misplaced(file);
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

    /// Whether another file, or none, has its name now. That is asked of busy files alone, and not too often: a rotation
    /// is noticed at once, even if the next one follows within a moment.
    fn has_left(&mut self, file: FileNo, now: Duration) -> bool {
        let interval = self.limits.poll_interval.max(self.share_of(NAME_SHARE));
        let Some(followed) = self.files.get_mut(&file) else {
            return false;
        };
        if followed.nameless_since.is_some() || now < followed.named_at + interval {
            return false;
        }
        followed.named_at = now;
        match self.disk.metadata(&followed.path) {
            Ok(metadata) if metadata.id == followed.key.id => {
                followed.see(&metadata);
                false
            }
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
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
            // Under a name that rotation gave it, it belongs where it did.
            if followed.reopened && !is_rotated(&followed.path, &followed.origin) {
                return Ok(Some(Turned::Replaced(file, lost)));
            }
            followed.restart(&handle.metadata()?);
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
