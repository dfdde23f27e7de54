//! The newest offset of each key, in bounded memory: a key is known by 128 bits of a hash under secret random keys, so that
//! nobody can make two keys that are taken for one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// What one key takes at most, whatever its length: 25 bytes in a table of which one eighth is free, and which is replaced
/// by one of twice the size when it is full.
pub const KEY_BYTES: u64 = 86;

/// The newest offset of each key of a stretch of the log.
#[derive(Debug)]
pub(super) struct NewestOffsets {
    hashers: [RandomState; 2],
    offsets: HashMap<(u64, u64), i64>,
    keys_max: usize,
}

impl NewestOffsets {
    /// Room for at least one key.
    pub(super) fn with_memory(bytes: u64) -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            offsets: HashMap::new(),
            keys_max: usize::try_from(bytes / KEY_BYTES).unwrap_or(usize::MAX).max(1),
        }
    }

    /// Notes a record; offsets come in order. False if there is no room for its key.
    pub(super) fn note(&mut self, key: &[u8], offset: i64) -> bool {
        let key = self.name(key);
        let full = self.offsets.len() >= self.keys_max;
        match self.offsets.get_mut(&key) {
            Some(newest) => *newest = offset,
            None if full => return false,
            None => drop(self.offsets.insert(key, offset)),
        }
        true
    }

    /// Whether a newer record of this key was noted.
    pub(super) fn supersede(&self, key: &[u8], offset: i64) -> bool {
        self.offsets.get(&self.name(key)).is_some_and(|newest| *newest > offset)
    }

    fn name(&self, key: &[u8]) -> (u64, u64) {
        let [one, other] = &self.hashers;
        (one.hash_one(key), other.hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_offset_of_a_key_counts() {
        let mut newest = NewestOffsets::with_memory(1 << 20);
        assert!(newest.note(b"a", 1) && newest.note(b"b", 2) && newest.note(b"a", 5));
        assert!(newest.supersede(b"a", 1) && newest.supersede(b"a", 4));
        assert!(!newest.supersede(b"a", 5) && !newest.supersede(b"b", 2) && !newest.supersede(b"c", 0));
    }

    #[test]
    fn a_key_without_room_is_refused_and_known_ones_are_not() {
        let mut newest = NewestOffsets::with_memory(2 * KEY_BYTES);
        assert!(newest.note(b"a", 0) && newest.note(b"b", 1));
        assert!(!newest.note(b"c", 2) && newest.note(b"a", 3));
        assert!(!newest.supersede(b"c", 0));
        assert!(
            NewestOffsets::with_memory(0).note(b"a", 0),
            "there is always room for one"
        );
    }
}
