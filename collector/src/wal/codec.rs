//! A frame as bytes: header, checksum, payload (`docs/FORMATS.md`, section WAL).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use thiserror::Error;
use uuid::Uuid;

use super::frame::FrameKind;
use super::position::WalPosition;
use crate::topic_partition::TopicPartition;

/// Commits start on a multiple of this.
pub(super) const BLOCK: u32 = 4096;
/// Bytes before a frame's payload.
pub(super) const FRAME_HEADER_BYTES: usize = 72;

const MAGIC: [u8; 4] = *b"TRWL";
const CHECKED_FROM: usize = 8;
const VERSION: u16 = 1;
const LAST_IN_COMMIT: u8 = 1;

/// Everything that a frame's payload may be; the first is the WAL's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    FileHeader,
    Content(FrameKind),
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: Kind,
    pub(super) payload_bytes: u32,
    pub(super) last_in_commit: bool,
    pub(super) commit: u64,
    pub(super) index: u32,
    pub(super) partition: TopicPartition,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) appended_at: i64,
}

/// Why the bytes at some offset are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// The magic is missing.
    #[error("no frame")]
    NoFrame,
    /// The file ends within the frame.
    #[error("a frame that is longer than the file")]
    CutShort,
    /// Header or payload were changed, or belong to another file.
    #[error("a frame with a wrong checksum")]
    WrongChecksum,
    /// Written by a later release.
    #[error("a frame of version {0}, and this release knows up to {VERSION}")]
    UnknownVersion(u16),
    /// The checksum holds, but the kind has no meaning.
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    /// The checksum holds, but another frame belongs here.
    #[error("frame {index} of commit {commit}")]
    OutOfPlace {
        /// The commit it belongs to.
        commit: u64,
        /// Its index there.
        index: u32,
    },
}

impl FrameHeader {
    /// The WAL's own frame at the start of each file.
    pub(super) fn of_file(payload_bytes: u32, commit: u64, last_in_commit: bool) -> Self {
        Self {
            kind: Kind::FileHeader,
            payload_bytes,
            last_in_commit,
            commit,
            index: 0,
            partition: TopicPartition {
                topic: Uuid::nil(),
                partition: -1,
            },
            start: 0,
            end: 0,
            appended_at: 0,
        }
    }

    /// Appends the frame to a commit's buffer.
    pub(super) fn encode(&self, file: WalPosition, payload: &[Bytes], out: &mut BytesMut) {
        let mut header = [0; FRAME_HEADER_BYTES];
        self.put(&mut header);
        let (magic, checked) = header.split_at(CHECKED_FROM);
        let magic = magic.get(..MAGIC.len()).unwrap_or_default();
        let crc = checksum(
            file,
            [checked].into_iter().chain(payload.iter().map(|piece| &piece[..])),
        );
        out.extend_from_slice(magic);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(checked);
        for piece in payload {
            out.extend_from_slice(piece);
        }
    }

    /// All but the checksum.
    fn put(&self, mut out: &mut [u8]) {
        out.put_slice(&MAGIC);
        out.put_u32_le(0);
        out.put_u32_le(self.payload_bytes);
        out.put_u16_le(VERSION);
        out.put_u8(self.kind.code());
        out.put_u8(if self.last_in_commit { LAST_IN_COMMIT } else { 0 });
        out.put_u64_le(self.commit);
        out.put_u32_le(self.index);
        out.put_i32_le(self.partition.partition);
        out.put_slice(self.partition.topic.as_bytes());
        out.put_i64_le(self.start);
        out.put_i64_le(self.end);
        out.put_i64_le(self.appended_at);
    }

    /// Reads the frame at the start of `bytes`, which reach to the end of the file, and checks it.
    pub(super) fn decode(file: WalPosition, bytes: &[u8]) -> Result<Self, FrameFault> {
        let (header, after) = bytes.split_first_chunk().ok_or(FrameFault::NoFrame)?;
        Self::decode_apart(file, header, after)
    }

