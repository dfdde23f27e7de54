//! Cuts raw bytes into lines: `\n` and `\r\n` end one, and are not part of it.

use memchr::memchr;

use super::{Consumed, Cut, End};

/// A letter of UTF-8 has at most so many bytes.
pub(super) const LETTER_LEN_MAX: usize = 4;

/// One line, or a piece of it, without the terminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line, a slice of the bytes that were read.
    pub bytes: &'a [u8],
    /// Where among them it begins.
    pub at: usize,
    /// Why it ends where it does.
    pub cut: Cut,
}

/// Cuts lines off the front of some bytes. After each line, [`Lines::consumed`] and [`Lines::mid_line`] say where to go
/// on if the iteration stops there.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    consumed: usize,
    mid_line: bool,
    max_len: usize,
    end: End,
}

impl<'a> Lines<'a> {
    /// How many bytes must be at hand to cut at least one record off any line: it and the longest terminator.
    #[must_use]
    pub const fn enough(max_len: usize) -> usize {
        max_len + 2
    }

    /// Lines of at most `max_len` bytes, from bytes that follow a part of their line already sent if `mid_line`.
    #[must_use]
    pub fn new(bytes: &'a [u8], mid_line: bool, max_len: usize, end: End) -> Self {
        Self {
            bytes,
            consumed: 0,
            mid_line,
            max_len: max_len.max(1),
            end,
        }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn max_len(&self) -> usize {
        self.max_len
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// How many bytes the lines so far took, terminators included.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Whether the last consumed byte belongs to a line that has not ended.
    #[must_use]
    pub fn mid_line(&self) -> bool {
        self.mid_line
    }

    /// The line that began at `at` and was read last, with the return that there may be before its newline.
    pub(super) fn whole(&self, at: usize) -> &'a [u8] {
        let line = self.bytes.get(at..self.consumed).unwrap_or_default();
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    pub(super) fn behind(&self) -> Consumed {
        Consumed {
            len: self.consumed,
            mid_line: self.mid_line,
        }
    }

    /// Whether so much follows `at` that a line that begins there, and has not ended, is longer than it may be.
    pub(super) fn is_full_from(&self, at: usize) -> bool {
        self.bytes.len() - at >= Self::enough(self.max_len)
    }

    fn take(&mut self, len: usize, cut: Cut) -> Option<Line<'a>> {
        let at = self.consumed;
        let bytes = self.bytes.get(at..at + len)?;
        self.consumed += len;
        self.mid_line = true;
        Some(Line { bytes, at, cut })
    }

    /// Of a line that is too long, as much as fits; a letter of UTF-8 stays whole.
    pub(crate) fn piece_len(&self, rest: &[u8]) -> usize {
        let is_inside = |len: &usize| rest.get(*len).is_some_and(|byte| byte & 0xc0 == 0x80);
        let shortest = self.max_len.saturating_sub(LETTER_LEN_MAX - 1).max(1);
        let whole = (shortest..=self.max_len).rev().find(|len| !is_inside(len));
        whole.unwrap_or(self.max_len)
    }

    /// The unterminated rest, at most [`Self::enough`] bytes short by one.
    fn take_unfinished(&mut self, rest: &'a [u8]) -> Option<Line<'a>> {
        let content = without_return(rest);
        if self.end < End::Idle {
            None
        } else if content.len() > self.max_len {
            self.take(self.piece_len(rest), Cut::TooLong)
        } else if self.end == End::Idle {
            if content.is_empty() {
                return None;
            }
            self.take(content.len(), Cut::Unfinished)
        } else {
            let at = std::mem::replace(&mut self.consumed, self.bytes.len());
            let line = Line {
                bytes: content,
                at,
                cut: Cut::Unfinished,
            };
            self.mid_line |= !content.is_empty();
            (!content.is_empty()).then_some(line)
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let rest = self.bytes.get(self.consumed..).filter(|rest| !rest.is_empty())?;
            let enough = Self::enough(self.max_len);
            let window = rest.get(..enough).unwrap_or(rest);
            let Some(content) = memchr(b'\n', window).and_then(|at| window.get(..at)) else {
                if window.len() == enough {
                    return self.take(self.piece_len(rest), Cut::TooLong);
                }
                return self.take_unfinished(rest);
            };
            let terminated = content.len() + 1;
            let content = without_return(content);
            if content.len() > self.max_len {
                return self.take(self.piece_len(rest), Cut::TooLong);
            }
            let at = self.consumed;
            self.consumed += terminated;
            let rest_of_line = std::mem::replace(&mut self.mid_line, false);
            if rest_of_line && content.is_empty() {
                continue;
            }
            return Some(Line {
                bytes: content,
                at,
                cut: Cut::Terminated,
            });
        }
    }
}

fn without_return(content: &[u8]) -> &[u8] {
    content.strip_suffix(b"\r").unwrap_or(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// What a run over `bytes` gives: the records, what was consumed, and whether it stands within a line.
    fn cut(bytes: &[u8], mid_line: bool, max_len: usize, end: End) -> (Vec<&[u8]>, usize, bool) {
        let mut lines = Lines::new(bytes, mid_line, max_len, end);
        let records = lines.by_ref().map(|line| line.bytes).collect();
        (records, lines.consumed(), lines.mid_line())
    }

    #[test]
    fn terminators_are_not_part_of_the_record() {
        let (records, consumed, mid_line) = cut(b"one\ntwo\r\n\n\r\nfo\0u\xffr\rx\n", false, 100, End::Open);
        assert_eq!(records, [&b"one"[..], b"two", b"", b"", b"fo\0u\xffr\rx"]);
        assert_eq!((consumed, mid_line), (21, false));
    }

    #[test]
    fn an_unterminated_line_waits() {
        assert_eq!(cut(b"one\ntw", false, 100, End::Open), (vec![&b"one"[..]], 4, false));
    }

    #[test]
    fn an_unfinished_line_is_sent_once_and_its_terminator_adds_nothing() {
        assert_eq!(cut(b"half", false, 100, End::Idle), (vec![&b"half"[..]], 4, true));
        assert_eq!(cut(b"\nnext\n", true, 100, End::Open), (vec![&b"next"[..]], 6, false));
        assert_eq!(cut(b" more\n", true, 100, End::Open), (vec![&b" more"[..]], 6, false));
    }

    #[test]
    fn a_return_at_the_end_of_an_unfinished_line_waits_for_its_newline() {
        assert_eq!(cut(b"half\r", false, 100, End::Idle), (vec![&b"half"[..]], 4, true));
        assert_eq!(cut(b"\r", true, 100, End::Idle), (vec![], 0, true));
        assert_eq!(cut(b"\r\n", true, 100, End::Open), (vec![], 2, false));
        assert_eq!(cut(b"\rx\n", true, 100, End::Open), (vec![&b"\rx"[..]], 3, false));
    }

    #[test]
    fn the_end_of_a_file_leaves_nothing_behind() {
        assert_eq!(cut(b"half\r", false, 100, End::Final), (vec![&b"half"[..]], 5, true));
        assert_eq!(cut(b"\r", true, 100, End::Final), (vec![], 1, true));
        assert_eq!(cut(b"", false, 100, End::Final), (vec![], 0, false));
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        for line in [&b"abc\n"[..], b"abc\r\n"] {
            assert_eq!(cut(line, false, 3, End::Open), (vec![&b"abc"[..]], line.len(), false));
        }
        assert_eq!(cut(b"abc\r", false, 3, End::Open), (vec![], 0, false));
    }

    #[test]
    fn a_letter_is_not_split_and_what_is_none_is() {
        let text = "aaé日😀b\n";
        assert_eq!(
            cut(text.as_bytes(), false, 4, End::Open).0,
            ["aaé".as_bytes(), "日".as_bytes(), "😀".as_bytes(), b"b"]
        );
        assert_eq!(cut(&[0x80; 5], false, 4, End::Final).0, [&[0x80; 4][..], &[0x80]]);
    }

    #[test]
    fn a_longer_line_is_split_and_loses_nothing() {
        let mut lines = Lines::new(b"abcdefg\nh\n", false, 3, End::Open);
        let cuts: Vec<_> = lines.by_ref().map(|line| (line.bytes, line.cut)).collect();
        assert_eq!(
            cuts,
            [
                (&b"abc"[..], Cut::TooLong),
                (b"def", Cut::TooLong),
                (b"g", Cut::Terminated),
                (b"h", Cut::Terminated)
            ]
        );
        assert_eq!(cut(b"abcdef\r\n", false, 3, End::Open).0, [&b"abc"[..], b"def"]);
    }

    /// The same by the definition: split at newlines, strip one return, cut into pieces.
    fn naive(bytes: &[u8], max_len: usize) -> Vec<Vec<u8>> {
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let last = lines.pop().map(without_return).filter(|last| !last.is_empty());
        let mut records = Vec::new();
        for line in lines.into_iter().map(without_return).chain(last) {
            if line.is_empty() {
                records.push(Vec::new());
            }
            records.extend(line.chunks(max_len).map(<[u8]>::to_vec));
        }
        records
    }

    fn log_bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(0), Just(0xff)],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_lines_of_the_naive_model(
            bytes in log_bytes(),
            chunks in vec(1_usize..9, 1..20),
            max_len in 1_usize..8,
        ) {
            let (mut at, mut mid_line, mut visible, mut records) = (0, false, 0, Vec::new());
            for chunk in chunks.iter().cycle() {
                visible = (visible + chunk).min(bytes.len());
                let end = if visible == bytes.len() { End::Final } else { End::Open };
                let (lines, consumed, mid) = cut(&bytes[at..visible], mid_line, max_len, end);
                records.extend(lines.into_iter().map(<[u8]>::to_vec));
                (at, mid_line) = (at + consumed, mid);
                if end == End::Final { break; }
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(records, naive(&bytes, max_len));
        }

        #[test]
        fn stopping_after_any_line_and_going_on_changes_nothing(
            bytes in log_bytes(),
            idle in vec(any::<bool>(), 80),
            max_len in 1_usize..8,
        ) {
            let (mut at, mut mid_line, mut sent) = (0, false, Vec::new());
            let mut ends = idle.into_iter();
            loop {
                let end = match ends.next() { Some(true) => End::Idle, Some(false) => End::Open, None => End::Final };
                let mut lines = Lines::new(&bytes[at..], mid_line, max_len, end);
                let line = lines.next();
                (at, mid_line) = (at + lines.consumed(), lines.mid_line());
                match line {
                    Some(line) => { prop_assert!(line.bytes.len() <= max_len); sent.extend_from_slice(line.bytes); }
                    None if end == End::Final => break,
                    None => {}
                }
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(sent, naive(&bytes, max_len).concat());
        }
    }
}
