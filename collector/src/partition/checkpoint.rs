//! The bytes of a checkpoint: all that an opening broker need not learn from the WAL any more.
//!
//! A checkpoint is fuzzy. It names a position in the WAL, and each partition's snapshot was taken, under that partition's
//! lock, at some moment after everything before the position was applied. So the replay from the position meets frames
//! that a snapshot has seen, and skips them by their offsets and versions. The bytes are described in
//! `docs/FORMATS.md`, "Checkpoint and manifest".

use bytes::{Buf, BufMut, Bytes};
use uuid::Uuid;

use super::manifest::Manifest;
use super::manifest_codec::{DecodeError, bounded_count, count};
use super::producers::SequencedBatch;
use crate::topic_partition::TopicPartition;
use crate::wal::WalPosition;

const MAGIC: &[u8; 4] = b"TRCP";
/// The version that is written. Version 1, which is read too, did not know how far a partition was compacted.
pub const VERSION: u16 = 2;
const HEADER_LEN: usize = 4 + 2;
const CRC_LEN: usize = 4;
const PRODUCER_LEN: usize = 47;

/// The committed state of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose it is.
    pub partition: TopicPartition,
    /// One past the last committed offset.
    pub end: i64,
    /// Its history behind the WAL.
    pub manifest: Manifest,
    /// The remembered batches of its producers, oldest first within each.
    pub producers: Vec<(i64, SequencedBatch)>,
}

/// All partitions of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where the replay of the WAL starts.
    pub position: WalPosition,
    /// The partitions, in no particular order.
    pub partitions: Vec<Snapshot>,
}

/// Why an object is not a checkpoint that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not written by Tailrace, or its first bytes are damaged.
    #[error("it does not begin like a checkpoint")]
    NotACheckpoint,
    /// Written by a newer version.
    #[error(
        "it has format version {found}, and this version of Tailrace reads up to {VERSION}: run the version that wrote it"
    )]
    UnknownVersion {
        /// As found.
        found: u16,
    },
    /// The checksum does not match.
    #[error("it carries CRC32C {stored:#010x} but its bytes have {computed:#010x}")]
    CrcMismatch {
        /// As in its last bytes.
        stored: u32,
        /// Of the bytes before.
        computed: u32,
    },
    /// Its checksum is right and its content is not.
    #[error("its content is malformed")]
    Malformed(#[from] DecodeError),
}

impl Checkpoint {
    /// The bytes of the checkpoint object.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        out.put_slice(MAGIC);
        out.put_u16_le(VERSION);
        out.put_u64_le(self.position.incarnation);
        out.put_u64_le(self.position.file);
        out.put_u32_le(count(self.partitions.len()));
        for snapshot in &self.partitions {
            snapshot.encode(&mut out);
        }
        out.put_u32_le(crc_fast::crc32_iscsi(&out));
        out.into()
    }

    /// Decodes and checks a checkpoint object. Never allocates more than a small multiple of its size.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let mut header = bytes.get(..HEADER_LEN).ok_or(CheckpointError::NotACheckpoint)?;
        if !header.starts_with(MAGIC) {
            return Err(CheckpointError::NotACheckpoint);
        }
        header.advance(MAGIC.len());
        let found = header.try_get_u16_le().map_err(DecodeError::from)?;
        if !(1..=VERSION).contains(&found) {
            return Err(CheckpointError::UnknownVersion { found });
        }
        let (body, mut crc) = bytes
            .split_at_checked(bytes.len().saturating_sub(CRC_LEN))
            .filter(|(body, _)| body.len() >= HEADER_LEN)
            .ok_or(CheckpointError::NotACheckpoint)?;
        let stored = crc.try_get_u32_le().map_err(DecodeError::from)?;
        let computed = crc_fast::crc32_iscsi(body);
        if stored != computed {
            return Err(CheckpointError::CrcMismatch { stored, computed });
        }
        Ok(decode_body(body.get(HEADER_LEN..).unwrap_or_default(), found)?)
    }
}

fn decode_body(mut from: &[u8], version: u16) -> Result<Checkpoint, DecodeError> {
    let position = WalPosition {
        incarnation: from.try_get_u64_le()?,
        file: from.try_get_u64_le()?,
    };
    let mut partitions = Vec::new();
    for _ in 0..bounded_count(&mut from, 16 + 4 + 8)? {
        partitions.push(Snapshot::decode(&mut from, version)?);
    }
    if from.has_remaining() {
        return Err(DecodeError::Inconsistent("bytes follow the last partition"));
    }
    Ok(Checkpoint { position, partitions })
}

impl Snapshot {
    /// The state of a partition that nothing was written to.
    #[must_use]
    pub fn empty(partition: TopicPartition) -> Self {
        Self {
            partition,
            end: 0,
            manifest: Manifest::default(),
            producers: Vec::new(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_slice(self.partition.topic.as_bytes());
        out.put_i32_le(self.partition.partition);
        out.put_i64_le(self.end);
        self.manifest.encode(out);
        out.put_u32_le(count(self.producers.len()));
        for (producer_id, batch) in &self.producers {
            out.put_i64_le(*producer_id);
            out.put_i16_le(batch.epoch);
            out.put_i32_le(batch.base_sequence);
            out.put_i32_le(batch.last_sequence);
            out.put_u8(batch.crc.is_some().into());
            out.put_u32_le(batch.crc.unwrap_or_default());
            out.put_i64_le(batch.base_offset);
            out.put_i64_le(batch.last_offset);
            out.put_i64_le(batch.appended_at);
        }
    }

    fn decode(from: &mut &[u8], version: u16) -> Result<Self, DecodeError> {
        let mut topic = [0; 16];
        from.try_copy_to_slice(&mut topic)?;
        let partition = TopicPartition {
            topic: Uuid::from_bytes(topic),
            partition: from.try_get_i32_le()?,
        };
        let end = from.try_get_i64_le()?;
        let manifest = Manifest::decode(from, version)?;
        if end < manifest.covered_to() {
            return Err(DecodeError::Inconsistent("a partition ends before its segments do"));
        }
        let producers = (0..bounded_count(from, PRODUCER_LEN)?)
            .map(|_| decode_producer(from))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            partition,
            end,
            manifest,
            producers,
        })
    }
}

