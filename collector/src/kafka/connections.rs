//! How many connections there are, over all listeners and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The connections of all listeners.
#[derive(Debug, Clone)]
pub struct Connections {
    free: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// One connection's place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    address: IpAddr,
    _free: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// At most so many at once, where more wait to be accepted, and so many of one address, where more are closed.
    #[must_use]
    pub fn at_most(limit: usize, per_address_max: Option<NonZeroUsize>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limit)),
            open: Arc::default(),
            by_address: Arc::default(),
            per_address_max: per_address_max.map_or(usize::MAX, NonZeroUsize::get),
        }
    }

    /// Open connections, for metrics.
    #[must_use]
    pub fn open(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.open)
    }

    /// Waits until there is room for one more.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Takes the room for a connection from there; `None` where that address has as many as it may.
    pub(super) fn enter(&self, free: Option<OwnedSemaphorePermit>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut by_address = self.by_address.lock();
        let there = by_address.entry(address).or_default();
        if *there >= self.per_address_max {
            return None;
        }
        *there += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Place {
            connections: self.clone(),
            address,
            _free: free,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.connections.by_address.lock();
        if let Some(there) = by_address.get_mut(&self.address) {
            *there -= 1;
            if *there == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_as_it_may_and_others_are_not_concerned() {
        let connections = Connections::at_most(10, NonZeroUsize::new(2));
        let enter = |address: &str| connections.enter(None, address.parse().unwrap());
        let (one, two) = (enter("10.0.0.1").unwrap(), enter("::ffff:10.0.0.1").unwrap());
        assert!(enter("10.0.0.1").is_none());
        let other = enter("10.0.0.2").unwrap();
        drop(one);
        let three = enter("10.0.0.1").unwrap();
        assert_eq!(connections.open().load(Ordering::Relaxed), 3);
        drop((two, three, other));
        assert!(connections.by_address.lock().is_empty());
        assert_eq!(connections.open().load(Ordering::Relaxed), 0);
    }
}
