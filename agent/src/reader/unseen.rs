//! Follows files that had a name for a while and were rotated away before anybody looked: between two looks, or while no
//! agent ran.
//!
//! Wherever the last known file of a name has left it there may be such a *gap* before the file that has the name now.
//! What lies in it is read after the former and before the latter, through their lane and under their name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tailrace_shared::disk::{DiskFile, FileId, OpenMode};

use super::find::{Finder, Look};
use crate::discover::{FileNo, Found, Rotated, places, rotated, unseen};
use crate::tail::{Arrival, Followed, Original, StartAt, Tail, read_head};

/// While files are renamed it is looked again at once, but not for ever.
const ROUNDS_MAX: usize = 5;
/// A file that cannot be told from a copy in the making is left alone after so many scans.
const PATIENCE_SCANS: u8 = 6;
/// So many files of a name are remembered that are gone.
const ORIGINALS_MAX: usize = 4;

/// Where files may be missing, of those that had one name.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    /// What is missing was modified at this time or later.
    since_ms: i64,
    lane: u16,
    input: usize,
    /// Where the last known file of the name is now.
    found: Option<PathBuf>,
    /// At how many more scans it is looked into.
    patience: u8,
}

/// What a file turned out to be.
enum Verdict {
    Followed,
    /// It is not missing, or may not be taken.
    LeftAlone,
    /// That cannot be told yet.
    Later {
        patience: u8,
    },
    /// It is not there any more: look again.
    Renamed,
}

impl Gap {
    /// Other selections are in force, by which the name is of this input.
    pub(super) fn belongs_to(&mut self, input: usize) {
        self.input = input;
    }

    fn behind(followed: &Followed) -> Self {
        Self {
            since_ms: followed.modified_ms,
            lane: followed.lane,
            input: followed.input,
            found: Some(followed.path.to_path_buf()),
            patience: 0,
        }
    }
}

impl Finder {
    /// Of every name that files of earlier processes had.
    pub(super) fn note_gaps_of_earlier_processes(&mut self) {
        for position in self.restored.values() {
            let Some(input) = self.walker.input_of(&position.path) else {
                continue;
            };
            let gap = self.gaps.entry(position.path.clone()).or_insert(Gap {
                since_ms: i64::MIN,
                lane: position.lane,
                input,
                found: None,
                patience: 0,
            });
            if position.modified_ms >= gap.since_ms {
                (gap.since_ms, gap.lane) = (position.modified_ms, position.lane);
            }
        }
    }

    /// Where the file that last had the name has it still, nothing is missing.
    pub(super) fn keep_open_gaps(&mut self) {
        let mut gaps = std::mem::take(&mut self.gaps);
        gaps.retain(|name, gap| {
            let latest = self.latest.get(name).and_then(|file| self.known.get(*file));
            gap.found = latest.map(|(_, path)| path.to_path_buf());
            let still_there = self.disk.metadata(name).is_ok_and(|metadata| {
                latest.is_some_and(|(id, _)| id == metadata.id) || self.restored.contains_key(&metadata.id)
            });
            !still_there
        });
        self.gaps = gaps;
    }

    /// If this is the file that last had its name, and it has it no longer, something may have had it since.
    pub(super) fn note_gap(&mut self, file: FileNo, tail: &Tail) {
        if let Some((name, mut gap)) = self.gap_behind(file, tail) {
            if let Some(waiting) = self.gaps.get(&name) {
                gap.since_ms = gap.since_ms.min(waiting.since_ms);
            }
            self.gaps.insert(name, gap);
        }
    }

    fn gap_behind(&self, file: FileNo, tail: &Tail) -> Option<(PathBuf, Gap)> {
        let followed = tail.get(file)?;
        let (_, path) = self.known.get(file)?;
        let is_latest = self.latest.get(&*followed.origin) == Some(&file);
        let has_left = followed.is_nameless() || *path != followed.origin;
        if !is_latest || !has_left {
            return None;
        }
        Some((followed.origin.to_path_buf(), Gap::behind(followed)))
    }