fn decode_producer(from: &mut &[u8]) -> Result<(i64, SequencedBatch), DecodeError> {
    let producer_id = from.try_get_i64_le()?;
    let epoch = from.try_get_i16_le()?;
    let base_sequence = from.try_get_i32_le()?;
    let last_sequence = from.try_get_i32_le()?;
    let has_crc = from.try_get_u8()? != 0;
    let crc = from.try_get_u32_le()?;
    let batch = SequencedBatch {
        epoch,
        base_sequence,
        last_sequence,
        crc: has_crc.then_some(crc),
        base_offset: from.try_get_i64_le()?,
        last_offset: from.try_get_i64_le()?,
        appended_at: from.try_get_i64_le()?,
    };
    Ok((producer_id, batch))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::manifests;
    use super::*;
    use proptest::prelude::*;

    fn producers() -> impl Strategy<Value = Vec<(i64, SequencedBatch)>> {
        let batch = (any::<i16>(), any::<[i32; 2]>(), any::<Option<u32>>(), any::<[i64; 3]>());
        let batch = batch.prop_map(
            |(epoch, [base_sequence, last_sequence], crc, [base_offset, last_offset, at])| SequencedBatch {
                epoch,
                base_sequence,
                last_sequence,
                crc,
                base_offset,
                last_offset,
                appended_at: at,
            },
        );
        proptest::collection::vec((any::<i64>(), batch), 0..6)
    }

    fn snapshots() -> impl Strategy<Value = Snapshot> {
        (any::<u128>(), 0i32..100, 0i64..50, manifests(), producers()).prop_map(
            |(topic, partition, beyond, manifest, producers)| Snapshot {
                partition: TopicPartition {
                    topic: Uuid::from_u128(topic),
                    partition,
                },
                end: manifest.covered_to() + beyond,
                manifest,
                producers,
            },
        )
    }

    fn checkpoints() -> impl Strategy<Value = Checkpoint> {
        (any::<[u64; 2]>(), proptest::collection::vec(snapshots(), 0..5)).prop_map(
            |([incarnation, file], partitions)| Checkpoint {
                position: WalPosition { incarnation, file },
                partitions,
            },
        )
    }

    #[test]
    fn a_newer_version_is_refused_by_its_number() {
        let mut bytes = b"TRCP\x03\x00".to_vec();
        assert_eq!(
            Checkpoint::decode(&bytes),
            Err(CheckpointError::UnknownVersion { found: 3 })
        );
        bytes[0] = b'X';
        assert_eq!(Checkpoint::decode(&bytes), Err(CheckpointError::NotACheckpoint));
        assert_eq!(Checkpoint::decode(b""), Err(CheckpointError::NotACheckpoint));
        assert_eq!(
            Checkpoint::decode(b"TRCP\x01\x00"),
            Err(CheckpointError::NotACheckpoint)
        );
    }

    #[test]
    fn version_1_had_compacted_nothing() {
        let mut checkpoint = Checkpoint {
            position: WalPosition {
                incarnation: 3,
                file: 4,
            },
            partitions: vec![Snapshot::empty(TopicPartition {
                topic: Uuid::from_u128(5),
                partition: 6,
            })],
        };
        checkpoint.partitions[0].manifest.compacted_to = 7;
        let mut old = checkpoint.encode().to_vec();
        old[4] = 1;
        let producers_and_crc = old.len() - 8;
        old.truncate(producers_and_crc - 8);
        old.put_u32_le(0);
        old.put_u32_le(crc_fast::crc32_iscsi(&old));
        checkpoint.partitions[0].manifest.compacted_to = 0;
        assert_eq!(Checkpoint::decode(&old), Ok(checkpoint));
    }

    proptest! {
        #[test]
        fn a_checkpoint_comes_back_as_it_was(checkpoint in checkpoints()) {
            prop_assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint));
        }

        #[test]
        fn a_cut_or_flipped_checkpoint_is_refused(
            checkpoint in checkpoints(), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let bytes = checkpoint.encode();
            let at = at.index(bytes.len());
            prop_assert!(Checkpoint::decode(&bytes[..at]).is_err());
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << bit;
            prop_assert!(Checkpoint::decode(&flipped).is_err());
        }

        #[test]
        fn malformed_content_under_a_right_checksum_is_refused_or_read(
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = b"TRCP\x02\x00".to_vec();
            bytes.extend(&body);
            bytes.put_u32_le(crc_fast::crc32_iscsi(&bytes));
            if let Ok(checkpoint) = Checkpoint::decode(&bytes) {
                prop_assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint));
            }
        }
    }
}
