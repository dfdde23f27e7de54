//! Syslog over a stream (RFC 6587): a message is counted in octets, `5 <1>ab`, or ends with its line. Each message says itself
//! which of the two it is, since there are senders that mix them.

use std::ops::{ControlFlow, Range};

use memchr::memchr2;

use crate::frame::Cut;

/// More digits are no length.
const DIGITS_MAX: usize = 9;
/// A line may end with `\r\n`.
const LINE_END_LEN: usize = 2;

/// Cuts the messages of one sender.
#[derive(Debug)]
pub struct Framing {
    max_len: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a message; whether the one before was counted.
    Between { was_counted: bool },
    /// So many octets are left of one that is counted.
    Counted(usize),
    /// In one that ends with its line.
    Line,
}

/// What the octets before a message say.
enum Count {
    Octets {
        header_len: usize,
        octets: usize,
    },
    None,
    /// More of them are needed to tell.
    Unsure,
}

impl Framing {
    /// Of messages that become one record if they are no longer than that, and several if they are.
    #[must_use]
    pub fn new(max_len: usize) -> Self {
        Self {
            max_len: max_len.max(1),
            state: State::Between { was_counted: false },
        }
    }

    /// Cuts messages off the front of `bytes`, behind which nothing comes if `is_last`, until `take` wants no more, and
    /// returns how many bytes that took. What is left has to be given again, with what follows.
    pub fn cut(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        mut take: impl FnMut(Range<usize>, Cut) -> ControlFlow<()>,
    ) -> usize {
        let mut at = 0;
        let mut give = |from: usize, len: usize, cut: Cut| {
            let message = bytes.get(from..from + len).unwrap_or_default();
            let len = match cut {
                Cut::Terminated | Cut::Unfinished => without_line_end(message).len(),
                Cut::TooLong | Cut::TooManyLines => len,
            };
            match len {
                0 => ControlFlow::Continue(()),
                _ => take(from..from + len, cut),
            }
        };
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.state {
                State::Between { was_counted } => {
                    at += rest.iter().take_while(|octet| is_line_end(**octet)).count();
                    let rest = bytes.get(at..).unwrap_or_default();
                    match count(rest) {
                        Count::Octets { header_len, octets } => {
                            at += header_len;
                            self.state = State::Counted(octets);
                        }
                        Count::Unsure if !is_last || rest.is_empty() => return at,
                        // A length, and nothing of its message.
                        Count::Unsure if was_counted => return bytes.len(),
                        Count::Unsure | Count::None => self.state = State::Line,
                    }
                }
                State::Counted(0) => self.state = State::Between { was_counted: true },
                State::Counted(left) => {
                    let len = left.min(self.max_len);
                    let cut = match (rest.len() >= len, len == left) {
                        (false, _) if !is_last => return at,
                        (false, _) => Cut::Unfinished,
                        (true, true) => Cut::Terminated,
                        (true, false) => Cut::TooLong,
                    };
                    let len = len.min(rest.len());
                    let wanted = give(at, len, cut);
                    at += len;
                    self.state = State::Counted(left - len);
                    if cut == Cut::Unfinished || wanted.is_break() {
                        return at;
                    }
                }
                State::Line => {
                    let enough = self.max_len + LINE_END_LEN;
                    let window = rest.get(..enough).unwrap_or(rest);
                    let end = memchr2(b'\n', 0, window);
                    let line = end.and_then(|end| rest.get(..end));
                    if let Some(line) = line.filter(|line| without_line_end(line).len() <= self.max_len) {
                        let wanted = give(at, line.len(), Cut::Terminated);
                        at += line.len() + 1;
                        self.state = State::Between { was_counted: false };
                        if wanted.is_break() {
                            return at;
                        }
                    } else if window.len() > self.max_len && (end.is_some() || window.len() == enough) {
                        let wanted = give(at, self.max_len, Cut::TooLong);
                        at += self.max_len;
                        if wanted.is_break() {
                            return at;
                        }
                    } else if is_last {
                        // At most a line end longer than a message may be.
                        let first = rest.len().min(self.max_len);
                        let wanted = give(at, first, Cut::Unfinished);
                        at += first;
                        if rest.is_empty() || wanted.is_break() {
                            return at;
                        }
                    } else {
                        return at;
                    }
                }
            }
        }
    }
}

/// A datagram is a message.
pub fn cut_datagram(bytes: &[u8], max_len: usize, mut take: impl FnMut(Range<usize>, Cut)) {
    let len = without_line_end(bytes).len();
    let mut at = 0;
    while at < len {
        let end = len.min(at + max_len.max(1));
        take(at..end, if end == len { Cut::Terminated } else { Cut::TooLong });
        at = end;
    }
}

fn count(bytes: &[u8]) -> Count {
    let digits = bytes
        .iter()
        .take(DIGITS_MAX)
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    match (bytes.first(), bytes.get(digits), bytes.get(digits + 1)) {
        (None, ..) => Count::Unsure,
        (Some(b'1'..=b'9'), None, _) | (Some(b'1'..=b'9'), Some(b' '), None) => Count::Unsure,
        (Some(b'1'..=b'9'), Some(b' '), Some(b'<')) => {
            let number = bytes.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
            match number.and_then(|number| number.parse().ok()) {
                Some(octets) => Count::Octets {
                    header_len: digits + 1,
                    octets,
                },
                None => Count::None,
            }
        }
        _ => Count::None,
    }
}

fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\n' | b'\r' | 0)
}

fn without_line_end(message: &[u8]) -> &[u8] {
    let len = message.iter().rposition(|octet| !is_line_end(*octet));
    message.get(..len.map_or(0, |last| last + 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What comes of bytes that arrive in these pieces, and how many were held at most.
    fn cut(pieces: &[&[u8]], max_len: usize) -> (Vec<(Vec<u8>, Cut)>, usize) {
        let mut framing = Framing::new(max_len);
        let (mut held, mut messages, mut most) = (Vec::new(), Vec::new(), 0);
        for (index, piece) in pieces.iter().chain([&&b""[..]]).enumerate() {
            held.extend_from_slice(piece);
            let is_last = index == pieces.len();
            let mut wanted = 0;
            // Whoever takes them one by one gets the same.
            while wanted == 0 {
                wanted = 1;
                let done = framing.cut(&held, is_last, |range, cut| {
                    wanted = 0;
                    messages.push((held[range].to_vec(), cut));
                    ControlFlow::Break(())
                });
                held.drain(..done);
            }
            most = most.max(held.len());
        }
        assert_eq!(held, b"");
        (messages, most)
    }

    fn texts(bytes: &[u8], max_len: usize) -> Vec<String> {
        let (messages, _) = cut(&[bytes], max_len);
        let text = |(message, _)| String::from_utf8(message).unwrap();
        messages.into_iter().map(text).collect()
    }

    #[test]
    fn each_message_says_how_it_ends() {
        let stream = b"<13>a b\n7 <13>c\nd<13>e\r\n\n6 <13>f\n<13>g\x0014 <13>with count";
        let expected = ["<13>a b", "<13>c\nd", "<13>e", "<13>f", "<13>g", "<13>with count"];
        assert_eq!(texts(stream, 100), expected);
    }

    #[test]
    fn a_line_that_begins_with_a_number_is_a_line() {
        assert_eq!(
            texts(b"12 monkeys\n0 <1>a\n1234567890 <1>a\n12", 100),
            ["12 monkeys", "0 <1>a", "1234567890 <1>a", "12"]
        );
    }

    #[test]
    fn a_length_without_its_message_is_none() {
        assert_eq!(texts(b"6 <13>ab12", 100), ["<13>ab"]);
        assert_eq!(texts(b"6 <13>ab12 ", 100), ["<13>ab"]);
        assert_eq!(texts(b"6 <13>ab\n12 <1", 100), ["<13>ab", "<1"]);
    }

    #[test]
    fn what_is_too_long_goes_on_in_the_next_record_and_says_so() {
        let (messages, _) = cut(&[b"<1>abcdef\n<1>ab\r\n8 <1>abcde9 <1>a"], 5);
        let shown: Vec<_> = messages
            .iter()
            .map(|(message, cut)| (std::str::from_utf8(message).unwrap(), *cut))
            .collect();
        let (whole, long) = (Cut::Terminated, Cut::TooLong);
        assert_eq!(
            shown,
            [
                ("<1>ab", long),
                ("cdef", whole),
                ("<1>ab", whole),
                ("<1>ab", long),
                ("cde", whole),
                ("<1>a", Cut::Unfinished)
            ]
        );
    }

    #[test]
    fn a_length_that_nobody_can_hold_takes_no_more_room_than_any_other() {
        let flood = [b"999999999 <1>".as_slice(), &[b'a'; 5000]].concat();
        let pieces: Vec<_> = flood.chunks(70).collect();
        let (messages, held) = cut(&pieces, 1000);
        assert!(held < 1000, "{held}");
        assert_eq!(messages.iter().map(|(message, _)| message.len()).sum::<usize>(), 5003);
    }

    #[test]
    fn a_datagram_is_a_message() {
        let mut messages = Vec::new();
        let datagram = b"<1>a\nb\n\0";
        cut_datagram(datagram, 4, |range, cut| messages.push((&datagram[range], cut)));
        assert_eq!(messages, [(&b"<1>a"[..], Cut::TooLong), (b"\nb", Cut::Terminated)]);
    }

    proptest! {
        #[test]
        fn how_a_stream_arrives_does_not_change_what_comes_of_it(
            parts in vec(prop_oneof![
                Just("<13>".to_owned()), Just("\n".to_owned()), Just("7 <".to_owned()), "[0-9]{1,11}", Just(" ".to_owned()), Just("\r\n".to_owned()),
                "[a-z<\0]{0,9}",
            ], 0..40),
            ends in vec(0usize..300, 0..8),
            max_len in 1usize..12,
        ) {
            let stream = parts.concat().into_bytes();
            let mut ends: Vec<_> = ends.into_iter().map(|end| end.min(stream.len())).collect();
            ends.extend([0, stream.len()]);
            ends.sort_unstable();
            let pieces: Vec<_> = ends.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let (messages, held) = cut(&pieces, max_len);
            prop_assert_eq!(&messages, &cut(&[&stream], max_len).0);
            prop_assert!(held < max_len.max(DIGITS_MAX) + LINE_END_LEN);
            prop_assert!(messages.iter().all(|(message, _)| (1..=max_len).contains(&message.len())));
        }
    }
}
