//! The end of a queue whose partition is no more: what it holds goes to another one.

use uuid::Uuid;

use super::identity::Origin;
use super::item::{Item, State};
use super::{Phase, Queue};

impl Queue {
    /// Whether the partition was one of this topic when something was last known of it.
    pub(in crate::deliver) fn origin(&self, cluster_id: &str, topic_id: Uuid) -> Origin {
        let stamps = self.items.iter().filter_map(|item| item.stamp.as_ref());
        let stamps = stamps.map(|stamp| (&stamp.cluster_id, stamp.topic_id));
        let writer = self
            .writer
            .iter()
            .map(|writer| (&writer.target.cluster_id, writer.target.topic_id));
        let here = stamps.chain(writer).filter(|(cluster, _)| ***cluster == *cluster_id);
        let floor = self.floor.map(|(topic_id, _)| topic_id);
        Origin::of(here.map(|(_, topic_id)| topic_id).chain(floor), topic_id)
    }

    /// Whether something waits here, and nothing is on its way.
    pub(in crate::deliver) fn can_leave(&self) -> bool {
        let all_wait = self.items.iter().all(|item| item.state == State::Waiting);
        !self.items.is_empty() && all_wait && !matches!(self.phase, Phase::Asking | Phase::Splitting)
    }

    /// All batches, in order and without an identity.
    pub(in crate::deliver) fn leave(self) -> impl Iterator<Item = Item> {
        self.items.into_iter().map(Item::unbound)
    }
}
