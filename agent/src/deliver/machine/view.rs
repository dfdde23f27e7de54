//! What brokers say of the cluster and its topics, and what that changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::kafka::ErrorCode;
use uuid::Uuid;

use super::effect::{Effect, submit};
use super::{Key, Machine};
use crate::deliver::queue::Queue;
use crate::deliver::reason::Reason;
use crate::stretch::Route;

/// What a broker said of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster's id; empty where it has none.
    pub cluster_id: Arc<str>,
    /// Each topic that exists, with its id (nil where it has none) and its number of partitions.
    pub topics: Vec<(Arc<str>, Uuid, i32)>,
    /// What the brokers said of those that were asked for and are not to be had.
    pub refused: Vec<(Arc<str>, ErrorCode)>,
}

/// No broker can be reached.
#[derive(Debug)]
pub(super) struct Unreachable {
    pub(super) since: Duration,
    /// What was said last.
    pub(super) reason: Reason,
}

impl Machine {
    /// The cluster and its topics. A topic that is missing stays as it was known: it may come back.
    pub(in crate::deliver) fn saw(&mut self, view: &ClusterView) -> Vec<Effect> {
        if self.cluster_id.as_ref().is_some_and(|known| *known != view.cluster_id) {
            self.producer = None;
            self.topics.clear();
        }
        if self.cluster_id.as_ref() != Some(&view.cluster_id) {
            self.warn_of_other_cluster(&view.cluster_id);
        }
        self.cluster_id = Some(Arc::clone(&view.cluster_id));
        self.unreachable = None;
        self.note_refused(&view.refused);
        for (topic, id, partitions) in &view.topics {
            self.topics.insert(Arc::clone(topic), (*id, *partitions));
        }
        let mut controls = Vec::new();
        for topic in view.topics.iter().map(|(topic, ..)| topic) {
            for (lane, item) in self.unrouted.remove(topic).unwrap_or_default() {
                self.place(topic, Route::Lane(lane), item, &mut controls);
            }
        }
        let keys: Vec<Key> = self.queues.keys().cloned().collect();
        for key in &keys {
            if let (Some(target), Some(queue)) = (self.target(key), self.queues.get_mut(key)) {
                queue.check_target(&target);
            }
        }
        submit(controls, false)
    }

    /// No broker told anything of the cluster.
    pub(in crate::deliver) fn unreachable(&mut self, reason: String, now: Duration) {
        let since = self.unreachable.as_ref().map_or(now, |before| before.since);
        self.unreachable = Some(Unreachable {
            since,
            reason: reason.into(),
        });
    }

    /// What may pass by itself, as while a topic is being created, is not worth a line yet.
    fn note_refused(&mut self, refused: &[(Arc<str>, ErrorCode)]) {
        let before = std::mem::take(&mut self.refused);
        for (topic, code) in refused {
            if !code.is_retriable() && before.get(topic) != Some(code) {
                let reason = Reason::of(*code, None);
                let remedy = reason.remedy();
                tracing::warn!("topic {topic} cannot be had: {reason}; its lines wait in the spool: {remedy}");
            }
            self.refused.insert(Arc::clone(topic), *code);
        }
    }

    fn warn_of_other_cluster(&self, cluster_id: &str) {
        let mut others: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut batches = 0;
        for (other, count) in self.queues.values().flat_map(Queue::clusters) {
            if *other != *cluster_id {
                others.insert(other);
                batches += count;
            }
        }
        for other in others {
            tracing::warn!(
                "the spool holds batches ({batches} in all) for cluster {other:?}, and collector.bootstrap leads to cluster \
                 {cluster_id:?}: they go to the latter now. If that is not meant, stop the agent and set \
                 collector.bootstrap back"
            );
        }
    }
}
