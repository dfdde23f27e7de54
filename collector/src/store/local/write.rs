//! Puts, copies, renames and deletes: each whole or undone at any moment, and durable when it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path as Location;
use object_store::{PutMode, PutPayload, PutResult, Result};
use tailrace_shared::disk::{Disk, DiskFile, OpenMode};

use super::Directory;
use super::error::{READ, file_error, unsupported};
use super::read;

/// Where objects are before they have their name; no key begins with it.
pub(super) const TEMP_DIR: &str = ".tmp";

const COPY_CHUNK: usize = 1 << 20;

/// What is written with one call: the page cache takes less time for two small pieces than for a large one.
const WRITE_BYTES: usize = 64 << 10;

/// What to do with an object that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    Always,
    Never,
}

impl Replace {
    pub(super) fn from_put_mode(mode: PutMode) -> Result<Self> {
        match mode {
            PutMode::Overwrite => Ok(Self::Always),
            PutMode::Create => Ok(Self::Never),
            PutMode::Update(_) => Err(unsupported("conditional updates")),
        }
    }
}

impl From<bool> for Replace {
    fn from(replace: bool) -> Self {
        if replace { Self::Always } else { Self::Never }
    }
}

/// Gives each object that is being written a name of its own.
#[derive(Debug)]
pub(super) struct TempNames {
    dir: PathBuf,
    next: AtomicU64,
}

impl TempNames {
    /// Removes what earlier processes left unfinished.
    pub(super) fn sweep(disk: &dyn Disk, root: &Path) -> io::Result<Self> {
        let dir = root.join(TEMP_DIR);
        disk.create_dir_all(&dir)?;
        for entry in disk.list(&dir)? {
            disk.remove(&dir.join(entry.name))?;
        }
        Ok(Self {
            dir,
            next: AtomicU64::new(0),
        })
    }
}

/// An object that has no name yet; dropped without one, it is removed.
#[derive(Debug)]
pub(super) struct Unnamed {
    directory: Arc<Directory>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl Unnamed {
    pub(super) fn create(directory: &Arc<Directory>) -> Result<Self> {
        let number = directory.temp.next.fetch_add(1, Ordering::Relaxed);
        let path = directory.temp.dir.join(number.to_string());
        let opened = directory.disk.open(&path, OpenMode::CreateNew);
        let file = opened.map_err(|error| file_error("create", &path, error))?;
        Ok(Self {
            directory: Arc::clone(directory),
            path,
            file,
        })
    }

    pub(super) fn write(&self, payload: &PutPayload, mut offset: u64) -> Result<()> {
        for part in payload.iter().flat_map(|part| part.chunks(WRITE_BYTES)) {
            self.file
                .write_all_at(part, offset)
                .map_err(|error| file_error("write", &self.path, error))?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|error| file_error("sync", &self.path, error))
    }

    /// Makes it durable under its name.
    pub(super) fn publish(self, location: &Location, replace: Replace) -> Result<PutResult> {
        self.sync()?;
        self.directory
            .place(&self.path, &self.directory.path_of(location)?, replace)?;
        Ok(PutResult {
            e_tag: None,
            version: None,
            extensions: Default::default(),
        })
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let Err(error) = self.directory.disk.remove(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished object stays until the next start");
        }
    }
}

impl Directory {
    pub(super) fn put(self: &Arc<Self>, at: &Location, payload: &PutPayload, replace: Replace) -> Result<PutResult> {
        self.path_of(at)?;
        let object = Unnamed::create(self)?;
        object.write(payload, 0)?;
        object.publish(at, replace)
    }

    /// The file, which is synced and never changes any more, becomes an object.
    pub(super) fn adopt(&self, file: &Path, at: &Location) -> Result<()> {
        let path = self.path_of(at)?;
        self.make_parent(&path)?;
        self.disk
            .link(file, &path)
            .map_err(|error| file_error("link", &path, error))?;
        self.sync_parent(&path)
    }

