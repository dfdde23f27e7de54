//! A stretch: the unit that moves positions. It holds the batches of every lane that a contiguous piece of input went
//! to, so that positions move over whole stretches and never over half of one.
//!
//! The reading thread sends stretches to the spool through a bounded `tokio::sync::mpsc` channel ([`QUEUE_DEPTH`]): a
//! spool that cannot take more simply does not receive, and reading stops, while files are still looked for. A stretch
//! that is never received is not lost, because the positions it would have moved are not moved either.

use std::path::Path;

use bytes::Bytes;
use tailrace_shared::disk::FileId;
use tailrace_shared::murmur2;

use crate::position::{FilePosition, JournalCursor, checksum};

/// How many lanes a topic has on one agent. Every file belongs to one lane for life, and a lane is bound to one
/// partition the first time the topic's partitions are known: so a file's lines keep their order even when partitions
/// are added later. A file that takes over the path of a rotated one takes over its lane too.
pub const LANES: u16 = 32;

/// The lane of a new file: the same for all that follow each other under one name, and different from host to host.
#[must_use]
pub fn lane_of(host: &str, path: &Path) -> u16 {
    let mut bytes = host.as_bytes().to_vec();
    bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
    u16::try_from(checksum(&bytes) % u32::from(LANES)).unwrap_or(0)
}

/// How many lanes keys have beside those. The partition of a key is this lane's number among them modulo the partitions there
/// are: the same on every host, and where it divides this number (1 to 6, 8, 10, 12, 15, 16, 20, 24, 30, 32, 40, 48, 60, 64, 80, 96,
/// …) the one that Kafka's own clients choose.
pub const KEY_LANES: u16 = 960;

/// The lane of all records with this key.
#[must_use]
pub fn lane_of_key(key: &[u8]) -> u16 {
    LANES + u16::try_from(murmur2::positive_hash(key) % u32::from(KEY_LANES)).unwrap_or(0)
}

/// The partition of a lane of keys among `count`. `None` if it is no such lane, or there is none.
#[must_use]
pub fn partition_of_key_lane(lane: u16, count: i32) -> Option<i32> {
    i32::from(lane.checked_sub(LANES)?).checked_rem(count)
}

/// How many finished stretches may wait for the spool.
pub const QUEUE_DEPTH: usize = 2;

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// No broker was reached yet, so the topic's partitions are not known: one batch per lane.
    Lane(u16),
    /// The lane is bound: one batch for all lanes of the partition.
    Partition(i32),
}

/// Answers where the lines of a lane go at this moment. Asked once per topic, lane and stretch; a bound lane stays bound.
pub trait Routes: Send + Sync {
    /// The partition that the lane is bound to, or the lane itself.
    fn route(&self, topic: &str, lane: u16) -> Route;

    /// The largest batch that the topic takes, if it is known to take less than is usual.
    fn batch_bytes_max(&self, _topic: &str) -> Option<usize> {
        None
    }
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

/// What is appended to the spool as one entry. It may hold positions alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// Usually one batch per topic and route. There are several, one after the other, where lines turned out to compress
    /// so badly that one batch would be larger than brokers accept: they go out in the order they stand here.
    pub batches: Vec<RoutedBatch>,
    /// Where each file that contributed stands after it.
    pub positions: Vec<FilePosition>,
    /// Files that no longer exist and were read to their end: their positions need not be kept any longer. Taken out
    /// before `positions` are put in, since a new file may have got the inode of one that is gone.
    pub gone: Vec<FileId>,
    /// Where each journal that contributed stands after it.
    pub cursors: Vec<JournalCursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_partition_that_kafkas_clients_choose_wherever_that_can_be() {
        for key in 0..1000_u32 {
            let key = key.to_string();
            let lane = lane_of_key(key.as_bytes());
            for count in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96] {
                let theirs = murmur2::partition_of(key.as_bytes(), count);
                assert_eq!(partition_of_key_lane(lane, count), Some(theirs), "{key} of {count}");
            }
            assert!(partition_of_key_lane(lane, 7).is_some_and(|partition| (0..7).contains(&partition)));
            assert_eq!(partition_of_key_lane(lane, 0), None);
        }
    }

    #[test]
    fn the_lanes_of_files_are_none_of_keys() {
        assert!((0..LANES).all(|lane| partition_of_key_lane(lane, 8).is_none()));
        assert!(lane_of("web-1", Path::new("/a")) < LANES);
    }
}
