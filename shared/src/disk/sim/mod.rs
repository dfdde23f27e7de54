//! A file system in memory that loses what a real one may lose: the ground that every crash test stands on.
//!
//! A [`SimDisk`] is the view that one process has of a simulated machine. Ending the process, by [`SimDisk::kill`],
//! [`SimDisk::power_off`] or at an operation chosen beforehand ([`SimDisk::cut_after`]), kills that view and all its
//! handles for good, so that threads of the old process which linger in a test cannot reach the new one's files. The
//! next process gets the view that the call (or [`SimDisk::restart`]) returns:
//!
//! ```
//! use std::path::Path;
//! use tailrace_shared::disk::sim::{PowerLoss, SimDisk};
//! use tailrace_shared::disk::{Disk, OpenMode};
//!
//! let disk = SimDisk::new(7);
//! let file = disk.open(Path::new("/wal"), OpenMode::CreateNew)?;
//! file.write_all_at(b"acknowledged", 0)?;
//! file.sync_data()?;
//! disk.sync_dir(Path::new("/"))?;
//! file.write_all_at(b"in flight", 12)?;
//!
//! let disk = disk.power_off(PowerLoss::DropAll);
//! assert!(file.sync_data().is_err());
//! assert_eq!(disk.read(Path::new("/wal"))?, b"acknowledged");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A test covers every cut point by counting the operations of a run without a cut ([`SimDisk::operations`]), and then
//! running again with `cut_after(0)`, `cut_after(1)`, … The same seed and the same calls give the same outcome.

#![allow(
    clippy::indexing_slicing,
    reason = "compiled for tests only, and every index is its own"
)]

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;

use self::machine::{End, Machine, Process};

mod content;
mod machine;
mod names;
mod outsider;
mod paths;
#[cfg(test)]
mod tests;
mod view;

/// One process's view of a simulated machine; clones are the same process.
#[derive(Debug, Clone)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
    process: Process,
}

/// What a power failure does to changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// Each is kept, lost or torn by the throw of a die; now and then all of them are kept, or all lost.
    Random,
    /// All are kept: as if the cache had been written out just before.
    KeepAll,
    /// All are lost.
    DropAll,
}

/// What becomes of one change. As the fate of a whole power failure, `Torn` leaves each to its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    Torn,
}

impl Fate {
    fn of(loss: PowerLoss, rng: &mut StdRng) -> Self {
        match (loss, rng.random_range(0..8)) {
            (PowerLoss::KeepAll, _) | (PowerLoss::Random, 0) => Self::Kept,
            (PowerLoss::DropAll, _) | (PowerLoss::Random, 1) => Self::Lost,
            (PowerLoss::Random, _) => Self::Torn,
        }
    }

    fn or_any(self, rng: &mut StdRng) -> Self {
        match (self, rng.random_range(0..3)) {
            (Self::Torn, 0) => Self::Kept,
            (Self::Torn, 1) => Self::Lost,
            (fate, _) => fate,
        }
    }

    fn or_kept_or_lost(self, rng: &mut StdRng) -> bool {
        match self {
            Self::Kept => true,
            Self::Lost => false,
            Self::Torn => rng.random(),
        }
    }
}

impl SimDisk {
    /// The first process on a machine with an empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            machine: Arc::new(Mutex::new(Machine::new(seed))),
            process: Process::Tested(0),
        }
    }

    /// The process dies as by `kill -9`: its handles die, its locks are released, the page cache stays.
    #[must_use = "the next process runs on the returned disk"]
    pub fn kill(&self) -> Self {
        self.restart()
    }

    /// The power fails, and comes back.
    #[must_use = "the next process runs on the returned disk"]
    pub fn power_off(&self, loss: PowerLoss) -> Self {
        self.machine.lock().lose_power(loss);
        self.restart()
    }

    /// Starts the next process; one that still lives is killed first.
    #[must_use = "the next process runs on the returned disk"]
    pub fn restart(&self) -> Self {
        let process = self.machine.lock().restart();
        Self {
            machine: Arc::clone(&self.machine),
            process,
        }
    }

    /// Lets `operations` more mutating operations of this process pass, and then fails the power in the next: that one
    /// may be done, torn or undone, and it and every later call return errors until [`SimDisk::restart`].
    pub fn cut_after(&self, operations: u64) {
        self.machine.lock().end_after(operations, End::PowerLost);
    }

    /// Like [`SimDisk::cut_after`], but only the process dies, and the page cache stays.
    pub fn kill_after(&self, operations: u64) {
        self.machine.lock().end_after(operations, End::Killed);
    }

    /// Whether the process has died and no other was started.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.machine.lock().is_ended()
    }

    /// Mutating operations (create, write, set_len, preallocate, rename, remove, and both syncs) tried so far by tested
    /// processes; those of outsiders do not count.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.machine.lock().operations
    }

    /// Makes the next `sync_data` of any file fail as fsync does on Linux: what it should have written stays readable
    /// in the page cache, is taken for clean by later syncs, and is not on the medium.
    pub fn fail_next_sync(&self) {
        self.machine.lock().failing_syncs += 1;
    }

    /// Drops the clean pages from the cache, as memory pressure does: what a failed sync left there is gone.
    pub fn evict_cache(&self) {
        self.machine.lock().contents().for_each(content::Content::evict);
    }

    /// Limits the sum of all file lengths; a write that needs more stores what fits and fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.machine.lock().capacity = Some(bytes);
    }

    /// Whether new files take the lowest free inode number, as ext4 does. By default no number comes back.
    pub fn reuse_inodes(&self, reuse: bool) {
        self.machine.lock().reuse_inodes = reuse;
    }

    /// Sets the wall clock that files are stamped with; it moves on by one millisecond with every change.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.machine.lock().now_ms = now_ms;
    }

    /// Flips one bit of a file's byte on the medium and in the cache.
    pub fn corrupt(&self, path: &Path, offset: usize) -> io::Result<()> {
        let mut machine = self.machine.lock();
        let mask = 1 << machine.rng.random_range(0..8);
        let node = machine.existing(path)?;
        if machine.content(node)?.corrupt(offset, mask) {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// A copy of the machine as it stands, page cache and all, with its own fate: a cloned disk image when powered off,
    /// or a way to try many power failures from one state.
    #[must_use = "the copy's process runs on the returned disk"]
    pub fn clone_machine(&self, seed: u64) -> Self {
        let mut machine = self.machine.lock().copy(seed);
        let process = machine.restart();
        Self {
            machine: Arc::new(Mutex::new(machine)),
            process,
        }
    }
}
