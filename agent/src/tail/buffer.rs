//! The one buffer that all files are read through, and the mark that says where reading goes on.
//!
//! Every read starts a little before the mark, and compares those bytes with the checksum that the mark carries. So a
//! file that was cut and has grown again past the mark is noticed at no extra cost, whenever it is read.

use std::io;

use tailrace_shared::disk::DiskFile;

use crate::position::{TAIL_CHECKSUM_LEN, checksum};

/// How far a file was read, and how to recognise the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The first byte that was not consumed.
    pub offset: u64,
    /// CRC32C of the bytes just before `offset`.
    pub checksum: u32,
    /// How many bytes that covers.
    pub checksum_len: u32,
    /// Whether the bytes just before `offset` are a part of a line that has not ended.
    pub mid_line: bool,
}

impl Mark {
    /// A mark at `offset`, given the bytes that end there: all of them, or at least [`TAIL_CHECKSUM_LEN`].
    #[must_use]
    pub fn behind(bytes: &[u8], offset: u64, mid_line: bool) -> Self {
        let covered = bytes
            .get(bytes.len().saturating_sub(TAIL_CHECKSUM_LEN)..)
            .unwrap_or(bytes);
        Self {
            offset,
            checksum: checksum(covered),
            checksum_len: u32::try_from(covered.len()).unwrap_or(0),
            mid_line,
        }
    }

    /// Reads the bytes before `offset` to make a mark there; `mid_line` if they do not end a line.
    pub fn place(file: &dyn DiskFile, offset: u64) -> io::Result<Self> {
        let len = usize::try_from(offset).unwrap_or(usize::MAX).min(TAIL_CHECKSUM_LEN);
        let mut before = vec![0; len];
        tailrace_shared::disk::read_exact_at(file, &mut before, offset - len as u64)?;
        let mid_line = before.last().is_some_and(|byte| *byte != b'\n');
        Ok(Self::behind(&before, offset, mid_line))
    }

    /// Whether the file still has the bytes before the mark that it had.
    pub fn holds(&self, file: &dyn DiskFile) -> io::Result<bool> {
        let mut before = vec![0; self.checksum_len as usize];
        match tailrace_shared::disk::read_exact_at(file, &mut before, self.offset - u64::from(self.checksum_len)) {
            Ok(()) => Ok(checksum(&before) == self.checksum),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// [`Buffer::fresh`] holds what follows the mark, perhaps nothing.
    Fresh {
        /// Whether the file ended there at that moment, as far as one read tells.
        at_end: bool,
    },
    /// The bytes before the mark are not those that were there: the file was cut, or written over.
    Differs,
}

/// Holds what was read last, from a little before the mark.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    chunk_len: usize,
    before: usize,
    filled: usize,
}

impl Buffer {
    /// A buffer that is filled with `chunk_len` bytes at a time, or more where a line needs it.
    #[must_use]
    pub fn new(chunk_len: usize) -> Self {
        Self {
            bytes: Vec::new(),
            chunk_len,
            before: 0,
            filled: 0,
        }
    }

    /// Reads what follows the mark: a chunk, or `least` bytes if that is more.
    pub fn fill(&mut self, file: &dyn DiskFile, mark: &Mark, least: usize) -> io::Result<Fill> {
        self.before = mark.checksum_len as usize;
        self.filled = 0;
        let start = mark.offset - u64::from(mark.checksum_len);
        let at_end = self.read_up_to(file, start, self.before + self.chunk_len.max(least))?;
        let intact = self
            .bytes
            .get(..self.before.min(self.filled))
            .is_some_and(|before| before.len() == self.before && checksum(before) == mark.checksum);
        if self.before > 0 && !intact {
            return Ok(Fill::Differs);
        }
        Ok(Fill::Fresh { at_end })
    }

    /// The bytes behind the mark of the last fill.
    #[must_use]
    pub fn fresh(&self) -> &[u8] {
        self.bytes.get(self.before..self.filled).unwrap_or_default()
    }

