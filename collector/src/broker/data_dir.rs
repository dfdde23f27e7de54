//! The data directory as a whole: one collector at a time, and none that is older than what it holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::{Disk, DiskLock, OpenMode, Space, read_exact_at};

/// The layout of the directory that this version writes.
const LAYOUT: u64 = 1;
const FORMAT: &str = "FORMAT";
const LOCK: &str = "LOCK";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file in it cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// Another collector runs on it.
    #[error("another collector uses {}: stop it first, or give this one its own data_dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A newer collector wrote it.
    #[error("{} says layout {found:?}, and this version of Tailrace knows up to {LAYOUT}: run the version that wrote it", path.display())]
    UnknownLayout {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
}

/// A data directory that no other collector uses, for as long as this lives. Claim it before anything in it is opened.
#[derive(Debug)]
pub struct DataDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: DiskLock,
}

impl DataDir {
    /// Locks the directory, which is created if need be, and checks its layout. Blocks.
    pub fn claim(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self, DataDirError> {
        let lock = claim(&*disk, &path)?;
        Ok(Self {
            disk,
            path,
            _lock: lock,
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file system has that holds it.
    pub fn space(&self) -> io::Result<Space> {
        self.disk.space(&self.path)
    }

    /// The file system that holds it.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

fn claim(disk: &dyn Disk, dir: &Path) -> Result<DiskLock, DataDirError> {
    disk.create_dir_all(dir).map_err(io_error("create", dir))?;
    let lock = dir.join(LOCK);
    let lock = match disk.lock(&lock) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(DataDirError::InUse { path: dir.to_owned() });
        }
        locked => locked.map_err(io_error("lock", &lock))?,
    };
    let format = dir.join(FORMAT);
    match read_small(disk, &format) {
        Ok(found) if found.trim().parse() == Ok(LAYOUT) => {}
        Ok(found) => return Err(DataDirError::UnknownLayout { path: format, found }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_format(disk, dir).map_err(io_error("write", &format))?;
        }
        Err(error) => return Err(io_error("read", &format)(error)),
    }
    Ok(lock)
}

fn read_small(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.metadata()?.len.min(64);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Under another name first, so that a crash leaves the whole file or none.
fn write_format(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let unfinished = dir.join("FORMAT.tmp");
    match disk.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&unfinished, OpenMode::CreateNew)?;
    file.write_all_at(format!("{LAYOUT}\n").as_bytes(), 0)?;
    file.sync_data()?;
    disk.rename(&unfinished, &dir.join(FORMAT))?;
    disk.sync_dir(dir)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailrace_shared::disk::RealDisk;

    #[test]
    fn a_second_collector_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = claim(&RealDisk, dir.path()).unwrap();
        assert!(matches!(claim(&RealDisk, dir.path()), Err(DataDirError::InUse { .. })));
        drop(first);
        claim(&RealDisk, dir.path()).unwrap();
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(claim(&RealDisk, dir.path()).unwrap());
        std::fs::write(dir.path().join(FORMAT), "2\n").unwrap();
        assert!(matches!(
            claim(&RealDisk, dir.path()),
            Err(DataDirError::UnknownLayout { found, .. }) if found == "2"
        ));
    }
}
