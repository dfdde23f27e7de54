//! The memory that requests may hold before they are answered, for all connections together.
//!
//! Small frames draw on nothing: their number is bounded by the number of connections and by how many requests each may
//! have in flight. So a heartbeat is never kept waiting by somebody's large produce, or by somebody who announces a
//! large frame and sends nothing.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size are not counted.
const SMALL_FRAME_BYTES: usize = 16 * 1024;
/// What one permit stands for.
const UNIT_BYTES: usize = 1024;

/// A budget of bytes that all connections share.
#[derive(Debug, Clone)]
pub struct RequestMemory {
    units: Arc<Semaphore>,
    units_total: usize,
}

/// Held as long as a request's bytes may be referenced; returned to the budget on drop.
#[derive(Debug, Default)]
pub(super) struct MemoryPermit {
    _units: Option<OwnedSemaphorePermit>,
}

impl RequestMemory {
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
        let units = frame_bytes.div_ceil(UNIT_BYTES).min(self.units_total);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        // The semaphore is never closed, so there is always a permit in the end.
        MemoryPermit {
            _units: Arc::clone(&self.units).acquire_many_owned(units).await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_frames_wait_for_each_other_and_small_ones_for_nobody() {
        let memory = RequestMemory::new(64 * 1024);
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
        let memory = RequestMemory::new(32 * 1024);
        let _all = memory.acquire(1024 * 1024).await;
        assert_eq!(memory.held_bytes(), 32 * 1024);
    }
}
