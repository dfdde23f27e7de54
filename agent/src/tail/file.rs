//! One followed file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tailrace_shared::disk::{DiskFile, FileId, Metadata};

use super::buffer::Mark;
use super::resume::{Look, Resume, resume};
use crate::discover::FileNo;
use crate::frame::{Mark as CharsetMark, mark_of};
use crate::position::{FileKey, FilePosition, Fingerprint};
use crate::routing::Origin;

/// When a file is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// As soon as those before it were.
    Ready,
    /// At the next round of polling.
    Hot,
    /// When something says that it changed.
    Asleep,
}

/// What is known of one file that is followed.
#[derive(Debug)]
pub struct Followed {
    /// Its identity.
    pub key: FileKey,
    /// Its name now, as far as is known.
    pub path: Arc<Path>,
    /// The name that matched a pattern when it was first met: what its records and its position carry.
    pub origin: Arc<Path>,
    /// The input it belongs to.
    pub input: usize,
    /// The lane that its lines go through.
    pub lane: u16,
    /// How far it was read.
    pub mark: Mark,
    /// The longest that it was seen since it began.
    pub high: u64,
    /// See [`FilePosition::modified_ms`].
    pub modified_ms: i64,
    /// What went wrong last, if it has not been mended since.
    pub error: Option<Box<str>>,
    /// What its lines have in common; made when it is first needed.
    pub(crate) common: Option<Arc<Origin>>,
    /// What its first bytes say of its encoding.
    pub(super) charset: CharsetMark,
    pub(super) handle: Option<Arc<dyn DiskFile>>,
    /// Whether the handle was opened anew by path, and nothing was compared yet.
    pub(super) reopened: bool,
    /// Is read to its end before this one starts.
    pub(super) after: Option<FileNo>,
    /// Whether there was nothing left to read when it was last tried.
    pub(super) drained: bool,
    /// When it was last seen under its name.
    pub(super) named_at: Duration,
    /// Since when it has no name that can be found.
    pub(super) nameless_since: Option<Duration>,
    /// Whether a search everywhere has not found it either.
    pub(super) nameless_for_sure: bool,
    /// Where the last read ended, and when that was last farther than before.
    pub(super) reached: u64,
    pub(super) grown_at: Duration,
    /// Whether a chunk did not hold one event, so that the next read must give more.
    pub(super) starved: bool,
    /// So many bytes at its end are an event that may not be complete, for more lines may belong to it.
    pub(super) open_event_len: usize,
    /// The file that has more lines of it.
    pub(super) continued_by: Option<FileNo>,
    /// A copy of these bytes, for the day that the file is cut before the event was complete.
    pub(super) held: Box<[u8]>,
    pub(super) turn: Turn,
    /// Where it stands among the open files.
    pub(super) open_rank: (bool, u64),
    pub(super) touched: bool,
}

/// A file to follow.
#[derive(Debug)]
pub struct Arrival {
    /// Its identity.
    pub id: FileId,
    /// Its name.
    pub path: Arc<Path>,
    /// The name that its records carry.
    pub origin: Arc<Path>,
    /// The input that it belongs to.
    pub input: usize,
    /// The lane that its lines go through.
    pub lane: u16,
    /// Is read to its end first.
    pub after: Option<FileNo>,
    /// See [`FilePosition::modified_ms`].
    pub modified_ms: i64,
}

/// How a file that was just found begins its life.
#[derive(Debug)]
pub struct Opening {
    /// The file, at its mark.
    pub mark: Mark,
    /// Its fingerprint as of now.
    pub fingerprint: Fingerprint,
    /// Its length as of now.
    pub len: u64,
    /// What its first bytes say of its encoding.
    pub charset: CharsetMark,
    /// What is known of it from an earlier process.
    pub continues: Continues,
}

/// How what is found relates to the position of an earlier process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continues {
    /// There was none.
    New,
    /// It goes on where it was.
    There,
    /// It is the same file, but not as it was: a power failure took a part of it.
    Torn,
    /// It is another file that has the inode, or the same one cut and written anew.
    Replaced,
}

/// Whether a file without a position is read from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// From the start.
    #[default]
    Beginning,
    /// Only what is written from now on.
    End,
}

