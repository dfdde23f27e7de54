//! Keeps the set of followed files in step with the directories.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::disk::{Disk, DiskFile, FileId, FileKind, OpenMode};

use super::glance::Glances;
use super::unseen::Gap;
use crate::discover::{Event, FileNo, Found, Known, Scan, Walker, Whereabouts, locate};
use crate::position::FilePosition;
use crate::status::ReadMetrics;
use crate::stretch::lane_of;
use crate::tail::{Arrival, Continues, Followed, Opening, Original, StartAt, Tail, begin};
use crate::watch::{Outcome, Rounds, Signal, Watch};

/// Looks at directories when they are due, and tells [`Tail`] what became of the files.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) walker: Walker,
    pub(super) known: Known,
    rounds: Rounds,
    /// From the spool: of files that were not met yet.
    pub(super) restored: HashMap<FileId, FilePosition>,
    /// Whether no process has followed anything before this one.
    first_run: bool,
    first_scan: bool,
    pub(super) next_scan: Duration,
    pub(super) scan_interval: Duration,
    pub(super) host: Arc<str>,
    pub(super) inputs: Vec<Taking>,
    /// By the wall clock, when it last looked.
    now_ms: i64,
    pub(super) metrics: ReadMetrics,
    /// What could not be opened or entered, so that it is said once.
    pub(super) troubled: HashSet<PathBuf>,
    /// Files whose positions the spool need not keep.
    pub(super) gone: Vec<FileId>,
    /// The file that was last met under a name that matched: it is read to its end before another with that name.
    pub(super) latest: HashMap<PathBuf, FileNo>,
    /// Names under which files may have come and gone unseen.
    pub(super) gaps: BTreeMap<PathBuf, Gap>,
    /// Of files with these names that are gone: copies of them may still be about.
    pub(super) originals: HashMap<PathBuf, Vec<Original>>,
    /// What was said to be a copy.
    pub(super) copies: HashSet<FileId>,
    pub(super) glances: Glances,
}

/// How an input takes files.
#[derive(Debug, Clone)]
pub(super) struct Taking {
    pub(super) topic: Arc<str>,
    pub(super) start_at: StartAt,
    pub(super) ignore_older: Option<Duration>,
}

/// What came of opening a file where it was found.
pub(super) enum Look {
    /// It can be read.
    Open(Arc<dyn DiskFile>, Opening),
    /// It is not there any more.
    NotThere,
    /// It cannot be opened, which was said.
    Failed,
}

