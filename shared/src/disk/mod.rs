//! The seam to stable storage: the WAL, the segment store, the spool and the followed files all go through [`Disk`].
//!
//! The trait speaks of what a power failure may take: a write is on stable storage only after [`DiskFile::sync_data`],
//! a name only after [`Disk::sync_dir`] of its directory. [`RealDisk`] is the file system; `SimDisk` (feature `sim`)
//! forgets or tears whatever was not synced. Every call blocks: call it from a thread that may.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
mod conformance;
mod direct;
mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod stable;

pub use real::RealDisk;

/// Where a buffer for [`DiskFile::write_direct_at`] starts in memory and in the file, and what its length is a multiple
/// of: covers the logical block size of every device in use.
pub const ALIGN: usize = 4096;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A file that must not exist yet, for reading and writing.
    CreateNew,
}

/// What identifies a file for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The file system's device number.
    pub device: u64,
    /// The inode; the file system may reuse it once the file is gone.
    pub inode: u64,
}

/// What `stat` says of a path or of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Device and inode.
    pub id: FileId,
    /// Length in bytes.
    pub len: u64,
    /// Last modification, milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Regular file, directory, or something else.
    pub kind: FileKind,
    /// How many names the file has; 0 for an open file that was deleted.
    pub links: u64,
}

/// The kinds of file that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link (only from [`Disk::list`], which does not follow).
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name alone.
    pub name: std::ffi::OsString,
    /// What it names; links are not followed.
    pub kind: FileKind,
}

/// A file system.
pub trait Disk: Send + Sync + std::fmt::Debug + 'static {
    /// Opens a file. A new file's name is durable only after [`Disk::sync_dir`] of its directory.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading, if no part of its path is a symbolic link.
    fn open_without_links(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match self.canonicalize(path)? == path {
            true => self.open(path, OpenMode::Read),
            false => Err(io::Error::other("a part of its path is a symbolic link")),
        }
    }

    /// Creates a directory and its parents, each name durable on return.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Renames, replacing what stands at `to`. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames, failing with `AlreadyExists` if `to` exists. Durable after [`Disk::sync_dir`].
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, failing with `AlreadyExists` if `to` exists. Durable after [`Disk::sync_dir`].
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// `stat`: symbolic links are followed.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// The path with all symbolic links resolved.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// What the file system has that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Takes the exclusive lock on `path` (created if need be), or `WouldBlock` if another process holds it.
    /// It is released when the returned guard is dropped, or when the process dies.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// An open file; every method takes its own offset, so a handle may be shared between threads.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Reads at most `buf.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Says that these bytes will be read in a moment, in whatever pieces. A hint.
    fn will_read(&self, _range: Range<u64>) {}

    /// Reads the whole file as it is on stable storage, past the page cache where the platform can.
    fn read_stable(&self) -> io::Result<Vec<u8>>;

    /// Writes the whole buffer.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// As [`DiskFile::write_all_at`], but past the page cache where the file system can and all is a multiple of
    /// [`ALIGN`]: for what is written once in large pieces, synced at once, and seldom read again.
    fn write_direct_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// fdatasync: on return every earlier write to this file, and its length, is on stable storage.
    /// After an error nothing may be assumed of this file any more; the process must stop.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Writes zeros over `0..len`, so that later writes there need no block from the file system.
    /// `StorageFull` if there is no room. Durable after [`DiskFile::sync_data`].
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Takes room for `0..len` from the file system, which reads as zeros where nothing was written. Costs less than
    /// [`DiskFile::preallocate`], and more at the sync of what is then written there.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// `fstat`.
    fn metadata(&self) -> io::Result<Metadata>;
}

/// What a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total_bytes: u64,
    /// What may still be written.
    pub free_bytes: u64,
}

/// Reads until `buf` is full.
pub fn read_exact_at(file: &dyn DiskFile, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buf = buf.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Holds the exclusive lock on a path until it is dropped.
#[derive(Debug)]
pub struct DiskLock {
    _held: Box<dyn LockGuard>,
}

/// What a [`Disk`] keeps alive to hold a lock.
pub(crate) trait LockGuard: Send + Sync + std::fmt::Debug {}
