//! From directories to listings.

use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use object_store::path::{Path as Location, PathPart};
use object_store::{ListResult, ObjectMeta, Result};
use tailrace_shared::disk::{FileKind, Metadata};

use super::Directory;
use super::error::{READ, file_error};
use super::write::TEMP_DIR;

impl Directory {
    /// The objects and directories right under a prefix. What is no object (a link, a name that is no key) is not listed,
    /// nor is what vanishes while it is looked at.
    pub(super) fn list(&self, prefix: &Location) -> Result<ListResult> {
        let mut listed = ListResult {
            objects: Vec::new(),
            common_prefixes: Vec::new(),
            extensions: Default::default(),
        };
        let dir = self.dir_of(prefix)?;
        let entries = match self.disk.list(&dir) {
            Err(error) if is_gone(&error) => return Ok(listed),
            entries => entries.map_err(|error| file_error("list", &dir, error))?,
        };
        for entry in entries {
            let Some(part) = entry.name.to_str().and_then(|name| PathPart::parse(name).ok()) else {
                continue;
            };
            if prefix.is_root() && part.as_ref() == TEMP_DIR {
                continue;
            }
            let location = prefix.clone().join(part);
            match entry.kind {
                FileKind::Dir => listed.common_prefixes.push(location),
                FileKind::File => listed.objects.extend(self.describe(location)?),
                FileKind::Symlink | FileKind::Other => {}
            }
        }
        Ok(listed)
    }

    fn describe(&self, location: Location) -> Result<Option<ObjectMeta>> {
        let path = self.path_of(&location)?;
        match self.disk.metadata(&path) {
            Ok(metadata) => Ok(Some(meta(location, &metadata))),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(file_error(READ, &path, error)),
        }
    }

    /// As [`Directory::list`], without directories that deletes have emptied: a bucket has none.
    pub(super) fn list_without_empty(&self, prefix: &Location) -> Result<ListResult> {
        let mut listed = self.list(prefix)?;
        let mut filled = Vec::new();
        for below in listed.common_prefixes {
            if self.holds_objects(&below)? {
                filled.push(below);
            }
        }
        listed.common_prefixes = filled;
        Ok(listed)
    }

    fn holds_objects(&self, prefix: &Location) -> Result<bool> {
        let mut left = vec![prefix.clone()];
        while let Some(next) = left.pop() {
            let listed = self.list(&next)?;
            if !listed.objects.is_empty() {
                return Ok(true);
            }
            left.extend(listed.common_prefixes);
        }
        Ok(false)
    }

    /// Makes the names in a directory, and in those below it, durable.
    pub(super) fn sync_below(&self, dir: &Path) -> io::Result<()> {
        for entry in self.disk.list(dir)? {
            if entry.kind == FileKind::Dir {
                self.sync_below(&dir.join(entry.name))?;
            }
        }
        self.disk.sync_dir(dir)?;
        self.durable_dirs.lock().insert(dir.to_owned());
        Ok(())
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn meta(location: Location, metadata: &Metadata) -> ObjectMeta {
    let modified = Duration::from_millis(u64::try_from(metadata.modified_ms).unwrap_or_default());
    let last_modified = (UNIX_EPOCH + modified).into();
    ObjectMeta {
        location,
        last_modified,
        size: metadata.len,
        e_tag: None,
        version: None,
    }
}
