//! Keeps one file ready after the current one, so that a roll does not stall; recycles or removes released files. At the end it
//! removes all of these.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tailrace_shared::disk::{Disk, DiskFile, OpenMode};

use super::error::FatalError;
use super::files::LiveFile;
use super::options::WalOptions;
use super::position::WalPosition;
use super::queue::Queue;

/// A file that is being preallocated, under a name that recovery removes.
pub(super) const SPARE: &str = "spare.tmp";

/// Released files that are kept for recycling.
const RECYCLED_MAX: usize = 4;
/// How often a full disk is tried again.
const RETRY: Duration = if cfg!(test) {
    Duration::from_millis(2)
} else {
    Duration::from_secs(1)
};

/// What the writer and the thread that makes room tell each other.
#[derive(Default)]
pub(super) struct Space {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: Option<ReadyFile>,
    released: VecDeque<Released>,
    disk_full: bool,
    stopped: bool,
    /// Of the files to come.
    room: Room,
}

/// How a new file takes its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Room {
    /// By writing zeros: then a commit is a write and nothing else.
    #[default]
    Written,
    /// In the file system's books alone, where each commit makes an entry: costs less where commits are few and long.
    Reserved,
}

/// A file at its final name, allocated, with nothing valid in it.
pub(super) struct ReadyFile {
    pub(super) position: WalPosition,
    pub(super) handle: Arc<dyn DiskFile>,
}

struct Released {
    position: WalPosition,
    file: LiveFile,
}

/// Whether the writer insists on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Waits for however long the disk is full.
    UntilThereIsSpace,
    /// Waits only for what is under way.
    UnlessTheDiskIsFull,
}

