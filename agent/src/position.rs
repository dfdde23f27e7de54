//! How far a file was read, and how to recognise that file again.

use std::path::PathBuf;

use tailrace_shared::disk::FileId;

/// A file, told apart from one that took over its inode or its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Device and inode.
    pub id: FileId,
    /// CRC32C of the file's first bytes.
    pub fingerprint: u32,
    /// How many bytes the fingerprint covers: fewer while the file is short.
    pub fingerprint_len: u32,
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePosition {
    /// Which file.
    pub key: FileKey,
    /// Where it was last seen; only a hint, for operators and for a faster start.
    pub path: PathBuf,
    /// The topic its lines go to.
    pub topic: String,
    /// The lane its lines go through, fixed for the life of the file so that their order holds.
    pub lane: u16,
    /// Everything before this byte is in the spool or acknowledged.
    pub offset: u64,
    /// CRC32C of the bytes just before `offset`, checked at open and at every surprise.
    pub tail_checksum: u32,
    /// How many bytes before `offset` that checksum covers.
    pub tail_checksum_len: u32,
    /// True if the bytes just before `offset` were sent as a partial line (idle, or split for its length).
    pub mid_line: bool,
}
