//! Several frames as one buffer to write from.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::kafka::Segments;

/// The segments of several frames as one buffer, so that all that waits leaves in few vectored writes.
#[derive(Debug, Default)]
pub(super) struct Burst {
    queue: VecDeque<Bytes>,
    remaining: usize,
}

impl Burst {
    /// Appends a frame.
    pub(super) fn extend(&mut self, frame: &Segments) {
        self.queue.extend(frame.iter().cloned());
        self.remaining += frame.len();
    }
}

impl Buf for Burst {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.queue.front().map_or(&[], |segment| segment)
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while let Some(segment) = self.queue.front_mut() {
            if count < segment.len() {
                segment.advance(count);
                return;
            }
            count -= segment.len();
            self.queue.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.queue);
        pairs.map(|(slice, segment)| *slice = IoSlice::new(segment)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Encoder;

    #[test]
    fn frames_read_the_same_in_any_step() {
        let frame = |bytes: &[u8], payload: Bytes| {
            let mut encoder = Encoder::new();
            encoder.put_slice(bytes);
            encoder.put_payload(&payload);
            encoder.finish()
        };
        let payload = Bytes::from(vec![7; 5_000]);
        for step in [1, 2, 3, 4_999, 5_000, 5_001, 10_000] {
            let mut burst = Burst::default();
            burst.extend(&frame(b"ab", payload.clone()));
            burst.extend(&frame(b"cd", Bytes::new()));
            let mut slices = [IoSlice::new(&[]); 8];
            assert_eq!(burst.chunks_vectored(&mut slices), 3);
            let mut read = Vec::new();
            while burst.has_remaining() {
                let taken = burst.chunk().len().min(step);
                read.extend_from_slice(&burst.chunk()[..taken]);
                burst.advance(taken);
            }
            assert_eq!(read, [b"ab", &payload[..], b"cd"].concat(), "in steps of {step}");
        }
    }
}
