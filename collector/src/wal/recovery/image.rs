//! One file as it was found: its commits, and whether anything valid follows a place where none is.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tailrace_shared::disk::{Disk, OpenMode, read_exact_at};

use super::super::codec::{BLOCK, FRAME_HEADER_BYTES, FrameFault, FrameHeader, Kind, round_up};
use super::super::file_header::FileHeader;
use super::super::position::WalPosition;
use super::super::space::FileError;

/// The content of a file.
pub(super) struct FileImage {
    pub(super) position: WalPosition,
    pub(super) path: PathBuf,
    pub(super) bytes: Bytes,
}

/// A frame whose checksum holds.
#[derive(Debug)]
pub(super) struct FoundFrame {
    pub(super) header: FrameHeader,
    pub(super) payload: Range<usize>,
}

/// A commit, all of its frames.
#[derive(Debug)]
pub(super) struct WholeCommit {
    pub(super) frames: Vec<FoundFrame>,
    /// Where the next may start.
    pub(super) end: u64,
}

/// A commit that ends before its last frame does, or never was.
#[derive(Debug)]
pub(super) struct BrokenCommit {
    pub(super) frames_before: Vec<FoundFrame>,
    /// Where the first bad frame is.
    pub(super) offset: u64,
    pub(super) fault: FrameFault,
}

/// What to read of a file, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All, past the page cache: what a crash left there may not be on the disk.
    Stable,
    /// All.
    Whole,
    /// The first bytes; the rest is void.
    Start(u64),
}

impl FileImage {
    pub(super) fn load(disk: &dyn Disk, dir: &Path, position: WalPosition, extent: Extent) -> Result<Self, FileError> {
        let path = position.path(dir);
        let read = || {
            let file = disk.open(&path, OpenMode::Read)?;
            if extent == Extent::Stable {
                return file.read_stable();
            }
            let len = file.metadata()?.len;
            let wanted = if let Extent::Start(bytes) = extent {
                bytes.min(len)
            } else {
                len
            };
            let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
            read_exact_at(&*file, &mut bytes, 0)?;
            Ok(bytes)
        };
        let bytes = read().map_err(FileError::at("read", &path))?;
        Ok(Self::new(path, position, bytes.into()))
    }

    pub(super) fn new(path: PathBuf, position: WalPosition, bytes: Bytes) -> Self {
        Self { position, path, bytes }
    }

    fn frame_at(&self, offset: u64) -> Result<FrameHeader, FrameFault> {
        let start = usize::try_from(offset).map_err(|_| FrameFault::NoFrame)?;
        FrameHeader::decode(self.position, self.bytes.get(start..).unwrap_or_default())
    }

    /// The number of the file's first commit, which a file header opens.
    pub(super) fn first_commit(&self) -> Result<u64, FrameFault> {
        let header = self.frame_at(0)?;
        match (header.kind, header.index) {
            (Kind::FileHeader, 0) => Ok(header.commit),
            (_, index) => Err(FrameFault::OutOfPlace {
                commit: header.commit,
                index,
            }),
        }
    }

    /// What the file header says, if the payload makes sense.
    pub(super) fn file_header(&self) -> Option<FileHeader> {
        let header = self.frame_at(0).ok()?;
        let payload = FRAME_HEADER_BYTES..header.frame_bytes();
        FileHeader::decode(self.bytes.get(payload)?)
    }

    /// Reads the commit `number` where it should start.
    pub(super) fn commit_at(&self, start: u64, number: u64) -> Result<WholeCommit, BrokenCommit> {
        let mut frames = Vec::new();
        let mut offset = start;
        loop {
            let header = match self.expect_frame(offset, number, frames.len()) {
                Ok(header) => header,
                Err(fault) => {
                    return Err(BrokenCommit {
                        frames_before: frames,
                        offset,
                        fault,
                    });
                }
            };
            let end = offset + header.frame_bytes() as u64;
            let payload_end = usize::try_from(end).unwrap_or(usize::MAX);
            frames.push(FoundFrame {
                payload: payload_end - header.payload_bytes as usize..payload_end,
                header,
            });
            offset = end;
            if header.last_in_commit {
                return Ok(WholeCommit {
                    frames,
                    end: round_up(end),
                });
            }
        }
    }

    fn expect_frame(&self, offset: u64, commit: u64, index: usize) -> Result<FrameHeader, FrameFault> {
        let header = self.frame_at(offset)?;
        let is_file_header = header.kind == Kind::FileHeader;
        if header.commit == commit && header.index as usize == index && is_file_header == (offset == 0) {
            Ok(header)
        } else {
            Err(FrameFault::OutOfPlace {
                commit: header.commit,
                index: header.index,
            })
        }
    }

    /// A valid frame at or after `offset` of a commit later than `number`, by its place and commit.
    pub(super) fn later_commit(&self, offset: u64, number: u64) -> Option<(u64, u64)> {
        let blocks = (round_up(offset)..self.bytes.len() as u64).step_by(BLOCK as usize);
        blocks
            .filter_map(|block| Some((block, self.frame_at(block).ok()?.commit)))
            .find(|(_, commit)| *commit > number)
    }
}