    /// The start of the file, if the last fill began there.
    #[must_use]
    pub fn head(&self, mark: &Mark) -> Option<&[u8]> {
        (mark.offset == u64::from(mark.checksum_len))
            .then(|| self.bytes.get(..self.filled))
            .flatten()
    }

    /// The mark of the last fill, moved forward.
    #[must_use]
    pub fn advance(&self, mark: &Mark, consumed: usize, mid_line: bool) -> Mark {
        let behind = self.bytes.get(..self.before + consumed).unwrap_or_default();
        Mark::behind(behind, mark.offset + consumed as u64, mid_line)
    }

    /// Gives the memory back; the next read takes it again.
    pub fn release(&mut self) {
        *self = Self::new(self.chunk_len);
    }

    /// True if the file ended before `target` bytes: a read that gives less says so, and costs no second one.
    fn read_up_to(&mut self, file: &dyn DiskFile, start: u64, target: usize) -> io::Result<bool> {
        if self.bytes.len() < target {
            self.bytes.resize(target, 0);
        }
        let room = self.bytes.get_mut(..target).unwrap_or_default();
        self.filled = file.read_at(room, start)?;
        Ok(self.filled < target)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tailrace_shared::disk::sim::SimDisk;
    use tailrace_shared::disk::{Disk, OpenMode};

    use super::*;

    fn file(content: &[u8]) -> Arc<dyn DiskFile> {
        let disk = SimDisk::new(1);
        disk.append(Path::new("/a"), content).unwrap();
        disk.open(Path::new("/a"), OpenMode::ReadWrite).unwrap()
    }

    #[test]
    fn reading_goes_on_where_the_mark_says_a_chunk_at_a_time() {
        let file = file(b"one\ntwo\nthree\n");
        let mut buffer = Buffer::new(6);
        let mark = Mark::default();
        assert_eq!(buffer.fill(&*file, &mark, 0).unwrap(), Fill::Fresh { at_end: false });
        assert_eq!(buffer.fresh(), b"one\ntw");
        let mark = buffer.advance(&mark, 4, false);
        assert_eq!((mark.offset, mark.checksum_len), (4, 4));
        assert_eq!(buffer.fill(&*file, &mark, 0).unwrap(), Fill::Fresh { at_end: false });
        assert_eq!(buffer.fresh(), b"two\nth");
        let mark = buffer.advance(&mark, 4, false);
        assert_eq!(mark, Mark::place(&*file, 8).unwrap());
        assert!(mark.holds(&*file).unwrap());
    }

    #[test]
    fn more_than_a_chunk_is_read_where_that_is_needed() {
        let file = file(&[b'x'; 50]);
        let mut buffer = Buffer::new(6);
        assert_eq!(
            buffer.fill(&*file, &Mark::default(), 20).unwrap(),
            Fill::Fresh { at_end: false }
        );
        assert_eq!(buffer.fresh().len(), 20);
        assert_eq!(
            buffer.fill(&*file, &Mark::default(), 60).unwrap(),
            Fill::Fresh { at_end: true }
        );
        assert_eq!(buffer.fresh().len(), 50);
    }

    #[test]
    fn other_bytes_before_the_mark_are_noticed_whatever_follows() {
        let file = file(&[b'a'; 1000]);
        let mark = Mark::place(&*file, 500).unwrap();
        assert_eq!((mark.checksum_len, mark.mid_line), (256, true));
        let mut buffer = Buffer::new(64);
        assert_eq!(buffer.fill(&*file, &mark, 0).unwrap(), Fill::Fresh { at_end: false });
        file.write_all_at(b"b", 499).unwrap();
        assert_eq!(buffer.fill(&*file, &mark, 0).unwrap(), Fill::Differs);
        assert!(!mark.holds(&*file).unwrap());
        file.set_len(400).unwrap();
        assert_eq!(buffer.fill(&*file, &mark, 0).unwrap(), Fill::Differs);
        assert!(!mark.holds(&*file).unwrap());
    }
}
