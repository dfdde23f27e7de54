//! The name under which every layer knows a partition.

use std::fmt;

use uuid::Uuid;

/// A partition of a topic. The topic's id, not its name: a topic that was deleted and made again is another topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's id.
    pub topic: Uuid,
    /// The partition's index within the topic, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}
