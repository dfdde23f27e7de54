//! How a WAL is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::clock::Clock;
use tailrace_shared::disk::Disk;

use super::admission::Limits;
use super::codec::{BLOCK, round_up};
use super::commit::cost;
use super::error::FatalError;

/// How a WAL is set up. Sizes are in bytes.
#[derive(Clone)]
pub struct WalOptions {
    /// Where its files lie; created if need be. No other process may use it meanwhile.
    pub dir: PathBuf,
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// Times the commits.
    pub clock: Arc<dyn Clock>,
    /// Length of a file.
    pub file_bytes: u64,
    /// How much may be unreleased; appends wait beyond it. Also bounds the replay at start.
    pub budget_bytes: u64,
    /// The largest payload of a frame.
    pub max_frame_bytes: usize,
    /// How much is gathered into one commit; the queue holds twice as much.
    pub commit_bytes_max: usize,
    /// How much of the latest commits is kept in memory for reading.
    pub cache_bytes: u64,
    /// Called on the thread that met it when a write or a sync failed: nothing is acknowledged afterwards, and the
    /// process must end without another write.
    pub on_fatal: Arc<dyn Fn(FatalError) + Send + Sync>,
    /// Called on the writer thread after each commit.
    pub on_commit: Arc<dyn Fn(CommitSummary) + Send + Sync>,
}

/// One commit, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitSummary {
    /// Frames, after joining.
    pub frames: usize,
    /// Bytes written, padding included.
    pub bytes: u64,
    /// From the begin of the write to the end of the sync.
    pub took: Duration,
}

impl WalOptions {
    /// The sizes that fit most; the process is aborted on a fatal error.
    #[must_use]
    pub fn new(dir: PathBuf, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        Self {
            dir,
            disk,
            clock,
            file_bytes: 64 << 20,
            budget_bytes: 1 << 30,
            max_frame_bytes: 4 << 20,
            commit_bytes_max: 8 << 20,
            cache_bytes: 16 << 20,
            on_fatal: Arc::new(|error| {
                tracing::error!(%error, "the WAL failed: stopping at once, so that nothing unsafe is acknowledged");
                std::process::abort();
            }),
            on_commit: Arc::new(|_| {}),
        }
    }

    /// What of the sizes cannot work together.
    pub fn check(&self) -> Result<(), String> {
        let cost_max = cost(self.max_frame_bytes);
        let file_min = 2 * u64::from(BLOCK) + 3 * cost_max + self.reserve();
        if !self.file_bytes.is_multiple_of(u64::from(BLOCK)) || self.file_bytes < file_min {
            return Err(format!(
                "file_bytes is {}: it must be a multiple of {BLOCK}, and at least {file_min} with max_frame_bytes {}",
                self.file_bytes, self.max_frame_bytes
            ));
        }
        if self.budget_bytes < 2 * self.file_bytes {
            return Err(format!(
                "budget_bytes is {}: it must be at least twice file_bytes, which is {}",
                self.budget_bytes, self.file_bytes
            ));
        }
        if self.commit_bytes_max < self.max_frame_bytes || u32::try_from(self.commit_bytes_max).is_err() {
            return Err(format!(
                "commit_bytes_max is {}: it must be at least max_frame_bytes, which is {}, and less than 4 GiB",
                self.commit_bytes_max, self.max_frame_bytes
            ));
        }
        Ok(())
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_cost: cost(self.max_frame_bytes),
            reserve: self.reserve(),
            budget: self.budget_bytes,
            budget_reserve: self.file_bytes,
        }
    }

    /// What is left to internal frames when the disk is full.
    pub(super) fn reserve(&self) -> u64 {
        round_up(self.file_bytes / 16)
    }
}

impl fmt::Debug for WalOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WalOptions")
            .field("dir", &self.dir)
            .field("file_bytes", &self.file_bytes)
            .field("budget_bytes", &self.budget_bytes)
            .field("max_frame_bytes", &self.max_frame_bytes)
            .field("commit_bytes_max", &self.commit_bytes_max)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}
