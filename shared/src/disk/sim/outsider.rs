//! What others do to files on the same machine: the programs whose logs are followed, and the test itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::SimDisk;
use super::machine::{Body, Process};
use crate::disk::{Disk, OpenMode, read_exact_at};

impl SimDisk {
    /// Another process on the same machine. It outlives the tested one, its operations are neither counted nor cut, and
    /// a power failure takes what it has not synced.
    #[must_use]
    pub fn outsider(&self) -> Self {
        Self {
            machine: Arc::clone(&self.machine),
            process: Process::Outsider,
        }
    }

    /// Appends to a file, created if need be, without any sync.
    pub fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = match self.open(path, OpenMode::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.open(path, OpenMode::CreateNew)?,
            opened => opened?,
        };
        file.write_all_at(bytes, file.metadata()?.len)
    }

    /// Cuts a file without any sync, as `copytruncate` does.
    pub fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.open(path, OpenMode::ReadWrite)?.set_len(len)
    }

    /// A whole file as the page cache has it.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.metadata()?.len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; len];
        read_exact_at(&*file, &mut bytes, 0)?;
        Ok(bytes)
    }

    /// Makes a symbolic link; its name is durable at once.
    pub fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let place = machine.resolve(link, false)?;
        if place.node.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = machine.add(Body::Symlink(target.to_owned()));
        machine.link(place.dir, place.name, node);
        machine.names.sync_dir(place.dir);
        Ok(())
    }

    /// Gives a file a second name, durable at once.
    pub fn hard_link(&self, file: &Path, link: &Path) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let node = machine.existing(file)?;
        let place = machine.resolve(link, false)?;
        if place.node.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        machine.link(place.dir, place.name, node);
        machine.names.sync_dir(place.dir);
        Ok(())
    }
}
