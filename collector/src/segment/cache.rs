//! A bounded cache of things that are loaded once, however many ask for them at the same time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Least recently used entries go first when the weights add up to more than the capacity.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    capacity: u64,
    slots: Mutex<Slots<K, V>>,
}

#[derive(Debug)]
struct Slots<K, V> {
    by_key: HashMap<K, Slot<V>>,
    by_use: BTreeMap<u64, K>,
    uses: u64,
    /// What `uses` was at the last [`Cache::drop_unused`].
    swept_at: u64,
    weight: u64,
}

#[derive(Debug)]
struct Slot<V> {
    cell: Arc<OnceCell<V>>,
    weight: u64,
    last_use: u64,
}

impl<K: Copy + Eq + Hash, V> Cache<K, V> {
    pub(super) fn with_capacity(capacity: u64) -> Self {
        Self {
            capacity,
            slots: Mutex::new(Slots {
                by_key: HashMap::new(),
                by_use: BTreeMap::new(),
                uses: 0,
                swept_at: 0,
                weight: 0,
            }),
        }
    }

    /// The cell of a key, empty if it is new. It stays good for its holder even when it is evicted meanwhile.
    pub(super) fn cell(&self, key: K, weight: u64) -> Arc<OnceCell<V>> {
        let mut slots = self.slots.lock();
        slots.uses += 1;
        let now = slots.uses;
        let cell = match slots.by_key.get_mut(&key) {
            Some(slot) => {
                let before = std::mem::replace(&mut slot.last_use, now);
                let cell = Arc::clone(&slot.cell);
                slots.by_use.remove(&before);
                cell
            }
            None => slots.insert(key, weight, now),
        };
        slots.by_use.insert(now, key);
        slots.evict(self.capacity);
        cell
    }

    /// Drops what was not used since the last call.
    pub(super) fn drop_unused(&self) {
        let mut slots = self.slots.lock();
        let before = slots.swept_at;
        let kept = slots.by_use.split_off(&(before + 1));
        for key in std::mem::replace(&mut slots.by_use, kept).into_values() {
            slots.remove(&key);
        }
        slots.swept_at = slots.uses;
    }

    /// True if the key is here, loaded or being loaded. Does not count as a use.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.slots.lock().by_key.contains_key(key)
    }

    /// Sets the weight of an entry that was not known before it was loaded.
    pub(super) fn weigh(&self, key: &K, weight: u64) {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.by_key.get_mut(key) {
            let before = std::mem::replace(&mut slot.weight, weight);
            slots.weight = slots.weight - before + weight;
            slots.evict(self.capacity);
        }
    }
}

impl<K: Copy + Eq + Hash, V> Slots<K, V> {
    fn insert(&mut self, key: K, weight: u64, now: u64) -> Arc<OnceCell<V>> {
        let cell = Arc::new(OnceCell::new());
        let slot = Slot {
            cell: Arc::clone(&cell),
            weight,
            last_use: now,
        };
        self.by_key.insert(key, slot);
        self.weight += weight;
        cell
    }

    fn evict(&mut self, capacity: u64) {
        while self.weight > capacity {
            let Some((_, key)) = self.by_use.pop_first() else {
                return;
            };
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(slot) = self.by_key.remove(key) {
            self.weight -= slot.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache: Cache<u32, u32> = Cache::with_capacity(30);
        for key in 0..3 {
            cache.cell(key, 10);
        }
        cache.cell(0, 10);
        cache.cell(3, 10);
        let kept: Vec<_> = (0..4).filter(|key| cache.contains(key)).collect();
        assert_eq!(kept, [0, 2, 3]);
    }

    #[test]
    fn what_is_not_used_between_two_sweeps_goes() {
        let cache: Cache<u32, u32> = Cache::with_capacity(30);
        cache.cell(0, 10);
        cache.cell(1, 10);
        cache.drop_unused();
        assert!(cache.contains(&0) && cache.contains(&1));
        cache.cell(1, 10);
        cache.drop_unused();
        assert!(!cache.contains(&0) && cache.contains(&1));
        cache.drop_unused();
        assert!(!cache.contains(&1));
        assert_eq!(cache.slots.lock().weight, 0);
    }

    #[test]
    fn a_weight_learned_late_evicts_too() {
        let cache: Cache<u32, u32> = Cache::with_capacity(30);
        cache.cell(0, 10);
        cache.cell(1, 0);
        cache.weigh(&1, 25);
        assert!(!cache.contains(&0) && cache.contains(&1));
        cache.weigh(&1, 5);
        cache.cell(2, 25);
        assert!(cache.contains(&1) && cache.contains(&2));
    }

    #[test]
    fn an_entry_heavier_than_all_is_usable_and_not_kept() {
        let cache: Cache<u32, u32> = Cache::with_capacity(30);
        let cell = cache.cell(0, 31);
        assert!(!cache.contains(&0));
        cell.set(7).unwrap();
        assert_eq!(cell.get(), Some(&7));
    }
}
