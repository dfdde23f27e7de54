//! What `journalctl --output=export` writes: entries, each a list of fields and an empty line. The value of a field is text up
//! to the end of its line, or bytes whose length stands before them (<https://systemd.io/JOURNAL_EXPORT_FORMATS>).

use std::ops::Range;

/// No name is longer: the journal has 64 at most.
const NAME_LEN_MAX: usize = 256;
/// Of a longer message the rest is left out: the journal sets no limit, and all of it is held at once.
const MESSAGE_LEN_MAX: usize = 4 << 20;
/// Of a longer value of another field, the same.
const VALUE_LEN_MAX: usize = 8 << 10;

/// The field that each entry begins with.
const CURSOR: &[u8] = b"__CURSOR";

/// These bytes are none of the export format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A line that is no field.
    #[error("a line that is no field: \"{0}\"")]
    NoField(String),
    /// An entry without what each has.
    #[error("an entry without {0}")]
    Missing(&'static str),
}

/// One entry; where its parts lie among the bytes of [`Entries`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    cursor: Range<usize>,
    time_ms: i64,
    message: Option<Range<usize>>,
    left_out: usize,
    /// Those of [`Entries::fields`].
    fields: Range<usize>,
}

/// Several entries, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    fields: Vec<(usize, Range<usize>)>,
    list: Vec<Entry>,
}

/// An entry, as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView<'a> {
    /// The journal's position.
    pub cursor: &'a str,
    /// When the journal took it, in milliseconds since 1970.
    pub time_ms: i64,
    /// What it says, if anything: bytes, though nearly always text.
    pub message: Option<&'a [u8]>,
    /// So many more bytes did it have.
    pub left_out: usize,
    /// The number of each field that is asked for and there, and its value.
    pub fields: Vec<(usize, &'a str)>,
}

impl Entries {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Those that follow the first `skip`.
    pub fn iter_from(&self, skip: usize) -> impl Iterator<Item = EntryView<'_>> {
        self.list.iter().skip(skip).map(|entry| self.view(entry))
    }

    /// The last one's cursor.
    #[must_use]
    pub fn last_cursor(&self) -> Option<&str> {
        self.list.last().map(|entry| self.text(&entry.cursor))
    }

    /// Takes out the first one.
    pub fn drop_first(&mut self) {
        if !self.list.is_empty() {
            self.list.remove(0);
        }
    }

    fn view(&self, entry: &Entry) -> EntryView<'_> {
        let fields = self.fields.get(entry.fields.clone()).unwrap_or_default();
        EntryView {
            cursor: self.text(&entry.cursor),
            time_ms: entry.time_ms,
            message: entry.message.clone().and_then(|message| self.bytes.get(message)),
            left_out: entry.left_out,
            fields: fields.iter().map(|(field, range)| (*field, self.text(range))).collect(),
        }
    }

    /// What was put in by [`Self::put_text`].
    fn text(&self, range: &Range<usize>) -> &str {
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn put_text(&mut self, bytes: &[u8]) -> Range<usize> {
        self.put(String::from_utf8_lossy(bytes).as_bytes())
    }
}

/// Which field the bytes at hand belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Cursor,
    Time,
    Message,
    Wanted(usize),
    Nothing,
}

/// Where in an entry the next byte stands.
#[derive(Debug)]
enum State {
    Name,
    Text(Target),
    Length { target: Target, read: u64, bits: u32 },
    Binary { target: Target, left: u64 },
    BinaryEnd,
}

/// What was read of an entry that is not complete.
#[derive(Debug, Default)]
struct Begun {
    cursor: Vec<u8>,
    time: Vec<u8>,
    message: Option<Vec<u8>>,
    left_out: usize,
    values: Vec<(usize, Vec<u8>)>,
    has_any: bool,
}

/// Reads entries, however their bytes come.
#[derive(Debug)]
pub struct Parser {
    wanted: Vec<String>,
    state: State,
    name: Vec<u8>,
    begun: Begun,
}

impl Parser {
    /// One that keeps these fields, by the journal's names, beside the message.
    #[must_use]
    pub fn new(wanted: Vec<String>) -> Self {
        Self {
            wanted,
            state: State::Name,
            name: Vec::new(),
            begun: Begun::default(),
        }
    }

