//! Deletes segments that no manifest refers to: left by a crash between put and commit, by a merge, or by retention.
//!
//! A segment is deleted only when two sweeps, a grace period apart by the monotonic clock of this process, both found it
//! in the store and unknown to every manifest. That leaves time for those who still read a replaced segment, and needs
//! no clock but one. What this process wrote and has not yet committed is [`PendingObjects`], and never an orphan.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use object_store::ObjectStore;
use uuid::Uuid;

use super::error::SegmentError;
use super::pending::PendingObjects;
use super::{list, object_path};

/// Remembers since when each orphan was one.
#[derive(Debug, Default)]
pub struct Orphans {
    since: HashMap<Uuid, Duration>,
}

/// What a sweep found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Segments in the store.
    pub segments: usize,
    /// Orphans that still have their grace.
    pub waiting: usize,
    /// Orphans that were deleted.
    pub deleted: usize,
}

impl Orphans {
    /// Looks once. `referenced` tells which segments the manifests of all partitions refer to; it is asked after the
    /// store was listed, so that a segment written and committed meanwhile is known to it or not in the list.
    pub async fn sweep(
        &mut self,
        store: &Arc<dyn ObjectStore>,
        pending: &PendingObjects,
        referenced: impl AsyncFnOnce() -> HashSet<Uuid>,
        now: Duration,
        grace: Duration,
    ) -> Result<Swept, SegmentError> {
        let listed: Vec<_> = list(&**store).await?.into_iter().map(|(object, _)| object).collect();
        let protected: HashSet<_> = listed
            .iter()
            .copied()
            .filter(|&object| pending.contains(object))
            .collect();
        let referenced = referenced().await;
        let is_orphan = |object: &Uuid| !protected.contains(object) && !referenced.contains(object);
        let expired = self.age(listed.iter().copied().filter(is_orphan), now, grace);
        delete(store, &expired).await?;
        for object in &expired {
            self.since.remove(object);
        }
        Ok(Swept {
            segments: listed.len(),
            waiting: self.since.len(),
            deleted: expired.len(),
        })
    }

    /// Notes the orphans of this sweep, forgets what is none any more, and returns those whose grace is over.
    fn age(&mut self, orphans: impl Iterator<Item = Uuid>, now: Duration, grace: Duration) -> Vec<Uuid> {
        self.since = orphans
            .map(|object| (object, self.since.get(&object).copied().unwrap_or(now)))
            .collect();
        let expired = |since: Duration| now.saturating_sub(since) >= grace && since != now;
        self.since
            .iter()
            .filter(|&(_, &since)| expired(since))
            .map(|(&object, _)| object)
            .collect()
    }
}

async fn delete(store: &Arc<dyn ObjectStore>, objects: &[Uuid]) -> Result<(), SegmentError> {
    let paths: Vec<_> = objects.iter().map(|&object| Ok(object_path(object))).collect();
    let mut deleted = store.delete_stream(stream::iter(paths).boxed());
    while let Some(result) = deleted.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(SegmentError::List(error)),
        }
    }
    Ok(())
}
