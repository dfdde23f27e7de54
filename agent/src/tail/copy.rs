//! Whether a file is a copy of one that is known: made by hand (`cp`), or by a rotation that copies and truncates.

use std::io;
use std::sync::Arc;

use tailrace_shared::disk::DiskFile;

use super::buffer::Mark;
use super::file::{Followed, read_head};
use crate::position::{FilePosition, Fingerprint};

/// What is remembered of a file whose copies are to be known again.
#[derive(Debug, Clone)]
pub struct Original {
    fingerprint: Fingerprint,
    mark: Mark,
    /// While it is open.
    handle: Option<Arc<dyn DiskFile>>,
}

impl From<&Followed> for Original {
    fn from(followed: &Followed) -> Self {
        Self {
            fingerprint: followed.key.fingerprint,
            mark: followed.mark,
            handle: followed.handle.clone(),
        }
    }
}

impl From<&FilePosition> for Original {
    fn from(position: &FilePosition) -> Self {
        Self {
            fingerprint: position.key.fingerprint,
            mark: position.into(),
            handle: None,
        }
    }
}

impl Original {
    /// Of a file that was not read yet.
    pub fn of(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        Ok(Self {
            fingerprint: Fingerprint::of(&read_head(&*file)?),
            mark: Mark::default(),
            handle: Some(file),
        })
    }

    /// Whether anything of it was read.
    #[must_use]
    pub fn was_read(&self) -> bool {
        self.mark.offset > 0
    }

    /// Whether `file`, which starts with `head` and has `len` bytes, is a copy of this one, perhaps in the making. The
    /// same start says so, unless other bytes differ: files may all begin with the same banner. These other bytes are
    /// those where reading stands or, if the file does not reach so far, those at its end.
    pub fn is_copied_to(&self, file: &dyn DiskFile, head: &[u8], len: u64) -> io::Result<bool> {
        if self.fingerprint.len == 0 || self.fingerprint.same_start(head) != Some(true) {
            return Ok(false);
        }
        match &self.handle {
            _ if self.was_read() && self.mark.offset <= len => self.mark.holds(file),
            Some(own) => Mark::place(file, len)?.holds(&**own),
            None => Ok(true),
        }
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
        disk.open(Path::new("/a"), OpenMode::Read).unwrap()
    }

    /// Whether `candidate` passes for a copy of a file with this content, while that is open and after.
    fn is_copy(content: &[u8], read_to: u64, candidate: &[u8]) -> (bool, bool) {
        let known = file(content);
        let open = Original {
            mark: Mark::place(&*known, read_to).unwrap(),
            ..Original::of(known).unwrap()
        };
        let gone = Original {
            handle: None,
            ..open.clone()
        };
        let file = file(candidate);
        let head = read_head(&*file).unwrap();
        let is_copy = |original: Original| original.is_copied_to(&*file, &head, candidate.len() as u64).unwrap();
        (is_copy(open), is_copy(gone))
    }

    #[test]
    fn a_copy_has_the_same_start_and_no_other_bytes() {
        let banner = [b'-'; 2000];
        let first = [&banner[..], b"first\n"].concat();
        let second = [&banner[..], b"other\n"].concat();
        assert_eq!(is_copy(&first, 2006, &first), (true, true));
        assert_eq!(is_copy(&first, 2006, &first[..1500]), (true, true), "in the making");
        assert_eq!(is_copy(&first, 2006, &second), (false, false));
        assert_eq!(
            is_copy(&first, 0, &second),
            (false, true),
            "nothing was read that could tell"
        );
        assert_eq!(
            is_copy(&first, 2006, &second[..2003]),
            (false, true),
            "too short to tell"
        );
        assert_eq!(is_copy(b"one\n", 4, b"two\n"), (false, false));
        assert_eq!(is_copy(b"one\n", 4, b"one\nmore\n"), (true, true));
        assert_eq!(is_copy(b"", 0, b"two\n"), (false, false));
        assert_eq!(is_copy(b"more than sixteen bytes\n", 24, b"more\n"), (false, false));
    }
}
