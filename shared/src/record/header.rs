//! The 61 bytes before the records: decoded as a whole, and patched in place where a broker or a spool must change
//! them. Offset and leader epoch lie before the CRC, so assigning them costs nothing; everything else is under it.

use super::{BatchError, Compression};

/// Length of a batch header in bytes.
pub const HEADER_LEN: usize = 61;
/// Producer id of a batch that has no producer identity.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch that has no producer identity.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch that has no producer identity.
pub const NO_SEQUENCE: i32 = -1;

/// Offset and length come before what the length counts.
pub(super) const LENGTH_PREFIX: usize = 12;
/// The CRC covers everything from the attributes on.
pub(super) const CRC_START: usize = 21;

const MAGIC: i8 = 2;
const BASE_OFFSET_AT: usize = 0;
const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORD_COUNT_AT: usize = 57;

/// A decoded batch header; fields in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (what it had when written; compaction may have removed that record).
    pub base_offset: i64,
    /// Bytes that follow the length field; the whole batch is 12 bytes longer.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; -1 from a producer.
    pub partition_leader_epoch: i32,
    /// Always 2.
    pub magic: i8,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record relative to `base_offset`.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, in milliseconds since the epoch.
    pub base_timestamp: i64,
    /// The highest timestamp of the batch, in milliseconds since the epoch.
    pub max_timestamp: i64,
    /// -1 for a producer without identity.
    pub producer_id: i64,
    /// -1 for a producer without identity.
    pub producer_epoch: i16,
    /// Sequence of the first record; -1 for a producer without identity.
    pub base_sequence: i32,
    /// Number of records in the section.
    pub record_count: i32,
}

/// The 16 flag bits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

/// What the timestamps of a batch mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker: all records have the batch's `max_timestamp`.
    LogAppendTime,
}

impl Attributes {
    const COMPRESSION: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The codec of the record section.
    pub fn compression(self) -> Result<Compression, BatchError> {
        let code = (self.0 & Self::COMPRESSION) as u8;
        Compression::from_code(code).ok_or(BatchError::UnknownCompression { code })
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a transaction marker instead of data.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which the batch's deletion marks may go (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    pub(super) fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }
}

impl BatchHeader {
    /// Decodes the header at the start of `bytes`, which may go on behind it.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        check_magic(bytes)?;
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, BASE_OFFSET_AT)?),
            batch_length: i32::from_be_bytes(field(bytes, LENGTH_AT)?),
            partition_leader_epoch: i32::from_be_bytes(field(bytes, LEADER_EPOCH_AT)?),
            magic: i8::from_be_bytes(field(bytes, MAGIC_AT)?),
            crc: u32::from_be_bytes(field(bytes, CRC_AT)?),
            attributes: Attributes(i16::from_be_bytes(field(bytes, ATTRIBUTES_AT)?)),
            last_offset_delta: i32::from_be_bytes(field(bytes, LAST_OFFSET_DELTA_AT)?),
            base_timestamp: i64::from_be_bytes(field(bytes, BASE_TIMESTAMP_AT)?),
            max_timestamp: i64::from_be_bytes(field(bytes, MAX_TIMESTAMP_AT)?),
            producer_id: i64::from_be_bytes(field(bytes, PRODUCER_ID_AT)?),
            producer_epoch: i16::from_be_bytes(field(bytes, PRODUCER_EPOCH_AT)?),
            base_sequence: i32::from_be_bytes(field(bytes, BASE_SEQUENCE_AT)?),
            record_count: i32::from_be_bytes(field(bytes, RECORD_COUNT_AT)?),
        };
        if header.size_in_bytes() < HEADER_LEN {
            return Err(BatchError::LengthTooSmall {
                batch_length: header.batch_length,
            });
        }
        Ok(header)
    }

    /// The bytes of the header.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut rest = &mut bytes[..];
        let fields: [&[u8]; 13] = [
            &self.base_offset.to_be_bytes(),
            &self.batch_length.to_be_bytes(),
            &self.partition_leader_epoch.to_be_bytes(),
            &self.magic.to_be_bytes(),
            &self.crc.to_be_bytes(),
            &self.attributes.0.to_be_bytes(),
            &self.last_offset_delta.to_be_bytes(),
            &self.base_timestamp.to_be_bytes(),
            &self.max_timestamp.to_be_bytes(),
            &self.producer_id.to_be_bytes(),
            &self.producer_epoch.to_be_bytes(),
            &self.base_sequence.to_be_bytes(),
            &self.record_count.to_be_bytes(),
        ];
        for field in fields {
            let (slot, after) = rest.split_at_mut(field.len());
            slot.copy_from_slice(field);
            rest = after;
        }
        bytes
    }

    /// Size of the whole batch, header included; 0 for a negative length.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        usize::try_from(self.batch_length).map_or(0, |length| length + LENGTH_PREFIX)
    }

    /// Offset of the last record. Saturates, as the fields may be anything.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(self.last_offset_delta.into())
    }

    /// Offset that the batch after this one begins at.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// The time from which the batch's deletion marks may go, in milliseconds since the epoch, if compaction has set one
    /// (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Whether a producer identity is present.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence of the last record; -1 without a producer identity.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            NO_SEQUENCE
        } else {
            wrap_sequence(self.base_sequence, self.last_offset_delta)
        }
    }
}

