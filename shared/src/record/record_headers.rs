//! The headers of one record, kept in their encoded form: a builder encodes constant headers once for all records,
//! and a reader walks them in place without an allocation.

use bytes::Bytes;

use super::varint::{self, signed};

/// Encoded headers: their count, then for each its key and its value or null. Always well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeaders {
    encoded: Bytes,
}

impl RecordHeaders {
    /// No headers.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            encoded: Bytes::from_static(&[0]),
        }
    }

    /// Encodes pairs of key and value.
    pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> Self {
        let mut count = 0;
        let mut body = Vec::new();
        for (key, value) in pairs {
            count += 1;
            put_blob(&mut body, Some(key.as_bytes()));
            put_blob(&mut body, value);
        }
        Self::joined(count, &body)
    }

    /// These and some more.
    #[must_use]
    pub fn with<'a>(&self, more: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut count, body) = varint::take_i32(&self.encoded).unwrap_or_default();
        let mut body = body.to_vec();
        for (key, value) in more {
            count = count.saturating_add(1);
            put_blob(&mut body, Some(key.as_bytes()));
            put_blob(&mut body, Some(value));
        }
        Self::joined(count.into(), &body)
    }

    fn joined(count: i64, body: &[u8]) -> Self {
        let mut encoded = Vec::with_capacity(body.len() + varint::len_i64(count));
        varint::put_i64(&mut encoded, count);
        encoded.extend_from_slice(body);
        Self {
            encoded: encoded.into(),
        }
    }

    /// Takes bytes that must be exactly the headers of one record.
    pub(super) fn decode(encoded: Bytes) -> Option<Self> {
        let (count, mut rest) = varint::take_i32(&encoded)?;
        for _ in 0..u32::try_from(count).ok()? {
            (_, rest) = take_header(rest)?;
        }
        rest.is_empty().then_some(Self { encoded })
    }

    /// The bytes as they stand in a record.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes() == [0]
    }

    /// Keys and values in their order. Keys are UTF-8 by the format, but nobody checks.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = varint::take_i32(&self.encoded).map_or(&[][..], |(_, rest)| rest);
        std::iter::from_fn(move || {
            let (pair, after) = take_header(rest)?;
            rest = after;
            Some(pair)
        })
    }

    /// The value of the last header with this key, as Kafka's `lastHeader`; a null value counts as absent.
    #[must_use]
    pub fn last(&self, key: &str) -> Option<&[u8]> {
        self.iter()
            .filter(|(name, _)| *name == key.as_bytes())
            .last()
            .and_then(|(_, value)| value)
    }
}

impl Default for RecordHeaders {
    fn default() -> Self {
        Self::empty()
    }
}

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

fn take_header(bytes: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (key, rest) = take_blob(bytes)?;
    let (value, rest) = take_blob(rest)?;
    Some(((key?, value), rest))
}

/// A length and that many bytes; the length -1 is null.
pub(super) fn take_blob(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = varint::take_i32(bytes)?;
    if length == -1 {
        return Some((None, rest));
    }
    let (blob, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Some(blob), rest))
}

/// Bytes that [`put_blob`] appends.
#[inline]
pub(super) fn blob_len(blob: Option<&[u8]>) -> usize {
    blob.map_or(1, |blob| varint::len_i64(signed(blob.len())) + blob.len())
}

#[inline]
pub(super) fn put_blob(out: &mut Vec<u8>, blob: Option<&[u8]>) {
    match blob {
        None => varint::put_i64(out, -1),
        Some(blob) => {
            varint::put_i64(out, signed(blob.len()));
            out.extend_from_slice(blob);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_in_their_order() {
        let headers = RecordHeaders::encode([("host", Some(&b"a"[..])), ("empty", Some(b"")), ("null", None)]);
        assert_eq!(headers.as_bytes(), b"\x06\x08host\x02a\x0aempty\x00\x08null\x01");
        let pairs: Vec<_> = headers.iter().collect();
        assert_eq!(
            pairs,
            [(&b"host"[..], Some(&b"a"[..])), (b"empty", Some(b"")), (b"null", None)]
        );
        assert_eq!(RecordHeaders::decode(headers.encoded.clone()), Some(headers));
    }

    #[test]
    fn more_headers_come_after_those_that_are_there() {
        let few = RecordHeaders::encode([("host", Some(&b"a"[..]))]);
        let all = RecordHeaders::encode([("host", Some(&b"a"[..])), ("level", Some(b"info"))]);
        assert_eq!(few.with([("level", &b"info"[..])]), all);
        assert_eq!(RecordHeaders::empty().with([]), RecordHeaders::empty());
        let many: Vec<_> = (0..100).map(|_| ("k", &b"v"[..])).collect();
        assert_eq!(few.with(many).iter().count(), 101);
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let headers = RecordHeaders::encode([("k", Some(&b"1"[..])), ("k", Some(b"2"))]);
        assert_eq!(headers.last("k"), Some(&b"2"[..]));
        assert_eq!(headers.last("other"), None);
    }

    #[test]
    fn empty_is_one_byte() {
        assert!(RecordHeaders::empty().is_empty());
        assert_eq!(RecordHeaders::encode([]), RecordHeaders::empty());
    }

    #[test]
    fn malformed_headers_are_refused() {
        for bytes in [
            &b""[..],
            b"\x02",                         // one header announced, none there
            b"\x01",                         // a negative count
            b"\x02\x01\x00",                 // a null key
            b"\x02\x02k\x04v",               // a value longer than the rest
            b"\x00\x00",                     // bytes behind the last header
            b"\xfe\xff\xff\xff\x0f\x00\x00", // two thousand million headers in two bytes
        ] {
            assert_eq!(RecordHeaders::decode(Bytes::from_static(bytes)), None, "{bytes:?}");
        }
    }
}
