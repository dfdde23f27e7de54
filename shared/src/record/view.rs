//! Batches as they lie in outside bytes: cut apart and checked without a copy, opened record by record on request.

use bytes::Bytes;

use super::header::{HEADER_LEN, compute_crc};
use super::record_headers::take_blob;
use super::{BatchError, BatchHeader, RecordHeaders, TimestampType, compression, varint};

/// One whole batch whose length and CRC were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchView {
    /// The decoded header.
    pub header: BatchHeader,
    /// The bytes of the batch, header included: a slice of what came in.
    pub bytes: Bytes,
}

/// Cuts a run of batches apart; ends after the first error.
///
/// The end of a fetch response may cut a batch short, which shows as [`BatchError::Truncated`]: a consumer stops there,
/// a broker refuses it.
#[derive(Debug)]
pub struct Batches {
    rest: Bytes,
    max_batch_bytes: usize,
}

impl Batches {
    /// Iterates over the batches of `bytes`, none of which may be larger than `max_batch_bytes`.
    #[must_use]
    pub fn split(bytes: Bytes, max_batch_bytes: usize) -> Self {
        Self {
            rest: bytes,
            max_batch_bytes,
        }
    }

    fn take_batch(&mut self) -> Result<BatchView, BatchError> {
        let header = check_batch(&self.rest, self.max_batch_bytes)?;
        let bytes = self.rest.split_to(header.size_in_bytes());
        Ok(BatchView { header, bytes })
    }
}

impl Iterator for Batches {
    type Item = Result<BatchView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = self.take_batch();
        if batch.is_err() {
            self.rest.clear();
        }
        Some(batch)
    }
}

impl std::iter::FusedIterator for Batches {}

/// The header of the batch at the front, all of which is there, no longer than it may be, and whole by its checksum.
pub fn check_batch(bytes: &[u8], max_batch_bytes: usize) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::decode(bytes)?;
    let size = header.size_in_bytes();
    if size > max_batch_bytes {
        return Err(BatchError::TooLarge {
            bytes: size,
            max: max_batch_bytes,
        });
    }
    let batch = bytes.get(..size).ok_or(BatchError::Truncated {
        needed: size,
        available: bytes.len(),
    })?;
    let computed = compute_crc(batch)?;
    if computed != header.crc {
        return Err(BatchError::CrcMismatch {
            stored: header.crc,
            computed,
        });
    }
    Ok(header)
}

impl BatchView {
    /// What a broker must check of a produced batch, all of it in the header: the records stay closed.
    pub fn validate_produced(&self) -> Result<(), BatchError> {
        let header = &self.header;
        header.attributes.compression()?;
        if header.record_count < 1 || header.record_count - 1 != header.last_offset_delta {
            let BatchHeader {
                record_count,
                last_offset_delta,
                ..
            } = *header;
            return Err(BatchError::RecordCount {
                record_count,
                last_offset_delta,
            });
        }
        if header.attributes.is_control() {
            return Err(BatchError::ControlFromClient);
        }
        if header.attributes.has_delete_horizon() {
            return Err(BatchError::DeleteHorizonFromClient);
        }
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
            return Err(BatchError::LogAppendTimeFromClient);
        }
        let identified = header.has_producer_id();
        if identified && (header.producer_epoch < 0 || header.base_sequence < 0)
            || !identified && header.attributes.is_transactional()
        {
            let BatchHeader {
                producer_id,
                producer_epoch,
                base_sequence,
                ..
            } = *header;
            return Err(BatchError::Identity {
                producer_id,
                producer_epoch,
                base_sequence,
            });
        }
        Ok(())
    }

    /// Opens the record section, which may unfold to at most `max_uncompressed` bytes.
    pub fn records(&self, max_uncompressed: usize) -> Result<RecordIter, BatchError> {
        let codec = self.header.attributes.compression()?;
        let section = self.bytes.slice(HEADER_LEN.min(self.bytes.len())..);
        let section = compression::decompress(codec, &section, max_uncompressed)?;
        Ok(RecordIter {
            header: self.header.clone(),
            section,
            index: 0,
        })
    }
}

/// One record; key, value and headers are slices of the section it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordView {
    /// Absolute offset.
    pub offset: i64,
    /// Milliseconds since the epoch; the batch's own where the broker stamped it.
    pub timestamp: i64,
    /// What compaction and partitioning go by.
    pub key: Option<Bytes>,
    /// The payload; null is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their encoded form.
    pub headers: RecordHeaders,
}

/// The records of one batch in order; ends after the first error. The number of records must be as declared.
#[derive(Debug)]
pub struct RecordIter {
    header: BatchHeader,
    section: Bytes,
    index: i32,
}

impl RecordIter {
    fn take_record(&mut self) -> Result<RecordView, BatchError> {
        let fail = |reason| BatchError::Record {
            index: self.index,
            reason,
        };
        let (body, rest) = take_blob(&self.section).ok_or_else(|| fail("its length exceeds the batch"))?;
        let body = self
            .section
            .slice_ref(body.ok_or_else(|| fail("its length is negative"))?);
        let rest = self.section.slice_ref(rest);

        let record = decode_body(&body, &self.header).map_err(fail)?;
        self.section = rest;
        Ok(record)
    }
}

impl Iterator for RecordIter {
    type Item = Result<RecordView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.header.record_count {
            let bytes = std::mem::take(&mut self.section).len();
            return (bytes > 0).then_some(Err(BatchError::TrailingBytes { bytes }));
        }
        let record = self.take_record();
        match record {
            Ok(_) => self.index += 1,
            Err(_) => {
                self.index = self.header.record_count;
                self.section.clear();
            }
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A record takes at least seven bytes, so a declared count cannot promise more than the section holds.
        let declared = usize::try_from(self.header.record_count.saturating_sub(self.index)).unwrap_or(0);
        (0, Some(declared.min(self.section.len() / 7).saturating_add(1)))
    }
}

impl std::iter::FusedIterator for RecordIter {}

fn decode_body(body: &Bytes, header: &BatchHeader) -> Result<RecordView, &'static str> {
    // The first byte holds attributes of the record, of which the format defines none.
    let rest = body.get(1..).ok_or("it is empty")?;
    let (timestamp_delta, rest) = varint::take_i64(rest).ok_or("its timestamp is malformed")?;
    let (offset_delta, rest) = varint::take_i32(rest).ok_or("its offset is malformed")?;
    let (key, rest) = take_blob(rest).ok_or("its key does not fit")?;
    let (value, rest) = take_blob(rest).ok_or("its value does not fit")?;
    let headers = RecordHeaders::decode(body.slice_ref(rest)).ok_or("its headers are malformed")?;
    if !(0..=header.last_offset_delta).contains(&offset_delta) {
        return Err("its offset lies outside the batch");
    }
    let offset = header
        .base_offset
        .checked_add(offset_delta.into())
        .ok_or("its offset overflows")?;
    let timestamp = match header.attributes.timestamp_type() {
        TimestampType::LogAppendTime => header.max_timestamp,
        TimestampType::CreateTime => header.base_timestamp.wrapping_add(timestamp_delta),
    };
    let own = |slice: &[u8]| body.slice_ref(slice);
    Ok(RecordView {
        offset,
        timestamp,
        key: key.map(own),
        value: value.map(own),
        headers,
    })
}
