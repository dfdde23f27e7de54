//! The bytes of a segment around its runs: header, footer sections and trailer, as in `docs/FORMATS.md`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::index::{IndexEntry, add_up};
use super::run::Run;
use crate::topic_partition::TopicPartition;

/// The newest version that is read, and the one that is written.
pub const VERSION: u16 = 1;
/// Where the first run starts.
pub const HEADER_BYTES: u64 = 8;
/// The length of the trailer.
pub const TRAILER_BYTES: usize = 24;

const HEADER_MAGIC: &[u8; 4] = b"TRSG";
const TRAILER_MAGIC: &[u8; 4] = b"TRSF";
const SECTION_HEADER_BYTES: usize = 12;
const MUST_UNDERSTAND: u16 = 1;
const KIND_RUNS: u16 = 1;
const KIND_INDEX: u16 = 2;
const KIND_LENGTHS: u16 = 3;
const ROW_BYTES: usize = 72;
const ENTRY_BYTES: usize = 24;

const RUNS: &str = "runs section";
const INDEX: &str = "index section";
const LENGTHS: &str = "lengths section";
const FOOTER: &str = "footer";
const TRAILER: &str = "trailer";

/// Why bytes are not a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A newer Tailrace wrote them.
    #[error("version {found} is newer than {known}")]
    NewerVersion {
        /// Its version.
        found: u16,
        /// The newest that is read.
        known: u16,
    },
    /// They are damaged.
    #[error("{section}: {reason}")]
    Damaged {
        /// Which part.
        section: &'static str,
        /// What is wrong there.
        reason: String,
    },
}

/// What the footer says of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterRun {
    /// Whose it is.
    pub partition: TopicPartition,
    /// The run.
    pub run: Run,
    /// Its blocks, in order; never empty.
    pub index: Vec<IndexEntry>,
}

/// The footer of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Where it starts in the object, in bytes.
    pub start: u64,
    /// The runs, in the order in which they begin in the object.
    pub runs: Vec<FooterRun>,
}

/// Where the footer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// In bytes from the start of the object.
    pub footer_start: u64,
    /// In bytes.
    pub footer_bytes: u32,
}

/// The bytes before the first run.
#[must_use]
pub fn encode_header() -> Bytes {
    let mut out = BytesMut::with_capacity(8);
    out.put_slice(HEADER_MAGIC);
    out.put_u16_le(VERSION);
    out.put_u16_le(0);
    out.freeze()
}

impl Footer {
    /// The footer and the trailer of a segment; `None` if they would be longer than the format can say.
    #[must_use]
    pub fn encode(&self, object: Uuid) -> Option<Bytes> {
        let (mut rows, mut entries) = (BytesMut::new(), BytesMut::new());
        for FooterRun { partition, run, index } in &self.runs {
            encode_row(&mut rows, partition, run, u32::try_from(index.len()).ok()?);
            for entry in index {
                entries.put_i64_le(entry.offset);
                entries.put_u64_le(entry.position);
                entries.put_i64_le(entry.max_timestamp);
            }
        }
        let mut out = BytesMut::new();
        put_section(&mut out, object, KIND_RUNS, &rows)?;
        put_section(&mut out, object, KIND_INDEX, &entries)?;
        if !self.is_packed() {
            let mut lengths = BytesMut::new();
            for entry in self.runs.iter().flat_map(|row| &row.index) {
                lengths.put_u32_le(u32::try_from(entry.bytes).ok()?);
            }
            put_section(&mut out, object, KIND_LENGTHS, &lengths)?;
        }
        let footer_bytes = u32::try_from(out.len()).ok()?;
        put_trailer(
            &mut out,
            object,
            Trailer {
                footer_start: self.start,
                footer_bytes,
            },
        );
        Some(out.freeze())
    }

    /// Whether there is nothing but blocks between header and footer, each right behind the one before.
    fn is_packed(&self) -> bool {
        let mut blocks = self.runs.iter().flat_map(|row| &row.index);
        let end = blocks.try_fold(HEADER_BYTES, |end, block| (block.position == end).then(|| block.end()));
        end == Some(self.start)
    }

