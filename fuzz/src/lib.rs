//! What the targets share: how one input becomes the parts of a file, and checksums that hold.
//!
//! A parser behind a checksum would refuse all that a fuzzer makes. So a target of such a format builds the file from
//! the input and computes the checksums itself, and leaves some of them wrong where the input says so.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC32C over several parts.
#[must_use]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    u32::try_from(digest.finalize()).expect("a CRC of 32 bits")
}

/// Takes an input apart from its front. When it is used up there are zeros, and no more pieces.
#[derive(Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most so many bytes.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A piece with a length (two bytes) before it, and a byte that says what to do with it.
    pub fn piece(&mut self) -> Option<(u8, &'a [u8])> {
        if self.0.is_empty() {
            return None;
        }
        let how = self.byte();
        let len = self.short();
        Some((how, self.bytes(len.into())))
    }
}