    pub(super) fn copy(self: &Arc<Self>, from: &Location, to: &Location, replace: Replace) -> Result<()> {
        self.path_of(to)?;
        let (source, _) = read::open(self, from)?;
        let object = Unnamed::create(self)?;
        let mut buf = vec![0; COPY_CHUNK];
        let mut offset = 0;
        loop {
            let read = source
                .file
                .read_at(&mut buf, offset)
                .map_err(|error| file_error(READ, &source.path, error))?;
            let Some(part) = buf.get(..read).filter(|part| !part.is_empty()) else {
                break;
            };
            let written = object.file.write_all_at(part, offset);
            written.map_err(|error| file_error("write", &object.path, error))?;
            offset += read as u64;
        }
        object.publish(to, replace).map(|_| ())
    }

    pub(super) fn rename(&self, from: &Location, to: &Location, replace: Replace) -> Result<()> {
        let to = self.path_of(to)?;
        let (object, _) = read::open(self, from)?;
        self.place(&object.path, &to, replace)?;
        self.sync_parent(&object.path)
    }

    /// Gives a synced file its name, durably.
    fn place(&self, from: &Path, to: &Path, replace: Replace) -> Result<()> {
        self.make_parent(to)?;
        let renamed = match replace {
            Replace::Always => self.disk.rename(from, to),
            Replace::Never => self.disk.rename_new(from, to),
        };
        match renamed {
            // Whoever lost reads the winner next, and must not read what may still vanish.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.sync_parent(to)?;
                Err(file_error("create", to, error))
            }
            Err(error) => Err(file_error("create", to, error)),
            Ok(()) => self.sync_parent(to),
        }
    }

    /// The directory that a file is to stand in, with a durable name. Directories are never removed, so one that was
    /// made once needs no second look.
    fn make_parent(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(path);
        let mut durable = self.durable_dirs.lock();
        if !durable.contains(parent) {
            self.disk
                .create_dir_all(parent)
                .map_err(|error| file_error("create", parent, error))?;
            durable.insert(parent.to_owned());
        }
        Ok(())
    }

    fn sync_parent(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(path);
        self.disk
            .sync_dir(parent)
            .map_err(|error| file_error("sync", parent, error))
    }

    /// Deletes objects, and syncs each directory once. An object that is not there counts as deleted.
    pub(super) fn delete(&self, batch: Vec<Result<Location>>) -> Vec<Result<Location>> {
        let removed: Vec<_> = batch
            .into_iter()
            .map(|location| location.and_then(|location| self.remove(location)))
            .collect();
        let touched: BTreeSet<PathBuf> = removed
            .iter()
            .flatten()
            .filter_map(|(_, parent)| parent.clone())
            .collect();
        let unsynced: BTreeMap<PathBuf, io::Error> = touched
            .into_iter()
            .filter_map(|dir| self.disk.sync_dir(&dir).err().map(|error| (dir, error)))
            .collect();
        let settle = |(location, parent): (Location, Option<PathBuf>)| match parent
            .and_then(|parent| unsynced.get_key_value(&parent))
        {
            Some((dir, error)) if error.kind() != io::ErrorKind::NotFound => {
                Err(file_error("sync", dir, io::Error::new(error.kind(), error.to_string())))
            }
            _ => Ok(location),
        };
        removed.into_iter().map(|result| result.and_then(settle)).collect()
    }

    /// Also tells which directory must be synced before the object is surely gone. That it was not found is no proof: an
    /// earlier try may have removed it and failed to sync.
    fn remove(&self, location: Location) -> Result<(Location, Option<PathBuf>)> {
        let path = self.path_of(&location)?;
        match self.disk.remove(&path).map_err(|error| (error.kind(), error)) {
            Ok(()) | Err((io::ErrorKind::NotFound, _)) => Ok((location, path.parent().map(Path::to_owned))),
            Err((io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory, _)) => Ok((location, None)),
            Err((_, error)) => Err(file_error("delete", &path, error)),
        }
    }
}
