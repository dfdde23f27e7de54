//! Whether this process can do its work, and if not, what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The parts of a process that must be up before it takes work, each with what it still waits for; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// A process that waits for each of these parts to start.
    #[must_use]
    pub fn waiting_for(parts: &[&'static str]) -> Self {
        let readiness = Self::default();
        for part in parts {
            readiness.wait(part, "not started");
        }
        readiness
    }

    /// Says what a part waits for, such as "replaying file 3 of 17".
    pub fn wait(&self, part: &'static str, reason: impl Into<String>) {
        self.waiting.lock().insert(part, reason.into());
    }

    /// Says that a part does its work.
    pub fn ready(&self, part: &'static str) {
        self.waiting.lock().remove(part);
    }

    /// What is missing, as pairs of part and reason; empty if the process is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        self.waiting
            .lock()
            .iter()
            .map(|(part, reason)| (*part, reason.clone()))
            .collect()
    }
}
