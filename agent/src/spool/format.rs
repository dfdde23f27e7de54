//! The outer shell of a spool file: its header, frames, blocks, and what is believed of a file after a crash.
//! `docs/FORMATS.md`, "Spool", describes each byte.

use std::ops::Range;

use bytes::{Buf, BufMut};
use crc_fast::{CrcAlgorithm, Digest};

/// Commits begin at multiples of this many bytes, so that an acknowledged block is never written again.
pub(super) const BLOCK: usize = 4096;
/// Length of a frame's header in bytes.
pub(super) const FRAME_HEADER: usize = 24;

const MAGIC: &[u8; 8] = b"TRSPOOL\0";
const VERSION: u32 = 3;
const ALIGN: usize = 8;
const FIRST_OF_COMMIT: u8 = 1;
const HEADER_COVERED: usize = 32;
const FRAME_COVERED: usize = 20;

/// Numbers the lives of files: one more than any before it.
pub(super) type FileNumber = u64;

/// What tells one life of a recycled file from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) number: FileNumber,
    pub(super) seed: u64,
}

/// What the first block of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileHeader {
    Life(Life),
    /// Never used.
    Blank,
    /// Written by a later release.
    UnknownVersion(u32),
    Damaged,
}

impl Life {
    /// The first block of the file.
    pub(super) fn encode_header(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(0);
        out.put_u64_le(self.number);
        out.put_u64_le(self.seed);
        let crc = crc_fast::crc32_iscsi(out.get(start..).unwrap_or_default());
        out.put_u32_le(crc);
        out.resize(start + BLOCK, 0);
    }

    fn crc(self, bytes: &[u8]) -> u32 {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.number.to_le_bytes());
        digest.update(&self.seed.to_le_bytes());
        digest.update(bytes);
        u32::try_from(digest.finalize()).unwrap_or_default()
    }
}

impl FileHeader {
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let block = bytes.get(..BLOCK.min(bytes.len())).unwrap_or_default();
        if block.iter().all(|byte| *byte == 0) {
            return Self::Blank;
        }
        let (Some(covered), Some(mut rest)) = (block.get(..HEADER_COVERED), block.get(HEADER_COVERED..)) else {
            return Self::Damaged;
        };
        if rest.try_get_u32_le().ok() != Some(crc_fast::crc32_iscsi(covered)) {
            return Self::Damaged;
        }
        Self::decode_covered(covered).unwrap_or(Self::Damaged)
    }

    fn decode_covered(covered: &[u8]) -> Option<Self> {
        let mut fields = covered.strip_prefix(MAGIC)?;
        let version = fields.try_get_u32_le().ok()?;
        if version != VERSION {
            return Some(Self::UnknownVersion(version));
        }
        fields.try_get_u32_le().ok()?;
        Some(Self::Life(Life {
            number: fields.try_get_u64_le().ok()?,
            seed: fields.try_get_u64_le().ok()?,
        }))
    }
}

/// Puts the frames of one commit together.
#[derive(Debug)]
pub(super) struct CommitWriter {
    life: Life,
    commit: u64,
    frames: usize,
    bytes: Vec<u8>,
    /// Where the payload of the frame under construction starts.
    payload_at: usize,
}

impl CommitWriter {
    pub(super) fn new(life: Life, commit: u64) -> Self {
        Self {
            life,
            commit,
            frames: 0,
            bytes: Vec::new(),
            payload_at: 0,
        }
    }

    /// Bytes that a commit with this frame and `more` payload bytes takes at most.
    pub(super) fn size_with(&self, payload_len: usize) -> usize {
        (self.bytes.len() + FRAME_HEADER + payload_len + ALIGN).next_multiple_of(BLOCK)
    }

    /// Appends a frame; tells where its payload begins in the commit.
    pub(super) fn push(&mut self, kind: u8, payload: &[&[u8]]) -> usize {
        let start = self.bytes.len();
        self.bytes.put_bytes(0, FRAME_HEADER);
        self.payload_at = self.bytes.len();
        for part in payload {
            self.bytes.put_slice(part);
        }
        self.seal(start, kind);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        self.frames += 1;
        self.payload_at
    }

