//! Bytes that go no further are kept for a person to look at, each beside a `.reason` in plain text: what recovery found
//! damaged, and what no broker takes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::{Disk, OpenMode};

/// A directory for such files.
#[derive(Debug)]
pub(crate) struct SetAside {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// One for each thing set aside so far.
    pub(crate) reasons: Vec<String>,
}

impl SetAside {
    /// The directory is made when it is first needed.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self {
            disk,
            dir,
            reasons: Vec::new(),
        }
    }

    /// Keeps the bytes; durable on return. A name that is taken was written by a process that died over it, and is
    /// written anew.
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8], reason: &str) -> io::Result<()> {
        self.disk.create_dir_all(&self.dir)?;
        self.write(&self.dir.join(name), bytes)?;
        self.write(&self.dir.join(format!("{name}.reason")), reason.as_bytes())?;
        self.disk.sync_dir(&self.dir)?;
        self.reasons
            .push(format!("{reason} (kept in {})", self.dir.join(name).display()));
        Ok(())
    }

    /// Takes a whole file of the spool out of its directory.
    pub(crate) fn file(&mut self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(&self.dir)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kept = (0..u32::MAX).map(|copy| self.dir.join(format!("{name}-{copy}")));
        for kept in kept {
            match self.disk.rename_new(path, &kept) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => {
                    result?;
                    self.disk.sync_dir(&self.dir)?;
                    self.disk.sync_dir(path.parent().unwrap_or(&self.dir))?;
                    self.reasons
                        .push(format!("its header is unreadable (kept as {})", kept.display()));
                    break;
                }
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = match self.disk.open(path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.disk.open(path, OpenMode::ReadWrite)?,
            opened => opened?,
        };
        file.set_len(bytes.len() as u64)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    }
}
