//! A look at a directory that costs less: where its time of modification says that it has the same names as before, only
//! the files that nobody reads right now need be asked whether they have grown.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tailrace_shared::disk::{FileId, Metadata};

use super::find::Finder;
use crate::discover::{FileNo, Scan};
use crate::tail::Tail;

/// Names that changed so short a time ago may change once more without the directory's time saying so: file systems keep
/// it in steps of up to two seconds.
const UNSETTLED_MS: i64 = 3000;

/// The directories that were listed while nobody changed their names, and what they looked like.
#[derive(Debug, Default)]
pub(super) struct Glances {
    settled: HashMap<PathBuf, (FileId, i64)>,
}

impl Glances {
    /// A directory looked like this before it was listed, and everything in it is known; or not.
    pub(super) fn note(&mut self, dir: &Path, before: Option<Metadata>, all_known: bool, now_ms: i64) {
        match before.filter(|dir| all_known && now_ms.saturating_sub(dir.modified_ms) >= UNSETTLED_MS) {
            Some(metadata) => {
                self.settled.insert(dir.to_owned(), (metadata.id, metadata.modified_ms));
            }
            None => drop(self.settled.remove(dir)),
        }
    }

    /// Nothing is known of any directory any more.
    pub(super) fn forget_all(&mut self) {
        self.settled.clear();
    }

    fn has_same_names(&self, dir: &Path, now: &Metadata) -> bool {
        self.settled.get(dir) == Some(&(now.id, now.modified_ms))
    }
}

impl Finder {
    /// Whether all files that a look has met are followed.
    pub(super) fn knows_all(&self, scan: &Scan) -> bool {
        let is_known = |id: FileId| self.known.by_id(id).is_some();
        scan.unreadable.is_empty() && !scan.dangling && scan.files.iter().all(|found| is_known(found.metadata.id))
    }

    /// Looks at a directory in which files are being read. How many names it has asked for; `None` where only a listing
    /// tells what has happened, or nothing has.
    pub(super) fn glance(&mut self, dir: &Path, tail: &mut Tail) -> Option<usize> {
        let metadata = self.disk.metadata(dir).ok()?;
        if !self.gaps.is_empty() || !self.glances.has_same_names(dir, &metadata) {
            return None;
        }
        let (asleep, busy): (Vec<FileNo>, Vec<FileNo>) = self.known.in_dir(dir).partition(|file| tail.is_asleep(*file));
        let mut grown = Vec::new();
        for file in &asleep {
            let (id, path) = self.known.get(*file)?;
            let metadata = self.disk.metadata(path).ok().filter(|metadata| metadata.id == id)?;
            grown.push((*file, metadata));
        }
        grown.retain(|(file, metadata)| self.known.update(*file, metadata));
        for (file, metadata) in &grown {
            tail.seen(*file, metadata);
        }
        (!busy.is_empty() || !grown.is_empty()).then_some(1 + asleep.len())
    }
}
