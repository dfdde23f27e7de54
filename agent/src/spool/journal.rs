//! The sequence of commits over a set of recycled files: which file is written, which is free, when to move on.
//!
//! A file begins with a snapshot of all that counts, so an older file is kept only for the bytes of live batches. Three
//! free files are held in reserve. Entries are written only while the reserve is whole. One of it may hold the parts of a
//! batch that is too large for its topic. Marks and bindings may use up the others, file by file, and since a file without
//! live batches is free as soon as the next one begins, they never run dry: neither when the spool is full nor when the
//! disk is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rand::RngCore;
use tailrace_shared::disk::{Disk, DiskFile, OpenMode, read_exact_at};

use super::control::{BatchNumber, Control};
use super::format::{BLOCK, CommitWriter, FileNumber, Life};
use super::ledger::Ledger;
use super::record::{Entry, Place, encode_copy_head, kind};
use super::shelf::{Shelf, Shelved};

/// Free files that entries must leave alone.
pub(super) const RESERVE: usize = MARKS_RESERVE + 1;
/// Of these, the one that is written and the next: marks hold neither for long.
const MARKS_RESERVE: usize = 2;
/// The reserve, the current file, and one that waits for its marks.
pub(super) const MIN_FILES: u64 = RESERVE as u64 + 2;
/// A live batch takes about this much in a snapshot at most; so many that a snapshot fills half a file are too many.
const SNAPSHOT_BYTES_PER_BATCH: u64 = 256;

/// The live batches of a file are moved on when they fill no more than this part of it.
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

/// Why entries are not taken at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullReason {
    /// `spool.max_bytes` is used up by batches that wait for their acknowledgement.
    Limit,
    /// The file system has no room for another file of the spool.
    DiskFull,
}

/// What one commit will hold.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) controls: Vec<Control>,
    pub(super) entries: Vec<(Entry, Vec<Bytes>)>,
    /// What is said of these entries' batches, and so has to come after them.
    pub(super) binds: Vec<Control>,
}

/// What one commit made durable.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) appended: Vec<BatchNumber>,
    pub(super) controls: Vec<Control>,
    pub(super) renumbered: Vec<(BatchNumber, BatchNumber)>,
}

#[derive(Debug)]
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sizes: Sizes,
    used: BTreeMap<FileNumber, InUse>,
    free: Vec<Slot>,
    /// `number` 0 until the first roll.
    life: Life,
    commit: u64,
    /// Where the next commit goes.
    at: u64,
    disk_full: bool,
    pub(super) ledger: Ledger,
    pub(super) shelf: Arc<Shelf>,
}

