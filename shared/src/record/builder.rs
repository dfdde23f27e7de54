//! Builds batches, and is the agent's hot path: records go straight into one buffer ([`GatheredRecords`]) that is kept from
//! batch to batch, with no allocation per record, and the codec's tables are kept as well ([`BatchWriter`]).

use bytes::Bytes;

use super::compression::Compressor;
use super::encoded::{EncodedRecord, MAX_UNCOMPRESSED};
use super::header::{LENGTH_PREFIX, refresh_crc};
use super::{
    Attributes, BatchError, BatchHeader, Compression, HEADER_LEN, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    RecordHeaders,
};

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no batch without a record.
    #[error("a batch needs at least one record")]
    Empty,
    /// The record does not fit into any batch, or not into this one any more.
    #[error("the records of one batch may take {max} bytes at most, and this record would make it {bytes}")]
    TooLarge {
        /// With the record that was refused.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The codec's library refused.
    #[error("cannot compress the batch with {codec}")]
    Compress {
        /// The builder's codec.
        codec: Compression,
        /// As the library puts it.
        source: std::io::Error,
    },
    /// The header could not be completed.
    #[error("cannot complete the batch header")]
    Header(#[from] BatchError),
}

/// The records of a batch that is being gathered, encoded.
#[derive(Debug)]
pub struct GatheredRecords {
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for GatheredRecords {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
        }
    }
}

impl GatheredRecords {
    /// Appends a record. An error leaves the batch as it was.
    #[inline]
    pub fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &RecordHeaders,
    ) -> Result<(), BuildError> {
        let base_timestamp = if self.count == 0 {
            timestamp_ms
        } else {
            self.base_timestamp
        };
        let record = EncodedRecord {
            timestamp_delta: timestamp_ms.wrapping_sub(base_timestamp),
            offset_delta: self.count,
            key,
            value,
            headers,
        };
        record.append_to(&mut self.bytes)?;

        self.base_timestamp = base_timestamp;
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        // At least seven bytes a record keep the count far below its limit.
        self.count += 1;
        Ok(())
    }

    /// Whether there is nothing to finish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Their bytes, before compression.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.max_timestamp = i64::MIN;
    }

    /// One large batch must not keep its memory for all the small ones after it.
    fn trim(&mut self) {
        const KEPT_MIN: usize = 64 << 10;
        let used = self.bytes.len().max(KEPT_MIN);
        if self.bytes.capacity() > used * 2 {
            self.bytes = Vec::with_capacity(used);
        }
    }

    fn header(&self, codec: Compression) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: Attributes(codec.code().into()),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: self.count,
        }
    }
}

/// Turns gathered records into batches, one after the other; whoever gathers several at a time needs one of these only.
#[derive(Debug)]
pub struct BatchWriter {
    compressor: Compressor,
    /// Where a batch is put together before its exact size is known.
    scratch: Vec<u8>,
}

impl BatchWriter {
    /// A writer of batches in one codec. For the level see [`Compression::default_level`].
    pub fn new(codec: Compression, level: i32) -> Result<Self, BuildError> {
        let compressor = Compressor::new(codec, level).map_err(|source| BuildError::Compress { codec, source })?;
        Ok(Self {
            compressor,
            scratch: Vec::new(),
        })
    }

    /// Completes the batch: base offset 0, no producer identity (see [`super::restamp`]), CRC set. `records` is empty
    /// again, and stays as it was on an error.
    pub fn finish(&mut self, records: &mut GatheredRecords) -> Result<Bytes, BuildError> {
        if records.is_empty() {
            return Err(BuildError::Empty);
        }
        let header = records.header(self.compressor.codec());
        put_batch(header, &records.bytes, &mut self.compressor, &mut self.scratch)?;
        records.trim();
        records.clear();
        // The scratch buffer has room for the worst case: a copy of the exact size is what may wait in queues.
        Ok(Bytes::copy_from_slice(&self.scratch))
    }
}

/// Gathers records and turns them into batches, one after the other.
#[derive(Debug)]
pub struct BatchBuilder {
    records: GatheredRecords,
    writer: BatchWriter,
}

impl BatchBuilder {
    /// A builder of batches in one codec. For the level see [`Compression::default_level`].
    pub fn new(codec: Compression, level: i32) -> Result<Self, BuildError> {
        Ok(Self {
            records: GatheredRecords::default(),
            writer: BatchWriter::new(codec, level)?,
        })
    }

    /// As [`GatheredRecords::append`].
    #[inline]
    pub fn append(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &RecordHeaders,
    ) -> Result<(), BuildError> {
        self.records.append(timestamp_ms, key, value, headers)
    }

    /// Whether there is nothing to finish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Records so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.records.count()
    }

    /// Bytes of the records so far, before compression.
    #[must_use]
    pub fn uncompressed_len(&self) -> usize {
        self.records.len()
    }

    /// As [`BatchWriter::finish`].
    pub fn finish(&mut self) -> Result<Bytes, BuildError> {
        self.writer.finish(&mut self.records)
    }
}

/// Puts a batch together in `out`, which it empties first: compresses the records, and fills in length and CRC.
pub(super) fn put_batch(
    mut header: BatchHeader,
    records: &[u8],
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    let codec = compressor.codec();
    out.clear();
    out.resize(HEADER_LEN, 0);
    compressor
        .compress_into(records, out)
        .map_err(|source| BuildError::Compress { codec, source })?;
    header.batch_length = i32::try_from(out.len() - LENGTH_PREFIX).map_err(|_| BuildError::TooLarge {
        bytes: out.len(),
        max: MAX_UNCOMPRESSED,
    })?;
    if let Some(slot) = out.first_chunk_mut() {
        *slot = header.encode();
    }
    Ok(refresh_crc(out)?)
}
