//! Joins lines into events. An event is a slice of what was read: its lines lie side by side there.

use super::lines::{Line, Lines};
use super::multiline::{Multiline, State};
use super::{Consumed, Cut, End, Event};

/// A line, and where reading stands behind it.
#[derive(Debug, Clone, Copy)]
struct Step<'a> {
    line: Line<'a>,
    behind: Consumed,
}

/// Cuts events off the front of some bytes. After each, [`Events::consumed`] says where to go on if the iteration stops
/// there.
#[derive(Debug)]
pub(super) struct Events<'a, 'r> {
    lines: Lines<'a>,
    multiline: &'r Multiline,
    /// A line that was read to see that the event before it is complete.
    ahead: Option<Step<'a>>,
    consumed: Consumed,
}

impl<'a, 'r> Events<'a, 'r> {
    pub(super) fn new(lines: Lines<'a>, multiline: &'r Multiline) -> Self {
        Self {
            ahead: None,
            consumed: lines.behind(),
            lines,
            multiline,
        }
    }

    pub(super) fn consumed(&self) -> Consumed {
        self.consumed
    }

    fn step(&mut self) -> Option<Step<'a>> {
        let line = self.lines.next()?;
        let behind = self.lines.behind();
        Some(Step { line, behind })
    }

    /// The event from one line to another, both included.
    fn give(&mut self, first: Line<'a>, last: Step<'a>, lines: u64, cut: Cut) -> Option<Event<'a>> {
        self.consumed = last.behind;
        let end = last.line.at + last.line.bytes.len();
        let bytes = self.lines.bytes().get(first.at..end)?;
        Some(Event::plain(bytes, lines, cut))
    }
}

impl<'a> Iterator for Events<'a, '_> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let Some(first) = self.ahead.take().or_else(|| self.step()) else {
            // There may have been a terminator and no line.
            self.consumed = self.lines.behind();
            return None;
        };
        let (mut last, mut lines) = (first, 1);
        if first.line.cut != Cut::Terminated {
            return self.give(first.line, last, lines, first.line.cut);
        }
        let mut state = State::begin(&self.multiline.rule, first.line.bytes);
        while !state.is_complete() {
            let Some(next) = self.step() else {
                let cut = ends_without_more(&self.lines, first.line.at)?;
                return self.give(first.line, last, lines, cut);
            };
            let len = next.line.at + next.line.bytes.len() - first.line.at;
            let has_room = lines < self.multiline.max_lines && len <= self.lines.max_len();
            let belongs = state.takes(&self.multiline.rule, next.line.bytes);
            if !belongs || !has_room {
                self.ahead = Some(next);
                let cut = if belongs { Cut::TooManyLines } else { Cut::Terminated };
                return self.give(first.line, last, lines, cut);
            }
            (last, lines) = (next, lines + 1);
            if next.line.cut != Cut::Terminated {
                return self.give(first.line, last, lines, next.line.cut);
            }
        }
        self.give(first.line, last, lines, Cut::Terminated)
    }
}