/// Looks into an open file and decides where to start.
pub fn begin(
    file: &dyn DiskFile,
    metadata: &Metadata,
    position: Option<&FilePosition>,
    start_at: StartAt,
) -> io::Result<Opening> {
    let head = read_head(file)?;
    let opening = |mark, continues| Opening {
        mark,
        fingerprint: Fingerprint::of(&head),
        len: metadata.len,
        charset: mark_of(&head),
        continues,
    };
    let Some(position) = position else {
        let mark = match start_at {
            StartAt::Beginning => Mark::default(),
            StartAt::End => Mark::place(file, metadata.len)?,
        };
        return Ok(opening(mark, Continues::New));
    };
    let mark = Mark::from(position);
    let look = Look {
        same_start: position.key.fingerprint.same_start(&head),
        len: metadata.len,
        same_tail: mark.holds(file)?,
    };
    Ok(match resume(position, look) {
        Resume::There => opening(mark, Continues::There),
        Resume::Torn { at } => opening(Mark::place(file, at)?, Continues::Torn),
        Resume::Anew => opening(Mark::default(), Continues::Replaced),
    })
}

/// The bytes that a fingerprint is of.
pub fn read_head(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut head = vec![0; Fingerprint::HEAD_LEN];
    let mut filled = 0;
    while let Some(room) = head.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    head.truncate(filled);
    Ok(head)
}

impl From<&FilePosition> for Mark {
    fn from(position: &FilePosition) -> Self {
        let covered = u64::from(position.tail_checksum_len).min(position.offset);
        Self {
            offset: position.offset,
            checksum: position.tail_checksum,
            checksum_len: u32::try_from(covered).unwrap_or(0),
            mid_line: position.mid_line,
        }
    }
}

impl Followed {
    pub(super) fn new(arrival: Arrival, opening: &Opening, now: Duration) -> Self {
        Self {
            key: FileKey {
                id: arrival.id,
                fingerprint: opening.fingerprint,
            },
            path: arrival.path,
            origin: arrival.origin,
            input: arrival.input,
            lane: arrival.lane,
            mark: opening.mark,
            high: opening.len,
            modified_ms: arrival.modified_ms,
            error: None,
            common: None,
            charset: opening.charset,
            handle: None,
            reopened: false,
            after: arrival.after,
            drained: false,
            named_at: now,
            nameless_since: None,
            nameless_for_sure: false,
            reached: opening.mark.offset,
            grown_at: now,
            starved: false,
            open_event_len: 0,
            continued_by: None,
            held: Box::default(),
            turn: Turn::Asleep,
            open_rank: (false, 0),
            touched: false,
        }
    }

    /// It has another content now, from its start. Of the former one there may be a copy of the same moment.
    pub(super) fn restart(&mut self, metadata: &Metadata) {
        (self.mark, self.high, self.reached) = (Mark::default(), metadata.len, 0);
        (self.open_event_len, self.continued_by, self.starved) = (0, None, false);
        self.key.fingerprint = Fingerprint::default();
        self.see(metadata);
        self.modified_ms = self.modified_ms.saturating_add(1);
    }

    /// A read came to `end`; `at_end` if the file ended there.
    pub(super) fn read_to(&mut self, end: u64, at_end: bool, now: Duration) {
        if end > self.reached {
            self.grown_at = now;
        }
        self.reached = end;
        self.high = if at_end { end } else { self.high.max(end) };
    }

    /// It was seen like this under its name.
    pub(super) fn see(&mut self, metadata: &Metadata) {
        self.high = self.high.max(metadata.len);
        if self.path == self.origin {
            self.modified_ms = self.modified_ms.max(metadata.modified_ms);
        }
    }

    /// Bytes that are known to be there and were not consumed.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.high.saturating_sub(self.mark.offset)
    }

    /// Whether it has no name any more, as far as is known.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.nameless_since.is_some()
    }

    /// Whether it has another name than the one that it was met by, or none.
    #[must_use]
    pub fn has_left_its_name(&self) -> bool {
        self.is_nameless() || self.path.as_os_str() != self.origin.as_os_str()
    }

    /// For the spool.
    #[must_use]
    pub fn position(&self, topic: &str) -> FilePosition {
        FilePosition {
            key: self.key,
            path: PathBuf::from(&*self.origin),
            topic: topic.to_owned(),
            lane: self.lane,
            offset: self.mark.offset,
            tail_checksum: self.mark.checksum,
            tail_checksum_len: self.mark.checksum_len,
            mid_line: self.mark.mid_line,
            modified_ms: self.modified_ms,
        }
    }
}