/// The sequence that follows a batch of `record_count` records; sequences wrap from `i32::MAX` to 0.
#[must_use]
pub fn next_sequence(base_sequence: i32, record_count: i32) -> i32 {
    wrap_sequence(base_sequence, record_count)
}

fn wrap_sequence(sequence: i32, increment: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(increment);
    i32::try_from(sum.rem_euclid(i64::from(i32::MAX) + 1)).unwrap_or_default()
}

/// Gives the batch the offset that the log assigned. The CRC does not cover it.
pub fn patch_base_offset(batch: &mut [u8], base_offset: i64) -> Result<(), BatchError> {
    put(batch, BASE_OFFSET_AT, base_offset.to_be_bytes())
}

/// Notes the epoch of the leader that appends the batch. The CRC does not cover it.
pub fn patch_leader_epoch(batch: &mut [u8], leader_epoch: i32) -> Result<(), BatchError> {
    put(batch, LEADER_EPOCH_AT, leader_epoch.to_be_bytes())
}

/// Gives the batch another producer identity and recomputes the CRC. `batch` is exactly one batch.
pub fn restamp(batch: &mut [u8], producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Result<(), BatchError> {
    put(batch, PRODUCER_ID_AT, producer_id.to_be_bytes())?;
    put(batch, PRODUCER_EPOCH_AT, producer_epoch.to_be_bytes())?;
    put(batch, BASE_SEQUENCE_AT, base_sequence.to_be_bytes())?;
    refresh_crc(batch)
}

/// Turns the batch's timestamps into the broker's time of append and recomputes the CRC. `batch` is exactly one batch.
pub fn set_log_append_time(batch: &mut [u8], now_ms: i64) -> Result<(), BatchError> {
    let attributes = i16::from_be_bytes(field(batch, ATTRIBUTES_AT)?) | Attributes::LOG_APPEND_TIME;
    put(batch, ATTRIBUTES_AT, attributes.to_be_bytes())?;
    put(batch, MAX_TIMESTAMP_AT, now_ms.to_be_bytes())?;
    refresh_crc(batch)
}

/// Writes the CRC of a batch whose other bytes are final.
pub(super) fn refresh_crc(batch: &mut [u8]) -> Result<(), BatchError> {
    let crc = compute_crc(batch)?;
    put(batch, CRC_AT, crc.to_be_bytes())
}

/// CRC32C from the attributes to the end of the batch.
pub(super) fn compute_crc(batch: &[u8]) -> Result<u32, BatchError> {
    let covered = batch.get(CRC_START..).ok_or_else(|| too_short(batch.len()))?;
    Ok(crc_fast::crc32_iscsi(covered))
}

/// The magic byte lies at the same place in every format, and the older headers are shorter than ours.
fn check_magic(bytes: &[u8]) -> Result<(), BatchError> {
    match i8::from_be_bytes(field(bytes, MAGIC_AT)?) {
        MAGIC => Ok(()),
        magic @ (0 | 1) => Err(BatchError::OldFormat { magic }),
        magic => Err(BatchError::UnknownMagic { magic }),
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BatchError> {
    let slot = bytes.get(at..).and_then(|rest| rest.first_chunk());
    slot.copied().ok_or_else(|| too_short(bytes.len()))
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) -> Result<(), BatchError> {
    let error = too_short(bytes.len());
    let slot = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
    *slot.ok_or(error)? = value;
    Ok(())
}

fn too_short(available: usize) -> BatchError {
    BatchError::Truncated {
        needed: HEADER_LEN,
        available,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BatchHeader {
        BatchHeader {
            base_offset: 7,
            batch_length: 49,
            partition_leader_epoch: 3,
            magic: 2,
            crc: 0xdead_beef,
            attributes: Attributes(0b1_0100),
            last_offset_delta: 4,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_009,
            producer_id: 42,
            producer_epoch: 1,
            base_sequence: i32::MAX - 1,
            record_count: 5,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        let header = sample();
        assert_eq!(BatchHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn derived_values() {
        let header = sample();
        assert_eq!(header.size_in_bytes(), HEADER_LEN);
        assert_eq!((header.last_offset(), header.next_offset()), (11, 12));
        assert_eq!(header.last_sequence(), 2, "MAX-1, MAX, 0, 1, 2");
        assert_eq!(next_sequence(header.base_sequence, header.record_count), 3);
        assert_eq!(header.attributes.compression(), Ok(Compression::Zstd));
        assert!(header.attributes.is_transactional());
        assert!(!header.attributes.is_control());
    }

    #[test]
    fn older_formats_are_told_from_damage() {
        for (magic, expected) in [
            (0, BatchError::OldFormat { magic: 0 }),
            (1, BatchError::OldFormat { magic: 1 }),
            (3, BatchError::UnknownMagic { magic: 3 }),
        ] {
            // An old message may be shorter than our header.
            let mut bytes = sample().encode()[..30].to_vec();
            bytes[16] = magic;
            assert_eq!(BatchHeader::decode(&bytes), Err(expected));
        }
    }

    #[test]
    fn short_or_lying_headers_are_refused() {
        let bytes = sample().encode();
        for length in 0..HEADER_LEN {
            assert_eq!(
                BatchHeader::decode(&bytes[..length]),
                Err(BatchError::Truncated {
                    needed: HEADER_LEN,
                    available: length
                })
            );
        }
        for batch_length in [48, 0, -1, i32::MIN] {
            let bytes = BatchHeader {
                batch_length,
                ..sample()
            }
            .encode();
            assert_eq!(
                BatchHeader::decode(&bytes),
                Err(BatchError::LengthTooSmall { batch_length })
            );
        }
    }

    #[test]
    fn patches_change_only_what_they_name() {
        let mut bytes = sample().encode();
        patch_base_offset(&mut bytes, 99).unwrap();
        patch_leader_epoch(&mut bytes, 8).unwrap();
        let expected = BatchHeader {
            base_offset: 99,
            partition_leader_epoch: 8,
            ..sample()
        };
        assert_eq!(BatchHeader::decode(&bytes), Ok(expected.clone()));

        restamp(&mut bytes, 5, 0, 17).unwrap();
        set_log_append_time(&mut bytes, 123).unwrap();
        let patched = BatchHeader::decode(&bytes).unwrap();
        assert_eq!(patched.crc, compute_crc(&bytes).unwrap());
        assert_eq!(patched.attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(
            (patched.producer_id, patched.producer_epoch, patched.base_sequence),
            (5, 0, 17)
        );
        assert_eq!(patched.max_timestamp, 123);
        assert_eq!(patched.base_timestamp, expected.base_timestamp);

        assert!(restamp(&mut bytes[..40], 5, 0, 17).is_err());
    }
}