    /// Takes what has come, and adds what is complete.
    ///
    /// # Errors
    /// When that is no export of a journal.
    pub fn feed(&mut self, mut bytes: &[u8], into: &mut Entries) -> Result<(), ExportError> {
        while let Some(first) = bytes.first() {
            bytes = match self.state {
                State::Name => self.feed_name(bytes, into)?,
                State::Text(target) => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (value, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.begun.add(target, value);
                    match end {
                        Some(_) => self.expect_name(rest),
                        None => rest,
                    }
                }
                State::Length { target, read, bits } => {
                    let read = read | u64::from(*first) << bits;
                    self.state = match bits {
                        56 => State::Binary { target, left: read },
                        _ => State::Length {
                            target,
                            read,
                            bits: bits + 8,
                        },
                    };
                    bytes.get(1..).unwrap_or_default()
                }
                State::Binary { left: 0, .. } => {
                    self.state = State::BinaryEnd;
                    bytes
                }
                State::Binary { target, left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (value, rest) = bytes.split_at(here);
                    self.begun.add(target, value);
                    self.state = State::Binary {
                        target,
                        left: left - here as u64,
                    };
                    rest
                }
                State::BinaryEnd if *first == b'\n' => self.expect_name(bytes),
                State::BinaryEnd => return Err(no_field(bytes)),
            };
        }
        Ok(())
    }

    /// Behind the end of a line.
    fn expect_name<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        self.state = State::Name;
        rest.get(1..).unwrap_or_default()
    }

    fn feed_name<'a>(&mut self, bytes: &'a [u8], into: &mut Entries) -> Result<&'a [u8], ExportError> {
        let end = memchr::memchr2(b'=', b'\n', bytes);
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.name.extend_from_slice(part.get(..=NAME_LEN_MAX).unwrap_or(part));
        if self.name.len() > NAME_LEN_MAX || !self.name.iter().copied().all(is_of_name) {
            return Err(no_field(&self.name));
        }
        let Some((delimiter, rest)) = rest.split_first() else {
            return Ok(rest);
        };
        if self.name.is_empty() {
            if *delimiter == b'=' {
                return Err(no_field(bytes));
            }
            std::mem::take(&mut self.begun).finish(into)?;
            return Ok(rest);
        }
        // Of an entry that it cannot read to its end journalctl leaves out the empty line.
        if self.name == CURSOR && self.begun.has_any {
            std::mem::take(&mut self.begun).finish(into)?;
        }
        let target = self.begun.target(&self.name, &self.wanted);
        self.name.clear();
        self.state = match delimiter {
            b'=' => State::Text(target),
            _ => State::Length {
                target,
                read: 0,
                bits: 0,
            },
        };
        Ok(rest)
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

fn no_field(line: &[u8]) -> ExportError {
    const SHOWN: usize = 80;
    let shown = line.get(..SHOWN).unwrap_or(line);
    ExportError::NoField(shown.escape_ascii().to_string())
}

impl Begun {
    /// What becomes of the value of a field. Of several with one name the first counts.
    fn target(&mut self, name: &[u8], wanted: &[String]) -> Target {
        self.has_any = true;
        match name {
            CURSOR if self.cursor.is_empty() => return Target::Cursor,
            b"__REALTIME_TIMESTAMP" if self.time.is_empty() => return Target::Time,
            b"MESSAGE" if self.message.is_none() => {
                self.message = Some(Vec::new());
                return Target::Message;
            }
            _ => {}
        }
        match wanted.iter().position(|wanted| wanted.as_bytes() == name) {
            Some(field) if self.values.iter().all(|(other, _)| *other != field) => {
                self.values.push((field, Vec::new()));
                Target::Wanted(field)
            }
            _ => Target::Nothing,
        }
    }

    fn add(&mut self, target: Target, value: &[u8]) {
        let (to, limit) = match target {
            Target::Cursor => (&mut self.cursor, VALUE_LEN_MAX),
            Target::Time => (&mut self.time, VALUE_LEN_MAX),
            Target::Message => (self.message.get_or_insert_default(), MESSAGE_LEN_MAX),
            Target::Wanted(field) => match self.values.iter_mut().find(|(other, _)| *other == field) {
                Some((_, to)) => (to, VALUE_LEN_MAX),
                None => return,
            },
            Target::Nothing => return,
        };
        let kept = value.len().min(limit - to.len().min(limit));
        to.extend_from_slice(value.get(..kept).unwrap_or_default());
        if target == Target::Message {
            self.left_out += value.len() - kept;
        }
    }

