//! The machine's own file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{
    Advice, CWD, FallocateFlags, Mode, OFlags, RenameFlags, ResolveFlags, fadvise, fallocate, openat2, renameat_with,
};
use rustix::io::Errno;

use super::{ALIGN, direct, stable};
use super::{DirEntry, Disk, DiskFile, DiskLock, FileId, FileKind, LockGuard, Metadata, OpenMode, Space};

/// The machine's own file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile {
    file: File,
    /// The same file past the page cache, once it was wanted; `None` if the file system cannot do it.
    direct: OnceLock<Option<File>>,
}

#[derive(Debug)]
struct FileLock {
    _file: File,
}

impl LockGuard for FileLock {}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(mode != OpenMode::Read)
            .create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(RealFile {
            file: options.open(path)?,
            direct: OnceLock::new(),
        }))
    }

    fn open_without_links(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(file) => Ok(Arc::new(RealFile {
                file: file.into(),
                direct: OnceLock::new(),
            })),
            // Linux before 5.6, or a container that forbids it: whoever is quick enough may put a link there in between.
            Err(Errno::NOSYS | Errno::PERM) if self.canonicalize(path)? == path => self.open(path, OpenMode::Read),
            Err(error) => Err(error.into()),
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        match fs::create_dir(path) {
            Ok(()) => self.sync_dir(parent),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_dir_all(parent)?;
                match fs::create_dir(path) {
                    Err(error) if !path.is_dir() => Err(error),
                    _ => self.sync_dir(parent),
                }
            }
            // It may have been made by a process that died before it could sync the name.
            Err(_) if path.is_dir() => {
                self.create_dir_all(parent)?;
                sync_foreign_dir(parent)
            }
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            result => Ok(result?),
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                Ok(DirEntry {
                    name: entry.file_name(),
                    kind: kind_of(entry.file_type()?),
                })
            })
            .collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(describe(&fs::metadata(path)?))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(DiskLock {
            _held: Box::new(FileLock { _file: file }),
        })
    }
}

impl RealFile {
    fn direct(&self) -> io::Result<Option<&File>> {
        if let Some(known) = self.direct.get() {
            return Ok(known.as_ref());
        }
        let opened = direct::reopen(&self.file, OFlags::WRONLY)?;
        Ok(self.direct.get_or_init(|| opened).as_ref())
    }

    /// A file that could not be made as long as it should be is as long as before.
    fn or_cut_back(&self, len: u64, grow: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        grow(&self.file).map_err(|error| {
            if before < len && self.file.set_len(before).is_err() {
                return io::Error::new(
                    error.kind(),
                    format!("{error}; the half-allocated file could not be cut back"),
                );
            }
            quota_is_full(error)
        })
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn will_read(&self, range: Range<u64>) {
        let mut start = range.start;
        while start < range.end {
            let len = NonZeroU64::new((range.end - start).min(HINT_BYTES));
            // Whoever reads it finds out whether that is possible.
            fadvise(&self.file, start, len, Advice::WillNeed).ok();
            start += HINT_BYTES;
        }
    }

    fn read_stable(&self) -> io::Result<Vec<u8>> {
        stable::read(&self.file)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset).map_err(quota_is_full)
    }

    fn write_direct_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let is_whole =
            buf.len().is_multiple_of(ALIGN) && offset.is_multiple_of(ALIGN as u64) && direct::is_aligned(buf);
        let written = match self.direct()? {
            Some(direct) if is_whole => direct::write_at(direct, buf, offset).map_err(quota_is_full)?,
            _ => 0,
        };
        self.write_all_at(buf.get(written..).unwrap_or_default(), offset + written as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).map_err(quota_is_full)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.or_cut_back(len, |file| {
            allocate(file, len)?;
            fill(self, len)
        })
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.or_cut_back(len, |file| {
            allocate(file, len)?;
            if file.metadata()?.len() < len {
                file.set_len(len)
            } else {
                Ok(())
            }
        })
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Ok(describe(&self.file.metadata()?))
    }
}

/// Reserves the blocks, where the file system can, so that a lack of room shows before anything is written.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(Errno::INVAL) if len == 0 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Of a longer hint Linux takes the beginning.
const HINT_BYTES: u64 = 512 << 10;

/// Whoever syncs another file meanwhile has no more than this to wait for.
const FILL_STEP: u64 = 1 << 20;

/// Writes zeros past the page cache, where nobody would read them, so that a later write need not convert unwritten extents.
fn fill(file: &RealFile, len: u64) -> io::Result<()> {
    static ZEROS: Zeros = Zeros([0; 256 << 10]);
    let mut offset = 0;
    while offset < len {
        let part = usize::try_from(len - offset).unwrap_or(usize::MAX).min(ZEROS.0.len());
        file.write_direct_at(ZEROS.0.get(..part).unwrap_or_default(), offset)?;
        offset += part as u64;
        if offset.is_multiple_of(FILL_STEP) {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// On a page of memory.
#[repr(align(4096))]
struct Zeros([u8; 256 << 10]);

/// A used-up quota is a full disk to whoever must make room.
fn quota_is_full(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::QuotaExceeded {
        io::Error::new(io::ErrorKind::StorageFull, error)
    } else {
        error
    }
}

/// Syncs a directory that stood before; where this user may not open it, or its file system cannot sync it, somebody
/// else made it and its names are theirs to keep.
fn sync_foreign_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}

fn describe(metadata: &fs::Metadata) -> Metadata {
    Metadata {
        id: FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
        },
        len: metadata.len(),
        modified_ms: metadata
            .mtime()
            .saturating_mul(1000)
            .saturating_add(metadata.mtime_nsec() / 1_000_000),
        kind: kind_of(metadata.file_type()),
        links: metadata.nlink(),
    }
}
