//! Encodings other than bytes that are sent as they are: records of such files are UTF-8.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How the text of an input is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// Nobody asks: a line is bytes.
    #[default]
    Bytes,
    /// As the first bytes of each file say; UTF-8 where they say nothing.
    Marked,
    /// This one.
    Known(&'static Encoding),
}

/// What the byte order mark at the start of a file says.
pub type Mark = Option<&'static Encoding>;

impl Charset {
    /// By the name that the web knows it by, or `auto`.
    ///
    /// # Errors
    /// When there is none of that name, or its line ends cannot be told from other letters.
    pub fn named(name: &str) -> Result<Self, String> {
        if name == "auto" {
            return Ok(Self::Marked);
        }
        let encoding = Encoding::for_label(name.as_bytes())
            .filter(|encoding| encoding.is_ascii_compatible() || is_utf_16(encoding));
        encoding.map(Self::Known).ok_or_else(|| {
            format!(
                "there is no encoding \"{name}\": write `auto`, `utf-8`, `utf-16le`, `utf-16be`, `latin1`, `gbk`, or \
                 another of https://encoding.spec.whatwg.org/#names-and-labels"
            )
        })
    }

    /// That of a file whose first bytes say this. `None` if it is to be sent as it is.
    pub(super) fn of(self, mark: Mark) -> Option<&'static Encoding> {
        match self {
            Self::Bytes => None,
            Self::Marked => Some(mark.unwrap_or(UTF_8)),
            Self::Known(encoding) => Some(encoding),
        }
    }
}

/// What the first bytes of a file say of its encoding.
#[must_use]
pub fn mark_of(head: &[u8]) -> Mark {
    Encoding::for_bom(head).map(|(encoding, _)| encoding)
}

pub(super) fn is_utf_16(encoding: &Encoding) -> bool {
    *encoding == *UTF_16LE || *encoding == *UTF_16BE
}

/// UTF-16 as UTF-8, from whose front it can be told how many bytes it was. A half letter at the end is left out unless
/// nothing follows it.
pub(super) fn from_utf_16(bytes: &[u8], encoding: &Encoding, is_final: bool) -> String {
    let is_little = *encoding == *UTF_16LE;
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [low, high] if is_little => u16::from_le_bytes([*low, *high]),
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut letters = char::decode_utf16(units).peekable();
    while let Some(letter) = letters.next() {
        if letter.is_err() && letters.peek().is_none() && !is_final {
            break;
        }
        text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    text
}

/// How many bytes of UTF-16 a text was: half of a pair of surrogates has become one letter too.
pub(super) fn utf_16_len(text: &str) -> usize {
    2 * text.chars().map(char::len_utf16).sum::<usize>()
}

/// Without the byte order mark that the first line of a file begins with.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use proptest::prelude::*;

    use super::super::{Consumed, End, Framing};
    use super::*;

    fn framing(charset: Charset, max_len: usize) -> Framing {
        Framing {
            max_len,
            multiline: None,
            charset,
            container: false,
        }
    }

    /// The lines of a file, read so many bytes at a time.
    fn lines(framing: &Framing, bytes: &[u8], chunk: usize) -> Vec<String> {
        let mark = mark_of(bytes);
        let (mut at, mut mid_line, mut visible, mut lines) = (0, false, 0, Vec::new());
        loop {
            visible = (visible + chunk).min(at + framing.enough()).min(bytes.len());
            let end = if visible == bytes.len() { End::Final } else { End::Open };
            let consumed = framing.cut(&bytes[at..visible], mark, mid_line, end, |event| {
                lines.push(String::from_utf8(event.bytes.to_vec()).unwrap());
                ControlFlow::Continue(())
            });
            let Consumed { len, mid_line: mid } = consumed;
            (at, mid_line) = (at + len, mid);
            if end == End::Final {
                assert_eq!(at, bytes.len());
                return lines;
            }
        }
    }

    fn utf_16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn marks_say_what_a_file_is_and_are_not_part_of_its_first_line() {
        let text = "\u{feff}één\r\n日本 😀\n";
        let expected = ["één", "日本 😀"];
        for bytes in [text.as_bytes().to_vec(), utf_16(text, false), utf_16(text, true)] {
            for chunk in 1..12 {
                assert_eq!(lines(&framing(Charset::Marked, 100), &bytes, chunk), expected);
            }
        }
        assert_eq!(lines(&framing(Charset::Marked, 100), "één\n".as_bytes(), 3), ["één"]);
    }

    #[test]
    fn encodings_go_by_the_names_that_the_web_knows() {
        let read = |name: &str, bytes: &[u8]| lines(&framing(Charset::named(name).unwrap(), 100), bytes, 4);
        assert_eq!(read("latin1", b"\xe9t\xe9\nx\n"), ["été", "x"]);
        assert_eq!(read("gbk", b"\xc4\xe3\xba\xc3\n"), ["你好"]);
        assert_eq!(read("utf-16le", &utf_16("a\nb", false)), ["a", "b"]);
        assert_eq!(read("utf-8", b"\xff\n"), ["\u{fffd}"]);
        for name in ["utf-7", "iso-2022-jp", ""] {
            assert!(Charset::named(name).unwrap_err().contains("write `auto`"));
        }
    }

    #[test]
    fn broken_utf_16_is_shown_and_its_place_is_not_lost() {
        let mut bytes = utf_16("a", false);
        bytes.extend([0x00, 0xd8]); // half of a pair
        bytes.extend(utf_16("b\nc\n", false));
        bytes.push(b'x'); // half a letter at the end
        let framing = framing(Charset::named("utf-16le").unwrap(), 100);
        for chunk in 1..12 {
            assert_eq!(lines(&framing, &bytes, chunk), ["a\u{fffd}b", "c"]);
        }
    }

    proptest! {
        #[test]
        fn utf_16_gives_the_lines_that_the_same_text_gives_in_utf_8(
            text in "[a-cé日😀\r\n]{0,40}",
            chunk in 1_usize..20,
            max_len in 0_usize..20,
            big in any::<bool>(),
        ) {
            let known = if big { UTF_16BE } else { UTF_16LE };
            let whole_letters = max_len.max(4);
            let expected = lines(&framing(Charset::Known(UTF_8), whole_letters), text.as_bytes(), 1000);
            prop_assert_eq!(lines(&framing(Charset::Known(known), max_len), &utf_16(&text, big), chunk), expected);
        }
    }
}
