//! Which files are open, and which of them is closed first when there are too many: one that was read to its end and
//! could be opened again by its name, and of these the one that was opened or fell asleep longest ago.

use std::collections::BTreeSet;
use std::sync::Arc;

use tailrace_shared::disk::DiskFile;

use super::file::Followed;
use crate::discover::FileNo;

/// The open files, the first to be closed first.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    ranks: BTreeSet<((bool, u64), FileNo)>,
    clock: u64,
}

impl OpenFiles {
    pub(super) fn open(&mut self, file: FileNo, followed: &mut Followed, handle: Arc<dyn DiskFile>) {
        followed.handle = Some(handle);
        self.insert(file, followed, true);
    }

    /// Puts a file where it belongs after it was read to its end.
    pub(super) fn rank(&mut self, file: FileNo, followed: &mut Followed) {
        if followed.handle.is_some() {
            self.ranks.remove(&(followed.open_rank, file));
            let busy = followed.unread() > 0 || followed.nameless_since.is_some();
            self.insert(file, followed, busy);
        }
    }

    pub(super) fn close(&mut self, file: FileNo, followed: &mut Followed) {
        self.ranks.remove(&(followed.open_rank, file));
        followed.handle = None;
    }

    /// The file to close if more than `limit` are open.
    pub(super) fn above(&self, limit: usize) -> Option<FileNo> {
        let (_, file) = self.ranks.first().filter(|_| self.ranks.len() > limit)?;
        Some(*file)
    }

    /// Takes out a file that is not followed any more.
    pub(super) fn drop_rank(&mut self, file: FileNo) {
        self.ranks.retain(|(_, open)| *open != file);
    }

    fn insert(&mut self, file: FileNo, followed: &mut Followed, busy: bool) {
        self.clock += 1;
        followed.open_rank = (busy, self.clock);
        self.ranks.insert((followed.open_rank, file));
    }
}
