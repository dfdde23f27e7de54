//! Memory in which a part of an object gathers, used again once it is sent.

use bytes::{Bytes, BytesMut};

/// How much is written at once, at least: a commit may have to wait for so much.
pub(super) const PART_BYTES: usize = if cfg!(test) { 50_000 } else { 1 << 20 };
/// A whole part, and what is read at once behind it.
const CAPACITY: usize = 2 * PART_BYTES;
/// Objects that are not longer need no whole part.
const SMALL_BYTES: usize = 64 << 10;

/// A part of an object.
#[derive(Debug, Default)]
pub struct Part {
    /// As long as it ever was, so that its memory is made to zeros only once.
    bytes: BytesMut,
    filled: usize,
}

impl Part {
    /// What is in it.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// So many more bytes, of any content, to be overwritten.
    pub fn grow(&mut self, bytes: usize) -> &mut [u8] {
        let from = self.filled;
        self.filled += bytes;
        if self.bytes.len() < self.filled {
            self.reserve(self.filled);
            self.bytes.resize(self.filled, 0);
        }
        self.bytes.get_mut(from..self.filled).unwrap_or_default()
    }

    fn reserve(&mut self, bytes: usize) {
        if self.bytes.capacity() < bytes {
            let usual = if bytes <= SMALL_BYTES { SMALL_BYTES } else { CAPACITY };
            let mut larger = BytesMut::with_capacity(usual.max(bytes));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
    }

    /// Appends a copy.
    pub fn push(&mut self, bytes: &[u8]) {
        self.grow(bytes.len()).copy_from_slice(bytes);
    }

    /// Hands out what is in it to be sent, and is empty afterwards.
    pub(super) async fn send<T>(&mut self, send: impl AsyncFnOnce(Bytes) -> T) -> T {
        let whole = std::mem::take(&mut self.bytes).freeze();
        let sent = send(whole.slice(..std::mem::take(&mut self.filled))).await;
        self.bytes = whole.try_into_mut().unwrap_or_default();
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_leaves_room_for_more() {
        let mut part = Part::default();
        part.push(b"hello");
        part.grow(3).copy_from_slice(b"you");
        assert_eq!(part.filled(), b"helloyou");
        let memory = part.filled().as_ptr();
        assert_eq!(part.send(async |sent| sent.to_vec()).await, b"helloyou");
        assert!(part.filled().is_empty());
        part.push(b"again");
        assert_eq!(part.filled(), b"again");
        assert_eq!(part.filled().as_ptr(), memory);
        let kept = part.send(async |sent| sent).await;
        part.push(b"elsewhere");
        assert_eq!((&kept[..], part.filled()), (&b"again"[..], &b"elsewhere"[..]));
    }
}
