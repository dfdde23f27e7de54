//! The sparse index of a run: pure look-up from an offset to a block, and from a block to the chunk it is read with.

use std::ops::Range;

use tailrace_shared::clock::TimestampMs;

use super::run::Run;

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
    /// The greatest record timestamp in it.
    pub max_timestamp: TimestampMs,
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
    /// Their bytes in the object.
    pub(super) bytes: Range<u64>,
}

/// The chunk that holds a block: the blocks around it that start in the same `chunk_bytes` of the run, as far as one
/// follows directly on the other.
pub(super) fn chunk_of(run: &Run, index: &[IndexEntry], block: usize, chunk_bytes: u64) -> Option<ChunkRange> {
    let cell = |entry: &IndexEntry| entry.position.saturating_sub(run.position) / chunk_bytes.max(1);
    let follows =
        |before: &IndexEntry, after: &IndexEntry| before.end() == after.position && cell(before) == cell(after);
    let wanted = index.get(block)?;
    let (before, after) = (index.get(..=block)?, index.get(block..)?);
    let back = before
        .windows(2)
        .rev()
        .take_while(|pair| matches!(pair, [one, next] if follows(one, next)));
    let on = after
        .windows(2)
        .take_while(|pair| matches!(pair, [one, next] if follows(one, next)));
    let blocks = block - back.count()..block + on.count() + 1;
    let first = index.get(blocks.start).unwrap_or(wanted);
    let last = index.get(blocks.end - 1).unwrap_or(wanted);
    Some(ChunkRange {
        bytes: first.position..last.end(),
        blocks,
    })
}

impl IndexEntry {
    /// Where it ends in the object, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn index() -> (Run, Vec<IndexEntry>) {
        let entry = |(offset, position, bytes, max_timestamp)| IndexEntry {
            offset,
            position,
            bytes,
            max_timestamp,
        };
        let run = Run {
            object: Uuid::nil(),
            position: 100,
            bytes: 500,
            start: 10,
            end: 60,
            max_timestamp: 9,
            appended_at: 0,
        };
        let entries = [(10, 100, 80, 5), (20, 180, 130, 3), (30, 310, 210, 9), (40, 520, 80, 1)];
        (run, entries.map(entry).to_vec())
    }

    #[test]
    fn an_offset_is_in_the_last_block_that_starts_at_or_before_it() {
        let (_, index) = index();
        let found: Vec<_> = [0, 10, 19, 20, 39, 40, 99]
            .map(|offset| block_of(&index, offset))
            .into();
        assert_eq!(found, [0, 0, 0, 1, 2, 3, 3]);
    }

    #[test]
    fn a_time_is_reached_by_the_first_block_with_a_record_that_late() {
        let (_, index) = index();
        assert_eq!(block_reaching(&index, 0, 4), Some(0));
        assert_eq!(block_reaching(&index, 1, 4), Some(2));
        assert_eq!(block_reaching(&index, 0, 6), Some(2));
        assert_eq!(block_reaching(&index, 3, 2), None);
        assert_eq!(block_reaching(&index, 9, 2), None);
    }

    #[test]
    fn every_block_of_a_chunk_names_the_same_chunk() {
        let (run, index) = index();
        let chunk = |block| chunk_of(&run, &index, block, 200).map(|chunk| (chunk.blocks, chunk.bytes));
        assert_eq!(chunk(0), Some((0..2, 100..310)));
        assert_eq!(chunk(1), chunk(0));
        assert_eq!(chunk(2), Some((2..3, 310..520)));
        assert_eq!(chunk(3), Some((3..4, 520..600)));
        assert_eq!(chunk(4), None);
    }
    #[test]
    fn a_chunk_ends_where_something_else_lies_between_two_blocks() {
        let (run, mut index) = index();
        index[0].bytes = 70;
        index[2].bytes = 200;
        let chunk = |block| chunk_of(&run, &index, block, 1000).map(|chunk| (chunk.blocks, chunk.bytes));
        assert_eq!(chunk(0), Some((0..1, 100..170)));
        assert_eq!(chunk(1), Some((1..3, 180..510)));
        assert_eq!(chunk(2), chunk(1));
        assert_eq!(chunk(3), Some((3..4, 520..600)));
    }
}