/// Why an event that begins at `at` is complete although no line follows, if it is.
pub(super) fn ends_without_more(lines: &Lines<'_>, at: usize) -> Option<Cut> {
    let is_quiet = match lines.end() {
        End::Open => false,
        End::Settled => lines.consumed() == lines.bytes().len(),
        End::Idle | End::Final => true,
    };
    match (is_quiet, lines.is_full_from(at)) {
        (true, _) => Some(Cut::Terminated),
        (false, true) => Some(Cut::TooManyLines),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use super::super::{Charset, Framing, Languages, Rule};
    use super::*;
    use crate::line_regex::LineRegex;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn framing(rule: Rule, max_lines: u64, max_len: usize) -> Framing {
        let multiline = Multiline {
            rule,
            max_lines,
            timeout: Duration::from_secs(1),
        };
        Framing {
            max_len,
            multiline: Some(multiline),
            charset: Charset::Bytes,
            container: false,
        }
    }

    fn regex(pattern: &str) -> LineRegex {
        LineRegex::new(pattern).unwrap()
    }

    fn start() -> Rule {
        Rule::Start {
            start: regex("^A"),
            end: None,
        }
    }

    /// The events of some bytes, why each ends, and what was consumed.
    fn cut<'a>(framing: &Framing, bytes: &'a [u8], mid_line: bool, end: End) -> (Vec<(&'a [u8], Cut)>, Consumed) {
        let mut events = Vec::new();
        let consumed = framing.cut_bytes(bytes, framing.max_len, mid_line, end, |event| {
            assert_eq!(
                event.lines,
                event.bytes.split(|byte| *byte == b'\n').map(|_| 1).sum::<u64>()
            );
            events.push((event.bytes, event.cut));
            ControlFlow::Continue(())
        });
        (events, consumed)
    }

    fn texts(rule: Rule, text: &str) -> Vec<String> {
        let (events, _) = cut(&framing(rule, 100, 1000), text.as_bytes(), false, End::Final);
        let text = |(bytes, _): &(&[u8], Cut)| String::from_utf8(bytes.to_vec()).unwrap();
        events.iter().map(text).collect()
    }

    #[test]
    fn an_event_begins_where_the_pattern_says() {
        assert_eq!(
            texts(start(), "x\nA1\nb\r\nc\nA2\nA3\n"),
            ["x", "A1\nb\r\nc", "A2", "A3"]
        );
    }

    #[test]
    fn an_event_that_has_an_end_needs_no_next_line() {
        let rule = Rule::Start {
            start: regex("^A"),
            end: Some(regex(";$")),
        };
        assert_eq!(texts(rule.clone(), "A1\nb;\nc\nA2\n"), ["A1\nb;", "c", "A2"]);
        let framing = framing(rule, 100, 1000);
        let (events, consumed) = cut(&framing, b"A1\nb;\nc\n", false, End::Open);
        assert_eq!((events, consumed.len), (vec![(&b"A1\nb;"[..], Cut::Terminated)], 6));
    }

    #[test]
    fn lines_are_joined_until_one_ends_the_event() {
        assert_eq!(texts(Rule::End(regex(";$")), "a\nb;\nc;\nd\n"), ["a\nb;", "c;", "d"]);
    }

    #[test]
    fn a_line_that_continues_belongs_to_the_one_before() {
        assert_eq!(
            texts(Rule::Continuation(regex(r"^\+")), "+a\n+b\nc\nd\n+e\n"),
            ["+a\n+b", "c", "d\n+e"]
        );
    }

    #[test]
    fn a_line_that_goes_on_has_the_next_one_with_it() {
        assert_eq!(
            texts(Rule::Continued(regex(r"\\$")), "a\\\nb\\\nc\nd\n"),
            ["a\\\nb\\\nc", "d"]
        );
    }

    #[test]
    fn the_last_event_waits_for_more_until_it_has_settled() {
        let framing = framing(start(), 100, 1000);
        let waits = Consumed {
            len: 3,
            mid_line: false,
        };
        assert_eq!(cut(&framing, b"A1\nA2\nb\n", false, End::Open).1, waits);
        assert_eq!(cut(&framing, b"A1\nA2\nb\n", false, End::Settled).1.len, 8);
        assert_eq!(
            cut(&framing, b"A1\nA2\nb\nc", false, End::Settled).1,
            waits,
            "c may belong to it"
        );
        let (events, consumed) = cut(&framing, b"A2\nb\nc", false, End::Idle);
        assert_eq!(events, [(&b"A2\nb\nc"[..], Cut::Unfinished)]);
        assert_eq!(consumed, Consumed { len: 6, mid_line: true });
        let (events, _) = cut(&framing, b"\nd\nA3\n", true, End::Open);
        assert_eq!(
            events,
            [(&b"d"[..], Cut::Terminated)],
            "what comes after that is an event of its own"
        );
    }

    #[test]
    fn an_event_ends_before_it_has_too_many_lines_or_bytes() {
        let (events, _) = cut(&framing(start(), 2, 1000), b"A1\nb\nc\nd\ne\n", false, End::Final);
        let cuts = [
            (&b"A1\nb"[..], Cut::TooManyLines),
            (b"c\nd", Cut::TooManyLines),
            (b"e", Cut::Terminated),
        ];
        assert_eq!(events, cuts);
        let (events, _) = cut(
            &framing(start(), 100, 6),
            b"A1\nbbbb\nc\nddddddddA\n",
            false,
            End::Final,
        );
        let cuts = [
            (&b"A1"[..], Cut::TooManyLines),
            (b"bbbb\nc", Cut::TooManyLines),
            (b"dddddd", Cut::TooLong),
            (b"ddA", Cut::Terminated),
        ];
        assert_eq!(events, cuts);
    }

    /// The same by the definition, line by line.
    fn naive(bytes: &[u8], max_lines: usize, max_len: usize) -> Vec<Vec<u8>> {
        let mut pieces: Vec<(&[u8], &[u8], bool)> = Vec::new();
        for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = raw.ends_with(b"\n");
            let content = raw.strip_suffix(b"\n").unwrap_or(raw);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            let terminator = &raw[content.len()..];
            if content.is_empty() && ends {
                pieces.push((content, terminator, true));
            }
            let mut chunks = content.chunks(max_len).peekable();
            while let Some(chunk) = chunks.next() {
                let is_last = chunks.peek().is_none();
                pieces.push((chunk, if is_last { terminator } else { b"" }, is_last && ends));
            }
        }
        let mut events: Vec<Vec<u8>> = Vec::new();
        let mut open: Option<(Vec<u8>, usize)> = None;
        let mut between: Vec<u8> = Vec::new();
        for (content, terminator, ends) in pieces {
            if let Some((event, lines)) = &mut open {
                let len = event.len() + between.len() + content.len();
                if !content.starts_with(b"A") && *lines < max_lines && len <= max_len {
                    event.extend_from_slice(&between);
                    event.extend_from_slice(content);
                    *lines += 1;
                } else {
                    events.extend(open.take().map(|(event, _)| event));
                }
            }
            open = open.or_else(|| Some((content.to_vec(), 1)));
            between = terminator.to_vec();
            if !ends {
                events.extend(open.take().map(|(event, _)| event));
            }
        }
        events.extend(open.map(|(event, _)| event));
        events
    }

    fn log_bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(
            prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 2 => Just(b'A'), 3 => Just(b'b')],
            0..80,
        )
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_events_of_the_naive_model(
            bytes in log_bytes(),
            chunks in vec(1_usize..9, 1..20),
            max_lines in 1_usize..5,
            max_len in 1_usize..12,
        ) {
            let framing = framing(start(), max_lines as u64, max_len);
            let (mut at, mut mid_line, mut visible, mut events) = (0, false, 0, Vec::new());
            for chunk in chunks.iter().cycle() {
                // As the buffer does it: no more than enough from the position on.
                visible = (visible + chunk).min(at + framing.enough()).min(bytes.len());
                let end = if visible == bytes.len() { End::Final } else { End::Open };
                let (some, consumed) = cut(&framing, &bytes[at..visible], mid_line, end);
                events.extend(some.into_iter().map(|(event, _)| event.to_vec()));
                (at, mid_line) = (at + consumed.len, consumed.mid_line);
                if end == End::Final { break; }
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(events, naive(&bytes, max_lines, max_len));
        }

        #[test]
        fn a_restart_after_any_event_cuts_the_same(bytes in log_bytes(), max_len in 1_usize..12) {
            for rule in [start(), Rule::Trace(Languages::ALL), Rule::End(regex("A$"))] {
                let framing = framing(rule, 3, max_len);
                let (whole, _) = cut(&framing, &bytes, false, End::Final);
                let (mut at, mut mid_line, mut events) = (0, false, Vec::new());
                while at < bytes.len() {
                    let consumed = framing.cut_bytes(&bytes[at..], framing.max_len, mid_line, End::Final, |event| {
                        events.push((event.bytes, event.cut));
                        ControlFlow::Break(())
                    });
                    (at, mid_line) = (at + consumed.len, consumed.mid_line);
                    prop_assert!(consumed.len > 0 || events.len() > whole.len());
                    if consumed.len == 0 { break; }
                }
                prop_assert_eq!(&events, &whole);
            }
        }
    }
}
