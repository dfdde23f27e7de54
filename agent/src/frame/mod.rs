//! Cuts raw bytes into events, each of which becomes a record: a line, or several lines that belong together. They are
//! bytes: NUL and broken UTF-8 pass like any other.
//!
//! There is no carry buffer. What is not consumed stays in the file, and is read again together with what follows; so a
//! waiting half line, or half of a stack trace, costs no memory, and a position is always a byte of the file. What is cut
//! where depends on the bytes behind the position alone, so that a restart there cuts the same.

mod charset;
mod container;
mod events;
mod lines;
mod multiline;
mod trace;

use std::ops::ControlFlow;
use std::time::Duration;

pub use charset::{Charset, Mark, mark_of};
use container::Container;
pub use container::STREAM;
use encoding_rs::Encoding;
use events::Events;
pub use lines::{Line, Lines};
pub use multiline::{Multiline, Rule};
pub use trace::Languages;

/// What may follow the bytes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// More bytes, soon: an unterminated line waits.
    Open,
    /// The file has not grown for long enough that an event of several lines is complete. An unterminated line waits.
    Settled,
    /// The file has not grown for a while: an unterminated line is sent. A `\r` at its end still waits, since it may be
    /// the first half of a terminator.
    Idle,
    /// Nothing: everything is consumed.
    Final,
}

/// Why a record ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// At the end of a line.
    Terminated,
    /// The line is longer than a record may be; the rest follows as records of its own.
    TooLong,
    /// The line was not finished in time; the rest, if any comes, is a record of its own.
    Unfinished,
    /// More lines belong to the event than it may have; they follow as an event of their own.
    TooManyLines,
}

/// One record's worth of bytes, without the terminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// A line, or several with the line ends between them.
    pub bytes: &'a [u8],
    /// How many lines that is.
    pub lines: u64,
    /// Why it ends there.
    pub cut: Cut,
    /// What is said of it where it comes from, beside its bytes.
    pub said: Option<&'a Said<'a>>,
    /// Why that cannot be told although there should be one.
    pub problem: Option<&'static str>,
}

/// What a container runtime, or the system's journal, says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// When it came, in milliseconds since 1970.
    pub time_ms: i64,
    /// Names and values.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> Event<'a> {
    /// One that is all that the file has.
    #[must_use]
    pub fn plain(bytes: &'a [u8], lines: u64, cut: Cut) -> Self {
        Self {
            bytes,
            lines,
            cut,
            said: None,
            problem: None,
        }
    }
}

/// How far some bytes were consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// So many of them, terminators included.
    pub len: usize,
    /// Whether the last of them belongs to a line that has not ended.
    pub mid_line: bool,
}

/// How the bytes of a file are cut.
#[derive(Debug, Clone)]
pub struct Framing {
    /// Longer lines are split, and events end before they are longer.
    pub max_len: usize,
    /// Which lines belong together, if each is not for itself.
    pub multiline: Option<Multiline>,
    /// What the bytes are.
    pub charset: Charset,
    /// Whether a container runtime has wrapped each line.
    pub container: bool,
}

impl Framing {
    /// How many bytes must be at hand to cut at least one event off any bytes.
    #[must_use]
    pub fn enough(&self) -> usize {
        // Before the event there may be the terminator of a line that was sent unfinished.
        const TERMINATOR_LEN: usize = 2;
        // A letter of UTF-16 may take a byte less in UTF-8.
        const UTF_16_UNIT: usize = 2;
        let enough = |max_len| Lines::enough(max_len) + TERMINATOR_LEN;
        match self.charset {
            _ if self.container => enough(container::wrapped_len_max(self.max_len)),
            Charset::Bytes => enough(self.max_len),
            Charset::Marked | Charset::Known(_) => enough(self.max_len.max(lines::LETTER_LEN_MAX)) * UTF_16_UNIT,
        }
    }

    /// For how long an event waits for more lines.
    #[must_use]
    pub fn event_timeout(&self) -> Duration {
        self.multiline
            .as_ref()
            .map_or(Duration::ZERO, |multiline| multiline.timeout)
    }

    /// Whether the last event of a file with this mark may go on in the next file: UTF-16 begins anew in each.
    #[must_use]
    pub fn goes_on_in_next_file(&self, mark: Mark) -> bool {
        let may_go_on = self.multiline.is_some() || self.container;
        may_go_on && !self.charset.of(mark).is_some_and(charset::is_utf_16)
    }

    /// Cuts events off the front of `bytes`, of a file with this mark, which follow a part of their line already sent if
    /// `mid_line`, until `take` wants no more.
    #[inline]
    pub fn cut(
        &self,
        bytes: &[u8],
        mark: Mark,
        mid_line: bool,
        end: End,
        mut take: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Consumed {
        if self.container {
            let (max_len, multiline) = (self.max_len, self.multiline.as_ref());
            let container = Container { max_len, multiline };
            return container.cut(container.lines(bytes, mid_line, end), take);
        }
        match self.charset.of(mark) {
            None => self.cut_bytes(bytes, self.max_len, mid_line, end, take),
            Some(encoding) if charset::is_utf_16(encoding) => self.cut_utf_16(bytes, encoding, mid_line, end, take),
            Some(encoding) => self.cut_bytes(bytes, self.max_len, mid_line, end, |event| {
                let (text, _) = encoding.decode_without_bom_handling(event.bytes);
                let bytes = charset::without_mark(&text).as_bytes();
                take(Event { bytes, ..event })
            }),
        }
    }

    fn cut_utf_16(
        &self,
        bytes: &[u8],
        encoding: &Encoding,
        mid_line: bool,
        end: End,
        mut take: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Consumed {
        let text = charset::from_utf_16(bytes, encoding, end == End::Final);
        // Where a letter would be cut, nobody could tell how many bytes it was.
        let max_len = self.max_len.max(lines::LETTER_LEN_MAX);
        let consumed = self.cut_bytes(text.as_bytes(), max_len, mid_line, end, |event| {
            // Events end where letters do.
            let bytes =
                std::str::from_utf8(event.bytes).map_or(event.bytes, |text| charset::without_mark(text).as_bytes());
            take(Event { bytes, ..event })
        });
        let len = match consumed.len == text.len() && end == End::Final {
            true => bytes.len(),
            false => text.get(..consumed.len).map_or(0, charset::utf_16_len),
        };
        Consumed { len, ..consumed }
    }

    #[inline]
    fn cut_bytes<'a>(
        &self,
        bytes: &'a [u8],
        max_len: usize,
        mid_line: bool,
        end: End,
        mut take: impl FnMut(Event<'a>) -> ControlFlow<()>,
    ) -> Consumed {
        let mut lines = Lines::new(bytes, mid_line, max_len, end);
        let Some(multiline) = &self.multiline else {
            for line in lines.by_ref() {
                let Line { bytes, cut, .. } = line;
                if take(Event::plain(bytes, 1, cut)).is_break() {
                    break;
                }
            }
            return lines.behind();
        };
        let mut events = Events::new(lines, multiline);
        for event in events.by_ref() {
            if take(event).is_break() {
                break;
            }
        }
        events.consumed()
    }
}
