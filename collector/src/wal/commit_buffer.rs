//! Where commits are laid out: one behind the other in blocks of memory, which are used again once nobody reads a commit
//! in them any more. So those which stay in memory for readers take little more than their length.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use tailrace_shared::disk::ALIGN;

/// Several commits share so much; a longer one has its own.
const BLOCK_BYTES: usize = 512 << 10;

/// Full blocks, the oldest first.
#[derive(Debug)]
pub(super) struct FullBlocks {
    blocks: Mutex<VecDeque<BytesMut>>,
    count_max: usize,
}

impl FullBlocks {
    /// As many as hold what stays in memory for readers, and a few that somebody still sends.
    pub(super) fn for_cache(bytes: u64) -> Self {
        let cached = usize::try_from(bytes).unwrap_or(usize::MAX) / BLOCK_BYTES;
        Self {
            blocks: Mutex::default(),
            count_max: cached + 8,
        }
    }

    fn push(&self, block: BytesMut) {
        let mut blocks = self.blocks.lock();
        blocks.push_back(block);
        if blocks.len() > self.count_max {
            blocks.pop_front();
        }
    }

    /// The oldest, empty, if nobody reads in it.
    fn pop(&self) -> Option<BytesMut> {
        let mut blocks = self.blocks.lock();
        let is_free = blocks.front_mut()?.try_reclaim(BLOCK_BYTES);
        is_free.then(|| blocks.pop_front()).flatten()
    }

    /// Gives the memory back.
    pub(super) fn clear(&self) {
        self.blocks.lock().clear();
    }
}

/// The block in which the next commit has its place.
#[derive(Debug, Default)]
pub(super) struct CommitBuffer {
    free: BytesMut,
    is_shared: bool,
}

impl CommitBuffer {
    /// Empty, with room for at least so many bytes, and on a page of memory, so that it can be written past the page
    /// cache. What is put into it is to be taken out with `split` and be whole pages, or the next commit is not on one.
    pub(super) fn with_room(&mut self, bytes: usize, full: &FullBlocks) -> &mut BytesMut {
        if self.free.capacity() < bytes {
            self.next_block(bytes + ALIGN, full);
        }
        &mut self.free
    }

    fn next_block(&mut self, bytes: usize, full: &FullBlocks) {
        let before = std::mem::take(&mut self.free);
        if self.is_shared {
            full.push(before);
        }
        self.is_shared = bytes <= BLOCK_BYTES;
        self.free = if self.is_shared {
            full.pop().unwrap_or_else(|| BytesMut::with_capacity(BLOCK_BYTES))
        } else {
            BytesMut::with_capacity(bytes)
        };
        let to_page = self.free.as_ptr().align_offset(ALIGN);
        self.free.put_bytes(0, to_page);
        self.free.advance(to_page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(buffer: &mut CommitBuffer, full: &FullBlocks, pages: usize) -> BytesMut {
        let out = buffer.with_room(pages * ALIGN, full);
        assert_eq!(out.as_ptr().align_offset(ALIGN), 0);
        out.put_bytes(7, pages * ALIGN);
        out.split()
    }

    #[test]
    fn commits_start_on_pages_and_share_blocks() {
        let (mut buffer, full) = (CommitBuffer::default(), FullBlocks::for_cache(1 << 20));
        let commits = [1, 3, 100, 1, 200, 2, 20].map(|pages| commit(&mut buffer, &full, pages));
        let is_next = |pair: &&[BytesMut]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        let shared = commits.windows(2).filter(is_next).count();
        assert_eq!(shared, 4, "1, 3, 100 and 1 pages share a block, 2 and 20 another");
    }

    #[test]
    fn a_block_is_used_again_once_nobody_reads_in_it() {
        let (mut buffer, full) = (CommitBuffer::default(), FullBlocks::for_cache(1 << 20));
        let first = commit(&mut buffer, &full, 100);
        let second = commit(&mut buffer, &full, 100);
        let (place, elsewhere) = (first.as_ptr(), second.as_ptr());
        let reader = first.freeze();
        drop(second);
        let third = commit(&mut buffer, &full, 100);
        assert!(
            third.as_ptr() != place && third.as_ptr() != elsewhere,
            "the oldest is read, the other not full"
        );
        drop(reader);
        assert_eq!(commit(&mut buffer, &full, 100).as_ptr(), place);
        assert_eq!(commit(&mut buffer, &full, 100).as_ptr(), elsewhere);
    }

    #[test]
    fn no_more_full_blocks_are_kept_than_the_cache_needs() {
        let (mut buffer, full) = (CommitBuffer::default(), FullBlocks::for_cache(0));
        let commits: Vec<_> = (0..20).map(|_| commit(&mut buffer, &full, 100)).collect();
        assert_eq!(full.blocks.lock().len(), full.count_max);
        drop(commits);
        full.clear();
        assert!(full.blocks.lock().is_empty());
    }
}