    /// Decodes and checks the sections between the runs and the trailer. Never allocates more than a small multiple of
    /// their length.
    pub fn decode(object: Uuid, trailer: Trailer, sections: &[u8]) -> Result<Self, FormatError> {
        let (mut rows, mut entries, mut lengths) = (None, None, None);
        let mut rest = sections;
        while !rest.is_empty() {
            let section = take_section(object, &mut rest)?;
            match section.kind {
                KIND_RUNS => rows = Some(section.payload),
                KIND_INDEX => entries = Some(section.payload),
                KIND_LENGTHS => lengths = Some(section.payload),
                unknown if section.flags & MUST_UNDERSTAND != 0 => {
                    return Err(damaged(
                        FOOTER,
                        format!("section kind {unknown} must be understood and is not"),
                    ));
                }
                _ => {}
            }
        }
        let mut rows = rows.ok_or_else(|| damaged(RUNS, "it is missing"))?;
        let mut entries = entries.ok_or_else(|| damaged(INDEX, "it is missing"))?;
        if rows.len() % ROW_BYTES != 0 {
            return Err(damaged(RUNS, "its length is not a whole number of rows"));
        }
        let mut footer = Self {
            start: trailer.footer_start,
            runs: Vec::with_capacity(rows.len() / ROW_BYTES),
        };
        while !rows.is_empty() {
            footer.runs.push(take_row(object, &mut rows, &mut entries)?);
        }
        if !entries.is_empty() {
            return Err(damaged(INDEX, "it has more entries than the runs claim"));
        }
        match lengths {
            Some(lengths) => footer.take_lengths(lengths)?,
            None => footer.pack()?,
        }
        footer.runs.iter_mut().for_each(|row| add_up(&mut row.index));
        footer.check()?;
        Ok(footer)
    }

    fn take_lengths(&mut self, mut lengths: &[u8]) -> Result<(), FormatError> {
        let blocks = self.runs.iter_mut().flat_map(|row| &mut row.index);
        for block in blocks {
            block.bytes = u64::from(take_u32(&mut lengths, LENGTHS)?);
        }
        if lengths.is_empty() {
            return Ok(());
        }
        Err(damaged(LENGTHS, "it has more lengths than the index has entries"))
    }

    /// Without lengths each block reaches to the next, and the last to the footer.
    fn pack(&mut self) -> Result<(), FormatError> {
        let mut end = self.start;
        for block in self.runs.iter_mut().rev().flat_map(|row| row.index.iter_mut().rev()) {
            block.bytes = end.saturating_sub(block.position);
            end = block.position;
        }
        if self.is_packed() {
            return Ok(());
        }
        Err(damaged(RUNS, "the runs do not fill the object"))
    }

    fn check(&self) -> Result<(), FormatError> {
        for row in &self.runs {
            row.check(self.start)?;
        }
        if self.runs.is_sorted_by(|one, next| one.run.position < next.run.position) {
            return Ok(());
        }
        Err(damaged(RUNS, "the runs are not in the order of their positions"))
    }

    /// The entry of a run as a manifest knows it.
    #[must_use]
    pub fn find(&self, run: &Run) -> Option<&FooterRun> {
        let at = self.runs.partition_point(|row| row.run.position < run.position);
        self.runs.get(at).filter(|row| row.run == *run)
    }

    /// Roughly how much memory it takes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let entries: usize = self.runs.iter().map(|row| row.index.len()).sum();
        (self.runs.len() * size_of::<FooterRun>() + entries * size_of::<IndexEntry>()) as u64
    }
}

