//! [`Disk`] and [`DiskFile`] as a simulated process sees them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::seq::SliceRandom;

use super::content::Content;
use super::machine::{Body, End, HandleKey, Machine, NodeKey};
use super::{PowerLoss, SimDisk};
use crate::disk::{DirEntry, Disk, DiskFile, DiskLock, FileKind, LockGuard, Metadata, OpenMode, Space};

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    handle: HandleKey,
    writable: bool,
}

#[derive(Debug)]
struct SimLock {
    machine: Arc<Mutex<Machine>>,
    handle: HandleKey,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.machine.lock().close(self.handle);
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.machine.lock().close(self.handle);
    }
}

impl SimDisk {
    fn look<T>(&self, look: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        let mut machine = self.machine.lock();
        machine.check(self.process)?;
        look(&mut machine)
    }

    /// A change in the cache. At the end of a process it may or may not be made; a power failure then tears it.
    fn change<T>(&self, change: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        self.look(|machine| match machine.count(self.process) {
            None => change(machine),
            Some(end) => {
                if machine.coin() {
                    change(machine).ok();
                }
                Err(finish(machine, end))
            }
        })
    }

    /// Something that makes earlier changes durable. At the end of a process it is not reached.
    fn sync<T>(&self, sync: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        self.look(|machine| match machine.count(self.process) {
            None => sync(machine),
            Some(end) => Err(finish(machine, end)),
        })
    }

    fn rename_if(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        self.change(|machine| {
            let from = machine.resolve(from, false)?;
            let to = machine.resolve(to, false)?;
            let node = from.node.ok_or(io::ErrorKind::NotFound)?;
            match to.node {
                Some(_) if !replace => return Err(io::ErrorKind::AlreadyExists.into()),
                Some(same) if same == node => return Ok(()),
                Some(other) if machine.kind(other)? == FileKind::Dir => {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                _ => {}
            }
            machine.rename((from.dir, from.name), (to.dir, to.name), node);
            Ok(())
        })
    }
}

fn finish(machine: &mut Machine, end: End) -> io::Error {
    match end {
        End::Killed => machine.kill(),
        End::PowerLost => machine.lose_power(PowerLoss::Random),
    }
    io::Error::other("the simulated process ended in this operation")
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode != OpenMode::CreateNew {
            let handle = self.look(|machine| {
                let node = machine.existing(path)?;
                machine.content(node)?;
                Ok(machine.open(node, self.process))
            })?;
            return Ok(Arc::new(SimFile {
                disk: self.clone(),
                handle,
                writable: mode == OpenMode::ReadWrite,
            }));
        }
        let handle = self.change(|machine| {
            let place = machine.resolve(path, false)?;
            if place.node.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let node = machine.add(Body::File(Content::default()));
            machine.link(place.dir, place.name, node);
            Ok(machine.open(node, self.process))
        })?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            handle,
            writable: true,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut prefix = PathBuf::from("/");
        for part in path.components() {
            prefix.push(part);
            let (parent, exists) = self.look(|machine| {
                let place = machine.resolve(&prefix, true)?;
                Ok((place.dir, place.node.is_some()))
            })?;
            if !exists {
                self.change(|machine| {
                    let place = machine.resolve(&prefix, true)?;
                    if place.node.is_none() {
                        let dir = machine.add(Body::Dir);
                        machine.link(place.dir, place.name, dir);
                    }
                    Ok(())
                })?;
                self.sync(|machine| {
                    machine.names.sync_dir(parent);
                    Ok(())
                })?;
            } else {
                self.look(|machine| {
                    machine.directory(&prefix)?;
                    machine.names.sync_dir(parent);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_if(from, to, true)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_if(from, to, false)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|machine| {
            let node = machine.existing(from)?;
            let place = machine.resolve(to, false)?;
            if place.node.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            machine.link(place.dir, place.name, node);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|machine| {
            let place = machine.resolve(path, false)?;
            if machine.kind(place.node.ok_or(io::ErrorKind::NotFound)?)? == FileKind::Dir {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            machine.unlink(place.dir, place.name);
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.look(|machine| {
            let dir = machine.directory(dir)?;
            let entries = machine.names.entries(dir);
            let mut entries = entries
                .map(|(name, node)| {
                    Ok(DirEntry {
                        name: name.clone(),
                        kind: machine.kind(node)?,
                    })
                })
                .collect::<io::Result<Vec<_>>>()?;
            entries.shuffle(&mut machine.rng);
            Ok(entries)
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync(|machine| {
            let dir = machine.directory(dir)?;
            machine.names.sync_dir(dir);
            Ok(())
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.look(|machine| machine.metadata(machine.existing(path)?))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.look(|machine| {
            let place = machine.resolve(path, true)?;
            place.node.ok_or(io::ErrorKind::NotFound)?;
            Ok(place.path)
        })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.look(|machine| machine.existing(path).map(|_| machine.space()))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        if self.look(|machine| Ok(machine.resolve(path, true)?.node.is_none()))? {
            self.change(|machine| {
                let place = machine.resolve(path, true)?;
                if place.node.is_none() {
                    let node = machine.add(Body::File(Content::default()));
                    machine.link(place.dir, place.name, node);
                }
                Ok(())
            })?;
        }
        self.look(|machine| {
            let handle = machine.lock(machine.existing(path)?, self.process)?;
            Ok(DiskLock {
                _held: Box::new(SimLock {
                    machine: Arc::clone(&self.machine),
                    handle,
                }),
            })
        })
    }
}

impl SimFile {
    fn change<T>(&self, change: impl FnOnce(&mut Machine, NodeKey) -> io::Result<T>) -> io::Result<T> {
        if !self.writable {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the file was opened for reading",
            ));
        }
        self.disk.change(|machine| {
            let node = machine.opened(self.handle)?;
            machine.touch(node);
            change(machine, node)
        })
    }

    fn look<T>(&self, look: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        self.disk
            .look(|machine| look(machine.content(machine.opened(self.handle)?)?))
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.look(|content| Ok(content.read(buf, position(offset)?)))
    }

    fn read_stable(&self) -> io::Result<Vec<u8>> {
        self.look(|content| Ok(content.stable()))
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.change(|machine, node| {
            let offset = position(offset)?;
            let room = position(machine.room())?;
            let content = machine.content(node)?;
            let fits = content.len().saturating_add(room).saturating_sub(offset).min(buf.len());
            content.write(&buf[..fits], offset);
            if fits == buf.len() {
                Ok(())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        })
    }

    fn write_direct_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(|machine| {
            let node = machine.opened(self.handle)?;
            if machine.failing_syncs > 0 {
                machine.failing_syncs -= 1;
                machine.content(node)?.fail_sync();
                return Err(io::Error::other("simulated fsync failure"));
            }
            machine.content(node)?.sync();
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|machine, node| {
            machine.content(node)?.set_len(position(len)?);
            Ok(())
        })
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.change(|machine, node| {
            let room = machine.room();
            let content = machine.content(node)?;
            if len.saturating_sub(content.len() as u64) > room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            content.write(&vec![0; position(len)?], 0);
            Ok(())
        })
    }

    /// Of a file that holds nothing yet, as `preallocate`.
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.preallocate(len)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.disk.look(|machine| machine.metadata(machine.opened(self.handle)?))
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}
