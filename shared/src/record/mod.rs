//! RecordBatch v2: the bytes that agents build, that the collector stores as they came, and that consumers read.
//!
//! A batch is a header of 61 bytes ([`BatchHeader`]) and a section of records that may be compressed. The header alone
//! carries all that a broker needs: offsets, producer identity, sequence, and a CRC32C over everything behind it. So
//! [`Batches`] cuts outside bytes into checked [`BatchView`]s without copying or decompressing; only consumers,
//! compaction and tests open the section, through [`RecordIter`], which never allocates more than it was allowed to.
//! [`BatchBuilder`] is the other direction, its two halves the agent's hot path; [`rewrite`] is what compaction leaves of a batch.
//!
//! Source of the format: the Kafka documentation, "Implementation: Message Format" (KIP-98), and KIP-82 for headers.

mod builder;
pub mod compression;
mod encoded;
mod error;
mod header;
mod record_headers;
mod rewrite;
#[cfg(test)]
mod tests;
pub mod varint;
mod view;

pub use builder::{BatchBuilder, BatchWriter, BuildError, GatheredRecords};
pub use compression::Compression;
pub use error::{BatchError, BatchErrorKind};
pub use header::{
    Attributes, BatchHeader, HEADER_LEN, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, TimestampType, next_sequence,
    patch_base_offset, patch_leader_epoch, restamp, set_log_append_time,
};
pub use record_headers::RecordHeaders;
pub use rewrite::rewrite;
pub use view::{BatchView, Batches, RecordIter, RecordView, check_batch};
