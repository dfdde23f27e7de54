//! The files of the spool, which are recycled: those that something is needed from, and the free ones in reserve.
//!
//! A file is made whole before it is used, with all its bytes, so that a disk that fills up later takes nothing away.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::{Disk, DiskFile, OpenMode, read_exact_at};

use super::format::{BLOCK, FileNumber};
use super::record::Place;
use super::shelf::Shelved;

/// Free files that entries must leave alone.
pub(super) const RESERVE: usize = MARKS_RESERVE + 1;
/// Of these, the one that is written and the next: marks hold neither for long.
pub(super) const MARKS_RESERVE: usize = 2;
/// The reserve, the current file, and one that waits for its marks.
pub(super) const MIN_FILES: u64 = RESERVE as u64 + 2;
/// Files are named so, with a number that means nothing.
pub(super) const SLOT_PREFIX: &str = "slot-";
/// A file is sparse when its live batches fill no more than this part of it.
const SPARSE_PART: u64 = 4;

/// How large the spool's files are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) file_bytes: u64,
    pub(super) max_bytes: u64,
}

/// A file of the spool, in use or not.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) len: u64,
}

/// A slot in one of its lives.
#[derive(Debug)]
struct InUse {
    slot: Slot,
    live_count: usize,
    live_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sizes: Sizes,
    used: BTreeMap<FileNumber, InUse>,
    free: Vec<Slot>,
    disk_full: bool,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, sizes: Sizes) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            sizes,
            used: BTreeMap::new(),
            free: Vec::new(),
            disk_full: false,
        }
    }

    pub(super) fn add_free(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    /// Takes a file into use, without live batches.
    pub(super) fn begin(&mut self, number: FileNumber, slot: Slot) {
        let in_use = InUse {
            slot,
            live_count: 0,
            live_bytes: 0,
        };
        self.used.insert(number, in_use);
    }

    /// A file in use.
    pub(super) fn get(&self, number: FileNumber) -> io::Result<&Slot> {
        let in_use = self.used.get(&number).ok_or(io::ErrorKind::NotFound)?;
        Ok(&in_use.slot)
    }

    /// Counts a live batch in its file; tells where it can be read.
    pub(super) fn keep(&mut self, place: Place) -> Option<Shelved> {
        let in_use = self.used.get_mut(&place.file)?;
        in_use.live_count += 1;
        in_use.live_bytes += u64::from(place.len);
        Some(Shelved {
            file: Arc::clone(&in_use.slot.file),
            offset: place.offset,
            len: place.len,
        })
    }

    /// The batch there is no longer live.
    pub(super) fn forget(&mut self, place: Place) {
        if let Some(in_use) = self.used.get_mut(&place.file) {
            in_use.live_count -= 1;
            in_use.live_bytes -= u64::from(place.len);
        }
    }

    pub(super) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(place.len).unwrap_or_default()];
        read_exact_at(&*self.get(place.file)?.file, &mut bytes, place.offset)?;
        Ok(bytes)
    }

    /// Frees the files below a number that nothing is needed from.
    pub(super) fn release_below(&mut self, current: FileNumber) {
        let empty = self.used.extract_if(..current, |_, in_use| in_use.live_count == 0);
        self.free.extend(empty.map(|(_, in_use)| in_use.slot));
    }

    /// A free file with that much room, made larger if need be.
    pub(super) fn take_free(&mut self, bytes: usize) -> io::Result<Slot> {
        let needed = self.sizes.file_bytes.max((bytes as u64).next_multiple_of(BLOCK as u64));
        if self.free.is_empty() {
            self.add_slot()?;
        }
        let fitting = self.free.iter().position(|slot| slot.len >= needed);
        let mut slot = self.free.swap_remove(fitting.unwrap_or(0));
        if slot.len < needed {
            slot.lengthen(needed)?;
        }
        Ok(slot)
    }

    /// One file more than the reserve, so that a roll finds it whole; as far as limit and disk allow. A file that a crash
    /// left shorter than it was to be is made whole first.
    pub(super) fn fill_reserve(&mut self) -> io::Result<()> {
        self.disk_full = false;
        let whole = self.sizes.file_bytes;
        loop {
            let short = self.free.iter().position(|slot| slot.len < whole);
            let missing = match short.and_then(|place| self.free.get(place)) {
                Some(slot) => whole - slot.len,
                None if self.free.len() <= RESERVE => whole,
                None => return Ok(()),
            };
            if self.total_bytes() + missing > self.sizes.max_bytes {
                return Ok(());
            }
            let made = match short.and_then(|place| self.free.get_mut(place)) {
                Some(slot) => slot.lengthen(whole),
                None => self.add_slot(),
            };
            match made {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    self.disk_full = true;
                    return Ok(());
                }
                result => result?,
            }
        }
    }

    fn add_slot(&mut self) -> io::Result<()> {
        let path = self.unused_name()?;
        let file = self.disk.open(&path, OpenMode::CreateNew)?;
        let len = self.sizes.file_bytes;
        if let Err(error) = file.preallocate(len) {
            self.disk.remove(&path)?;
            return Err(error);
        }
        file.sync_data()?;
        self.disk.sync_dir(&self.dir)?;
        self.free.push(Slot { path, file, len });
        Ok(())
    }

    fn unused_name(&self) -> io::Result<PathBuf> {
        let taken: Vec<_> = self.disk.list(&self.dir)?.into_iter().map(|entry| entry.name).collect();
        let mut names = (1..=u32::MAX).map(|index| format!("{SLOT_PREFIX}{index:04}"));
        let name = names.find(|name| !taken.iter().any(|other| other == name.as_str()));
        Ok(self.dir.join(name.ok_or(io::ErrorKind::StorageFull)?))
    }

    /// The free files that hold what a file is to hold, also when the disk is full.
    pub(super) fn reserve(&self) -> usize {
        let is_whole = |slot: &&Slot| slot.len >= self.sizes.file_bytes;
        self.free.iter().filter(is_whole).count()
    }

    /// Whether the disk had no room when the reserve was filled last.
    pub(super) fn is_disk_full(&self) -> bool {
        self.disk_full
    }

    pub(super) fn live_count(&self, number: FileNumber) -> usize {
        self.used.get(&number).map_or(0, |in_use| in_use.live_count)
    }

    /// Bytes of batches that wait for their acknowledgement.
    pub(super) fn live_bytes(&self) -> u64 {
        self.used.values().map(|in_use| in_use.live_bytes).sum()
    }

    pub(super) fn total_bytes(&self) -> u64 {
        let used = self.used.values().map(|in_use| in_use.slot.len);
        used.chain(self.free.iter().map(|slot| slot.len)).sum()
    }

    /// A file below that number which is kept for a few live batches only, and how many bytes they have.
    pub(super) fn sparse_below(&self, current: FileNumber) -> Option<(FileNumber, u64)> {
        let older = self.used.range(..current);
        let (number, sparsest) = older.min_by_key(|(_, in_use)| in_use.live_bytes)?;
        let is_sparse = sparsest.live_bytes <= self.sizes.file_bytes / SPARSE_PART;
        is_sparse.then_some((*number, sparsest.live_bytes))
    }
}

impl Slot {
    fn lengthen(&mut self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)?;
        self.file.sync_data()?;
        self.len = len;
        Ok(())
    }
}
