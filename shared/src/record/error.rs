//! Why bytes were refused as a record batch. The variants say what is wrong; [`BatchError::kind`] sorts them into the
//! few classes that a broker answers with.

use super::Compression;

/// What is wrong with a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch needs {needed} bytes but only {available} are there")]
    Truncated {
        /// Bytes that the batch declares, or the least that a header takes.
        needed: usize,
        /// Bytes that are left.
        available: usize,
    },
    /// The length field is below what a header takes.
    #[error("a batch length of {batch_length} is too short for a batch header")]
    LengthTooSmall {
        /// The length as declared, counted from the leader epoch on.
        batch_length: i32,
    },
    /// The batch is larger than this side accepts.
    #[error("a batch of {bytes} bytes is over the limit of {max} (max.message.bytes)")]
    TooLarge {
        /// Size of the whole batch.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A message set of the time before Kafka 0.11.
    #[error("message format v{magic} is not supported: the client must send RecordBatch v2 (Kafka 0.11 or later)")]
    OldFormat {
        /// 0 or 1.
        magic: i8,
    },
    /// A magic byte that no version of the format has.
    #[error("magic byte {magic} is not a known record format")]
    UnknownMagic {
        /// The byte at position 16.
        magic: i8,
    },
    /// The checksum does not match: the bytes changed on their way.
    #[error("the batch carries CRC32C {stored:#010x} but its bytes have {computed:#010x}")]
    CrcMismatch {
        /// As in the header.
        stored: u32,
        /// Of the bytes from the attributes to the end.
        computed: u32,
    },
    /// A codec that the format does not define.
    #[error("compression code {code} is unknown")]
    UnknownCompression {
        /// The lowest three bits of the attributes.
        code: u8,
    },
    /// The record section is not what its codec says.
    #[error("the {codec} data of the batch cannot be decompressed: {reason}")]
    Decompress {
        /// The codec of the batch.
        codec: Compression,
        /// As the codec's library puts it.
        reason: String,
    },
    /// Decompression was stopped at the cap.
    #[error("the {codec} data of the batch unfolds to more than {max} bytes")]
    UncompressedTooLarge {
        /// The codec of the batch.
        codec: Compression,
        /// The cap.
        max: usize,
    },
    /// A produced batch must have at least one record, and one per offset.
    #[error("the batch declares {record_count} records and a last offset delta of {last_offset_delta}")]
    RecordCount {
        /// As declared.
        record_count: i32,
        /// As declared.
        last_offset_delta: i32,
    },
    /// Producer id, epoch and sequence do not go together.
    #[error("producer id {producer_id} with epoch {producer_epoch} and base sequence {base_sequence} is no identity")]
    Identity {
        /// As declared.
        producer_id: i64,
        /// As declared.
        producer_epoch: i16,
        /// As declared.
        base_sequence: i32,
    },
    /// Control records are written by brokers only.
    #[error("a client may not write control records")]
    ControlFromClient,
    /// Only compaction says when deletion marks may go.
    #[error("a client may not set a delete horizon")]
    DeleteHorizonFromClient,
    /// Only a broker stamps append time.
    #[error("a client may not set the timestamp type to LogAppendTime")]
    LogAppendTimeFromClient,
    /// A record inside the section is malformed.
    #[error("record {index} of the batch is malformed: {reason}")]
    Record {
        /// Position within the batch, from 0.
        index: i32,
        /// Which part of it.
        reason: &'static str,
    },
    /// Bytes are left in the section after the last record.
    #[error("{bytes} bytes follow the last record of the batch")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}

/// The classes of [`BatchError`], one per answer of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchErrorKind {
    /// `CORRUPT_MESSAGE`: the bytes are damaged; sending them again may help.
    CorruptMessage,
    /// `INVALID_RECORD`: the bytes are as the client meant them, and wrong.
    InvalidRecord,
    /// `INVALID_TIMESTAMP`.
    InvalidTimestamp,
    /// `UNSUPPORTED_FOR_MESSAGE_FORMAT`.
    UnsupportedFormat,
    /// `MESSAGE_TOO_LARGE`.
    TooLarge,
    /// `UNSUPPORTED_COMPRESSION_TYPE`.
    UnsupportedCompression,
}

impl BatchError {
    /// The class that a broker answers with.
    #[must_use]
    pub fn kind(&self) -> BatchErrorKind {
        match self {
            Self::Truncated { .. }
            | Self::LengthTooSmall { .. }
            | Self::UnknownMagic { .. }
            | Self::CrcMismatch { .. }
            | Self::Decompress { .. } => BatchErrorKind::CorruptMessage,
            Self::RecordCount { .. }
            | Self::Identity { .. }
            | Self::ControlFromClient
            | Self::DeleteHorizonFromClient
            | Self::Record { .. }
            | Self::TrailingBytes { .. } => BatchErrorKind::InvalidRecord,
            Self::LogAppendTimeFromClient => BatchErrorKind::InvalidTimestamp,
            Self::OldFormat { .. } => BatchErrorKind::UnsupportedFormat,
            Self::TooLarge { .. } | Self::UncompressedTooLarge { .. } => BatchErrorKind::TooLarge,
            Self::UnknownCompression { .. } => BatchErrorKind::UnsupportedCompression,
        }
    }
}
