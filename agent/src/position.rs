//! How far a file was read, and how to recognise that file again.

use std::path::PathBuf;

use tailrace_shared::disk::FileId;

/// How many bytes at the start of a file its fingerprint covers, at each of its levels.
pub const FINGERPRINT_LEVELS: [u32; 4] = [16, 64, 256, 1024];

/// Checksums of a file's first bytes, at several lengths: a file that is shorter now than when it was fingerprinted can
/// still be compared, at the longest level that it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint {
    /// How many bytes there were to cover, at most the last of [`FINGERPRINT_LEVELS`]: fewer while the file is short.
    pub len: u32,
    /// CRC32C of the first `min(len, FINGERPRINT_LEVELS[i])` bytes.
    pub crcs: [u32; 4],
}

/// A file, told apart from one that took over its inode or its name.
///
/// The fingerprint grows with the file, so two keys of one file may differ: what is kept *per file* is kept by `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Device and inode.
    pub id: FileId,
    /// Of the file's first bytes.
    pub fingerprint: Fingerprint,
}

/// How far a file was read. A later position replaces an earlier one with the same `key.id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePosition {
    /// Which file.
    pub key: FileKey,
    /// Where it was last seen: the rest of a file that was renamed while the agent was down is looked for beside it.
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
