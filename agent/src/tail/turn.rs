//! One file's turn: read on, find out what happened to it, and say what that means.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::disk::{DiskFile, OpenMode};

use super::buffer::{Buffer, Fill, Mark};
use super::file::{Followed, Turn, read_head};
use super::window::{OpenEvent, Window};
use super::{Limits, NAME_SHARE, Tail};
use crate::discover::{FileNo, is_rotated};
use crate::frame::{Consumed, End, Framing, Mark as CharsetMark, mark_of};
use crate::position::Fingerprint;

/// An incomplete event of at most this size is held in memory until it is complete.
const HELD_MAX: usize = 64 << 10;
/// And no more than this of all files together.
const HELD_TOTAL_MAX: usize = 16 << 20;

/// What had not been consumed of a content that is no more.
#[derive(Debug, Default)]
pub struct Unread {
    /// Lines that were read, and waited for more.
    pub event: Vec<u8>,
    /// What the first bytes of the file said of its encoding.
    pub charset: CharsetMark,
    /// Whether they follow a part of their line that was sent.
    pub mid_line: bool,
    /// So many bytes are lost.
    pub lost: u64,
}

/// What became of the file whose turn it was.
#[derive(Debug)]
pub enum Turned {
    /// No file has its turn.
    Nobody,
    /// There may be events in [`Tail::window`]; then [`Tail::consumed`].
    Read(FileNo),
    /// It was cut or written over, and goes on at its start.
    Restarted(FileNo, Unread),
    /// Under its name is another file, or none: find out where it went.
    Misplaced(FileNo),
    /// Its inode has another content that may belong elsewhere. Forget it.
    Replaced(FileNo, Unread),
    /// It has neither a name nor an open handle. Forget it.
    Vanished(FileNo, Unread),
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
    /// Reads on in the file whose turn it is; its input says how it is cut into events, or that it has to wait.
    pub fn turn<'f>(&mut self, framing: impl Fn(usize) -> Option<&'f Framing>, now: Duration) -> Turned {
        while let Some(file) = self.ready.pop_front() {
            let Some(followed) = self.files.get_mut(&file) else {
                continue;
            };
            followed.turn = Turn::Hot;
            self.hot.insert(file);
            let Some(framing) = framing(followed.input) else {
                continue;
            };
            let waits_for = followed.after;
            if waits_for.is_some_and(|predecessor| self.files.get(&predecessor).is_some_and(|p| !p.drained)) {
                continue;
            }
            if self.has_left(file, now) {
                self.wake(file);
                return Turned::Misplaced(file);
            }
            match self.read(file, framing, now) {
                Ok(Some(turned)) => {
                    self.served = file;
                    return turned;
                }
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
    fn read(&mut self, file: FileNo, framing: &Framing, now: Duration) -> io::Result<Option<Turned>> {
        let Some((handle, mark)) = self.handle(file)? else {
            return Ok(self.unreachable(file));
        };
        let Some(before) = self.open_events_before(file) else {
            return Ok(None);
        };
        let Some(followed) = self.files.get_mut(&file) else {
            return Ok(None);
        };
        if before.is_empty() {
            followed.after = None;
        }
        let least = if followed.starved { framing.enough() } else { 0 };
        let buffer = &mut self.window.buffer;
        let mut fill = buffer.fill(&*handle, &mark, least)?;
        if let Fill::Fresh { at_end } = fill
            && (!has_open_event(followed, buffer.fresh(), at_end) || !grow_fingerprint(followed, &*handle, buffer)?)
        {
            fill = Fill::Differs;
        }
        let Fill::Fresh { mut at_end } = fill else {
            return self.differs(file, &*handle).map(Some);
        };
        if at_end && followed.has_left_its_name() {
            // It is left at its end for its successor, or given up: that has to be certain.
            at_end = handle.read_at(&mut [0], mark.offset + buffer.fresh().len() as u64)? == 0;
        }
        followed.reopened = false;
        if mark.offset == 0 {
            followed.charset = mark_of(buffer.fresh());
        }
        let charset = followed.charset;
        let fresh_len = buffer.fresh().len();
        followed.read_to(mark.offset + fresh_len as u64, at_end, now);
        let mut end = end_of(followed, &self.limits, framing, at_end, now);
        if let Some(next) = followed.continued_by
            && self.files.get(&next).is_some_and(|next| next.error.is_none())
        {
            // It is for that one to say when the event is complete.
            end = End::Open;
        }
        for event in before.iter().filter(|_| fresh_len > 0) {
            if let Some(earlier) = self.files.get_mut(&event.file) {
                earlier.continued_by = Some(file);
            }
        }
        self.window.join(before, &mark);
        (self.window.at_end, self.window.end) = (at_end, end);
        (self.window.charset, self.window.goes_on) = (charset, framing.goes_on_in_next_file(charset));
        Ok(Some(Turned::Read(file)))
    }

    /// The file has another content than the one that was read.
    fn differs(&mut self, file: FileNo, handle: &dyn DiskFile) -> io::Result<Turned> {
        let Some(followed) = self.files.get_mut(&file) else {
            return Ok(Turned::Nobody);
        };
        // Not `unread`: a length seen since may be that of the new content.
        let unread = followed.reached.saturating_sub(followed.mark.offset);
        // Under a name that rotation gave it, it belongs where it did.
        if followed.reopened && !is_rotated(&followed.path, &followed.origin) {
            return Ok(Turned::Replaced(file, self.give_up(file, unread)));
        }
        let metadata = handle.metadata()?;
        let unread = self.give_up(file, unread);
        if let Some(followed) = self.files.get_mut(&file) {
            followed.restart(&metadata);
        }
        self.touch(file);
        self.wake(file);
        Ok(Turned::Restarted(file, unread))
    }

    /// The last events of the files before this one, if they may go on in it. `None` if one of these files must have its
    /// turn first.
    fn open_events_before(&mut self, file: FileNo) -> Option<Vec<OpenEvent>> {
        let mut events = Vec::new();
        let mut before = self.files.get(&file)?.after;
        while let Some(earlier) = before.and_then(|earlier| Some((earlier, self.files.get(&earlier)?))) {
            let (earlier, followed) = earlier;
            let len = followed.open_event_len;
            before = followed.after;
            if len == 0 {
                continue;
            }
            // What cannot be read is told of at its own turn.
            let Ok(Some((handle, mark))) = self.handle(earlier) else {
                break;
            };
            let mut buffer = Buffer::new(len + 1);
            match buffer.fill(&*handle, &mark, 0) {
                Ok(Fill::Fresh { at_end: true }) if buffer.fresh().len() == len => events.push(OpenEvent {
                    file: earlier,
                    mark,
                    buffer,
                }),
                Ok(_) => {
                    self.drain(earlier);
                    return None;
                }
                Err(_) => break,
            }
        }
        events.reverse();
        Some(events)
    }

    /// What the last read gave.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Moves on by what was consumed of the last read; `stopped` if there may be more events in it.
    pub fn consumed(&mut self, file: FileNo, consumed: Consumed, stopped: bool, now: Duration) -> After {
        let left = self.window.bytes().len() - consumed.len;
        let own = self.advance_before(consumed);
        let own_left = self.window.buffer.fresh().len() - own;
        let Some(followed) = self.files.get_mut(&file) else {
            return After::GoOn;
        };
        if own > 0 {
            followed.mark = self.window.buffer.advance(&followed.mark, own, consumed.mid_line);
            self.touch(file);
        }
        let at_end = self.window.at_end;
        let at_line_end = self.window.goes_on && self.window.bytes().ends_with(b"\n");
        let is_open = at_end && !stopped && own_left > 0 && at_line_end;
        let Some(followed) = self.files.get_mut(&file) else {
            return After::GoOn;
        };
        let rest = self.window.buffer.fresh().get(own..).filter(|_| is_open);
        hold(followed, &mut self.held_len, rest.unwrap_or_default(), own > 0);
        followed.starved = consumed.len == 0 && (followed.starved || !at_end);
        if stopped || !at_end {
            self.wake(file);
            return After::GoOn;
        }
        // One byte may stay behind an unfinished line: the first half of its terminator. And what is not sent although
        // nothing has come for long, half a letter or a lone return, may never be: no successor waits for it.
        let is_idle = self.window.end >= End::Idle;
        let is_done = |left: usize| left == 0 || is_idle || (followed.mark.mid_line && left == 1);
        let nothing_left = is_done(left);
        followed.drained = is_open || is_done(own_left);
        if self.window.end == End::Final {
            return After::Finished;
        }
        let quiet = now.saturating_sub(followed.grown_at) >= self.limits.hot_for;
        if quiet && nothing_left && followed.nameless_since.is_none() {
            self.sleep(file);
        }
        After::GoOn
    }

    /// Moves on in the earlier files. How many bytes were consumed of the file whose turn it is.
    fn advance_before(&mut self, consumed: Consumed) -> usize {
        let mut left = consumed.len;
        for event in std::mem::take(&mut self.window.before) {
            let len = event.buffer.fresh().len();
            let taken = left.min(len);
            left -= taken;
            if taken > 0 {
                let mid_line = left == 0 && consumed.mid_line;
                if let Some(earlier) = self.files.get_mut(&event.file) {
                    earlier.mark = event.buffer.advance(&event.mark, taken, mid_line);
                    let rest = event.buffer.fresh().get(taken..).unwrap_or_default();
                    hold(earlier, &mut self.held_len, rest, true);
                }
                self.touch(event.file);
            }
        }
        left
    }

    pub(super) fn release_held(&mut self, file: FileNo) -> Box<[u8]> {
        let held = self
            .files
            .get_mut(&file)
            .map(|followed| std::mem::take(&mut followed.held));
        let held = held.unwrap_or_default();
        self.held_len -= held.len();
        held
    }

    /// Gives up what was not read of an open file, so that its space is free once it is forgotten.
    pub fn abandon(&mut self, file: FileNo) -> Unread {
        let unread = self.files.get(&file).map_or(0, |followed| {
            let len = followed.handle.as_ref().and_then(|handle| handle.metadata().ok());
            let len = len.map_or(followed.high, |metadata| metadata.len);
            len.saturating_sub(followed.mark.offset)
        });
        self.give_up(file, unread)
    }

    /// What is left of `unread` bytes that are in the file no longer, and the event in earlier files that goes on in it.
    fn give_up(&mut self, file: FileNo, unread: u64) -> Unread {
        let held = self.release_held(file);
        let lost = unread.saturating_sub(held.len() as u64);
        let followed = self.files.get(&file).map(|followed| (followed.mark, followed.charset));
        let (mark, charset) = followed.unwrap_or_default();
        let before = match held.is_empty() {
            true => Vec::new(),
            false => self.open_events_before(file).unwrap_or_default(),
        };
        let mid_line = before.first().map_or(mark, |oldest| oldest.mark).mid_line;
        let mut event = Vec::new();
        before
            .iter()
            .for_each(|earlier| event.extend_from_slice(earlier.buffer.fresh()));
        self.window.before = before;
        self.advance_before(Consumed {
            len: event.len(),
            mid_line: false,
        });
        event.extend_from_slice(&held);
        Unread {
            event,
            charset,
            mid_line,
            lost,
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
        let (is_nameless, is_for_sure) = (followed.is_nameless(), followed.nameless_for_sure);
        let unread = followed.unread();
        if !is_nameless {
            self.sleep(file);
            return Some(Turned::Misplaced(file));
        }
        is_for_sure.then(|| Turned::Vanished(file, self.give_up(file, unread)))
    }
}

/// Notes that the last bytes of a file are an event that may not be complete, and keeps a copy of them.
fn hold(followed: &mut Followed, total: &mut usize, event: &[u8], moved: bool) {
    followed.open_event_len = event.len();
    if moved {
        followed.continued_by = None;
    }
    if !moved && followed.held.len() == event.len() {
        return;
    }
    *total -= followed.held.len();
    let has_room = event.len() <= HELD_MAX && *total + event.len() <= HELD_TOTAL_MAX;
    followed.held = if has_room { event.into() } else { Box::default() };
    *total += followed.held.len();
}

/// Whether a file of which nothing was consumed still has the event that waits for more lines: there are no bytes before
/// the mark that would tell.
fn has_open_event(followed: &Followed, fresh: &[u8], at_end: bool) -> bool {
    if followed.mark.offset > 0 {
        return true;
    }
    let held = &*followed.held;
    let len = held.len().min(fresh.len());
    fresh.get(..len) == held.get(..len) && (!at_end || fresh.len() >= followed.open_event_len)
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
fn end_of(followed: &Followed, limits: &Limits, framing: &Framing, at_end: bool, now: Duration) -> End {
    let quiet_for = now.saturating_sub(followed.grown_at);
    match followed.nameless_since {
        _ if !at_end => End::Open,
        Some(since) if followed.nameless_for_sure && now.saturating_sub(since).min(quiet_for) >= limits.drain_for => {
            End::Final
        }
        _ if quiet_for < framing.event_timeout() => End::Open,
        _ if quiet_for >= limits.partial_line_timeout => End::Idle,
        _ if framing.multiline.is_some() => End::Settled,
        _ => End::Open,
    }
}
