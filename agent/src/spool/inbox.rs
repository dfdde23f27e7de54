//! What waits for the commit thread. Marks that nobody waits for ride along with the next commit, for a while.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::control::Control;
use crate::stretch::Stretch;

/// How long a mark that nobody waits for waits for company.
const LAZY_FOR: Duration = Duration::from_millis(200);
/// How often a full spool looks whether there is room again although nothing was marked: the disk may have been full.
const RETRY_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) stretch: Stretch,
    pub(super) done: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Queue {
    controls: Vec<Control>,
    urgent: bool,
    stretches: VecDeque<Waiting>,
    closed: bool,
}

/// Bounded by its users: stretches by the permits of the spool, controls by the batches in it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// What the thread takes out.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) controls: Vec<Control>,
    pub(super) stretches: VecDeque<Waiting>,
    pub(super) closed: bool,
}

impl Inbox {
    /// `false` once the thread has stopped.
    pub(super) fn put_stretch(&self, waiting: Waiting) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        queue.stretches.push_back(waiting);
        self.changed.notify_one();
        true
    }

    pub(super) fn put_controls(&self, controls: Vec<Control>, urgent: bool) {
        let mut queue = self.queue.lock();
        queue.controls.extend(controls);
        queue.urgent |= urgent;
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to commit. `held` are stretches that were not taken for want of room; other things
    /// may wait for room too.
    pub(super) fn gather(
        &self,
        held: VecDeque<Waiting>,
        is_full: bool,
        waits_for_room: bool,
        at_once: bool,
    ) -> Gathered {
        let mut queue = self.queue.lock();
        for waiting in held.into_iter().rev() {
            queue.stretches.push_front(waiting);
        }
        if !at_once {
            loop {
                let has_entries = !queue.stretches.is_empty();
                if queue.closed || queue.urgent || has_entries && !is_full {
                    break;
                }
                let patience = match (queue.controls.is_empty(), has_entries || waits_for_room) {
                    (false, _) => Some(LAZY_FOR),
                    (true, true) => Some(RETRY_EVERY),
                    (true, false) => None,
                };
                match patience {
                    None => self.changed.wait(&mut queue),
                    Some(patience) => {
                        if self.changed.wait_for(&mut queue, patience).timed_out() {
                            break;
                        }
                    }
                }
            }
        }
        queue.urgent = false;
        Gathered {
            controls: std::mem::take(&mut queue.controls),
            stretches: std::mem::take(&mut queue.stretches),
            closed: queue.closed,
        }
    }

    /// Forgets what waits: those who wait for it learn that the spool has stopped.
    pub(super) fn abandon(&self) {
        self.close();
        self.queue.lock().stretches.clear();
    }
}
