//! Who the broker takes the sender of a batch for: the place that an identity is good for, and what gives out sequences.

use std::sync::Arc;

use tailrace_shared::record::next_sequence;
use uuid::Uuid;

use super::item::{Doubt, Item};
use crate::spool::{BatchNumber, Bind, Producer, Stamp};

/// The partition that a name and a number stand for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deliver) struct Target {
    pub(in crate::deliver) cluster_id: Arc<str>,
    pub(in crate::deliver) topic_id: Uuid,
    pub(in crate::deliver) partition: i32,
}

impl Target {
    pub(super) fn is_of(&self, stamp: &Stamp) -> bool {
        self.is(&stamp.cluster_id, stamp.topic_id, stamp.partition)
    }

    /// A topic without an id cannot be told from the next one of its name.
    pub(super) fn is(&self, cluster_id: &str, topic_id: Uuid, partition: i32) -> bool {
        let same_topic = self.topic_id == topic_id || self.topic_id.is_nil() || topic_id.is_nil();
        *self.cluster_id == *cluster_id && same_topic && self.partition == partition
    }
}

/// What a partition that is missing from a topic was a partition of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deliver) enum Origin {
    /// This very topic.
    Here,
    /// Another topic of its name, or another cluster's; or nothing was ever sent there.
    Elsewhere,
    /// A topic without an id.
    Unclear,
}

impl Origin {
    /// From the ids of the topics that the partition was known in.
    pub(super) fn of(known: impl Iterator<Item = Uuid>, topic_id: Uuid) -> Self {
        let judged = known.map(|known| match known {
            known if known.is_nil() || topic_id.is_nil() => Self::Unclear,
            known if known == topic_id => Self::Here,
            _ => Self::Elsewhere,
        });
        judged.fold(Self::Elsewhere, |so_far, next| match (so_far, next) {
            (Self::Here, _) | (_, Self::Here) => Self::Here,
            (Self::Unclear, _) | (_, Self::Unclear) => Self::Unclear,
            _ => Self::Elsewhere,
        })
    }
}

/// A producer id that this queue has never used is needed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deliver) struct NeedsProducer;

/// Gives new batches their identity.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) target: Target,
    pub(super) producer: Producer,
    pub(super) next_sequence: i32,
}

impl Writer {
    pub(super) fn stamp(&mut self, item: &mut Item) -> (BatchNumber, i32) {
        let base_sequence = self.next_sequence;
        let records = i32::try_from(item.records).unwrap_or(i32::MAX);
        self.next_sequence = next_sequence(base_sequence, records);
        item.stamp = Some(Stamp {
            cluster_id: Arc::clone(&self.target.cluster_id),
            topic_id: self.target.topic_id,
            partition: self.target.partition,
            producer: self.producer,
            base_sequence,
        });
        item.writes_pending += 1;
        item.doubt = Doubt::None;
        (item.number, base_sequence)
    }

    pub(super) fn bind(&self, batches: Vec<(BatchNumber, i32)>) -> Option<Bind> {
        (!batches.is_empty()).then(|| Bind {
            cluster_id: Arc::clone(&self.target.cluster_id),
            topic_id: self.target.topic_id,
            partition: self.target.partition,
            producer: self.producer,
            batches,
        })
    }
}
