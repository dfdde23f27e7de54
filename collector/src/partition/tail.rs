//! The index of what is committed in the WAL and not yet in segments: one entry per frame, in offset order, no gap.

use std::collections::VecDeque;

use tailrace_shared::clock::TimestampMs;

use crate::wal::frame::FrameLocation;

/// A committed frame of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailEntry {
    /// First offset.
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// Where its bytes lie.
    pub location: FrameLocation,
    /// The greatest record timestamp in it.
    pub max_timestamp: TimestampMs,
    /// When the broker took its first batch.
    pub appended_at: TimestampMs,
}

/// The entries of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    entries: VecDeque<TailEntry>,
    bytes: u64,
}

impl Tail {
    /// Adds the frame behind the last one.
    pub fn push(&mut self, entry: TailEntry) {
        self.bytes += u64::from(entry.location.len);
        self.entries.push_back(entry);
    }

    /// Forgets the entries that lie below an offset as a whole.
    pub fn drop_below(&mut self, offset: i64) {
        let gone = self.entries.partition_point(|entry| entry.end <= offset);
        for entry in self.entries.drain(..gone) {
            self.bytes -= u64::from(entry.location.len);
        }
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// First offset that is indexed.
    #[must_use]
    pub fn start(&self) -> Option<i64> {
        self.entries.front().map(|first| first.start)
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &TailEntry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The entries from the one that holds `offset` on; none if that one is not here.
    pub fn from(&self, offset: i64) -> impl Iterator<Item = &TailEntry> {
        let known = self.start().is_some_and(|start| start <= offset);
        let at = self.entries.partition_point(|entry| entry.end <= offset);
        self.entries.range(at..).filter(move |_| known)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::partition) fn entry(start: i64, end: i64) -> TailEntry {
        TailEntry {
            start,
            end,
            location: FrameLocation {
                incarnation: 1,
                file: 1,
                offset: 0,
                len: 100,
            },
            max_timestamp: end * 100,
            appended_at: end * 1000,
        }
    }

    #[test]
    fn an_offset_is_found_in_the_frame_that_holds_it() {
        let mut tail = Tail::default();
        tail.push(entry(10, 20));
        tail.push(entry(20, 21));
        let starts = |offset| tail.from(offset).map(|entry| entry.start).collect::<Vec<_>>();
        assert_eq!(starts(9), [] as [i64; 0]);
        assert_eq!(starts(19), [10, 20]);
        assert_eq!(starts(20), [20]);
        assert_eq!(starts(21), [] as [i64; 0]);
    }

    #[test]
    fn a_frame_goes_only_as_a_whole() {
        let mut tail = Tail::default();
        tail.push(entry(10, 20));
        tail.push(entry(20, 30));
        tail.drop_below(19);
        assert_eq!((tail.start(), tail.bytes()), (Some(10), 200));
        tail.drop_below(20);
        assert_eq!((tail.start(), tail.bytes()), (Some(20), 100));
    }
}
