//! Files in which a container runtime wraps what containers write. A long line comes in pieces there, and those of the two
//! streams may lie between each other: what is read up to a place where neither stream has an unfinished line is one
//! *group*. A position only ever stands between groups, so a restart joins the same.

mod joined;
mod runtime;
#[cfg(test)]
mod tests;
mod unfinished;

use std::borrow::Cow;
use std::ops::ControlFlow;

use joined::Joined;
use runtime::Runtime;
use runtime::Wrapped;
use unfinished::Unfinished;

use super::events::ends_without_more;
use super::lines::{Line, Lines};
use super::multiline::Multiline;
use super::{Consumed, Cut, End, Event, Said};

/// The field that says where a container wrote an event.
pub const STREAM: &str = "stream";

/// What is said of a line that no runtime has written.
const NOT_WRAPPED: &str = "container: no time, stream and tag at its start, nor JSON of Docker";

/// What a runtime adds to a line, and what JSON makes of 16 KiB that it takes at once, at the worst.
const WRAPPER_LEN_MAX: usize = 128 << 10;

/// How many bytes of the file a line or an event may take of which `max_len` may be sent.
pub(super) fn wrapped_len_max(max_len: usize) -> usize {
    max_len.saturating_mul(2).saturating_add(WRAPPER_LEN_MAX)
}

/// What is one record, as far as its length allows.
#[derive(Debug)]
struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    lines: u64,
    cut: Cut,
    runtime: Option<Runtime>,
}

impl<'a> Text<'a> {
    fn not_wrapped(line: Line<'a>) -> Self {
        Self {
            bytes: Cow::Borrowed(line.bytes),
            lines: 1,
            cut: line.cut,
            runtime: None,
        }
    }

    fn give(&self, max_len: usize, take: &mut impl FnMut(Event<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let fields = self.runtime.map(|runtime| [(STREAM, runtime.stream.name())]);
        let said = self.runtime.zip(fields.as_ref()).map(|(runtime, fields)| Said {
            time_ms: runtime.time_ms,
            fields,
        });
        let event = Event {
            bytes: &self.bytes,
            lines: self.lines,
            cut: self.cut,
            said: said.as_ref(),
            problem: self.runtime.is_none().then_some(NOT_WRAPPED),
        };
        if self.bytes.len() <= max_len {
            return take(event);
        }
        let mut after = ControlFlow::Continue(());
        for Line { bytes, cut, .. } in Lines::new(&self.bytes, false, max_len, End::Final) {
            let cut = if cut == Cut::TooLong { cut } else { self.cut };
            if take(Event { bytes, cut, ..event }).is_break() {
                after = ControlFlow::Break(());
            }
        }
        after
    }
}

/// What begins at one place where a position may stand, and ends at the next.
#[derive(Debug)]
struct Group<'a> {
    texts: Vec<Text<'a>>,
    /// Where reading goes on.
    behind: Lines<'a>,
}

/// How such a file is cut into events.
#[derive(Debug)]
pub(super) struct Container<'r> {
    pub(super) max_len: usize,
    pub(super) multiline: Option<&'r Multiline>,
}

impl Container<'_> {
    pub(super) fn lines<'a>(&self, bytes: &'a [u8], mid_line: bool, end: End) -> Lines<'a> {
        Lines::new(bytes, mid_line, wrapped_len_max(self.max_len), end)
    }

    /// Gives all events of as many groups as `take` wants.
    pub(super) fn cut(&self, mut lines: Lines<'_>, mut take: impl FnMut(Event<'_>) -> ControlFlow<()>) -> Consumed {
        let mut ahead = None;
        while let Some(Group { texts, behind }) = self.events(&lines, &mut ahead) {
            lines = behind;
            let mut after = ControlFlow::Continue(());
            for text in texts {
                // No position stands within a group, so all of it is taken.
                if text.give(self.max_len, &mut take).is_break() {
                    after = ControlFlow::Break(());
                }
            }
            if after.is_break() {
                return lines.behind();
            }
        }
        // There may be a terminator and no line.
        let mut rest = lines.clone();
        match rest.next() {
            Some(_) => lines.behind(),
            None => rest.behind(),
        }
    }

    /// The group at `start`, its lines joined into events, with all groups into which its last event goes on. `ahead` is that
    /// group if it was read already, and afterwards the next one if that was.
    fn events<'a>(&self, start: &Lines<'a>, ahead: &mut Option<Group<'a>>) -> Option<Group<'a>> {
        let group = ahead.take().or_else(|| self.group(start))?;
        let Some(multiline) = self.multiline else {
            return Some(group);
        };
        let mut joined = Joined::new(multiline, self.max_len);
        let mut behind = group.behind;
        group.texts.into_iter().for_each(|text| joined.add(text));
        while joined.is_open() {
            let Some(next) = self.group(&behind) else {
                joined.end(ends_without_more(&behind, start.consumed())?);
                break;
            };
            let has_room = next.behind.consumed() - start.consumed() <= start.max_len();
            if !next.texts.first().is_some_and(|first| joined.join(first, has_room)) {
                *ahead = Some(next);
                break;
            }
            next.texts.into_iter().skip(1).for_each(|text| joined.add(text));
            behind = next.behind;
        }
        let texts = joined.texts;
        Some(Group { texts, behind })
    }

    /// What is between `start` and the first place where neither stream has an unfinished line.
    fn group<'a>(&self, start: &Lines<'a>) -> Option<Group<'a>> {
        let (mut texts, mut unfinished) = (Vec::new(), Unfinished::default());
        let mut behind = start.clone();
        loop {
            let mut lines = behind.clone();
            let Some(line) = lines.next() else {
                let cut = match behind.end() {
                    End::Idle | End::Final => Cut::Unfinished,
                    End::Open | End::Settled if behind.is_full_from(start.consumed()) => Cut::TooLong,
                    End::Open | End::Settled => return None,
                };
                texts.extend(unfinished.cut(cut));
                return (!texts.is_empty()).then_some(Group { texts, behind });
            };
            let is_whole = line.cut == Cut::Terminated && !behind.mid_line();
            let wrapped = match is_whole {
                true => Wrapped::parse(lines.whole(line.at)),
                false => None,
            };
            let has_room = lines.consumed() - start.consumed() <= start.max_len()
                && wrapped
                    .as_ref()
                    .is_none_or(|wrapped| unfinished.has_room(wrapped, self.max_len));
            if !unfinished.is_empty() && !has_room {
                texts.extend(unfinished.cut(Cut::TooLong));
                return Some(Group { texts, behind });
            }
            match wrapped {
                Some(wrapped) => texts.extend(unfinished.add(wrapped)),
                None => texts.push(Text::not_wrapped(line)),
            }
            behind = lines;
            if unfinished.is_empty() {
                return Some(Group { texts, behind });
            }
        }
    }
}
