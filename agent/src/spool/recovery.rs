//! What a spool is after a crash: only what its files hold on stable storage, with damage set aside and said.
//!
//! | what is found | what it means |
//! |---|---|
//! | newest file without a whole snapshot, nothing behind | the power failed while it was begun: it is free |
//! | last commit torn | nobody was told of it: it ends there |
//! | unreadable bytes before a later commit | damage: set aside, and reading goes on at that commit |
//! | a live batch whose bytes changed | damage: that batch is set aside, and everything else goes on |
//! | a file with an unreadable header | damage: the file is set aside |
//! | a header of a later release | refused |
//!
//! Whatever is believed is written again and synced first: it may have been read from a cache that never reached the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::disk::{Disk, OpenMode};

use super::control::BatchNumber;
use super::files::{SLOT_PREFIX, Slot};
use super::format::{BLOCK, Contents, FileHeader, FileNumber, Life, read_contents};
use super::ledger::Ledger;
use super::record::{LiveBatch, Place, Record};
use super::set_aside::SetAside;
use super::shelf::check_batch;

/// Why the spool cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} has version {version} of the spool format, and this release knows version 1 only", path.display())]
    UnknownVersion { path: PathBuf, version: u32 },
}

#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) ledger: Ledger,
    pub(super) last_number: FileNumber,
    /// Those with a number are still needed: for live batches, or until there is a newer snapshot.
    pub(super) slots: Vec<(Option<FileNumber>, Slot)>,
    /// What was damaged, in words.
    pub(super) damage: Vec<String>,
}

struct SlotFile {
    slot: Slot,
    life: Life,
}

struct Replayed {
    life: Life,
    bytes: Bytes,
    contents: Contents,
}

pub(super) fn recover(disk: &Arc<dyn Disk>, dir: &Path, aside: &mut SetAside) -> Result<Recovery, RecoverError> {
    // A process that was killed may have left names that are not durable.
    disk.sync_dir(dir).map_err(|source| failed(dir, source))?;
    let (files, blank) = find_files(disk, dir, aside)?;
    let last_number = files.keys().next_back().copied().unwrap_or_default();
    let to_replay = from_newest_snapshot(&files)?;

    let mut ledger = Ledger::default();
    for replayed in &to_replay {
        replay(&mut ledger, replayed, aside)?;
        make_durable(&files, replayed)?;
    }
    let mut needed: BTreeSet<FileNumber> = to_replay.iter().map(|replayed| replayed.life.number).collect();
    drop(to_replay);
    drop_damaged_batches(&mut ledger, &files, aside)?;

    needed.extend(ledger.live().map(|(_, batch)| batch.place.file));
    let used = files
        .into_iter()
        .map(|(number, file)| (Some(number).filter(|number| needed.contains(number)), file.slot));
    Ok(Recovery {
        ledger,
        last_number,
        slots: used.chain(blank.into_iter().map(|slot| (None, slot))).collect(),
        damage: std::mem::take(&mut aside.reasons),
    })
}

type Files = BTreeMap<FileNumber, SlotFile>;

fn find_files(disk: &Arc<dyn Disk>, dir: &Path, aside: &mut SetAside) -> Result<(Files, Vec<Slot>), RecoverError> {
    let mut files = Files::new();
    let mut blank = Vec::new();
    let names = disk.list(dir).map_err(|source| failed(dir, source))?;
    let mut names: Vec<_> = names.into_iter().map(|entry| entry.name).collect();
    names.sort();
    for name in names {
        if !name.as_encoded_bytes().starts_with(SLOT_PREFIX.as_bytes()) {
            continue;
        }
        let path = dir.join(name);
        let slot = open_slot(disk, path.clone()).map_err(|source| failed(&path, source))?;
        match read_header(&slot).map_err(|source| failed(&path, source))? {
            FileHeader::Life(life) => {
                files.insert(life.number, SlotFile { slot, life });
            }
            FileHeader::Blank => blank.push(slot),
            FileHeader::UnknownVersion(version) => return Err(RecoverError::UnknownVersion { path, version }),
            FileHeader::Damaged => {
                aside.file(&slot.path).map_err(|source| failed(&path, source))?;
            }
        }
    }
    Ok((files, blank))
}

fn open_slot(disk: &Arc<dyn Disk>, path: PathBuf) -> io::Result<Slot> {
    let file = disk.open(&path, OpenMode::ReadWrite)?;
    let len = file.metadata()?.len;
    Ok(Slot { path, file, len })
}

fn read_header(slot: &Slot) -> io::Result<FileHeader> {
    let mut block = vec![0; BLOCK];
    let read = slot.file.read_at(&mut block, 0)?;
    block.truncate(read);
    Ok(FileHeader::decode(&block))
}

