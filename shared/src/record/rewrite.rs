//! A batch without some of its records, as compaction leaves it: everything that stays keeps its offset, and the batch
//! its range of offsets, its producer and its codec.

use bytes::Bytes;

use super::builder::put_batch;
use super::compression::Compressor;
use super::encoded::EncodedRecord;
use super::{BatchHeader, BuildError, RecordView, TimestampType};

/// The batch with this header, of whose records only these are left; at least one, in order. With a delete horizon the
/// batch carries it from now on: the time from which its deletion marks may go, in milliseconds since the epoch (KIP-534).
///
/// # Errors
/// [`BuildError::Empty`] without a record; otherwise where the codec fails.
pub fn rewrite(header: &BatchHeader, kept: &[RecordView], delete_horizon: Option<i64>) -> Result<Bytes, BuildError> {
    let latest = kept
        .iter()
        .map(|record| record.timestamp)
        .max()
        .ok_or(BuildError::Empty)?;
    let mut header = header.clone();
    if let Some(horizon) = delete_horizon {
        header.attributes = header.attributes.with_delete_horizon();
        header.base_timestamp = horizon;
    }
    if header.attributes.timestamp_type() == TimestampType::CreateTime {
        header.max_timestamp = latest;
    }
    let mut records = Vec::new();
    for record in kept {
        let offset_delta = record.offset.saturating_sub(header.base_offset);
        let encoded = EncodedRecord {
            timestamp_delta: record.timestamp.wrapping_sub(header.base_timestamp),
            offset_delta: i32::try_from(offset_delta).unwrap_or(header.last_offset_delta),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        };
        encoded.append_to(&mut records)?;
    }
    header.record_count = i32::try_from(kept.len()).unwrap_or(i32::MAX);
    let codec = header.attributes.compression()?;
    let mut compressor =
        Compressor::new(codec, codec.default_level()).map_err(|source| BuildError::Compress { codec, source })?;
    let mut batch = Vec::new();
    put_batch(header, &records, &mut compressor, &mut batch)?;
    Ok(batch.into())
}
