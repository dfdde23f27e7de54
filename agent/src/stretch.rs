//! A stretch: the unit that moves positions. It holds the batches of every lane that a contiguous piece of input went
//! to, so that positions move over whole stretches and never over half of one.

use bytes::Bytes;

use crate::position::FilePosition;

/// How many lanes a topic has on one agent. Every file belongs to one lane for life, by the hash of its key, and a lane
/// is bound to one partition the first time the topic's partitions are known: so a file's lines keep their order even
/// when partitions are added later.
pub const LANES: u16 = 32;

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// No broker was reached yet, so the topic's partitions are not known: one batch per lane.
    Lane(u16),
    /// The lane is bound: one batch for all lanes of the partition.
    Partition(i32),
}

/// A finished batch without an identity yet: producer id, epoch and sequence are stamped when it is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedBatch {
    /// The topic's name.
    pub topic: String,
    /// Lane or partition.
    pub route: Route,
    /// A complete RecordBatch v2, zstd-compressed, with producer id, epoch and base sequence -1.
    pub bytes: Bytes,
    /// How many records it holds.
    pub records: u32,
}

/// What is appended to the spool as one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// At most one batch per topic and route, in no particular order.
    pub batches: Vec<RoutedBatch>,
    /// Where each file that contributed stands after it.
    pub positions: Vec<FilePosition>,
}