    fn finish(self, into: &mut Entries) -> Result<(), ExportError> {
        if !self.has_any {
            // Empty lines between entries mean nothing.
            return Ok(());
        }
        let time_us = std::str::from_utf8(&self.time)
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        let time_us = time_us.ok_or(ExportError::Missing("__REALTIME_TIMESTAMP"))?;
        if self.cursor.is_empty() {
            return Err(ExportError::Missing("__CURSOR"));
        }
        let first_field = into.fields.len();
        let cursor = into.put_text(&self.cursor);
        let message = self.message.map(|message| into.put(&message));
        for (field, value) in self.values {
            let value = into.put_text(&value);
            into.fields.push((field, value));
        }
        into.list.push(Entry {
            cursor,
            time_ms: time_us / 1000,
            message,
            left_out: self.left_out,
            fields: first_field..into.fields.len(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parser() -> Parser {
        Parser::new(vec!["_SYSTEMD_UNIT".to_owned(), "PRIORITY".to_owned()])
    }

    fn read(bytes: &[u8]) -> Result<Entries, ExportError> {
        let mut entries = Entries::default();
        parser().feed(bytes, &mut entries)?;
        Ok(entries)
    }

    const TWO: &[u8] =
        b"__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=1700000000123456\n_SYSTEMD_UNIT=a.service\nMESSAGE=one=1\n\
        _CMDLINE=x\nPRIORITY=6\n\n__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1700000001000000\nMESSAGE\n\
        \x05\0\0\0\0\0\0\0a\n\n\xffb\nCOREDUMP\n\x02\0\0\0\0\0\0\0\n\n\n\n";

    #[test]
    fn values_are_text_or_bytes_and_only_what_is_wanted_is_kept() {
        let entries = read(TWO).unwrap();
        let all: Vec<_> = entries.iter_from(0).collect();
        let expected = [
            EntryView {
                cursor: "s=1;i=1",
                time_ms: 1_700_000_000_123,
                message: Some(b"one=1"),
                left_out: 0,
                fields: vec![(0, "a.service"), (1, "6")],
            },
            EntryView {
                cursor: "s=1;i=2",
                time_ms: 1_700_000_001_000,
                message: Some(b"a\n\n\xffb"),
                left_out: 0,
                fields: vec![],
            },
        ];
        assert_eq!(all, expected);
        assert_eq!(entries.last_cursor(), Some("s=1;i=2"));
    }

    #[test]
    fn what_is_no_export_is_refused() {
        let refused = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(refused(b"=\n").contains("no field"));
        assert!(refused(&[b'X'; 300]).contains("no field: \"XXX"));
        assert!(refused(b"Nov 28 12:00:00 web-1 app: text\n").contains("no field: \"Nov"));
        assert!(refused(b"MESSAGE=a\n__REALTIME_TIMESTAMP=1\n\n").contains("without __CURSOR"));
        assert!(refused(b"__CURSOR=a\n__REALTIME_TIMESTAMP=z\n\n").contains("without __REALTIME_TIMESTAMP"));
        assert!(refused(b"MESSAGE\n\x01\0\0\0\0\0\0\0ab").contains("no field: \"b"));
    }

    #[test]
    fn a_value_that_claims_to_be_long_takes_no_memory_before_it_is() {
        let mut parser = parser();
        let mut entries = Entries::default();
        parser
            .feed(b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffabc", &mut entries)
            .unwrap();
        assert_eq!(parser.begun.message.as_deref(), Some(&b"abc"[..]));
        let long = vec![b'x'; MESSAGE_LEN_MAX + 10];
        let entry = [b"__CURSOR=a\n__REALTIME_TIMESTAMP=1\nMESSAGE=", &long[..], b"\n\n"].concat();
        let entries = read(&entry).unwrap();
        let entry = entries.iter_from(0).next().unwrap();
        assert_eq!((entry.message.unwrap().len(), entry.left_out), (MESSAGE_LEN_MAX, 10));
    }

    #[test]
    fn an_entry_that_is_not_finished_ends_where_the_next_one_begins() {
        let begun = b"__CURSOR=s=1;i=0\n__REALTIME_TIMESTAMP=1\nPRIORITY=3\n";
        let entries = read(&[begun, TWO].concat()).unwrap();
        let messages: Vec<_> = entries
            .iter_from(0)
            .map(|entry| (entry.cursor, entry.message))
            .collect();
        let expected: [(_, Option<&[u8]>); 3] = [
            ("s=1;i=0", None),
            ("s=1;i=1", Some(b"one=1")),
            ("s=1;i=2", Some(b"a\n\n\xffb")),
        ];
        assert_eq!(messages, expected);
    }

    proptest! {
        #[test]
        fn entries_are_the_same_however_their_bytes_come(cuts in prop::collection::vec(1_usize..40, 1..40)) {
            let (mut parser, mut entries, mut rest) = (parser(), Entries::default(), TWO);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                parser.feed(now, &mut entries).unwrap();
                rest = later;
            }
            prop_assert_eq!(entries, read(TWO).unwrap());
        }
    }
}