    fn seal(&mut self, start: usize, kind: u8) {
        let payload = self.bytes.get(self.payload_at..).unwrap_or_default();
        let mut header = Vec::with_capacity(FRAME_HEADER);
        header.put_u32_le(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        header.put_u8(kind);
        header.put_u8(if self.frames == 0 { FIRST_OF_COMMIT } else { 0 });
        header.put_u16_le(0);
        header.put_u64_le(self.commit);
        header.put_u32_le(self.life.crc(payload));
        header.put_u32_le(self.life.crc(&header));
        if let Some(slot) = self.bytes.get_mut(start..self.payload_at) {
            slot.copy_from_slice(&header);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// The commit, padded to whole blocks.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self.bytes
    }
}

/// A frame that was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    /// Where its payload lies in the file.
    pub(super) payload: Range<usize>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contents {
    /// In the order they were written.
    pub(super) frames: Vec<Frame>,
    /// Synced once, and unreadable now.
    pub(super) damaged: Vec<Range<usize>>,
    /// The end of the last commit that is believed, in whole blocks.
    pub(super) end: usize,
}

struct FrameHeader {
    kind: u8,
    first: bool,
    commit: u64,
    payload_crc: u32,
    payload: Range<usize>,
}

impl FrameHeader {
    fn decode(bytes: &[u8], at: usize, life: Life) -> Option<Self> {
        let header = bytes.get(at..at.checked_add(FRAME_HEADER)?)?;
        let (covered, mut crc) = header.split_at_checked(FRAME_COVERED)?;
        if crc.try_get_u32_le().ok()? != life.crc(covered) {
            return None;
        }
        let mut fields = covered;
        let len = usize::try_from(fields.try_get_u32_le().ok()?).ok()?;
        let kind = fields.try_get_u8().ok()?;
        let flags = fields.try_get_u8().ok()?;
        fields.try_get_u16_le().ok()?;
        let start = at + FRAME_HEADER;
        Some(Self {
            kind,
            first: flags & FIRST_OF_COMMIT != 0,
            commit: fields.try_get_u64_le().ok()?,
            payload_crc: fields.try_get_u32_le().ok()?,
            payload: start..start.checked_add(len).filter(|end| *end <= bytes.len())?,
        })
    }

    fn is_whole(&self, bytes: &[u8], life: Life) -> bool {
        let payload = bytes.get(self.payload.clone()).unwrap_or_default();
        life.crc(payload) == self.payload_crc
    }

    fn end(&self) -> usize {
        self.payload.end.next_multiple_of(ALIGN)
    }
}

/// Reads what is to be believed of a file.
pub(super) fn read_contents(bytes: &[u8], life: Life) -> Contents {
    let mut contents = Contents {
        end: BLOCK,
        ..Contents::default()
    };
    let mut at = BLOCK;
    let mut commit = 0;
    while at < bytes.len() {
        let header = FrameHeader::decode(bytes, at, life).filter(|header| header.commit >= commit);
        match header {
            Some(header) if header.is_whole(bytes, life) => {
                commit = header.commit;
                at = header.end();
                contents.end = at.next_multiple_of(BLOCK).min(bytes.len());
                contents.frames.push(Frame {
                    kind: header.kind,
                    payload: header.payload,
                });
            }
            None if is_padding(bytes, at) => at = at.next_multiple_of(BLOCK),
            damaged => {
                let known_end = damaged.as_ref().map(FrameHeader::end);
                let synced_up_to = damaged.map_or(commit, |header| header.commit);
                let Some(later) = later_commit(bytes, known_end.unwrap_or(at), life, synced_up_to) else {
                    break;
                };
                let end = known_end.unwrap_or(later);
                contents.damaged.push(at..end);
                at = end;
            }
        }
    }
    contents
}

/// Between the end of a commit and the end of its block.
fn is_padding(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..at.next_multiple_of(BLOCK)).unwrap_or_default();
    !rest.is_empty() && rest.iter().all(|byte| *byte == 0)
}

/// Where, from here on, a commit with a higher number begins: it was begun only after all before it had been synced.
fn later_commit(bytes: &[u8], from: usize, life: Life, commit: u64) -> Option<usize> {
    (from.next_multiple_of(BLOCK)..bytes.len())
        .step_by(BLOCK)
        .find(|at| FrameHeader::decode(bytes, *at, life).is_some_and(|header| header.first && header.commit > commit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFE: Life = Life { number: 7, seed: 99 };

    /// A file with a commit for each list of payloads.
    fn file(life: Life, commits: &[&[&[u8]]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        life.encode_header(&mut bytes);
        for (commit, payloads) in (1..).zip(commits) {
            let mut writer = CommitWriter::new(life, commit);
            for payload in *payloads {
                writer.push(5, &[payload]);
            }
            bytes.extend(writer.finish());
        }
        bytes.resize(bytes.len() + 4 * BLOCK, 0);
        bytes
    }

    fn payloads(bytes: &[u8], contents: &Contents) -> Vec<Vec<u8>> {
        contents
            .frames
            .iter()
            .map(|frame| bytes[frame.payload.clone()].to_vec())
            .collect()
    }

    #[test]
    fn commits_come_back_in_order() {
        let bytes = file(LIFE, &[&[b"one", b""], &[&[7; 5000]], &[b"last"]]);
        assert_eq!(FileHeader::decode(&bytes), FileHeader::Life(LIFE));
        let contents = read_contents(&bytes, LIFE);
        assert_eq!(
            payloads(&bytes, &contents),
            [b"one".to_vec(), vec![], vec![7; 5000], b"last".to_vec()]
        );
        assert!(contents.damaged.is_empty());
        assert_eq!(contents.end, BLOCK * 5);
    }

    #[test]
    fn a_torn_last_commit_is_no_damage() {
        let mut bytes = file(LIFE, &[&[b"one"], &[b"two", &[7; BLOCK]]]);
        bytes[BLOCK * 3] ^= 1;
        let contents = read_contents(&bytes, LIFE);
        assert_eq!(payloads(&bytes, &contents), [b"one".to_vec(), b"two".to_vec()]);
        assert!(contents.damaged.is_empty());
    }

    #[test]
    fn a_later_frame_of_the_torn_commit_is_not_believed() {
        // The second frame starts on a block boundary, where a commit could start too.
        let first = vec![1; BLOCK - FRAME_HEADER];
        let mut bytes = file(LIFE, &[&[b"one"], &[&first, b"two"]]);
        bytes[BLOCK * 2 + 100] ^= 1;
        let contents = read_contents(&bytes, LIFE);
        assert_eq!(payloads(&bytes, &contents), [b"one".to_vec()]);
        assert!(contents.damaged.is_empty());
    }

    #[test]
    fn damage_before_a_later_commit_is_skipped_and_told() {
        for at in [BLOCK * 2, BLOCK * 2 + FRAME_HEADER] {
            let mut bytes = file(LIFE, &[&[b"one"], &[b"two"], &[b"three"]]);
            bytes[at] ^= 1;
            let contents = read_contents(&bytes, LIFE);
            assert_eq!(payloads(&bytes, &contents), [b"one".to_vec(), b"three".to_vec()]);
            assert_eq!(contents.damaged.len(), 1, "flipped at {at}");
        }
    }

    #[test]
    fn a_block_of_an_earlier_life_never_parses() {
        for old in [Life { number: 6, seed: 99 }, Life { number: 7, seed: 98 }] {
            let mut bytes = file(LIFE, &[&[b"new"]]);
            let stale = file(old, &[&[b"old"], &[b"stale"]]);
            bytes[BLOCK * 2..BLOCK * 3].copy_from_slice(&stale[BLOCK * 2..BLOCK * 3]);
            let contents = read_contents(&bytes, LIFE);
            assert_eq!(payloads(&bytes, &contents), [b"new".to_vec()]);
            assert!(contents.damaged.is_empty());
        }
    }

    #[test]
    fn headers_are_told_apart() {
        assert_eq!(FileHeader::decode(&[0; BLOCK]), FileHeader::Blank);
        let bytes = file(LIFE, &[]);
        let mut damaged = bytes.clone();
        damaged[17] ^= 4;
        assert_eq!(FileHeader::decode(&damaged), FileHeader::Damaged);
        let mut later = bytes;
        later[8] = 4;
        let crc = crc_fast::crc32_iscsi(&later[..HEADER_COVERED]);
        later[HEADER_COVERED..HEADER_COVERED + 4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(FileHeader::decode(&later), FileHeader::UnknownVersion(4));
    }

    proptest! {
        #[test]
        fn what_is_read_of_a_mutated_file_was_written(
            flips in prop::collection::vec((0..BLOCK * 6, any::<u8>()), 0..6),
            cut in 0..BLOCK * 10,
        ) {
            let written: &[&[u8]] = &[b"one", &[7; 5000], b"three", b"four"];
            let mut bytes = file(LIFE, &[&written[..1], &written[1..3], &written[3..]]);
            for (at, mask) in flips {
                bytes[at] ^= mask;
            }
            bytes.truncate(cut);
            FileHeader::decode(&bytes);
            let contents = read_contents(&bytes, LIFE);
            let mut left = written.iter();
            for payload in payloads(&bytes, &contents) {
                prop_assert!(left.any(|known| **known == payload), "not written, or out of order");
            }
        }
    }
}
