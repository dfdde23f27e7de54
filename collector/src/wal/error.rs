//! What can go wrong with the WAL, in the words that an operator needs at night.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::codec::FrameFault;
use super::position::WalPosition;
use super::space::FileError;

/// Why there is no room for a frame. Nothing was sequenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReserveError {
    /// The disk is full; worth another try later.
    #[error("the WAL's file system is full")]
    NoSpace,
    /// No frame may be that large.
    #[error("{bytes} bytes do not fit in one WAL frame, which holds {bytes_max}")]
    TooLarge {
        /// What was asked for.
        bytes: usize,
        /// `WalOptions::max_frame_bytes`.
        bytes_max: usize,
    },
    /// The WAL was closed, or failed.
    #[error("the WAL is closed")]
    Closed,
}

/// Why the current file was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RollError {
    /// The disk has no room for the next file.
    #[error("the WAL's file system is full")]
    NoSpace,
    /// The WAL was closed, or failed.
    #[error("the WAL is closed")]
    Closed,
}

/// The disk failed under the running WAL. What was not acknowledged may or may not be there after a restart; the
/// process must end, because after a failed sync no later one can be believed.
#[derive(Debug, Error)]
pub enum FatalError {
    /// An operation on the WAL's files failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A frame larger than what was reserved for it.
    #[error("a frame of {bytes} bytes was submitted for a reservation of {reserved}")]
    Overdrawn {
        /// The frame's payload.
        bytes: usize,
        /// The reservation.
        reserved: usize,
    },
    /// A thread of the WAL ended by a panic.
    #[error("a thread of the WAL panicked")]
    Panicked,
}

/// Whoever took the replayed frames could not go on.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ReplayError(#[from] pub Box<dyn Error + Send + Sync>);

/// Why the WAL was not opened. Nothing was changed in it that the next attempt could miss.
#[derive(Debug, Error)]
pub enum WalOpenError {
    /// The sizes cannot work together.
    #[error("WAL settings: {0}")]
    Options(String),
    /// A file or the directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// There is no room for the first file.
    #[error("no space for a new WAL file of {bytes} bytes in {}: free some, then start again", dir.display())]
    NoSpace {
        /// The WAL's directory.
        dir: PathBuf,
        /// What the smallest possible file needs.
        bytes: u64,
    },
    /// The caller's incarnation number is not above those on the disk.
    #[error(
        "incarnation {incarnation} was already used in {}, which holds {found}: the catalog is older than the WAL; \
         restore both from the same backup",
        dir.display()
    )]
    IncarnationUsed {
        /// The WAL's directory.
        dir: PathBuf,
        /// The number from the catalog.
        incarnation: u64,
        /// A file of the same or a later incarnation.
        found: WalPosition,
    },
    /// The checkpoint points at what the WAL does not hold yet.
    #[error(
        "the checkpoint replays from {from}, but {} ends before it: the WAL is older than the checkpoint; restore both \
         from the same backup",
        dir.display()
    )]
    CheckpointNewer {
        /// The WAL's directory.
        dir: PathBuf,
        /// Where the checkpoint points.
        from: WalPosition,
    },
    /// The checkpoint points at what the WAL has already given away.
    #[error(
        "the WAL in {} starts at {floor}, but {}: the checkpoint is missing or older than the WAL; restore both from \
         the same backup",
        dir.display(),
        from.map_or("there is no checkpoint".to_owned(), |from| format!("the checkpoint replays from {from}"))
    )]
    CheckpointOlder {
        /// The WAL's directory.
        dir: PathBuf,
        /// Where the checkpoint points.
        from: Option<WalPosition>,
        /// The earliest position that the WAL can be replayed from.
        floor: WalPosition,
    },
    /// A file with acknowledged frames is not there.
    #[error("{} is missing, and it holds acknowledged data: restore it from a backup", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// Acknowledged bytes were changed.
    #[error(
        "{} is damaged: at byte {offset}, where {expected} belongs, there is {fault}, and it cannot be a torn end \
         ({evidence}): restore the file from a backup or a replica of the disk",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it is damaged, in bytes.
        offset: u64,
        /// What cannot be read.
        expected: String,
        /// What was found instead.
        fault: FrameFault,
        /// Why this is no torn end.
        evidence: String,
    },
    /// The WAL was written by a later release.
    #[error("{} has, at byte {offset}, {fault}: start the release that wrote it, or a later one", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What was found.
        fault: FrameFault,
    },
    /// The caller stopped the replay.
    #[error("cannot replay the WAL: {0}")]
    Replay(#[from] ReplayError),
}

impl From<FileError> for WalOpenError {
    fn from(error: FileError) -> Self {
        Self::Io {
            action: error.action,
            path: error.path,
            source: error.source,
        }
    }
}
