//! Keeps what is followed within the directories of `read.roots`, wherever links lead: whoever may make a link in a directory of
//! logs could otherwise have any file sent that the agent may read.
//!
//! A file is opened by its real path, which has to lie below a root, and of which no part may be a link by then; so it does
//! not matter what is changed between two looks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::{DirEntry, Disk, DiskFile, DiskLock, Metadata, OpenMode, Space};

/// A disk of which only files within some directories can be opened.
#[derive(Debug)]
pub struct Within {
    disk: Arc<dyn Disk>,
    roots: Vec<PathBuf>,
}

impl Within {
    /// Links in the names of the roots themselves are followed, once.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, roots: &[PathBuf]) -> Self {
        let real = |root: &PathBuf| disk.canonicalize(root).unwrap_or_else(|_| root.clone());
        Self {
            roots: roots.iter().map(real).collect(),
            disk,
        }
    }

    /// The disk itself where there are no roots.
    #[must_use]
    pub fn some(disk: Arc<dyn Disk>, roots: &[PathBuf]) -> Arc<dyn Disk> {
        match roots.is_empty() {
            true => disk,
            false => Arc::new(Self::new(disk, roots)),
        }
    }
}

impl Disk for Within {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let real = self.disk.canonicalize(path)?;
        let is_within = self.roots.iter().any(|root| real.starts_with(root));
        if mode != OpenMode::Read || !is_within {
            let reason = format!("it is {}, which is in none of read.roots", real.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        self.disk.open_without_links(&real)
    }

    fn open_without_links(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path, OpenMode::Read)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.metadata(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.canonicalize(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.disk.lock(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tailrace_shared::disk::RealDisk;

    use super::*;

    #[test]
    fn links_lead_no_further_than_the_roots() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for sub in ["logs/app", "other", "secret"] {
            fs::create_dir_all(at(sub)).unwrap();
        }
        for file in ["logs/app/a.log", "other/b.log", "secret/key"] {
            fs::write(at(file), "x").unwrap();
        }
        symlink(at("secret/key"), at("logs/key.log")).unwrap();
        symlink("../secret", at("logs/dir")).unwrap();
        symlink(at("other/b.log"), at("logs/b.log")).unwrap();
        symlink(at("logs"), at("link")).unwrap();
        let disk = Within::some(Arc::new(RealDisk), &[at("link"), at("other")]);
        for inside in [
            "logs/app/a.log",
            "link/app/a.log",
            "logs/b.log",
            "logs/dir/../other/b.log",
        ] {
            disk.open(&at(inside), OpenMode::Read)
                .unwrap_or_else(|error| panic!("{inside}: {error}"));
        }
        for outside in [
            "secret/key",
            "logs/key.log",
            "logs/dir/key",
            "logs/app/../../secret/key",
        ] {
            let error = disk.open(&at(outside), OpenMode::Read).unwrap_err();
            assert!(
                error.kind() == io::ErrorKind::PermissionDenied && error.to_string().contains("secret/key"),
                "{outside}: {error}"
            );
        }
        // What was a directory when it was looked at may be a link a moment later.
        assert!(RealDisk.open_without_links(&at("logs/dir/key")).is_err());
        assert!(RealDisk.open_without_links(&at("logs/app/a.log")).is_ok());
    }
}
