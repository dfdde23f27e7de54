//! The files known so far, and what a scan says became of them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::{FileId, Metadata};

use super::walk::{Found, Scan};

/// A file's number in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileNo(pub u32);

/// What a scan says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file that was not known.
    Appeared(Found),
    /// A known file has a new name that matches as well, or one again after it had none.
    Moved {
        /// Which.
        file: FileNo,
        /// Its name now.
        to: PathBuf,
    },
    /// Its length or its time of modification is another.
    Changed {
        /// Which.
        file: FileNo,
        /// As it is now.
        metadata: Metadata,
    },
    /// It was not met under any name that matches.
    Unseen {
        /// Which.
        file: FileNo,
    },
}

/// The files known so far.
#[derive(Debug, Default)]
pub struct Known {
    entries: HashMap<FileNo, Entry>,
    by_id: HashMap<FileId, FileNo>,
    by_dir: HashMap<PathBuf, HashMap<OsString, FileNo>>,
    next: u32,
}

#[derive(Debug)]
struct Entry {
    id: FileId,
    path: Arc<Path>,
    len: u64,
    modified_ms: i64,
    nameless: bool,
}

impl Known {
    /// Takes in a file, under a number that no other had.
    pub fn add(&mut self, path: &Path, metadata: &Metadata) -> FileNo {
        let file = FileNo(self.next);
        self.next += 1;
        self.by_id.insert(metadata.id, file);
        let entry = Entry {
            id: metadata.id,
            path: path.into(),
            len: metadata.len,
            modified_ms: metadata.modified_ms,
            nameless: false,
        };
        self.take_name(&entry.path, file);
        self.entries.insert(file, entry);
        file
    }

    /// Forgets a file.
    pub fn remove(&mut self, file: FileNo) {
        if let Some(entry) = self.entries.remove(&file) {
            self.leave_name(&entry.path, file);
            if self.by_id.get(&entry.id) == Some(&file) {
                self.by_id.remove(&entry.id);
            }
        }
    }

    /// A file has another name now.
    pub fn rename(&mut self, file: FileNo, to: &Path) {
        let Some(entry) = self.entries.get_mut(&file) else {
            return;
        };
        let from = std::mem::replace(&mut entry.path, to.into());
        entry.nameless = false;
        self.leave_name(&from, file);
        self.take_name(to, file);
    }

    /// A file has no name any more, as far as could be seen; it stays known by its identity.
    pub fn lose_name(&mut self, file: FileNo) {
        if let Some(entry) = self.entries.get_mut(&file) {
            entry.nameless = true;
            let path = Arc::clone(&entry.path);
            self.leave_name(&path, file);
        }
    }

    /// Notes how a file looks now; true if it looked otherwise before.
    pub fn update(&mut self, file: FileNo, metadata: &Metadata) -> bool {
        self.entries.get_mut(&file).is_some_and(|entry| {
            let changed = entry.differs(metadata);
            (entry.len, entry.modified_ms) = (metadata.len, metadata.modified_ms);
            changed
        })
    }

    /// Its identity and its last known name.
    #[must_use]
    pub fn get(&self, file: FileNo) -> Option<(FileId, &Arc<Path>)> {
        self.entries.get(&file).map(|entry| (entry.id, &entry.path))
    }

    /// Whether a file has this name, as far as was seen.
    #[must_use]
    pub fn is_called(&self, file: FileNo, path: &Path) -> bool {
        let entry = self.entries.get(&file);
        entry.is_some_and(|entry| !entry.nameless && *entry.path == *path)
    }

    /// The file with this identity.
    #[must_use]
    pub fn by_id(&self, id: FileId) -> Option<FileNo> {
        self.by_id.get(&id).copied()
    }

    /// The files that have a name in a directory.
    pub fn in_dir(&self, dir: &Path) -> impl Iterator<Item = FileNo> {
        self.by_dir.get(dir).into_iter().flat_map(HashMap::values).copied()
    }

    /// Compares with what a scan met. `complete`: the scan was of everything.
    #[must_use]
    pub fn compare(&self, scan: &Scan, complete: bool) -> Vec<Event> {
        let mut events = Vec::new();
        let mut seen = HashSet::with_capacity(scan.files.len());
        for found in &scan.files {
            let Some(file) = self.by_id(found.metadata.id) else {
                events.push(Event::Appeared(found.clone()));
                continue;
            };
            seen.insert(file);
            let Some(entry) = self.entries.get(&file) else {
                continue;
            };
            if entry.nameless || *entry.path != *found.path {
                let to = found.path.clone();
                events.push(Event::Moved { file, to });
            }
            if entry.differs(&found.metadata) {
                let metadata = found.metadata;
                events.push(Event::Changed { file, metadata });
            }
        }
        let unseen = self.expected(scan, complete).filter(|file| !seen.contains(file));
        events.extend(unseen.map(|file| Event::Unseen { file }));
        events
    }

    /// The files that the scan would have met if they were still where they were.
    fn expected<'a>(&'a self, scan: &'a Scan, complete: bool) -> Box<dyn Iterator<Item = FileNo> + 'a> {
        if complete {
            let readable = |path: &Path| {
                !scan
                    .unreadable
                    .iter()
                    .any(|(unreadable, _)| path.starts_with(unreadable))
            };
            Box::new(
                self.entries
                    .iter()
                    .filter(move |(_, entry)| readable(&entry.path))
                    .map(|(file, _)| *file),
            )
        } else {
            Box::new(scan.dirs.iter().flat_map(|dir| self.in_dir(dir)))
        }
    }

    fn take_name(&mut self, path: &Path, file: FileNo) {
        if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
            self.by_dir
                .entry(dir.to_owned())
                .or_default()
                .insert(name.to_owned(), file);
        }
    }

    /// Only if no other file has taken the name since.
    fn leave_name(&mut self, path: &Path, file: FileNo) {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        if let Some(names) = self.by_dir.get_mut(dir)
            && names.get(name) == Some(&file)
        {
            names.remove(name);
            if names.is_empty() {
                self.by_dir.remove(dir);
            }
        }
    }
}

impl Entry {
    fn differs(&self, metadata: &Metadata) -> bool {
        (self.len, self.modified_ms) != (metadata.len, metadata.modified_ms)
    }
}