impl Trailer {
    /// Decodes the last bytes of an object of `object_bytes`.
    pub fn decode(object: Uuid, last: &[u8], object_bytes: u64) -> Result<Self, FormatError> {
        let trailer = last.last_chunk::<TRAILER_BYTES>();
        let mut from: &[u8] = trailer.ok_or_else(|| damaged(TRAILER, "the object is too short to have one"))?;
        let covered = from.get(..16).unwrap_or_default();
        let (computed, magic) = (checksum(object, &[covered]), from.get(20..).unwrap_or_default());
        if magic != TRAILER_MAGIC {
            return Err(damaged(TRAILER, "the object does not end like a segment"));
        }
        let (footer_start, footer_bytes) = (take_u64(&mut from, TRAILER)?, take_u32(&mut from, TRAILER)?);
        let found = take_u16(&mut from, TRAILER)?;
        take_u16(&mut from, TRAILER)?;
        check_crc(TRAILER, take_u32(&mut from, TRAILER)?, computed)?;
        if found > VERSION {
            return Err(FormatError::NewerVersion { found, known: VERSION });
        }
        let size = footer_start.checked_add(u64::from(footer_bytes) + TRAILER_BYTES as u64);
        if size != Some(object_bytes) {
            return Err(damaged(
                TRAILER,
                format!("it does not fit an object of {object_bytes} bytes"),
            ));
        }
        Ok(Self {
            footer_start,
            footer_bytes,
        })
    }
}

/// Decodes the header, trailer and footer of a whole object.
pub fn decode(object: Uuid, bytes: &[u8]) -> Result<Footer, FormatError> {
    let trailer = Trailer::decode(object, bytes, bytes.len() as u64)?;
    let start = usize::try_from(trailer.footer_start).unwrap_or(usize::MAX);
    let sections = bytes.get(start..bytes.len().saturating_sub(TRAILER_BYTES));
    let footer = Footer::decode(
        object,
        trailer,
        sections.ok_or_else(|| damaged(FOOTER, "it lies outside the object"))?,
    )?;
    if footer.is_packed() && !bytes.starts_with(HEADER_MAGIC) {
        return Err(damaged("header", "the object does not begin like a segment"));
    }
    Ok(footer)
}

impl FooterRun {
    fn check(&self, footer_start: u64) -> Result<(), FormatError> {
        let Self { run, index, .. } = self;
        if run.bytes == 0 || run.start < 0 || run.start >= run.end || run.position < HEADER_BYTES {
            return Err(damaged(RUNS, format!("run {}..{} is impossible", run.start, run.end)));
        }
        let starts_with_the_run = index.first().is_some_and(|entry| entry.position == run.position);
        let ascends = index.is_sorted_by(|a, b| a.offset < b.offset && a.end() <= b.position);
        let ends = index.last().is_some_and(|entry| entry.end() <= footer_start);
        let is_whole = index.iter().map(|entry| entry.bytes).sum::<u64>() == run.bytes;
        let inside = |entry: &IndexEntry| entry.bytes > 0 && (run.start..run.end).contains(&entry.offset);
        if starts_with_the_run && ascends && ends && is_whole && index.iter().all(inside) {
            return Ok(());
        }
        Err(damaged(
            INDEX,
            format!("the entries of run {}..{} are impossible", run.start, run.end),
        ))
    }
}

struct Section<'a> {
    kind: u16,
    flags: u16,
    payload: &'a [u8],
}

fn put_section(out: &mut BytesMut, object: Uuid, kind: u16, payload: &[u8]) -> Option<()> {
    let mut head = BytesMut::with_capacity(8);
    head.put_u16_le(kind);
    head.put_u16_le(MUST_UNDERSTAND);
    head.put_u32_le(u32::try_from(payload.len()).ok()?);
    out.put_slice(&head);
    out.put_u32_le(checksum(object, &[&head, payload]));
    out.put_slice(payload);
    Some(())
}

fn take_section<'a>(object: Uuid, rest: &mut &'a [u8]) -> Result<Section<'a>, FormatError> {
    let cut_short = || damaged(FOOTER, "it ends inside a section");
    let (mut head, body) = rest.split_at_checked(SECTION_HEADER_BYTES).ok_or_else(cut_short)?;
    let covered = head.get(..8).unwrap_or_default();
    let (kind, flags) = (take_u16(&mut head, FOOTER)?, take_u16(&mut head, FOOTER)?);
    let length = usize::try_from(take_u32(&mut head, FOOTER)?).unwrap_or(usize::MAX);
    let (payload, after) = body.split_at_checked(length).ok_or_else(cut_short)?;
    let name = match kind {
        KIND_RUNS => RUNS,
        KIND_INDEX => INDEX,
        KIND_LENGTHS => LENGTHS,
        _ => FOOTER,
    };
    check_crc(
        name,
        take_u32(&mut head, FOOTER)?,
        checksum(object, &[covered, payload]),
    )?;
    *rest = after;
    Ok(Section { kind, flags, payload })
}

