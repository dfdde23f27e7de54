//! The bytes of one record inside a batch.

use super::record_headers::{blob_len, put_blob};
use super::varint::{self, signed};
use super::{BuildError, RecordHeaders};

/// The most that the records of one batch may take uncompressed. Length fields are signed 32-bit numbers, and
/// incompressible data grows a little.
pub(super) const MAX_UNCOMPRESSED: usize = 1 << 30;

/// A record as it is about to be encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncodedRecord<'a> {
    /// Relative to the batch's base timestamp, in milliseconds.
    pub(super) timestamp_delta: i64,
    /// Relative to the batch's base offset.
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a RecordHeaders,
}

impl EncodedRecord<'_> {
    /// Appends the record to those of its batch. An error leaves them as they were.
    #[inline]
    pub(super) fn append_to(self, records: &mut Vec<u8>) -> Result<(), BuildError> {
        let headers = self.headers.as_bytes();
        let offset_delta = self.offset_delta.into();
        let body_len = 1
            + varint::len_i64(self.timestamp_delta)
            + varint::len_i64(offset_delta)
            + blob_len(self.key)
            + blob_len(self.value)
            + headers.len();
        let needed = body_len + varint::len_i64(signed(body_len));
        if records.len().saturating_add(needed) > MAX_UNCOMPRESSED {
            return Err(BuildError::TooLarge {
                bytes: records.len() + needed,
                max: MAX_UNCOMPRESSED,
            });
        }
        records.reserve(needed);
        varint::put_i64(records, signed(body_len));
        records.push(0);
        varint::put_i64(records, self.timestamp_delta);
        varint::put_i64(records, offset_delta);
        put_blob(records, self.key);
        put_blob(records, self.value);
        records.extend_from_slice(headers);
        Ok(())
    }
}
