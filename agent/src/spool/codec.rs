//! Little-endian fields of the spool's records. Reading never allocates more than the bytes at hand can fill.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut, TryGetError};
use uuid::Uuid;

/// Why a payload with a good checksum was not understood: a release that writes something else, or a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("the record ends early")]
    Truncated,
    #[error("record kind {0} is unknown: was the spool written by a later release?")]
    UnknownKind(u8),
    #[error("a name in the record is not UTF-8")]
    NotUtf8,
    #[error("a batch's route is neither a lane nor a partition")]
    BadRoute,
    #[error("{0} bytes follow the record")]
    TrailingBytes(usize),
}

impl From<TryGetError> for DecodeError {
    fn from(_: TryGetError) -> Self {
        Self::Truncated
    }
}

#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.put_u8(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes.put_u16_le(value);
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.bytes.put_i16_le(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.put_u32_le(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.put_i32_le(value);
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes.put_u64_le(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.put_i64_le(value);
    }

    pub(super) fn uuid(&mut self, value: Uuid) {
        self.bytes.put_slice(value.as_bytes());
    }

    pub(super) fn string(&mut self, value: &str) {
        // Cut rather than refused: names are far shorter, and only reasons can be long.
        let longest = value.len().min(u16::MAX.into());
        let end = (0..=longest).rev().find(|end| value.is_char_boundary(*end));
        self.blob(value.get(..end.unwrap_or_default()).unwrap_or_default().as_bytes());
    }

    /// Linux allows no path of more than 4096 bytes in a call.
    pub(super) fn path(&mut self, value: &Path) {
        self.blob(value.as_os_str().as_bytes());
    }

    /// Whose length is told elsewhere.
    pub(super) fn raw(&mut self, value: &[u8]) {
        self.bytes.put_slice(value);
    }

    fn blob(&mut self, value: &[u8]) {
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.bytes.put_u16_le(len);
        self.bytes.put_slice(value.get(..len.into()).unwrap_or_default());
    }

    pub(super) fn list<T>(&mut self, items: &[T], put: impl Fn(&mut Self, &T)) {
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            put(self, item);
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.bytes.try_get_u8()?)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(self.bytes.try_get_u16_le()?)
    }

    pub(super) fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(self.bytes.try_get_i16_le()?)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(self.bytes.try_get_u32_le()?)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(self.bytes.try_get_i32_le()?)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(self.bytes.try_get_u64_le()?)
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(self.bytes.try_get_i64_le()?)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        let bytes = self.take(16)?;
        Uuid::from_slice(bytes).map_err(|_| DecodeError::Truncated)
    }

    pub(super) fn string(&mut self) -> Result<Arc<str>, DecodeError> {
        let len = self.u16()?;
        let bytes = self.take(len.into())?;
        std::str::from_utf8(bytes)
            .map(Arc::from)
            .map_err(|_| DecodeError::NotUtf8)
    }

    pub(super) fn path(&mut self) -> Result<OsString, DecodeError> {
        let len = self.u16()?;
        Ok(OsString::from_vec(self.take(len.into())?.to_vec()))
    }

    pub(super) fn raw(&mut self, len: u32) -> Result<&'a [u8], DecodeError> {
        self.take(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)
    }

    pub(super) fn skip(&mut self, len: u32) -> Result<(), DecodeError> {
        self.raw(len).map(|_| ())
    }

    /// Each item takes at least one byte, so a lying count ends with the bytes.
    pub(super) fn list<T>(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(take(self)?);
        }
        Ok(items)
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes(self.bytes.len()))
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }
}
