//! What was read last: of the file whose turn it is, and before that the events at the ends of earlier files of its name
//! that may go on in it. So a stack trace that a rotation cut in two comes out whole, and all files that hold a part of
//! it move on in the same stretch.

use super::buffer::{Buffer, Mark};
use crate::discover::FileNo;
use crate::frame::{End, Mark as CharsetMark};

/// The last event of an earlier file, which may not be complete.
#[derive(Debug)]
pub(super) struct OpenEvent {
    pub(super) file: FileNo,
    pub(super) mark: Mark,
    pub(super) buffer: Buffer,
}

/// What is there to be cut into events.
#[derive(Debug)]
pub struct Window {
    pub(super) buffer: Buffer,
    /// The oldest first.
    pub(super) before: Vec<OpenEvent>,
    /// All of it, if there is anything before the file's own bytes.
    joined: Vec<u8>,
    /// Whether the file ended there.
    pub(super) at_end: bool,
    pub(super) end: End,
    pub(super) mid_line: bool,
    /// What the file's first bytes say.
    pub(super) charset: CharsetMark,
    /// Whether its last event may go on in the next file.
    pub(super) goes_on: bool,
}

impl Window {
    pub(super) fn new(chunk_len: usize) -> Self {
        Self {
            buffer: Buffer::new(chunk_len),
            before: Vec::new(),
            joined: Vec::new(),
            at_end: false,
            end: End::Open,
            mid_line: false,
            charset: None,
            goes_on: false,
        }
    }

    /// The bytes, from the first that was not consumed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self.before.is_empty() {
            true => self.buffer.fresh(),
            false => &self.joined,
        }
    }

    /// What may follow them.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// Whether they follow a part of their line that was sent.
    #[must_use]
    pub fn mid_line(&self) -> bool {
        self.mid_line
    }

    /// What the first bytes of the file say of its encoding.
    #[must_use]
    pub fn charset(&self) -> CharsetMark {
        self.charset
    }

    /// Puts these events before what the buffer holds behind `mark`.
    pub(super) fn join(&mut self, before: Vec<OpenEvent>, mark: &Mark) {
        self.mid_line = before.first().map_or(mark, |oldest| &oldest.mark).mid_line;
        self.joined.clear();
        if !before.is_empty() {
            let bytes = before.iter().map(|event| event.buffer.fresh());
            bytes.for_each(|bytes| self.joined.extend_from_slice(bytes));
            self.joined.extend_from_slice(self.buffer.fresh());
        }
        self.before = before;
    }

    /// Gives the memory back; the next read takes it again.
    pub(super) fn release(&mut self) {
        self.buffer.release();
        self.joined = Vec::new();
    }
}