    /// The same where what stands after the header lies elsewhere.
    pub(super) fn decode_apart(
        file: WalPosition,
        header: &[u8; FRAME_HEADER_BYTES],
        after: &[u8],
    ) -> Result<Self, FrameFault> {
        if !header.starts_with(&MAGIC) {
            return Err(FrameFault::NoFrame);
        }
        let (_, checked) = header.split_at(CHECKED_FROM);
        let mut header = &header[..];
        header.advance(MAGIC.len());
        let crc = header.get_u32_le();
        let payload_bytes = header.get_u32_le();
        let payload = usize::try_from(payload_bytes).ok().and_then(|bytes| after.get(..bytes));
        if checksum(file, [checked, payload.ok_or(FrameFault::CutShort)?]) != crc {
            return Err(FrameFault::WrongChecksum);
        }
        match header.get_u16_le() {
            VERSION => {}
            other => return Err(FrameFault::UnknownVersion(other)),
        }
        let kind = Kind::of_code(header.get_u8())?;
        let flags = header.get_u8();
        let commit = header.get_u64_le();
        let index = header.get_u32_le();
        if commit == u64::MAX {
            // None could follow it, so it belongs nowhere.
            return Err(FrameFault::OutOfPlace { commit, index });
        }
        let partition = header.get_i32_le();
        let mut topic = [0; 16];
        header.copy_to_slice(&mut topic);
        Ok(Self {
            kind,
            payload_bytes,
            last_in_commit: flags & LAST_IN_COMMIT != 0,
            commit,
            index,
            partition: TopicPartition {
                topic: Uuid::from_bytes(topic),
                partition,
            },
            start: header.get_i64_le(),
            end: header.get_i64_le(),
            appended_at: header.get_i64_le(),
        })
    }

    /// Header and payload.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload_bytes as usize
    }
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::FileHeader => 1,
            Self::Content(FrameKind::Batches) => 2,
            Self::Content(FrameKind::ManifestChange) => 3,
        }
    }

    fn of_code(code: u8) -> Result<Self, FrameFault> {
        match code {
            1 => Ok(Self::FileHeader),
            2 => Ok(Self::Content(FrameKind::Batches)),
            3 => Ok(Self::Content(FrameKind::ManifestChange)),
            other => Err(FrameFault::UnknownKind(other)),
        }
    }
}

/// Up to the next block boundary.
pub(super) fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(u64::from(BLOCK))
}

pub(super) fn checksum<'a>(file: WalPosition, checked: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&file.incarnation.to_le_bytes());
    digest.update(&file.file.to_le_bytes());
    for part in checked {
        digest.update(part);
    }
    u32::try_from(digest.finalize()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: WalPosition = WalPosition {
        incarnation: 7,
        file: 2,
    };

    fn header() -> FrameHeader {
        FrameHeader {
            kind: Kind::Content(FrameKind::ManifestChange),
            payload_bytes: 5,
            last_in_commit: true,
            commit: 11,
            index: 3,
            partition: TopicPartition {
                topic: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
                partition: 4,
            },
            start: 100,
            end: 101,
            appended_at: 1_700_000_000_000,
        }
    }

    fn encode(header: FrameHeader, payload: &[Bytes]) -> Vec<u8> {
        let mut out = BytesMut::new();
        header.encode(FILE, payload, &mut out);
        out.to_vec()
    }

    fn encoded() -> Vec<u8> {
        encode(header(), &[Bytes::from_static(b"he"), Bytes::from_static(b"llo")])
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let bytes = encoded();
        assert_eq!(bytes.len(), FRAME_HEADER_BYTES + 5);
        assert_eq!(&bytes[..4], b"TRWL");
        assert_eq!(&bytes[8..16], [5, 0, 0, 0, 1, 0, 3, 1]);
        assert_eq!(&bytes[16..32], [11, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(&bytes[32..48], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(&bytes[48..64], [100, 0, 0, 0, 0, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[64..72], 1_700_000_000_000_i64.to_le_bytes());
        assert_eq!(&bytes[72..], b"hello");
        let mut checked = 7_u64.to_le_bytes().to_vec();
        checked.extend(2_u64.to_le_bytes());
        checked.extend(&bytes[8..]);
        assert_eq!(bytes[4..8], crc_fast::crc32_iscsi(&checked).to_le_bytes());
    }

    #[test]
    fn a_frame_comes_back() {
        let mut bytes = encoded();
        bytes.extend([0; 100]);
        assert_eq!(FrameHeader::decode(FILE, &bytes), Ok(header()));
    }

    #[test]
    fn a_frame_of_another_file_does_not_parse() {
        for (incarnation, file) in [(7, 3), (8, 2), (2, 7)] {
            assert_eq!(
                FrameHeader::decode(WalPosition { incarnation, file }, &encoded()),
                Err(FrameFault::WrongChecksum)
            );
        }
    }

    #[test]
    fn a_commit_that_none_could_follow_is_out_of_place() {
        let last = FrameHeader {
            commit: u64::MAX,
            payload_bytes: 0,
            ..header()
        };
        let bytes = encode(last, &[]);
        let commit = u64::MAX;
        assert_eq!(
            FrameHeader::decode(FILE, &bytes),
            Err(FrameFault::OutOfPlace { commit, index: 3 })
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for bit in 0..encoded().len() * 8 {
            let mut bytes = encoded();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(FILE, &bytes).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_a_fault(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC);
            }
            prop_assert!(FrameHeader::decode(FILE, &bytes).is_err());
        }
    }
}
