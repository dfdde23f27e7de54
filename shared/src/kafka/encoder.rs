//! Writes messages as a list of segments, so that a fetch answer of megabytes goes to the socket without its records
//! being copied once.
//!
//! All small values gather in one buffer. A large payload is kept as the reference it is, together with the place where
//! it belongs; [`Encoder::finish`] cuts the buffer at those places.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Payloads of at least this many bytes are not copied: below it, one more segment costs more than the copy.
const SEGMENT_BYTES_MIN: usize = 4096;

/// Collects the bytes of one or more messages.
#[derive(Debug)]
pub struct Encoder {
    small: BytesMut,
    /// Payloads kept apart, each with its place in `small`.
    payloads: Vec<(usize, Bytes)>,
    payload_bytes: usize,
    segment_bytes_min: usize,
}

impl Encoder {
    /// An encoder that keeps large payloads as segments of their own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            segment_bytes_min: SEGMENT_BYTES_MIN,
            ..Self::contiguous(BytesMut::new())
        }
    }

    /// An encoder that appends everything to `out`; [`Encoder::into_contiguous`] gives it back.
    #[must_use]
    pub fn contiguous(out: BytesMut) -> Self {
        Self {
            small: out,
            payloads: Vec::new(),
            payload_bytes: 0,
            segment_bytes_min: usize::MAX,
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.small.len() + self.payload_bytes
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy of these bytes.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    /// Appends these bytes, by reference if they are many.
    pub fn put_payload(&mut self, payload: &Bytes) {
        if payload.len() < self.segment_bytes_min {
            self.put_slice(payload);
        } else {
            self.payloads.push((self.small.len(), payload.clone()));
            self.payload_bytes += payload.len();
        }
    }

    /// Appends an unsigned varint: seven bits a byte, lowest first.
    pub fn put_unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            let [low, ..] = value.to_le_bytes();
            self.put_slice(&[low | 0x80]);
            value >>= 7;
        }
        let [low, ..] = value.to_le_bytes();
        self.put_slice(&[low]);
    }

    /// Overwrites the first bytes, which must have been written as small values.
    pub(crate) fn patch_front<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(front) = self.small.get_mut(..N) {
            front.copy_from_slice(&bytes);
        }
    }

    /// The buffer handed to [`Encoder::contiguous`], with what was written appended.
    pub(crate) fn into_contiguous(self) -> BytesMut {
        self.small
    }

    /// All that was written, in order.
    #[must_use]
    pub fn finish(mut self) -> Segments {
        let remaining = self.len();
        let mut chunks = VecDeque::with_capacity(2 * self.payloads.len() + 1);
        let mut cut = 0;
        for (place, payload) in self.payloads {
            if place > cut {
                chunks.push_back(self.small.split_to(place - cut).freeze());
                cut = place;
            }
            chunks.push_back(payload);
        }
        if !self.small.is_empty() {
            chunks.push_back(self.small.freeze());
        }
        Segments { chunks, remaining }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Encoded bytes in several chunks: a [`Buf`] that a socket can write with one vectored call.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    chunks: VecDeque<Bytes>,
    remaining: usize,
}

impl Segments {
    /// Bytes not yet consumed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.remaining
    }

    /// Whether all was consumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Appends all of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.remaining += other.remaining;
        self.chunks.append(&mut other.chunks);
    }

    /// The chunks not yet consumed, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }

    /// All remaining bytes in one piece; copies unless there is only one chunk.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.remaining)
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end of the segments");
        self.remaining -= count;
        while let Some(front) = self.chunks.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.chunks.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if let Some(front) = self.chunks.front_mut()
            && count < front.len()
        {
            self.remaining -= count;
            return front.split_to(count);
        }
        if self.chunks.front().is_some_and(|front| front.len() == count) {
            self.remaining -= count;
            return self.chunks.pop_front().unwrap_or_default();
        }
        assert!(count <= self.remaining, "copied past the end of the segments");
        let mut copy = BytesMut::with_capacity(count);
        while copy.len() < count {
            let chunk = self.chunk();
            let part = chunk.get(..count - copy.len()).unwrap_or(chunk);
            copy.extend_from_slice(part);
            let copied = part.len();
            self.advance(copied);
        }
        copy.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_segments() -> (Encoder, Bytes) {
        let payload = Bytes::from(vec![7_u8; SEGMENT_BYTES_MIN]);
        let mut encoder = Encoder::new();
        encoder.put_slice(b"head");
        encoder.put_payload(&payload);
        encoder.put_payload(&Bytes::from_static(b"small"));
        (encoder, payload)
    }

    #[test]
    fn large_payload_is_not_copied() {
        let (encoder, payload) = three_segments();
        let segments = encoder.finish();
        let chunks: Vec<&Bytes> = segments.iter().collect();
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].as_ptr(), payload.as_ptr());
        assert_eq!(segments.len(), 4 + payload.len() + 5);
    }

    #[test]
    fn segments_read_the_same_in_any_step() {
        let (encoder, payload) = three_segments();
        let whole = encoder.finish();
        let expected = [b"head", &payload[..], b"small"].concat();
        for step in [1, 3, 4, 5, 4099, 4100, 4101, 4105] {
            let mut segments = whole.clone();
            let mut read = Vec::new();
            while segments.has_remaining() {
                let count = step.min(segments.remaining());
                read.extend_from_slice(&segments.copy_to_bytes(count));
            }
            assert_eq!(read, expected, "in steps of {step}");
        }
    }

    #[test]
    fn vectored_write_sees_all_chunks() {
        let (encoder, payload) = three_segments();
        let mut segments = encoder.finish();
        segments.advance(2);
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(segments.chunks_vectored(&mut slices), 3);
        assert_eq!(
            (&*slices[0], slices[1].len(), &*slices[2]),
            (&b"ad"[..], payload.len(), &b"small"[..])
        );
    }

    #[test]
    fn consecutive_payloads_leave_no_empty_chunk() {
        let payload = Bytes::from(vec![1_u8; SEGMENT_BYTES_MIN]);
        let mut encoder = Encoder::new();
        encoder.put_payload(&payload);
        encoder.put_payload(&payload);
        let segments = encoder.finish();
        assert_eq!(
            segments.iter().map(Bytes::len).collect::<Vec<_>>(),
            [SEGMENT_BYTES_MIN, SEGMENT_BYTES_MIN]
        );
    }
}
