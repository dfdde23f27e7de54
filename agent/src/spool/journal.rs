//! The sequence of commits over the spool's files: which one is written, and when to move on to the next.
//!
//! A file begins with a snapshot of all that counts, so an older file is kept only for the bytes of live batches. Three
//! free files are held in reserve. Entries are written only while the reserve is whole. One of it may hold the parts of a
//! batch that is too large for its topic. Marks and bindings may use up the others, file by file, and since a file without
//! live batches is free as soon as the next one begins, they never run dry: neither when the spool is full nor when the
//! disk is.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rand::RngCore;

use super::control::{BatchNumber, Control};
use super::files::{Files, MARKS_RESERVE, RESERVE, Slot};
use super::format::{CommitWriter, FileNumber, Life};
use super::ledger::Ledger;
use super::record::{Entry, Place, encode_copy_head, kind};
use super::shelf::Shelf;

/// A live batch takes about this much in a snapshot at most; so many that a snapshot fills half a file are too many.
const SNAPSHOT_BYTES_PER_BATCH: u64 = 256;

/// Why entries are not taken at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullReason {
    /// `spool.max_bytes` is used up by batches that wait for their acknowledgement.
    Limit,
    /// So many batches wait for it that they take half a file to list, however small they are.
    Batches,
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
    pub(super) files: Files,
    file_bytes: u64,
    /// `number` 0 until the first roll.
    life: Life,
    commit: u64,
    /// Where the next commit goes.
    at: u64,
    pub(super) ledger: Ledger,
    pub(super) shelf: Arc<Shelf>,
}

impl Journal {
    /// A journal over what recovery found. It has no current file before the first roll.
    pub(super) fn new(
        files: Files,
        file_bytes: u64,
        ledger: Ledger,
        last_number: FileNumber,
        slots: Vec<(Option<FileNumber>, Slot)>,
    ) -> Self {
        let mut journal = Self {
            files,
            file_bytes,
            life: Life {
                number: last_number,
                seed: 0,
            },
            commit: 0,
            at: 0,
            ledger,
            shelf: Arc::default(),
        };
        for (number, slot) in slots {
            match number {
                Some(number) => journal.files.begin(number, slot),
                None => journal.files.add_free(slot),
            }
        }
        for (number, batch) in journal.ledger.live() {
            if let Some(shelved) = journal.files.keep(batch.place) {
                journal.shelf.put(number, shelved);
            }
        }
        journal
    }

    /// The size of one file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
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

        let slot = self.files.take_free(bytes.len() + commit_bytes)?;
        slot.file.write_all_at(&bytes, 0)?;
        slot.file.sync_data()?;
        self.life = life;
        self.commit = 1;
        self.at = bytes.len() as u64;
        self.files.begin(life.number, slot);
        self.files.release_below(self.life.number);
        Ok(())
    }

    /// Whether a commit of that size, without entries, has room now; moves on to the next file if not.
    pub(super) fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if self.fits(bytes) { Ok(()) } else { self.roll(bytes) }
    }

    /// Whether a commit of that size with an entry in it may be written now.
    pub(super) fn make_room_for_entry(&mut self, bytes: usize) -> io::Result<Result<(), FullReason>> {
        if self.ledger.live_count() as u64 >= self.file_bytes / 2 / SNAPSHOT_BYTES_PER_BATCH {
            return Ok(Err(FullReason::Batches));
        }
        self.files.fill_reserve()?;
        if !self.fits(bytes) {
            let free_after = self.files.reserve() + usize::from(self.files.live_count(self.life.number) == 0);
            if free_after > RESERVE || self.files.sparse_below(self.life.number).is_some() {
                self.roll(bytes)?;
                self.files.fill_reserve()?;
            }
        }
        if self.files.reserve() < RESERVE {
            self.copy_forward()?;
        }
        let is_free = self.fits(bytes) && self.files.reserve() >= RESERVE;
        Ok(if is_free { Ok(()) } else { Err(self.why_full()) })
    }

    /// Whether a commit of that size, which writes a batch again in parts, may be written now. It may take one file of the
    /// reserve, so that a spool that is full of batches too large for their topics can be emptied; the others are for marks.
    pub(super) fn make_room_for_parts(&mut self, bytes: usize) -> io::Result<bool> {
        self.files.fill_reserve()?;
        if !self.fits(bytes) && self.files.reserve() > MARKS_RESERVE {
            self.roll(bytes)?;
            self.files.fill_reserve()?;
        }
        if self.files.reserve() < MARKS_RESERVE {
            self.copy_forward()?;
        }
        Ok(self.fits(bytes) && self.files.reserve() >= MARKS_RESERVE)
    }

    pub(super) fn fits(&self, bytes: usize) -> bool {
        let current = self.files.get(self.life.number);
        current.is_ok_and(|current| self.at + bytes as u64 <= current.len)
    }

    fn why_full(&self) -> FullReason {
        if self.files.is_disk_full() {
            FullReason::DiskFull
        } else {
            FullReason::Limit
        }
    }

    /// Moves the last few live batches of one file on, where a partition that is stuck holds a file that nothing else
    /// needs.
    fn copy_forward(&mut self) -> io::Result<()> {
        let Some((number, live_bytes)) = self.files.sparse_below(self.life.number) else {
            return Ok(());
        };
        if !self.fits(usize::try_from(live_bytes).unwrap_or(usize::MAX)) {
            return Ok(());
        }
        let here = self.ledger.live().filter(|(_, batch)| batch.place.file == number);
        let moved: Vec<(BatchNumber, Place)> = here.map(|(number, batch)| (number, batch.place)).collect();
        let heads: Vec<_> = moved.iter().map(|(number, place)| (*number, place.len)).collect();
        let head = encode_copy_head(&heads);
        let bodies: Vec<Vec<u8>> = moved
            .iter()
            .map(|(_, place)| self.files.read(*place))
            .collect::<io::Result<_>>()?;
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
            self.files.forget(old);
            self.keep_place(number, place);
        }
        self.files.release_below(self.life.number);
        Ok(())
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
        self.files.release_below(self.life.number);
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
                self.files.forget(place);
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
    pub(super) fn find(&self, number: BatchNumber) -> Option<(std::path::PathBuf, usize)> {
        let (_, batch) = self.ledger.live().find(|(live, _)| *live == number)?;
        let path = self.files.get(batch.place.file).ok()?.path.clone();
        Some((path, usize::try_from(batch.place.offset).ok()?))
    }

    /// Writes and syncs; tells where the commit begins in the file.
    fn write(&mut self, writer: CommitWriter) -> io::Result<usize> {
        let bytes = writer.finish();
        let current = self.files.get(self.life.number)?;
        let base = self.at;
        if base + bytes.len() as u64 > current.len {
            return Err(io::Error::other(
                "a commit of the spool is larger than the room made for it",
            ));
        }
        current.file.write_all_at(&bytes, base)?;
        current.file.sync_data()?;
        self.commit += 1;
        self.at += bytes.len() as u64;
        usize::try_from(base).map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    fn keep_place(&mut self, number: BatchNumber, place: Place) {
        if let Some(shelved) = self.files.keep(place) {
            self.shelf.put(number, shelved);
        }
    }
}

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
