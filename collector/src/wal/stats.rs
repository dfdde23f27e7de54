//! What the WAL tells of itself, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::options::CommitSummary;

/// The state of the WAL at one instant. Sizes are in bytes; counts are since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalStats {
    /// Written and not yet released.
    pub backlog_bytes: u64,
    /// Admitted and not yet durable.
    pub queue_bytes: u64,
    /// Recent commits in memory.
    pub cache_bytes: u64,
    /// Closed files that are not yet released.
    pub closed_files: usize,
    /// Whether appends are refused for lack of space.
    pub disk_full: bool,
    /// Commits.
    pub commits: u64,
    /// Frames, after joining.
    pub frames: u64,
    /// Bytes written, padding included.
    pub written_bytes: u64,
}

/// The counts among them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    frames: AtomicU64,
    written_bytes: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, commit: CommitSummary) {
        self.commits.fetch_add(1, Relaxed);
        self.frames.fetch_add(commit.frames as u64, Relaxed);
        self.written_bytes.fetch_add(commit.bytes, Relaxed);
    }

    pub(super) fn add_to(&self, stats: WalStats) -> WalStats {
        WalStats {
            commits: self.commits.load(Relaxed),
            frames: self.frames.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            ..stats
        }
    }
}
