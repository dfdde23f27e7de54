//! Budgets of memory that all connections share: one for requests until they are answered, one for fetched batches until
//! they are sent.
//!
//! Small requests draw on nothing: their number is bounded by the number of connections and by how many requests each may
//! have in flight. So a heartbeat is never kept waiting by somebody's large produce, or by somebody who announces a
//! large frame and sends nothing. A fetch is content with less than it asked for, so a slow reader of a large answer makes
//! others' answers smaller before it makes them wait.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size are not counted.
const SMALL_FRAME_BYTES: usize = 16 * 1024;
/// What one permit stands for.
const UNIT_BYTES: usize = 1024;

/// A budget of bytes that all connections share.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    units: Arc<Semaphore>,
    units_total: usize,
}

/// Held as long as the bytes may be referenced; returned to the budget on drop.
#[derive(Debug, Default)]
pub(super) struct MemoryPermit {
    units: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let units_total = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units_total)),
            units_total,
        }
    }

    /// Bytes held at this moment.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.units_total.saturating_sub(self.units.available_permits()) * UNIT_BYTES
    }

    /// Waits until a frame of this size fits.
    pub(super) async fn acquire(&self, frame_bytes: usize) -> MemoryPermit {
        if frame_bytes <= SMALL_FRAME_BYTES {
            return MemoryPermit::default();
        }
        self.wait_for(self.units_of(frame_bytes)).await
    }

    /// Takes the most if it is free now, and otherwise waits for the least.
    pub(super) async fn acquire_within(&self, bytes: RangeInclusive<usize>) -> MemoryPermit {
        match Arc::clone(&self.units).try_acquire_many_owned(self.units_of(*bytes.end())) {
            Ok(units) => MemoryPermit { units: Some(units) },
            Err(_) => self.wait_for(self.units_of(*bytes.start())).await,
        }
    }

    /// The semaphore is never closed, so there is always a permit in the end.
    async fn wait_for(&self, units: u32) -> MemoryPermit {
        MemoryPermit {
            units: Arc::clone(&self.units).acquire_many_owned(units).await.ok(),
        }
    }

    fn units_of(&self, bytes: usize) -> u32 {
        let units = bytes.div_ceil(UNIT_BYTES).min(self.units_total);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl MemoryPermit {
    /// What it allows to hold.
    pub(super) fn bytes(&self) -> usize {
        self.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * UNIT_BYTES
    }

    /// Gives back what is not needed.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        if let Some(units) = &mut self.units {
            drop(units.split(units.num_permits().saturating_sub(bytes.div_ceil(UNIT_BYTES))));
        }
    }

    /// The same bytes, which now hold this permit for as long as anybody holds them.
    pub(super) fn attach(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Attached {
            bytes,
            _permit: Arc::clone(self),
        })
    }
}

struct Attached {
    bytes: Bytes,
    _permit: Arc<MemoryPermit>,
}

impl AsRef<[u8]> for Attached {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_frames_wait_for_each_other_and_small_ones_for_nobody() {
        let memory = MemoryBudget::new(64 * 1024);
        let large = memory.acquire(60 * 1024).await;
        assert_eq!(memory.held_bytes(), 60 * 1024);
        let _small = memory.acquire(SMALL_FRAME_BYTES).await;
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { memory.acquire(32 * 1024).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(large);
        waiting.await.unwrap();
        assert_eq!(memory.held_bytes(), 0);
    }

    #[tokio::test]
    async fn frame_larger_than_the_budget_takes_all_of_it() {
        let memory = MemoryBudget::new(32 * 1024);
        let _all = memory.acquire(1024 * 1024).await;
        assert_eq!(memory.held_bytes(), 32 * 1024);
    }

    #[tokio::test]
    async fn fetch_takes_less_than_it_wants_before_it_waits() {
        let memory = MemoryBudget::new(64 * 1024);
        let first = memory.acquire_within(8 * 1024..=48 * 1024).await;
        let second = memory.acquire_within(8 * 1024..=48 * 1024).await;
        assert_eq!((first.bytes(), second.bytes()), (48 * 1024, 8 * 1024));
        let third = memory.acquire_within(16 * 1024..=48 * 1024);
        assert!(futures::poll!(std::pin::pin!(third)).is_pending());
    }

    #[tokio::test]
    async fn memory_is_held_until_the_last_byte_goes() {
        let memory = MemoryBudget::new(64 * 1024);
        let mut permit = memory.acquire_within(1..=32 * 1024).await;
        permit.shrink_to(3000);
        assert_eq!(memory.held_bytes(), 3 * 1024);
        let permit = Arc::new(permit);
        let bytes = permit.attach(Bytes::from_static(b"a batch"));
        drop(permit);
        let part = bytes.slice(2..);
        drop(bytes);
        assert_eq!((part.as_ref(), memory.held_bytes()), (&b"batch"[..], 3 * 1024));
        drop(part);
        assert_eq!(memory.held_bytes(), 0);
    }
}