    /// The file that last had its name is followed no longer. It may be that its inode has another content now, under a
    /// name that rotation gave it.
    pub(super) fn note_last_gap(&mut self, followed: &Followed) {
        self.gaps.insert(followed.origin.to_path_buf(), Gap::behind(followed));
    }

    /// Follows what is missing before the files that appeared; if the scan was of everything, also where nothing has
    /// appeared yet. Whether there was anything.
    pub(super) fn close_gaps(&mut self, appeared: &[Found], complete: bool, tail: &mut Tail, now: Duration) -> bool {
        let latest: Vec<FileNo> = match complete {
            true => self.latest.values().copied().collect(),
            false => appeared
                .iter()
                .filter_map(|found| self.latest.get(&found.path))
                .copied()
                .collect(),
        };
        let behind: Vec<_> = latest
            .into_iter()
            .filter_map(|file| self.gap_behind(file, tail))
            .collect();
        let (waiting, mut open): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.gaps)
            .into_iter()
            .partition(|(_, gap)| gap.patience > 0 && !complete);
        self.gaps = waiting;
        for (name, gap) in behind {
            open.entry(name).or_insert(gap);
        }
        let mut changed = false;
        for _ in 0..ROUNDS_MAX {
            if open.is_empty() {
                break;
            }
            let mut again = BTreeMap::new();
            for (name, gap, found) in self.rotated_in(open) {
                let (followed, renamed) = self.close(&name, &gap, found, tail, now);
                changed |= followed;
                if renamed {
                    again.insert(name, gap);
                }
            }
            open = again;
        }
        for (name, mut gap) in open {
            gap.patience = PATIENCE_SCANS;
            self.gaps.insert(name, gap);
        }
        let is_over = |name: &PathBuf| !self.latest.contains_key(name) && !self.gaps.contains_key(name);
        self.originals.retain(|name, _| !is_over(name));
        changed
    }

    fn rotated_in(&self, gaps: BTreeMap<PathBuf, Gap>) -> Vec<(PathBuf, Gap, Vec<Rotated>)> {
        let mut counts = Vec::with_capacity(gaps.len());
        let mut all = Vec::new();
        for (name, gap) in gaps {
            let places = places(&*self.disk, &name, gap.found.as_deref());
            counts.push((name, gap, places.len()));
            all.extend(places);
        }
        let mut rotated = rotated(&*self.disk, &all).into_iter();
        counts
            .into_iter()
            .map(|(name, gap, places)| (name, gap, rotated.by_ref().take(places).flatten().collect()))
            .collect()
    }

    /// Whether anything was followed, and whether something has to be looked for again.
    fn close(&mut self, name: &Path, gap: &Gap, rotated: Vec<Rotated>, tail: &mut Tail, now: Duration) -> (bool, bool) {
        let at_name = self.disk.metadata(name).ok().map(|metadata| metadata.id);
        let missing = unseen(rotated, gap.since_ms, |id| {
            at_name == Some(id) || self.known.by_id(id).is_some() || self.restored.contains_key(&id)
        });
        if missing.is_empty() {
            return (false, false);
        }
        let originals = self.originals_of(name, at_name, tail);
        let mut followed = false;
        for one in missing {
            let found = Found {
                path: one.path,
                metadata: one.metadata,
                input: gap.input,
            };
            match self.judge(name, gap, &found, &originals, tail, now) {
                Verdict::Followed => followed = true,
                Verdict::LeftAlone => {}
                Verdict::Later { patience } if patience > 0 => {
                    let gap = Gap {
                        patience,
                        ..gap.clone()
                    };
                    self.gaps.insert(name.to_owned(), gap);
                }
                Verdict::Later { .. } => {}
                Verdict::Renamed => return (followed, true),
            }
        }
        (followed, false)
    }

    fn judge(
        &mut self,
        name: &Path,
        gap: &Gap,
        found: &Found,
        originals: &[Original],
        tail: &mut Tail,
        now: Duration,
    ) -> Verdict {
        let patience = PATIENCE_SCANS;
        if !self.walker.may_take(found.input, &found.path, found.metadata.id) {
            return Verdict::LeftAlone;
        }
        let (handle, opening) = match self.look_into(found, StartAt::Beginning) {
            Look::Open(handle, opening) => (handle, opening),
            Look::NotThere => return Verdict::Renamed,
            Look::Failed => return Verdict::Later { patience },
        };
        if opening.len == 0 {
            // There is nothing to read yet, and it may be a copy in the making.
            let patience = gap.patience.checked_sub(1).unwrap_or(patience);
            return Verdict::Later { patience };
        }
        match is_copy(&*handle, opening.len, originals) {
            Ok(false) => {}
            Ok(true) => {
                self.say_copy(name, found);
                return Verdict::LeftAlone;
            }
            Err(_) => return Verdict::Later { patience },
        }
        self.say_unseen(name, found);
        let arrival = Arrival {
            id: found.metadata.id,
            path: found.path.as_path().into(),
            origin: name.into(),
            input: found.input,
            lane: gap.lane,
            after: None,
            modified_ms: found.metadata.modified_ms,
        };
        self.join(found, arrival, handle, &opening, tail, now);
        Verdict::Followed
    }

    fn say_copy(&mut self, name: &Path, found: &Found) {
        if self.copies.insert(found.metadata.id) {
            tracing::info!(
                path = %found.path.display(),
                of = %name.display(),
                "a file with a rotated name is a copy of one that is known; it is left alone"
            );
        }
    }

    fn say_unseen(&self, name: &Path, found: &Found) {
        if let Some(taking) = self.inputs.get(found.input) {
            self.metrics.rotated_unseen.with([&*taking.topic]).inc();
        }
        tracing::info!(
            path = %found.path.display(),
            origin = %name.display(),
            "a file was rotated before it was seen; reading it from its start"
        );
    }

    /// The files of which a copy may be about: those that had the name, and the one that has it.
    fn originals_of(&self, name: &Path, at_name: Option<FileId>, tail: &Tail) -> Vec<Original> {
        let followed = tail.iter().filter(|(_, followed)| &*followed.origin == name);
        let mut originals: Vec<Original> = followed.map(|(_, followed)| followed.into()).collect();
        if at_name.is_some_and(|id| self.known.by_id(id).is_none())
            && let Ok(file) = self.disk.open(name, OpenMode::Read)
        {
            originals.extend(Original::of(file));
        }
        originals.extend(self.originals.get(name).into_iter().flatten().cloned());
        originals
    }

    /// A file that had this name is gone.
    pub(super) fn remember(&mut self, name: &Path, original: Original) {
        // What was not read cannot be doubled by a copy.
        if original.was_read() {
            let originals = self.originals.entry(name.to_owned()).or_default();
            originals.truncate(ORIGINALS_MAX - 1);
            originals.insert(0, original);
        }
    }

    /// While a file has its name, whatever lies beside it is older: what has the name after it is modified later than
    /// all that. So no copy or left-over is taken for a generation afterwards.
    pub(super) fn date(&self, begun: &[FileNo], tail: &mut Tail) {
        let begun: Vec<_> = begun
            .iter()
            .filter_map(|file| Some((*file, tail.get(*file)?)))
            .filter(|(_, followed)| followed.path == followed.origin)
            .map(|(file, followed)| (file, places(&*self.disk, &followed.path, None)))
            .collect();
        let all: Vec<_> = begun.iter().flat_map(|(_, places)| places).cloned().collect();
        let mut rotated = rotated(&*self.disk, &all).into_iter();
        for (file, places) in begun {
            let beside = rotated.by_ref().take(places.len()).flatten();
            let newest = beside.map(|one| one.metadata.modified_ms).max();
            if let (Some(newest), Some(followed)) = (newest, tail.get_mut(file))
                && self
                    .disk
                    .metadata(&followed.path)
                    .is_ok_and(|metadata| metadata.id == followed.key.id)
            {
                followed.modified_ms = followed.modified_ms.max(newest.saturating_add(1));
            }
        }
    }
}

fn is_copy(file: &dyn DiskFile, len: u64, originals: &[Original]) -> io::Result<bool> {
    let head = read_head(file)?;
    for original in originals {
        if original.is_copied_to(file, &head, len)? {
            return Ok(true);
        }
    }
    Ok(false)
}