/// The newest file that begins with a whole snapshot, and what was written behind it; everything, if there is none.
fn from_newest_snapshot(files: &Files) -> Result<Vec<Replayed>, RecoverError> {
    let mut newest_first = Vec::new();
    for file in files.values().rev() {
        let bytes = file
            .slot
            .file
            .read_stable()
            .map_err(|source| failed(&file.slot.path, source))?;
        let contents = read_contents(&bytes, file.life);
        let replayed = Replayed {
            life: file.life,
            bytes: bytes.into(),
            contents,
        };
        let begins_whole = matches!(replayed.records().next(), Some((_, Ok(Record::Snapshot(_)))))
            && replayed
                .contents
                .damaged
                .first()
                .is_none_or(|damaged| damaged.start > BLOCK);
        let says_anything = !replayed.contents.frames.is_empty() || !replayed.contents.damaged.is_empty();
        if says_anything {
            newest_first.push(replayed);
        }
        if begins_whole {
            break;
        }
    }
    newest_first.reverse();
    Ok(newest_first)
}

type Decoded = Result<Record, super::codec::DecodeError>;

impl Replayed {
    fn records(&self) -> impl Iterator<Item = (Range<usize>, Decoded)> {
        self.contents.frames.iter().map(|frame| {
            let payload = self.bytes.get(frame.payload.clone()).unwrap_or_default();
            (frame.payload.clone(), Record::decode(frame.kind, payload))
        })
    }

    fn place(&self, payload: &Range<usize>, body: &Range<usize>) -> Place {
        Place {
            file: self.life.number,
            offset: (payload.start + body.start) as u64,
            len: u32::try_from(body.len()).unwrap_or(u32::MAX),
        }
    }
}

fn replay(ledger: &mut Ledger, file: &Replayed, aside: &mut SetAside) -> Result<(), RecoverError> {
    let number = file.life.number;
    for damaged in &file.contents.damaged {
        set_aside_range(file, damaged, "its checksum does not match", aside)?;
    }
    for (payload, record) in file.records() {
        match record {
            Ok(Record::Snapshot(snapshot)) => *ledger = Ledger::from_snapshot(snapshot),
            Ok(Record::Entry(entry, bodies)) => {
                let places = bodies.iter().map(|body| file.place(&payload, body)).collect();
                ledger.apply_entry(entry, places);
            }
            Ok(Record::Control(control)) => {
                let bodies = control.bodies();
                let places: Vec<_> = bodies.iter().map(|body| file.place(&payload, body)).collect();
                ledger.apply_control(&control, &places);
            }
            Ok(Record::Copy(copies)) => {
                for (batch, body) in copies {
                    ledger.relocate(batch, file.place(&payload, &body));
                }
            }
            Err(error) => set_aside_range(file, &payload, &format!("file {number}: {error}"), aside)?,
        }
    }
    Ok(())
}

fn set_aside_range(
    file: &Replayed,
    range: &Range<usize>,
    reason: &str,
    aside: &mut SetAside,
) -> Result<(), RecoverError> {
    let name = format!("file-{}-at-{}", file.life.number, range.start);
    let bytes = file.bytes.get(range.clone()).unwrap_or_default();
    aside
        .bytes(&name, bytes, reason)
        .map_err(|source| failed(Path::new(&name), source))
}

/// The same bytes at the same place: harmless if they were there, and the end of doubt if they were not.
fn make_durable(files: &Files, replayed: &Replayed) -> Result<(), RecoverError> {
    let Some(file) = files.get(&replayed.life.number) else {
        return Ok(());
    };
    let believed = replayed.bytes.get(..replayed.contents.end).unwrap_or_default();
    let written = file
        .slot
        .file
        .write_all_at(believed, 0)
        .and_then(|()| file.slot.file.sync_data());
    written.map_err(|source| failed(&file.slot.path, source))
}

fn drop_damaged_batches(ledger: &mut Ledger, files: &Files, aside: &mut SetAside) -> Result<(), RecoverError> {
    let mut by_file: BTreeMap<FileNumber, Vec<(BatchNumber, LiveBatch)>> = BTreeMap::new();
    for (number, batch) in ledger.live() {
        by_file
            .entry(batch.place.file)
            .or_default()
            .push((number, batch.clone()));
    }
    for (file_number, batches) in by_file {
        let bytes = match files.get(&file_number) {
            Some(file) => file
                .slot
                .file
                .read_stable()
                .map_err(|source| failed(&file.slot.path, source))?,
            None => Vec::new(),
        };
        let bytes = Bytes::from(bytes);
        for (number, batch) in batches {
            let body = slice(&bytes, batch.place);
            if let Err(reason) = check_batch(&body) {
                let name = format!("batch-{number}");
                let lines = batch.records;
                let reason = format!("batch {number} of topic {} with {lines} lines: {reason}", batch.topic);
                aside
                    .bytes(&name, &body, &reason)
                    .map_err(|source| failed(Path::new(&name), source))?;
                ledger.remove(number);
            }
        }
    }
    Ok(())
}

fn slice(bytes: &Bytes, place: Place) -> Bytes {
    let start = usize::try_from(place.offset).unwrap_or(usize::MAX).min(bytes.len());
    let len = usize::try_from(place.len).unwrap_or(usize::MAX);
    bytes.slice(start..start.saturating_add(len).min(bytes.len()))
}

fn failed(path: &Path, source: io::Error) -> RecoverError {
    RecoverError::Io {
        path: path.to_owned(),
        source,
    }
}