impl Finder {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        walker: Walker,
        positions: Vec<FilePosition>,
        host: Arc<str>,
        inputs: Vec<Taking>,
        scan_interval: Duration,
        metrics: ReadMetrics,
    ) -> Self {
        Self {
            disk,
            walker,
            known: Known::default(),
            rounds: Rounds::default(),
            first_run: positions.is_empty(),
            restored: positions
                .into_iter()
                .map(|position| (position.key.id, position))
                .collect(),
            first_scan: true,
            next_scan: Duration::ZERO,
            scan_interval,
            host,
            inputs,
            now_ms: 0,
            metrics,
            troubled: HashSet::new(),
            gone: Vec::new(),
            latest: HashMap::new(),
            gaps: BTreeMap::new(),
            originals: HashMap::new(),
            copies: HashSet::new(),
            glances: Glances::default(),
        }
    }

    /// Looks at what is due. Returns files whose positions need not be kept.
    pub(super) fn look(
        &mut self,
        tail: &mut Tail,
        watch: &mut Watch,
        signal: &Signal,
        (now, now_ms): (Duration, i64),
    ) -> Vec<FileId> {
        self.now_ms = now_ms;
        let hints = signal.take_hints();
        let unwanted = if hints.all { self.rounds.hint_all() } else { Vec::new() };
        watch.disarm(&unwanted);
        for dir in &hints.dirs {
            watch.disarm(&self.rounds.hint(dir));
        }
        if now >= self.next_scan {
            self.next_scan = now + self.scan_interval;
            self.scan_all(tail, watch, now);
        } else if let Some(dir) = self.rounds.next(now) {
            self.scan_dir(&dir, tail, watch, now);
        }
        std::mem::take(&mut self.gone)
    }

    /// When there is something to look at next.
    pub(super) fn next_due(&self) -> Duration {
        self.rounds
            .next_due()
            .map_or(self.next_scan, |due| due.min(self.next_scan))
    }

    /// A file is not where it was: its directory is due.
    pub(super) fn look_for(&mut self, file: FileNo, watch: &mut Watch) {
        let dir = self
            .known
            .get(file)
            .and_then(|(_, path)| path.parent().map(Path::to_owned));
        if let Some(dir) = dir {
            watch.disarm(&self.rounds.urge(&dir));
        }
    }

    /// A file is followed no longer; if something is there after all, it is found anew.
    pub(super) fn forget(&mut self, file: FileNo, followed: &Followed, watch: &mut Watch) {
        self.look_for(file, watch);
        self.known.remove(file);
        self.remember(&followed.origin, followed.into());
        if self.latest.get(&*followed.origin) == Some(&file) {
            self.latest.remove(&*followed.origin);
            self.note_last_gap(followed);
        }
    }

    fn scan_all(&mut self, tail: &mut Tail, watch: &mut Watch, now: Duration) {
        let mut scan = self.walker.scan_all();
        if std::mem::take(&mut self.first_scan) {
            self.resume_all(&scan, tail, now);
            // Files may have been renamed while they were opened: the scan would put them back to where they were.
            scan = self.walker.scan_all();
        }
        self.metrics.scans.with([]).inc();
        self.glances.forget_all();
        watch.disarm(&self.rounds.meet(&scan, true, now));
        self.complain(&scan);
        self.apply(scan, true, tail, now);
        self.first_run = false;
        let failed: Vec<_> = tail
            .iter()
            .filter(|(_, followed)| followed.error.is_some())
            .map(|(file, _)| file)
            .collect();
        failed.into_iter().for_each(|file| tail.wake(file));
    }

    /// Looks at one directory; if nothing is new there, has it watched, and looks once more, since something may have
    /// happened just before the watch began.
    fn scan_dir(&mut self, dir: &Path, tail: &mut Tail, watch: &mut Watch, now: Duration) {
        if let Some(names) = self.glance(dir, tail) {
            self.rounds.looked(dir, names, Outcome::Changed, now);
            return;
        }
        let (mut changed, mut names) = self.scan_dir_once(dir, tail, watch, now);
        let mut outcome = Outcome::Changed;
        if !changed {
            let watched = self.rounds.watched_for(dir);
            outcome = Outcome::Unwatched;
            if watch.arm(&watched) {
                (changed, names) = self.scan_dir_once(dir, tail, watch, now);
                outcome = if changed { Outcome::Changed } else { Outcome::Watched };
                if changed {
                    watch.disarm(&watched);
                }
            }
        }
        self.rounds.looked(dir, names, outcome, now);
    }

    fn scan_dir_once(&mut self, dir: &Path, tail: &mut Tail, watch: &mut Watch, now: Duration) -> (bool, usize) {
        let before = self.disk.metadata(dir).ok();
        let scan = self.walker.scan_dir(dir);
        let names = scan.names;
        watch.disarm(&self.rounds.meet(&scan, false, now));
        self.complain(&scan);
        let all_known = self.knows_all(&scan);
        self.glances.note(dir, before, all_known, self.now_ms);
        (self.apply(scan, false, tail, now), names)
    }

    /// Whether anything was new.
    fn apply(&mut self, scan: Scan, complete: bool, tail: &mut Tail, now: Duration) -> bool {
        let mut changed = false;
        let mut unseen = Vec::new();
        let mut appeared = Vec::new();
        for event in self.known.compare(&scan, complete) {
            match event {
                Event::Appeared(found) => appeared.push(found),
                Event::Moved { file, to } => {
                    self.moved(file, &to, tail);
                    changed = true;
                }
                Event::Changed { file, metadata } => {
                    self.known.update(file, &metadata);
                    tail.seen(file, &metadata);
                    changed = true;
                }
                Event::Unseen { file } => unseen.push(file),
            }
        }
        changed |= self.settle(&unseen, complete, tail, now);
        changed |= self.close_gaps(&appeared, complete, tail, now);
        let mut begun = Vec::new();
        for found in appeared {
            if let Some(file) = self.appeared(&found, tail, now) {
                changed = true;
                begun.push(file);
            }
        }
        self.date(&begun, tail);
        changed
    }

    fn moved(&mut self, file: FileNo, to: &Path, tail: &mut Tail) {
        self.known.rename(file, to);
        tail.named(file, to.into());
        self.count_rotation(file, tail);
        self.note_gap(file, tail);
    }

    /// Finds out what became of files that were not met. Whether anything was new.
    fn settle(&mut self, unseen: &[FileNo], complete: bool, tail: &mut Tail, now: Duration) -> bool {
        let sought: Vec<_> = unseen
            .iter()
            .filter_map(|file| self.known.get(*file).map(|(id, path)| (*file, id, Arc::clone(path))))
            .collect();
        let sought: Vec<_> = sought.iter().map(|(file, id, path)| (*file, *id, &**path)).collect();
        let mut changed = false;
        for (file, whereabouts) in locate(&*self.disk, &sought) {
            let was_nameless = tail.get(file).is_some_and(|followed| followed.is_nameless());
            let metadata = match whereabouts {
                Whereabouts::Here(metadata) => {
                    if was_nameless && let Some((_, path)) = self.known.get(file) {
                        let path = Arc::clone(path);
                        self.moved(file, &path, tail);
                        changed = true;
                    }
                    metadata
                }
                Whereabouts::At(path, metadata) => {
                    self.moved(file, &path, tail);
                    changed = true;
                    metadata
                }
                Whereabouts::Nowhere => {
                    // Only what two looks did not find is not there: it may have been between two directories.
                    tail.nameless(file, complete && was_nameless, now);
                    if !was_nameless {
                        self.known.lose_name(file);
                        self.count_rotation(file, tail);
                        self.note_gap(file, tail);
                        changed = true;
                    }
                    continue;
                }
            };
            if self.known.update(file, &metadata) {
                tail.seen(file, &metadata);
                changed = true;
            }
        }
        changed
    }

    /// Follows a file that was not known. `None` if that was not possible.
    fn appeared(&mut self, found: &Found, tail: &mut Tail, now: Duration) -> Option<FileNo> {
        let start_at = match self.inputs.get(found.input) {
            Some(taking) if self.first_run => taking.start_at,
            _ => StartAt::Beginning,
        };
        // It may have been renamed since it was met, and be followed by its new name already.
        if self.known.by_id(found.metadata.id).is_some() || self.is_too_old(found) {
            return None;
        }
        let Look::Open(handle, opening) = self.look_into(found, start_at) else {
            return None;
        };
        let position = self.restored.remove(&found.metadata.id);
        self.report(found, &opening, position.as_ref());
        let continued = match opening.continues {
            Continues::There | Continues::Torn => position,
            Continues::New | Continues::Replaced => None,
        };
        Some(self.follow(found, continued.as_ref(), handle, &opening, tail, now))
    }

    /// Whether it was not written to for too long, and nothing of it was ever read. It is looked at again at every scan.
    fn is_too_old(&self, found: &Found) -> bool {
        let older = self.inputs.get(found.input).and_then(|taking| taking.ignore_older);
        older.is_some_and(|older| {
            let age_ms = self.now_ms.saturating_sub(found.metadata.modified_ms);
            u128::try_from(age_ms).is_ok_and(|age_ms| age_ms > older.as_millis())
                && !self.restored.contains_key(&found.metadata.id)
        })
    }

    /// Follows a file, from where an earlier process stood if it did.
    pub(super) fn follow(
        &mut self,
        found: &Found,
        continued: Option<&FilePosition>,
        handle: Arc<dyn DiskFile>,
        opening: &Opening,
        tail: &mut Tail,
        now: Duration,
    ) -> FileNo {
        let origin: Arc<Path> = continued
            .map_or(&found.path, |position| &position.path)
            .as_path()
            .into();
        let inherited = self
            .latest
            .get(&*origin)
            .and_then(|file| tail.get(*file))
            .map(|followed| followed.lane);
        let lane = continued.map(|position| position.lane).or(inherited);
        let seen_before = continued.map_or(i64::MIN, |position| position.modified_ms);
        let modified_ms = match continued {
            Some(position) if found.path != position.path => position.modified_ms,
            _ => found.metadata.modified_ms.max(seen_before),
        };
        let arrival = Arrival {
            id: found.metadata.id,
            path: found.path.as_path().into(),
            lane: lane.unwrap_or_else(|| lane_of(&self.host, &found.path)),
            origin,
            input: found.input,
            after: None,
            modified_ms,
        };
        self.join(found, arrival, handle, opening, tail, now)
    }

    /// Follows a file once the one that last had its name was read to its end.
    pub(super) fn join(
        &mut self,
        found: &Found,
        mut arrival: Arrival,
        handle: Arc<dyn DiskFile>,
        opening: &Opening,
        tail: &mut Tail,
        now: Duration,
    ) -> FileNo {
        let file = self.known.add(&found.path, &found.metadata);
        let name = &*arrival.origin;
        arrival.after = self.latest.get(name).copied();
        // One that comes late is not the last.
        if *found.path == *name || !self.has_its_name(name) {
            self.latest.insert(name.to_owned(), file);
        }
        tail.follow(file, arrival, handle, opening, now);
        file
    }

    /// Whether the file that last had a name has it still, as far as is known.
    fn has_its_name(&self, name: &Path) -> bool {
        let latest = self.latest.get(name);
        latest.is_some_and(|file| self.known.is_called(*file, name))
    }

    /// Opens a file where it was found.
    pub(super) fn look_into(&mut self, found: &Found, start_at: StartAt) -> Look {
        match self.open(&found.path, found.metadata.id, start_at) {
            Ok(Some((handle, opening))) => {
                self.troubled.remove(&found.path);
                Look::Open(handle, opening)
            }
            Ok(None) => Look::NotThere,
            Err(error) => {
                self.trouble(&found.path, found.input, &error);
                Look::Failed
            }
        }
    }

    /// `None` if it is not the file that was found any more.
    fn open(&self, path: &Path, id: FileId, start_at: StartAt) -> io::Result<Option<(Arc<dyn DiskFile>, Opening)>> {
        let handle = match self.disk.open(path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let metadata = handle.metadata()?;
        if metadata.id != id || metadata.kind != FileKind::File {
            return Ok(None);
        }
        let opening = begin(&*handle, &metadata, self.restored.get(&id), start_at)?;
        Ok(Some((handle, opening)))
    }
}