impl Journal {
    /// A journal over what recovery found. It has no current file before the first roll.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        sizes: Sizes,
        ledger: Ledger,
        last_number: FileNumber,
        slots: Vec<(Option<FileNumber>, Slot)>,
    ) -> Self {
        let mut journal = Self {
            disk,
            dir: dir.to_owned(),
            sizes,
            used: BTreeMap::new(),
            free: Vec::new(),
            life: Life {
                number: last_number,
                seed: 0,
            },
            commit: 0,
            at: 0,
            disk_full: false,
            ledger,
            shelf: Arc::default(),
        };
        for (number, slot) in slots {
            journal.adopt(number, slot);
        }
        journal
    }

    fn adopt(&mut self, number: Option<FileNumber>, slot: Slot) {
        let mut in_use = InUse {
            slot,
            live_count: 0,
            live_bytes: 0,
        };
        let here = self.ledger.live().filter(|(_, batch)| Some(batch.place.file) == number);
        for (batch, live) in here {
            in_use.live_count += 1;
            in_use.live_bytes += u64::from(live.place.len);
            self.shelf.put(batch, in_use.slot.shelved(live.place));
        }
        match number {
            Some(number) => {
                self.used.insert(number, in_use);
            }
            None => self.free.push(in_use.slot),
        }
    }

    /// Begins a new file. Everything that counts is durable in it, or in the files kept, on return.
    pub(super) fn roll(&mut self, commit_bytes: usize) -> io::Result<()> {
        let life = Life {
            number: self.life.number + 1,
            seed: rand::rng().next_u64(),
        };
        let mut bytes = Vec::new();
        life.encode_header(&mut bytes);
        let mut commit = CommitWriter::new(life, 1);
        commit.push(kind::SNAPSHOT, &[&self.ledger.snapshot().encode()]);
        bytes.extend(commit.finish());

        let slot = self.take_free(bytes.len() + commit_bytes)?;
        slot.file.write_all_at(&bytes, 0)?;
        slot.file.sync_data()?;
        self.life = life;
        self.commit = 1;
        self.at = bytes.len() as u64;
        let in_use = InUse {
            slot,
            live_count: 0,
            live_bytes: 0,
        };
        self.used.insert(life.number, in_use);
        self.release();
        Ok(())
    }

    /// A free file with that much room, made larger if need be.
    fn take_free(&mut self, bytes: usize) -> io::Result<Slot> {
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

    /// Frees the files that nothing is needed from.
    fn release(&mut self) {
        let current = self.life.number;
        let empty = self.used.range(..current).filter(|(_, in_use)| in_use.live_count == 0);
        let empty: Vec<FileNumber> = empty.map(|(number, _)| *number).collect();
        self.free.extend(
            empty
                .iter()
                .filter_map(|number| self.used.remove(number))
                .map(|in_use| in_use.slot),
        );
    }

    /// Whether a commit of that size, without entries, has room now; moves on to the next file if not.
    pub(super) fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if self.fits(bytes) { Ok(()) } else { self.roll(bytes) }
    }

    /// Whether a commit of that size with an entry in it may be written now.
    pub(super) fn make_room_for_entry(&mut self, bytes: usize) -> io::Result<Result<(), FullReason>> {
        if self.ledger.live_count() as u64 >= self.sizes.file_bytes / 2 / SNAPSHOT_BYTES_PER_BATCH {
            return Ok(Err(FullReason::Limit));
        }
        self.fill_reserve()?;
        if !self.fits(bytes) {
            let free_after = self.reserve() + usize::from(self.current_live_count() == 0);
            if free_after > RESERVE || self.sparse_file().is_some() {
                self.roll(bytes)?;
                self.fill_reserve()?;
            }
        }
        if self.reserve() < RESERVE {
            self.copy_forward()?;
        }
        let is_free = self.fits(bytes) && self.reserve() >= RESERVE;
        Ok(if is_free { Ok(()) } else { Err(self.why_full()) })
    }

    /// Whether a commit of that size, which writes a batch again in parts, may be written now. It may take one file of the
    /// reserve, so that a spool that is full of batches too large for their topics can be emptied; the others are for marks.
    pub(super) fn make_room_for_parts(&mut self, bytes: usize) -> io::Result<bool> {
        self.fill_reserve()?;
        if !self.fits(bytes) && self.reserve() > MARKS_RESERVE {
            self.roll(bytes)?;
            self.fill_reserve()?;
        }
        if self.reserve() < MARKS_RESERVE {
            self.copy_forward()?;
        }
        Ok(self.fits(bytes) && self.reserve() >= MARKS_RESERVE)
    }

    pub(super) fn fits(&self, bytes: usize) -> bool {
        let current = self.used.get(&self.life.number);
        current.is_some_and(|current| self.at + bytes as u64 <= current.slot.len)
    }

    fn why_full(&self) -> FullReason {
        if self.disk_full {
            FullReason::DiskFull
        } else {
            FullReason::Limit
        }
    }

    fn current_live_count(&self) -> usize {
        self.used.get(&self.life.number).map_or(0, |current| current.live_count)
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

    /// The free files that hold what a file is to hold, also when the disk is full.
    fn reserve(&self) -> usize {
        let is_whole = |slot: &&Slot| slot.len >= self.sizes.file_bytes;
        self.free.iter().filter(is_whole).count()
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

    pub(super) fn total_bytes(&self) -> u64 {
        let used = self.used.values().map(|in_use| in_use.slot.len);
        used.chain(self.free.iter().map(|slot| slot.len)).sum()
    }

    /// Bytes of batches that wait for their acknowledgement.
    pub(super) fn live_bytes(&self) -> u64 {
        self.used.values().map(|in_use| in_use.live_bytes).sum()
    }

    /// A file that is kept for a few live batches only.
    fn sparse_file(&self) -> Option<(FileNumber, u64)> {
        let older = self.used.range(..self.life.number);
        let (number, sparsest) = older.min_by_key(|(_, in_use)| in_use.live_bytes)?;
        let is_sparse = sparsest.live_bytes <= self.sizes.file_bytes / SPARSE_PART;
        is_sparse.then_some((*number, sparsest.live_bytes))
    }

    /// Moves the last few live batches of one file on, where a partition that is stuck holds a file that nothing else
    /// needs.
    fn copy_forward(&mut self) -> io::Result<()> {
        let Some((number, live_bytes)) = self.sparse_file() else {
            return Ok(());
        };
        if !self.fits(usize::try_from(live_bytes).unwrap_or(usize::MAX)) {
            return Ok(());
        }
        let here = self.ledger.live().filter(|(_, batch)| batch.place.file == number);
        let moved: Vec<(BatchNumber, Place)> = here.map(|(number, batch)| (number, batch.place)).collect();
        let heads: Vec<_> = moved.iter().map(|(number, place)| (*number, place.len)).collect();
        let head = encode_copy_head(&heads);
        let bodies = self.read_bodies(number, &moved)?;
        let parts: Vec<&[u8]> = std::iter::once(head.as_slice())
            .chain(bodies.iter().map(Vec::as_slice))
            .collect();
        let mut writer = self.writer();
        let bodies_at = writer.push(kind::COPY, &parts) + head.len();
        if !self.fits(writer.size_with(0)) {
            return Ok(());
        }
        let base = self.write(writer)?;
        let places = places_of(base + bodies_at, self.life.number, heads.iter().map(|(_, len)| *len));
        for ((number, old), place) in moved.into_iter().zip(places) {
            self.ledger.relocate(number, place);
            self.forget_place(old);
            self.keep_place(number, place);
        }
        self.release();
        Ok(())
    }

    fn read_bodies(&self, file: FileNumber, batches: &[(BatchNumber, Place)]) -> io::Result<Vec<Vec<u8>>> {
        let in_use = self.used.get(&file).ok_or(io::ErrorKind::NotFound)?;
        let read = |(_, place): &(BatchNumber, Place)| {
            let mut bytes = vec![0; usize::try_from(place.len).unwrap_or_default()];
            read_exact_at(&*in_use.slot.file, &mut bytes, place.offset).map(|()| bytes)
        };
        batches.iter().map(read).collect()
    }

    /// The next commit of the current file.
    pub(super) fn writer(&self) -> CommitWriter {
        CommitWriter::new(self.life, self.commit + 1)
    }

    /// Makes the commit durable. It must fit: see [`Self::make_room`]. After an error the journal is unusable, and so
    /// is every file it has open.
    pub(super) fn commit(&mut self, pending: Pending) -> io::Result<Done> {
        let mut writer = self.writer();
        let push = |writer: &mut CommitWriter, control: &Control| writer.push(control.kind(), &[&control.encode()]);
        let controls_at: Vec<usize> = pending
            .controls
            .iter()
            .map(|control| push(&mut writer, control))
            .collect();
        let mut done = Done::default();
        let mut entries = Vec::new();
        for (entry, bodies) in pending.entries {
            let head = entry.encode_head();
            let parts: Vec<&[u8]> = std::iter::once(head.as_slice())
                .chain(bodies.iter().map(AsRef::as_ref))
                .collect();
            let bodies_at = writer.push(kind::ENTRY, &parts) + head.len();
            entries.push((entry, bodies_at));
        }
        let binds_at: Vec<usize> = pending.binds.iter().map(|bind| push(&mut writer, bind)).collect();
        if writer.is_empty() {
            return Ok(done);
        }
        let base = self.write(writer)?;
        done.renumbered = self.apply_controls(&pending.controls, base, &controls_at);
        for (entry, bodies_at) in entries {
            let lens = entry.batches.iter().map(|batch| batch.len);
            let places: Vec<_> = places_of(base + bodies_at, self.life.number, lens).collect();
            for (batch, place) in entry.batches.iter().zip(&places) {
                done.appended.push(batch.number);
                self.keep_place(batch.number, *place);
            }
            self.ledger.apply_entry(entry, places);
        }
        self.apply_controls(&pending.binds, base, &binds_at);
        self.release();
        done.controls = pending.controls;
        done.controls.extend(pending.binds);
        Ok(done)
    }

    /// `at` is where their payloads begin in the commit, and `base` where that begins in the file.
    fn apply_controls(&mut self, controls: &[Control], base: usize, at: &[usize]) -> Vec<(BatchNumber, BatchNumber)> {
        let mut renumbered = Vec::new();
        for (control, at) in controls.iter().zip(at) {
            let places = control.bodies().into_iter().map(|body| Place {
                file: self.life.number,
                offset: (base + at + body.start) as u64,
                len: u32::try_from(body.len()).unwrap_or(u32::MAX),
            });
            let places: Vec<Place> = places.collect();
            let changed = self.ledger.apply_control(control, &places);
            for (number, place) in changed.gone {
                self.shelf.remove(number);
                self.forget_place(place);
            }
            for (from, to) in changed.renumbered {
                self.shelf.renumber(from, to);
                renumbered.push((from, to));
            }
            for (number, place) in changed.here {
                self.keep_place(number, place);
            }
        }
        renumbered
    }

    /// The file and offset of a live batch.
    #[cfg(test)]
    pub(super) fn find(&self, number: BatchNumber) -> Option<(PathBuf, usize)> {
        let (_, batch) = self.ledger.live().find(|(live, _)| *live == number)?;
        let in_use = self.used.get(&batch.place.file)?;
        Some((in_use.slot.path.clone(), usize::try_from(batch.place.offset).ok()?))
    }

    /// Writes and syncs; tells where the commit begins in the file.
    fn write(&mut self, writer: CommitWriter) -> io::Result<usize> {
        let bytes = writer.finish();
        let current = self.used.get(&self.life.number).ok_or(io::ErrorKind::NotFound)?;
        let base = self.at;
        if base + bytes.len() as u64 > current.slot.len {
            return Err(io::Error::other(
                "a commit of the spool is larger than the room made for it",
            ));
        }
        current.slot.file.write_all_at(&bytes, base)?;
        current.slot.file.sync_data()?;
        self.commit += 1;
        self.at += bytes.len() as u64;
        usize::try_from(base).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    fn keep_place(&mut self, number: BatchNumber, place: Place) {
        if let Some(in_use) = self.used.get_mut(&place.file) {
            in_use.live_count += 1;
            in_use.live_bytes += u64::from(place.len);
            self.shelf.put(number, in_use.slot.shelved(place));
        }
    }

    fn forget_place(&mut self, place: Place) {
        if let Some(in_use) = self.used.get_mut(&place.file) {
            in_use.live_count -= 1;
            in_use.live_bytes -= u64::from(place.len);
        }
    }
}

impl Slot {
    fn lengthen(&mut self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)?;
        self.file.sync_data()?;
        self.len = len;
        Ok(())
    }

    fn shelved(&self, place: Place) -> Shelved {
        Shelved {
            file: Arc::clone(&self.file),
            offset: place.offset,
            len: place.len,
        }
    }
}

/// Slots are named so, with a number that means nothing.
pub(super) const SLOT_PREFIX: &str = "slot-";

fn places_of(start: usize, file: FileNumber, lens: impl Iterator<Item = u32>) -> impl Iterator<Item = Place> {
    lens.scan(start as u64, move |offset, len| {
        let place = Place {
            file,
            offset: *offset,
            len,
        };
        *offset += u64::from(len);
        Some(place)
    })
}
