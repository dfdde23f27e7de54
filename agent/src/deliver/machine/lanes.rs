//! Where batches go: a lane gets its partition when the topic's partitions are known, and keeps it while there is such a
//! partition.

use std::sync::Arc;

use super::{Key, Machine};
use crate::deliver::queue::{Item, Queue, Target};
use crate::spool::Control;
use crate::stretch::{LANES, Route, partition_of_key_lane};

impl Machine {
    /// The route of a lane. A lane of files that gets its partition now has to be told to the spool before it is used; those of
    /// keys follow from how many partitions there are.
    pub(in crate::deliver) fn route(&mut self, topic: &str, lane: u16) -> (Route, Option<Control>) {
        let topic = self.take_interest(topic);
        if let Some(partition) = self.of_key(&topic, lane).or_else(|| self.bound_to(&topic, lane)) {
            return (Route::Partition(partition), None);
        }
        let bound = self.bind_lane(&topic, lane);
        match bound {
            Some((partition, control)) => (Route::Partition(partition), Some(control)),
            None => (Route::Lane(lane), None),
        }
    }

    /// Where the lane went before. One of keys goes where it belongs now.
    fn bound_to(&self, topic: &Arc<str>, lane: u16) -> Option<i32> {
        let bound = self.lanes.get(&(Arc::clone(topic), lane)).copied();
        bound.filter(|_| lane < LANES)
    }

    fn of_key(&self, topic: &Arc<str>, lane: u16) -> Option<i32> {
        let (_, partitions) = self.topics.get(topic)?;
        let partition = partition_of_key_lane(lane, *partitions)?;
        Some(self.successor(topic, partition))
    }

    pub(super) fn take_interest(&mut self, topic: &str) -> Arc<str> {
        if let Some(known) = self.interest.get(topic) {
            return Arc::clone(known);
        }
        let topic: Arc<str> = Arc::from(topic);
        self.interest.insert(Arc::clone(&topic));
        self.refresh_wanted = true;
        topic
    }

    /// Spreads the lanes of one agent, and the same lane of different agents, over all partitions.
    fn bind_lane(&mut self, topic: &Arc<str>, lane: u16) -> Option<(i32, Control)> {
        let (_, partitions) = self.topics.get(topic)?;
        let count = u64::try_from(*partitions).ok().filter(|count| *count > 0)?;
        let partition = match self.of_key(topic, lane) {
            Some(partition) => partition,
            None => {
                let partition = i32::try_from(self.lane_seed.wrapping_add(lane.into()) % count).ok()?;
                self.successor(topic, partition)
            }
        };
        self.lanes.insert((Arc::clone(topic), lane), partition);
        let control = Control::LaneBound {
            topic: Arc::clone(topic),
            lane,
            partition,
        };
        Some((partition, control))
    }

    pub(super) fn place(&mut self, topic: &Arc<str>, route: Route, item: Item, controls: &mut Vec<Control>) {
        let topic = self.take_interest(topic);
        let partition = match route {
            Route::Partition(partition) => Some(partition),
            Route::Lane(lane) => match self.bound_to(&topic, lane) {
                Some(partition) => Some(partition),
                None => self.bind_lane(&topic, lane).map(|(partition, control)| {
                    controls.push(control);
                    partition
                }),
            },
        };
        match (partition, route) {
            (Some(partition), _) => self.enqueue((topic, partition), item),
            (None, Route::Lane(lane)) => self.unrouted.entry(topic).or_default().push((lane, item)),
            (None, Route::Partition(_)) => {}
        }
    }

    pub(super) fn enqueue(&mut self, key: Key, item: Item) {
        self.home.insert(item.number, key.clone());
        let floor = self.floors.get(&key).copied();
        self.queues.entry(key).or_insert_with(|| Queue::new(floor)).push(item);
    }

    /// What the queue's partition stands for now.
    pub(super) fn target(&self, key: &Key) -> Option<Target> {
        let (topic, partition) = key;
        if self.moving.contains_key(key) {
            return None;
        }
        let (topic_id, partitions) = self.topics.get(topic)?;
        Some(Target {
            cluster_id: self.cluster_id.clone()?,
            topic_id: *topic_id,
            partition: Some(*partition).filter(|partition| partition < partitions)?,
        })
    }
}