fn put_trailer(out: &mut BytesMut, object: Uuid, trailer: Trailer) {
    let mut covered = BytesMut::with_capacity(16);
    covered.put_u64_le(trailer.footer_start);
    covered.put_u32_le(trailer.footer_bytes);
    covered.put_u16_le(VERSION);
    covered.put_u16_le(0);
    out.put_slice(&covered);
    out.put_u32_le(checksum(object, &[&covered]));
    out.put_slice(TRAILER_MAGIC);
}

fn encode_row(out: &mut BytesMut, partition: &TopicPartition, run: &Run, entries: u32) {
    out.put_slice(partition.topic.as_bytes());
    out.put_i32_le(partition.partition);
    out.put_u64_le(run.position);
    out.put_u64_le(run.bytes);
    out.put_i64_le(run.start);
    out.put_i64_le(run.end);
    out.put_i64_le(run.max_timestamp);
    out.put_i64_le(run.appended_at);
    out.put_u32_le(entries);
}

fn take_row(object: Uuid, rows: &mut &[u8], entries: &mut &[u8]) -> Result<FooterRun, FormatError> {
    let mut topic = [0; 16];
    rows.try_copy_to_slice(&mut topic)
        .map_err(|error| damaged(RUNS, error))?;
    let partition = TopicPartition {
        topic: Uuid::from_bytes(topic),
        partition: take_i32(rows, RUNS)?,
    };
    let run = Run {
        object,
        position: take_u64(rows, RUNS)?,
        bytes: take_u64(rows, RUNS)?,
        start: take_i64(rows, RUNS)?,
        end: take_i64(rows, RUNS)?,
        max_timestamp: take_i64(rows, RUNS)?,
        appended_at: take_i64(rows, RUNS)?,
    };
    let count = usize::try_from(take_u32(rows, RUNS)?).unwrap_or(usize::MAX);
    if count > entries.len() / ENTRY_BYTES {
        return Err(damaged(INDEX, "it has fewer entries than the runs claim"));
    }
    let index = (0..count).map(|_| take_entry(entries)).collect::<Result<_, _>>()?;
    Ok(FooterRun { partition, run, index })
}

/// Without its length, which follows from the next or stands elsewhere.
fn take_entry(entries: &mut &[u8]) -> Result<IndexEntry, FormatError> {
    Ok(IndexEntry {
        offset: take_i64(entries, INDEX)?,
        position: take_u64(entries, INDEX)?,
        bytes: 0,
        before: 0,
        max_timestamp: take_i64(entries, INDEX)?,
    })
}

fn checksum(object: Uuid, parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(object.as_bytes());
    for part in parts {
        digest.update(part);
    }
    u32::try_from(digest.finalize()).unwrap_or_default()
}

fn check_crc(section: &'static str, stored: u32, computed: u32) -> Result<(), FormatError> {
    if stored == computed {
        return Ok(());
    }
    let reason = format!("it carries CRC32C {stored:#010x} but its bytes have {computed:#010x}");
    Err(damaged(section, reason))
}

fn damaged(section: &'static str, reason: impl ToString) -> FormatError {
    FormatError::Damaged {
        section,
        reason: reason.to_string(),
    }
}

fn take_u16(from: &mut &[u8], section: &'static str) -> Result<u16, FormatError> {
    from.try_get_u16_le().map_err(|error| damaged(section, error))
}

fn take_u32(from: &mut &[u8], section: &'static str) -> Result<u32, FormatError> {
    from.try_get_u32_le().map_err(|error| damaged(section, error))
}

fn take_u64(from: &mut &[u8], section: &'static str) -> Result<u64, FormatError> {
    from.try_get_u64_le().map_err(|error| damaged(section, error))
}

fn take_i32(from: &mut &[u8], section: &'static str) -> Result<i32, FormatError> {
    from.try_get_i32_le().map_err(|error| damaged(section, error))
}

fn take_i64(from: &mut &[u8], section: &'static str) -> Result<i64, FormatError> {
    from.try_get_i64_le().map_err(|error| damaged(section, error))
}
