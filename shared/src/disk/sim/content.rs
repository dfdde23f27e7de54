//! The bytes of one simulated file: what the page cache shows, what the medium holds, and the writes in between.
//!
//! A pending write is kept as the images of the sectors that it touched, taken when it was made. So what a power
//! failure leaves in a sector is always something that the sector once held, and never a mix that no device could write.

use rand::Rng;
use rand::rngs::StdRng;

use super::Fate;

const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Sectors { offset: usize, image: Vec<u8> },
    Length(usize),
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: usize) -> usize {
        let rest = self.cached.get(offset..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        buf[..read].copy_from_slice(&rest[..read]);
        read
    }

    pub(super) fn write(&mut self, buf: &[u8], offset: usize) {
        if buf.is_empty() {
            return;
        }
        let end = offset + buf.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(buf);
        let first = offset - offset % SECTOR;
        let last = end.next_multiple_of(SECTOR).min(self.cached.len());
        self.pending.push(Change::Sectors {
            offset: first,
            image: self.cached[first..last].to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.cached.resize(len, 0);
        self.pending.push(Change::Length(len));
    }

    /// fdatasync that worked.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable, || true);
        }
    }

    /// fdatasync that failed, as on Linux: the pages are marked clean and stay readable, the medium never got them.
    pub(super) fn fail_sync(&mut self) {
        self.pending.clear();
    }

    /// What a read past the page cache returns: dirty pages are written out for it, without a flush of the device;
    /// pages that a failed sync left clean are not.
    pub(super) fn stable(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            change.apply(&mut bytes, || true);
        }
        bytes
    }

    /// Drops the clean pages, so that later reads come from the medium.
    pub(super) fn evict(&mut self) {
        self.cached = self.stable();
    }

    pub(super) fn lose_power(&mut self, rng: &mut StdRng, fate: Fate) {
        for change in self.pending.drain(..) {
            match fate.or_any(rng) {
                Fate::Kept => change.apply(&mut self.durable, || true),
                Fate::Lost => {}
                Fate::Torn => change.apply(&mut self.durable, || rng.random()),
            }
        }
        self.cached.clone_from(&self.durable);
    }

    /// Inverts bits of one byte wherever it is held; false if the file has no such byte.
    pub(super) fn corrupt(&mut self, offset: usize, mask: u8) -> bool {
        for change in &mut self.pending {
            if let Change::Sectors { offset: first, image } = change
                && let Some(byte) = offset.checked_sub(*first).and_then(|at| image.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        if let Some(byte) = self.durable.get_mut(offset) {
            *byte ^= mask;
        }
        self.cached.get_mut(offset).map(|byte| *byte ^= mask).is_some()
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
        match self {
            Self::Length(len) => {
                if keep() {
                    bytes.resize(*len, 0);
                }
            }
            Self::Sectors { offset, image } => {
                for (index, sector) in image.chunks(SECTOR).enumerate() {
                    if keep() {
                        let start = offset + index * SECTOR;
                        let end = start + sector.len();
                        if bytes.len() < end {
                            bytes.resize(end, 0);
                        }
                        bytes[start..end].copy_from_slice(sector);
                    }
                }
            }
        }
    }
}
