//! The sparse index of a run: pure look-up from an offset to a block, and from a block to the chunk it is read with.

use std::ops::Range;

use tailrace_shared::clock::TimestampMs;

/// A block takes batches until it has this many bytes.
pub(super) const BLOCK_BYTES: u64 = 64 << 10;

/// One block of whole batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// First offset of its first batch.
    pub offset: i64,
    /// Where it starts in the object, in bytes.
    pub position: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of the run's blocks before it.
    pub before: u64,
    /// The greatest record timestamp in it.
    pub max_timestamp: TimestampMs,
}

/// Says of each block of a run how much is before it.
pub(super) fn add_up(index: &mut [IndexEntry]) {
    let mut before = 0_u64;
    for block in index {
        block.before = before;
        before = before.saturating_add(block.bytes);
    }
}

/// The block in which the batch with this offset is; the first block for an offset before the run.
pub(super) fn block_of(index: &[IndexEntry], offset: i64) -> usize {
    index.partition_point(|entry| entry.offset <= offset).saturating_sub(1)
}

/// The first block from `from` on that holds a record at or after a time.
pub(super) fn block_reaching(index: &[IndexEntry], from: usize, timestamp: TimestampMs) -> Option<usize> {
    let blocks = index.get(from..)?;
    let found = blocks.iter().position(|entry| entry.max_timestamp >= timestamp)?;
    Some(from + found)
}

/// Blocks that are read together: a cell of a fixed grid, so that everybody asks for the same ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChunkRange {
    /// The numbers of the blocks.
    pub(super) blocks: Range<usize>,
    /// Their bytes in the object: where something else lies between two blocks there are several stretches.
    pub(super) bytes: Vec<Range<u64>>,
}

/// The chunk that holds a block: the blocks around it that start in the same `chunk_bytes` of the run.
pub(super) fn chunk_of(index: &[IndexEntry], block: usize, chunk_bytes: u64) -> Option<ChunkRange> {
    let cell = |entry: &IndexEntry| entry.before / chunk_bytes.max(1);
    let wanted = cell(index.get(block)?);
    let (before, after) = index.split_at(block);
    let is_wanted = |entry: &&IndexEntry| cell(entry) == wanted;
    let back = before.iter().rev().take_while(is_wanted).count();
    let on = after.iter().take_while(is_wanted).count();
    let blocks = block - back..block + on;
    let mut bytes: Vec<Range<u64>> = Vec::new();
    for entry in index.get(blocks.clone()).unwrap_or_default() {
        match bytes.last_mut() {
            Some(stretch) if stretch.end == entry.position => stretch.end = entry.end(),
            _ => bytes.push(entry.position..entry.end()),
        }
    }
    Some(ChunkRange { blocks, bytes })
}

impl IndexEntry {
    /// Where it ends in the object, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Vec<IndexEntry> {
        let entry = |(offset, position, bytes, max_timestamp)| IndexEntry {
            offset,
            position,
            bytes,
            before: 0,
            max_timestamp,
        };
        let entries = [(10, 100, 80, 5), (20, 180, 130, 3), (30, 310, 210, 9), (40, 520, 80, 1)];
        let mut index = entries.map(entry).to_vec();
        add_up(&mut index);
        index
    }

    #[test]
    fn an_offset_is_in_the_last_block_that_starts_at_or_before_it() {
        let index = index();
        let found: Vec<_> = [0, 10, 19, 20, 39, 40, 99]
            .map(|offset| block_of(&index, offset))
            .into();
        assert_eq!(found, [0, 0, 0, 1, 2, 3, 3]);
    }

    #[test]
    fn a_time_is_reached_by_the_first_block_with_a_record_that_late() {
        let index = index();
        assert_eq!(block_reaching(&index, 0, 4), Some(0));
        assert_eq!(block_reaching(&index, 1, 4), Some(2));
        assert_eq!(block_reaching(&index, 0, 6), Some(2));
        assert_eq!(block_reaching(&index, 3, 2), None);
        assert_eq!(block_reaching(&index, 9, 2), None);
    }

    fn told(chunk: ChunkRange) -> (Range<usize>, Vec<(u64, u64)>) {
        let stretches = chunk.bytes.into_iter().map(|stretch| (stretch.start, stretch.end));
        (chunk.blocks, stretches.collect())
    }

    #[test]
    fn every_block_of_a_chunk_names_the_same_chunk() {
        let index = index();
        let chunk = |block| chunk_of(&index, block, 200).map(told);
        assert_eq!(chunk(0), Some((0..2, vec![(100, 310)])));
        assert_eq!(chunk(1), chunk(0));
        assert_eq!(chunk(2), Some((2..3, vec![(310, 520)])));
        assert_eq!(chunk(3), Some((3..4, vec![(520, 600)])));
        assert_eq!(chunk(4), None);
    }

    #[test]
    fn what_lies_between_two_blocks_of_a_chunk_is_not_in_it() {
        let mut index = index();
        index[0].bytes = 70;
        index[2].position += 1000;
        index[3].position += 1000;
        add_up(&mut index);
        let chunk = |block| chunk_of(&index, block, 1000).map(told);
        assert_eq!(chunk(0), Some((0..4, vec![(100, 170), (180, 310), (1310, 1600)])));
        assert_eq!(chunk(2), chunk(0));
        let chunk = |block| chunk_of(&index, block, 200).map(told);
        assert_eq!(chunk(1), Some((0..2, vec![(100, 170), (180, 310)])));
        assert_eq!(chunk(2), Some((2..3, vec![(1310, 1520)])));
    }
}
