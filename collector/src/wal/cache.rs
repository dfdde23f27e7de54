//! The latest commits, kept as they were written: whoever follows the log reads them from memory.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::frame::FrameLocation;

/// The latest commits of this incarnation, up to a number of bytes.
#[derive(Debug)]
pub(super) struct RecentCommits {
    commits: VecDeque<Cached>,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Cached {
    file: u64,
    offset: u64,
    bytes: Bytes,
}

impl RecentCommits {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            commits: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Commits come in the order in which they were written.
    pub(super) fn push(&mut self, file: u64, offset: u64, bytes: Bytes) {
        self.bytes += bytes.len() as u64;
        self.commits.push_back(Cached { file, offset, bytes });
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.commits.pop_front()
        {
            self.bytes -= oldest.bytes.len() as u64;
        }
    }

    /// Gives up the commits of files before this one.
    pub(super) fn drop_before(&mut self, file: u64) {
        let kept = self.commits.partition_point(|cached| cached.file < file);
        self.bytes -= self
            .commits
            .drain(..kept)
            .map(|cached| cached.bytes.len() as u64)
            .sum::<u64>();
    }

    /// A part of a payload, if its commit is still here.
    pub(super) fn get(&self, location: FrameLocation, range: Range<usize>) -> Option<Bytes> {
        let wanted = (location.file, location.offset);
        let after = self
            .commits
            .partition_point(|cached| (cached.file, cached.offset) <= wanted);
        let cached = self.commits.get(after.checked_sub(1)?)?;
        if cached.file != location.file {
            return None;
        }
        let payload = usize::try_from(location.offset - cached.offset).ok()?;
        let end = payload.checked_add(range.end)?;
        (end <= cached.bytes.len()).then(|| cached.bytes.slice(payload + range.start..end))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: u64, offset: u64, len: u32) -> FrameLocation {
        FrameLocation {
            incarnation: 1,
            file,
            offset,
            len,
        }
    }

    fn filled() -> RecentCommits {
        let mut recent = RecentCommits::new(30);
        recent.push(0, 100, Bytes::from_static(b"0123456789"));
        recent.push(0, 110, Bytes::from_static(b"abcdefghij"));
        recent.push(1, 0, Bytes::from_static(b"ABCDEFGHIJ"));
        recent
    }

    #[test]
    fn a_payload_is_found_in_its_commit() {
        let recent = filled();
        assert_eq!(recent.get(at(0, 103, 4), 0..4).unwrap(), "3456");
        assert_eq!(recent.get(at(0, 103, 4), 1..3).unwrap(), "45");
        assert_eq!(recent.get(at(0, 110, 10), 0..10).unwrap(), "abcdefghij");
        assert_eq!(recent.get(at(1, 8, 2), 0..2).unwrap(), "IJ");
    }

    #[test]
    fn what_is_not_here_is_not_found() {
        let recent = filled();
        for elsewhere in [at(0, 99, 2), at(1, 8, 3), at(2, 3, 1), at(0, 120, 1)] {
            let len = elsewhere.len as usize;
            assert_eq!(recent.get(elsewhere, 0..len), None, "{elsewhere:?}");
        }
    }

    #[test]
    fn commits_of_earlier_files_go_on_demand() {
        let mut recent = filled();
        recent.drop_before(1);
        assert_eq!(recent.get(at(0, 110, 10), 0..10), None);
        assert_eq!(recent.get(at(1, 8, 2), 0..2).unwrap(), "IJ");
        assert_eq!(recent.bytes(), 10);
    }

    #[test]
    fn the_oldest_commits_go_when_the_limit_is_reached() {
        let mut recent = filled();
        recent.push(1, 10, Bytes::from_static(b"x"));
        assert_eq!(recent.get(at(0, 100, 1), 0..1), None);
        assert!(recent.get(at(0, 110, 1), 0..1).is_some());
        assert_eq!(recent.bytes(), 21);
    }
}
