//! The files whose frames may still be read: the current one, and closed ones until they are released.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tailrace_shared::disk::{DiskFile, read_exact_at};

use super::codec::{FRAME_HEADER_BYTES, FrameFault, FrameHeader};
use super::frame::FrameLocation;
use super::position::WalPosition;

/// A file that takes no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedFile {
    /// Which one.
    pub position: WalPosition,
    /// Bytes of commits in it.
    pub bytes: u64,
    /// Whether something was to be written behind the commits.
    pub has_footer: bool,
}

#[derive(Debug)]
pub(super) struct LiveFile {
    pub(super) handle: Arc<dyn DiskFile>,
    /// Bytes of commits in it; of the current file as far as it was when the file became current.
    pub(super) bytes: u64,
    /// Its length on the disk.
    pub(super) len: u64,
    /// Whether something was to be written behind its commits. It is not to be recycled then.
    pub(super) has_footer: bool,
}

/// All live files; the last is the current one.
#[derive(Debug)]
pub(super) struct LiveFiles {
    dir: PathBuf,
    files: Mutex<BTreeMap<WalPosition, LiveFile>>,
}

impl LiveFiles {
    pub(super) fn new(dir: PathBuf, files: BTreeMap<WalPosition, LiveFile>) -> Self {
        Self {
            dir,
            files: Mutex::new(files),
        }
    }

    /// The current file is closed at `bytes`, and `next` is current.
    pub(super) fn roll(&self, bytes: u64, position: WalPosition, next: LiveFile) {
        let mut files = self.files.lock();
        if let Some(mut current) = files.last_entry() {
            current.get_mut().bytes = bytes;
        }
        files.insert(position, next);
    }

    pub(super) fn closed(&self) -> Vec<ClosedFile> {
        let files = self.files.lock();
        let closed = files.iter().rev().skip(1).rev();
        closed
            .map(|(position, file)| ClosedFile {
                position: *position,
                bytes: file.bytes,
                has_footer: file.has_footer,
            })
            .collect()
    }

    /// The handle of a closed file and where its commits end; `None` if it may have a footer already.
    pub(super) fn begin_footer(&self, position: WalPosition) -> Option<(Arc<dyn DiskFile>, u64)> {
        let mut files = self.files.lock();
        let is_current = files.last_key_value().is_none_or(|(current, _)| position >= *current);
        let file = files
            .get_mut(&position)
            .filter(|file| !is_current && !file.has_footer)?;
        file.has_footer = true;
        Some((Arc::clone(&file.handle), file.bytes))
    }

    /// Takes out what lies before `position`; never the current file.
    pub(super) fn take_before(&self, position: WalPosition) -> BTreeMap<WalPosition, LiveFile> {
        let mut files = self.files.lock();
        let current = files.last_key_value().map(|(current, _)| *current);
        let kept = files.split_off(&current.map_or(position, |current| position.min(current)));
        std::mem::replace(&mut *files, kept)
    }

    /// Whoever holds a handle goes on reading the same bytes when the file is released.
    pub(super) fn handle(&self, position: WalPosition) -> io::Result<Arc<dyn DiskFile>> {
        let handle = self.files.lock().get(&position).map(|file| Arc::clone(&file.handle));
        handle.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was released from the WAL", position.path(&self.dir).display()),
            )
        })
    }

    /// Reads a payload as a whole to where it is wanted. Its checksum is checked.
    pub(super) fn read_into(&self, location: FrameLocation, payload: &mut [u8]) -> io::Result<()> {
        let position = location.wal_file();
        let handle = self.handle(position)?;
        let mut header = [0; FRAME_HEADER_BYTES];
        read_exact_at(&*handle, &mut header, frame_start(location))?;
        read_exact_at(&*handle, payload, location.offset)?;
        self.check(location, FrameHeader::decode_apart(position, &header, payload))
    }

    /// Reads a part of a payload. The checksum covers a frame as a whole, so it is checked when all is read; of a part,
    /// the reader checks what it reads by the record batches' own checksums.
    pub(super) fn read(&self, location: FrameLocation, range: Range<usize>) -> io::Result<Bytes> {
        let position = location.wal_file();
        let handle = self.handle(position)?;
        if range != (0..location.len as usize) {
            let mut part = vec![0; range.len()];
            read_exact_at(&*handle, &mut part, location.offset + range.start as u64)?;
            return Ok(part.into());
        }
        let mut frame = vec![0; FRAME_HEADER_BYTES + range.len()];
        read_exact_at(&*handle, &mut frame, frame_start(location))?;
        self.check(location, FrameHeader::decode(position, &frame))?;
        Ok(Bytes::from(frame).slice(FRAME_HEADER_BYTES..))
    }

    /// Whether it is the frame that was acknowledged here.
    fn check(&self, location: FrameLocation, found: Result<FrameHeader, FrameFault>) -> io::Result<()> {
        let damaged = |found: &str| {
            let path = location.wal_file().path(&self.dir);
            Err(damaged(&path, frame_start(location), found))
        };
        match found {
            Ok(header) if header.payload_bytes == location.len => Ok(()),
            Ok(_) => damaged("a frame of another length"),
            Err(fault) => damaged(&fault.to_string()),
        }
    }
}

fn frame_start(location: FrameLocation) -> u64 {
    location.offset.saturating_sub(FRAME_HEADER_BYTES as u64)
}

fn damaged(path: &Path, offset: u64, found: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "{} is damaged: at byte {offset}, where an acknowledged frame belongs, there is {found}",
            path.display()
        ),
    )
}
