//! A topic that was deleted and made anew with fewer partitions: the batches and lanes of a partition that is no more go
//! to one that exists, all of them to the same, so that each file's order holds.
//!
//! The spool is told first, and nothing moves here before it has that on stable storage: then a restart finds all of
//! them there, or all of them here, and does the same again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Key, Machine};
use crate::deliver::queue::{Origin, Queue};
use crate::spool::{BatchNumber, Control};

/// Where topics have no ids, a partition that is missing for so long is taken to be gone.
const GONE_AFTER: Duration = Duration::from_secs(60);

impl Machine {
    /// What to tell the spool if the partition is gone for good. Partitions are never taken from a topic, so one that is
    /// missing was another topic's; if it was this one's, the broker that was asked is behind, and it comes back.
    pub(super) fn leave_missing(&mut self, key: &Key, now: Duration) -> Option<Control> {
        let (topic, from) = key;
        let cluster_id = self.cluster_id.as_ref()?;
        let (topic_id, partitions) = self.topics.get(topic)?;
        if from < partitions || *partitions < 1 || self.moving.contains_key(key) {
            return None;
        }
        let queue = self.queues.get(key).filter(|queue| queue.can_leave())?;
        let since = *self.missing.entry(key.clone()).or_insert(now);
        match queue.origin(cluster_id, *topic_id) {
            Origin::Elsewhere => {}
            Origin::Unclear if now >= since + GONE_AFTER => {}
            Origin::Unclear | Origin::Here => return None,
        }
        let to = self.successor(topic, from % partitions);
        tracing::warn!(
            "topic {topic} was made anew with {partitions} partitions: what waits for partition {from} goes to \
             partition {to}"
        );
        self.moving.insert(key.clone(), to);
        Some(Control::Moved {
            topic: Arc::clone(topic),
            from: *from,
            to,
        })
    }

    /// The partition that stands for this one since it was gone. It may be back, but its lanes stay where they went.
    pub(super) fn successor(&self, topic: &Arc<str>, partition: i32) -> i32 {
        let key = (Arc::clone(topic), partition);
        let next = self.moving.get(&key).or_else(|| self.moved.get(&key));
        next.copied().unwrap_or(partition)
    }

    /// The spool has it.
    pub(super) fn left(&mut self, topic: &Arc<str>, from: i32, to: i32, renumbered: &[(BatchNumber, BatchNumber)]) {
        let key = (Arc::clone(topic), from);
        self.moving.remove(&key);
        self.missing.remove(&key);
        let of_topic = self.moved.iter_mut().filter(|((other, _), _)| other == topic);
        of_topic
            .filter(|(_, next)| **next == from)
            .for_each(|(_, next)| *next = to);
        self.moved.insert(key.clone(), to);
        for ((other, _), partition) in &mut self.lanes {
            if other == topic && *partition == from {
                *partition = to;
            }
        }
        let renumbered: HashMap<_, _> = renumbered.iter().copied().collect();
        for mut item in self.queues.remove(&key).into_iter().flat_map(Queue::leave) {
            self.home.remove(&item.number);
            item.number = renumbered.get(&item.number).copied().unwrap_or(item.number);
            self.enqueue((Arc::clone(topic), to), item);
        }
    }
}
