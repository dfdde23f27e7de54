//! How far a file was read, and how to recognise that file again.

use std::path::PathBuf;
use std::sync::Arc;

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
    /// Its last modification when it was last seen under `path`, milliseconds since the Unix epoch, or a later time at
    /// which it was still there. What has had that name after it was modified then or later.
    pub modified_ms: i64,
}

/// How far a journal of systemd was read: its own position. A later one replaces an earlier one of the same input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalCursor {
    /// The name of the input.
    pub input: Arc<str>,
    /// Of the last entry that is in the spool or acknowledged, as the journal writes it.
    pub cursor: Arc<str>,
}

/// How many bytes before a position its checksum covers, once there are that many.
pub const TAIL_CHECKSUM_LEN: usize = 256;

/// CRC32C, as every checksum that Tailrace keeps.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

impl Fingerprint {
    /// How many bytes from the start of a file [`Self::of`] and [`Self::same_start`] look at.
    pub const HEAD_LEN: usize = FINGERPRINT_LEVELS[3] as usize;

    /// Of a file that starts with `head`: its first [`Self::HEAD_LEN`] bytes, or all there are.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let head = head.get(..Self::HEAD_LEN).unwrap_or(head);
        let len = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let covered = |level: u32| head.get(..level as usize).unwrap_or(head);
        Self {
            len,
            crcs: FINGERPRINT_LEVELS.map(|level| checksum(covered(level))),
        }
    }

    /// Whether a file that now starts with `head` still starts as it did; `None` if it is now too short to tell.
    #[must_use]
    pub fn same_start(&self, head: &[u8]) -> Option<bool> {
        FINGERPRINT_LEVELS.iter().zip(self.crcs).rev().find_map(|(level, crc)| {
            let covered = head.get(..self.len.min(*level) as usize)?;
            Some(checksum(covered) == crc)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grew_starts_the_same() {
        let line = b"a line that is longer than sixteen bytes\n";
        let young = Fingerprint::of(&line[..20]);
        assert_eq!(young.len, 20);
        assert_eq!(young.same_start(line), Some(true));
        assert_eq!(
            young.same_start(b"another line, longer than sixteen bytes\n"),
            Some(false)
        );
    }

    #[test]
    fn a_file_cut_short_is_compared_at_the_longest_level_it_reaches() {
        let content: Vec<u8> = (0..2000u32).flat_map(u32::to_le_bytes).collect();
        let fingerprint = Fingerprint::of(&content);
        assert_eq!(fingerprint.len, 1024);
        assert_eq!(fingerprint.same_start(&content[..700]), Some(true));
        let mut other = content[..700].to_vec();
        other[255] ^= 1;
        assert_eq!(fingerprint.same_start(&other), Some(false));
        other[255] ^= 1;
        other[256] ^= 1;
        assert_eq!(fingerprint.same_start(&other), Some(true));
        assert_eq!(fingerprint.same_start(&content[..15]), None);
    }

    #[test]
    fn an_empty_file_starts_like_any_other() {
        assert_eq!(Fingerprint::of(b"").same_start(b"anything"), Some(true));
    }
}