impl Space {
    /// The next file; `None` if the disk is full or the end has come. `room` is for the one after it.
    pub(super) fn take(&self, queue: &Queue, patience: Patience, room: Room) -> Option<ReadyFile> {
        let mut state = self.state.lock();
        state.room = room;
        loop {
            if let Some(ready) = state.ready.take() {
                queue.change_room(super::admission::Admission::switch);
                self.changed.notify_all();
                return Some(ready);
            }
            if state.stopped || (state.disk_full && patience == Patience::UnlessTheDiskIsFull) {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    pub(super) fn release(&self, files: impl IntoIterator<Item = (WalPosition, LiveFile)>) {
        let files = files.into_iter().map(|(position, file)| Released { position, file });
        self.state.lock().released.extend(files);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// The thread that makes room.
pub(super) struct SpaceKeeper {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_bytes: u64,
    /// What a fresh file can hold beside its header.
    file_room: u64,
    /// The file to make ready next.
    next: WalPosition,
    /// Released files that will be later ones.
    recycled: Vec<WalPosition>,
    /// Something was released since the disk was found full.
    try_at_once: bool,
}

enum Job {
    Prepare(Room),
    PutAway(Released),
}

impl SpaceKeeper {
    pub(super) fn new(options: &WalOptions, file_room: u64, next: WalPosition) -> Self {
        Self {
            disk: Arc::clone(&options.disk),
            dir: options.dir.clone(),
            file_bytes: options.file_bytes,
            file_room,
            next,
            recycled: Vec::new(),
            try_at_once: false,
        }
    }

    /// Works until told to stop.
    pub(super) fn run(mut self, space: &Space, queue: &Queue) -> Result<(), FatalError> {
        while let Some(job) = self.next_job(space) {
            match job {
                Job::PutAway(released) => self.put_away(released)?,
                Job::Prepare(room) => self.prepare(space, queue, room)?,
            }
        }
        self.clear(space);
        Ok(())
    }

    /// Removes what holds nothing, so that the next start need not look into it. Nothing is lost by it after a failure
    /// either: the one file was never written to, the others were released.
    fn clear(self, space: &Space) {
        let mut state = space.state.lock();
        let ready = state.ready.take().map(|ready| ready.position);
        let released = state.released.drain(..).map(|released| released.position);
        for position in self.recycled.iter().copied().chain(released).chain(ready) {
            let path = position.path(&self.dir);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot be removed: the next start does it");
            }
        }
    }

    fn next_job(&mut self, space: &Space) -> Option<Job> {
        let mut state = space.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(released) = state.released.pop_front() {
                return Some(Job::PutAway(released));
            }
            if state.ready.is_some() {
                space.changed.wait(&mut state);
                continue;
            }
            let may_have_room = !state.disk_full || std::mem::take(&mut self.try_at_once);
            if may_have_room || space.changed.wait_for(&mut state, RETRY).timed_out() {
                return Some(Job::Prepare(state.room));
            }
        }
    }

    /// A file that someone still reads, or that has another name, is removed and not recycled: its bytes are wanted.
    fn put_away(&mut self, released: Released) -> Result<(), FatalError> {
        let Released { position, file } = released;
        self.try_at_once = true;
        let is_wanted = file.has_footer
            || Arc::strong_count(&file.handle) > 1
            || file.handle.metadata().is_ok_and(|metadata| metadata.links > 1);
        if file.len == self.file_bytes && !is_wanted && self.recycled.len() < RECYCLED_MAX {
            self.recycled.push(position);
            return Ok(());
        }
        let path = position.path(&self.dir);
        self.disk.remove(&path).map_err(|source| FatalError::Io {
            action: "remove",
            path,
            source,
        })
    }

    fn prepare(&mut self, space: &Space, queue: &Queue, room: Room) -> Result<(), FatalError> {
        let made = match self.recycled.last() {
            Some(old) => recycle(&*self.disk, &self.dir, *old, self.next),
            None => allocate(&*self.disk, &self.dir, self.next, self.file_bytes, room),
        };
        let ready = match made {
            Ok(handle) => ReadyFile {
                position: self.next,
                handle,
            },
            Err(error) if error.source.kind() == io::ErrorKind::StorageFull => {
                self.tell_disk_full(space, queue);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.recycled.pop();
        self.next.file += 1;
        let mut state = space.state.lock();
        state.ready = Some(ready);
        state.disk_full = false;
        queue.change_room(|admission| {
            admission.next_file = Some(self.file_room);
            admission.disk_full = false;
        });
        space.changed.notify_all();
        Ok(())
    }

    fn tell_disk_full(&self, space: &Space, queue: &Queue) {
        let mut state = space.state.lock();
        if !std::mem::replace(&mut state.disk_full, true) {
            tracing::warn!(
                dir = %self.dir.display(),
                bytes = self.file_bytes,
                "no space for the next WAL file: appends are refused until there is"
            );
        }
        queue.change_room(|admission| admission.disk_full = true);
        space.changed.notify_all();
    }
}

/// A file operation that failed.
#[derive(Debug)]
pub(super) struct FileError {
    pub(super) action: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl FileError {
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<FileError> for FatalError {
    fn from(error: FileError) -> Self {
        Self::Io {
            action: error.action,
            path: error.path,
            source: error.source,
        }
    }
}

/// Makes a released file the given one, old bytes and all.
fn recycle(
    disk: &dyn Disk,
    dir: &Path,
    old: WalPosition,
    position: WalPosition,
) -> Result<Arc<dyn DiskFile>, FileError> {
    let path = position.path(dir);
    disk.rename(&old.path(dir), &path)
        .map_err(FileError::at("recycle a file as", &path))?;
    disk.sync_dir(dir).map_err(FileError::at("sync", dir))?;
    disk.open(&path, OpenMode::ReadWrite)
        .map_err(FileError::at("open", &path))
}

/// Makes a new file that reads as zeros, durable and with its name durable.
pub(super) fn allocate(
    disk: &dyn Disk,
    dir: &Path,
    position: WalPosition,
    bytes: u64,
    room: Room,
) -> Result<Arc<dyn DiskFile>, FileError> {
    let spare = dir.join(SPARE);
    remove_spare(disk, dir)?;
    let file = disk
        .open(&spare, OpenMode::CreateNew)
        .map_err(FileError::at("create", &spare))?;
    let taken = match room {
        Room::Written => file.preallocate(bytes),
        Room::Reserved => file.reserve(bytes),
    };
    let filled = taken.and_then(|()| file.sync_data());
    if let Err(error) = filled {
        remove_spare(disk, dir)?;
        return Err(FileError::at("preallocate", &spare)(error));
    }
    let path = position.path(dir);
    disk.rename(&spare, &path).map_err(FileError::at("create", &path))?;
    disk.sync_dir(dir).map_err(FileError::at("sync", dir))?;
    Ok(file)
}

/// Removes what an interrupted preallocation left.
pub(super) fn remove_spare(disk: &dyn Disk, dir: &Path) -> Result<(), FileError> {
    let spare = dir.join(SPARE);
    match disk.remove(&spare) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at("remove", &spare)(error)),
        _ => Ok(()),
    }
}
