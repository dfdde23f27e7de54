//! Segments that are written and not yet in a manifest: nobody refers to them, and they must not be taken for orphans.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

/// The segments of this process that wait for their manifest. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct PendingObjects {
    objects: Arc<Mutex<HashSet<Uuid>>>,
}

/// Protects some segments until it is dropped: hold it until their manifest changes are committed, or given up.
#[derive(Debug)]
pub struct Pending {
    of: PendingObjects,
    objects: Vec<Uuid>,
}

impl PendingObjects {
    /// A guard that protects nothing yet.
    #[must_use]
    pub fn guard(&self) -> Pending {
        Pending {
            of: self.clone(),
            objects: Vec::new(),
        }
    }

    pub(super) fn contains(&self, object: Uuid) -> bool {
        self.objects.lock().contains(&object)
    }
}

impl Pending {
    /// Protects one more, which is about to be written.
    pub(super) fn add(&mut self, object: Uuid) {
        self.of.objects.lock().insert(object);
        self.objects.push(object);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut objects = self.of.objects.lock();
        for object in &self.objects {
            objects.remove(object);
        }
    }
}
