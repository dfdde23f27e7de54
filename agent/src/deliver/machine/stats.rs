//! What an operator wants to know of delivery, from the state of all queues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Machine, WaitingTopic};
use crate::deliver::queue::Queue;
use crate::deliver::reason::Reason;

/// What an operator wants to know of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliverStats {
    /// Records acknowledged.
    pub records_acked: u64,
    /// Batches sent for which no answer came yet.
    pub batches_in_flight: u64,
    /// Batches in the spool that are not acknowledged.
    pub batches_waiting: u64,
    /// Attempts that failed and were, or will be, made again.
    pub retries: u64,
    /// Records sent again where nothing could tell whether they were in the log already.
    pub records_possibly_doubled: u64,
    /// Batches that were too large for their topic, and sent in parts.
    pub batches_split: u64,
    /// Batches in the dead-letter directory.
    pub batches_dead_lettered: u64,
    /// Records in them.
    pub records_dead_lettered: u64,
    /// Records given up for newer ones, because the spool was full.
    pub records_dropped: u64,
    /// How long the oldest batch that is not acknowledged has waited (since the start, if it is older).
    pub oldest_unacked: Option<Duration>,
    /// Set while no broker can be reached.
    pub outage: Option<Outage>,
    /// What waits, by topic.
    pub topics: BTreeMap<Arc<str>, WaitingTopic>,
}

/// No broker can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// For how long, as far as it was noticed.
    pub age: Duration,
    /// What was said last.
    pub reason: Reason,
    /// Whether one was, before.
    pub was_reached: bool,
}

impl Machine {
    pub(in crate::deliver) fn stats(&self, now: Duration) -> DeliverStats {
        let unrouted = self.unrouted.values().flatten().map(|(_, item)| item.since);
        let oldest = self.queues.values().filter_map(Queue::oldest).chain(unrouted).min();
        DeliverStats {
            batches_in_flight: self.queues.values().map(|queue| queue.in_flight().count() as u64).sum(),
            batches_waiting: self.home.len() as u64
                + self.unrouted.values().map(|lanes| lanes.len() as u64).sum::<u64>(),
            oldest_unacked: oldest.map(|since| now.saturating_sub(since)),
            outage: self.unreachable.as_ref().map(|unreachable| Outage {
                age: now.saturating_sub(unreachable.since),
                reason: unreachable.reason.clone(),
                was_reached: self.cluster_id.is_some(),
            }),
            topics: self.waiting_topics(now),
            ..self.stats.clone()
        }
    }
}
