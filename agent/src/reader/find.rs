//! Keeps the set of followed files in step with the directories.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::disk::{Disk, DiskFile, FileId, FileKind, OpenMode};

use crate::discover::{Event, FileNo, Found, Known, Scan, Walker, Whereabouts, locate};
use crate::position::{FilePosition, checksum};
use crate::status::ReadMetrics;
use crate::stretch::LANES;
use crate::tail::{Arrival, Continues, Opening, StartAt, Tail, begin};
use crate::watch::{Outcome, Rounds, Signal, Watch};

/// Looks at directories when they are due, and tells [`Tail`] what became of the files.
#[derive(Debug)]
pub(super) struct Finder {
    disk: Arc<dyn Disk>,
    walker: Walker,
    known: Known,
    rounds: Rounds,
    /// From the spool: of files that were not met yet.
    restored: HashMap<FileId, FilePosition>,
    /// Whether no process has followed anything before this one.
    first_run: bool,
    first_scan: bool,
    next_scan: Duration,
    scan_interval: Duration,
    host: Arc<str>,
    inputs: Vec<(Arc<str>, StartAt)>,
    metrics: ReadMetrics,
    /// What could not be opened or entered, so that it is said once.
    troubled: HashSet<PathBuf>,
    /// Files whose positions the spool need not keep.
    gone: Vec<FileId>,
    /// The file that was last met under a name that matched: it is read to its end before another with that name.
    latest: HashMap<PathBuf, FileNo>,
}

impl Finder {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        walker: Walker,
        positions: Vec<FilePosition>,
        host: Arc<str>,
        inputs: Vec<(Arc<str>, StartAt)>,
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
            metrics,
            troubled: HashSet::new(),
            gone: Vec::new(),
            latest: HashMap::new(),
        }
    }

    /// Looks at what is due. Returns files whose positions need not be kept.
    pub(super) fn look(&mut self, tail: &mut Tail, watch: &mut Watch, signal: &Signal, now: Duration) -> Vec<FileId> {
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
    pub(super) fn forget(&mut self, file: FileNo, origin: &Path, watch: &mut Watch) {
        self.look_for(file, watch);
        self.known.remove(file);
        if self.latest.get(origin) == Some(&file) {
            self.latest.remove(origin);
        }
    }

    fn scan_all(&mut self, tail: &mut Tail, watch: &mut Watch, now: Duration) {
        let scan = self.walker.scan_all();
        self.metrics.scans.with([]).inc();
        watch.disarm(&self.rounds.meet(&scan, true, now));
        self.complain(&scan);
        if std::mem::take(&mut self.first_scan) {
            self.resume_all(&scan, tail, now);
        }
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
        let scan = self.walker.scan_dir(dir);
        let names = scan.names;
        watch.disarm(&self.rounds.meet(&scan, false, now));
        self.complain(&scan);
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
        for found in appeared {
            changed |= self.appeared(&found, tail, now);
        }
        changed
    }

    fn moved(&mut self, file: FileNo, to: &Path, tail: &mut Tail) {
        self.known.rename(file, to);
        tail.named(file, to.into());
        self.count_rotation(file, tail);
    }

    fn count_rotation(&self, file: FileNo, tail: &Tail) {
        if let Some((topic, _)) = tail.get(file).and_then(|followed| self.inputs.get(followed.input)) {
            self.metrics.rotations.with([topic]).inc();
        }
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

    /// Follows a file that was not known. Whether that was possible.
    fn appeared(&mut self, found: &Found, tail: &mut Tail, now: Duration) -> bool {
        let start_at = match self.inputs.get(found.input) {
            Some((_, start_at)) if self.first_run => *start_at,
            _ => StartAt::Beginning,
        };
        self.follow(found, start_at, tail, now)
    }

    /// Whether that was possible.
    fn follow(&mut self, found: &Found, start_at: StartAt, tail: &mut Tail, now: Duration) -> bool {
        let Found { path, metadata, input } = found;
        let (handle, opening) = match self.open(path, metadata.id, start_at) {
            Ok(Some(opened)) => opened,
            Ok(None) => return false,
            Err(error) => {
                self.trouble(path, *input, &error);
                return false;
            }
        };
        self.troubled.remove(path);
        let position = self.restored.remove(&metadata.id);
        let continued = match opening.continues {
            Continues::There | Continues::Torn => position.as_ref(),
            Continues::New | Continues::Replaced => None,
        };
        self.report(path, *input, &opening, position.as_ref());
        let origin: Arc<Path> = continued.map_or(path, |position| &position.path).as_path().into();
        let after = self.latest.get(&*origin).copied();
        let inherited = after.and_then(|file| tail.get(file)).map(|followed| followed.lane);
        let file = self.known.add(path, metadata);
        let arrival = Arrival {
            id: metadata.id,
            path: path.as_path().into(),
            origin: Arc::clone(&origin),
            input: *input,
            lane: match continued {
                Some(position) => position.lane,
                None => inherited.unwrap_or_else(|| lane_of(&self.host, path)),
            },
            after,
            modified_ms: match continued {
                Some(position) if position.path != *path => position.modified_ms,
                _ => metadata.modified_ms,
            },
        };
        self.latest.insert(origin.to_path_buf(), file);
        tail.follow(file, arrival, handle, &opening, now);
        true
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

    fn report(&self, path: &Path, input: usize, opening: &Opening, position: Option<&FilePosition>) {
        let topic = self.inputs.get(input).map_or("", |(topic, _)| &**topic);
        let read_to = position.map_or(0, |position| position.offset);
        match opening.continues {
            Continues::Torn => {
                self.metrics.torn_files.with([topic]).inc();
                tracing::warn!(
                    path = %path.display(),
                    read_to,
                    going_on_at = opening.mark.offset,
                    "a file has lost bytes that were read before, as in a power failure; following it from there"
                );
            }
            Continues::Replaced => {
                self.metrics.truncations.with([topic]).inc();
                tracing::info!(path = %path.display(), "a file was replaced or written anew; reading it from its start");
            }
            Continues::New | Continues::There => tracing::debug!(path = %path.display(), read_to, "following a file"),
        }
    }

    /// Goes on with the files of earlier processes before new ones are begun: each in the order in which they were
    /// written, and those that were renamed meanwhile too, whatever they are called now.
    fn resume_all(&mut self, scan: &Scan, tail: &mut Tail, now: Duration) {
        let mut returning = self.returning(scan);
        returning.sort_by_key(|found| found.metadata.modified_ms);
        for found in returning {
            self.follow(&found, StartAt::Beginning, tail, now);
        }
    }

    /// Where the files of earlier processes are now.
    fn returning(&mut self, scan: &Scan) -> Vec<Found> {
        let mut returning: Vec<_> = scan
            .files
            .iter()
            .filter(|found| self.restored.contains_key(&found.metadata.id))
            .cloned()
            .collect();
        let met: HashSet<FileId> = returning.iter().map(|found| found.metadata.id).collect();
        let readable = |path: &Path| !scan.unreadable.iter().any(|(dir, _)| path.starts_with(dir));
        let sought: Vec<_> = self
            .restored
            .values()
            .filter(|position| !met.contains(&position.key.id) && readable(&position.path))
            .map(|position| (position.key.id, position.key.id, &*position.path))
            .collect();
        for (id, whereabouts) in locate(&*self.disk, &sought) {
            let input = self
                .restored
                .get(&id)
                .and_then(|position| self.walker.input_of(&position.path));
            match (whereabouts, input) {
                (Whereabouts::Here(_), _) | (Whereabouts::At(..), None) => {
                    // It is no longer selected. Its position is kept, for the day it is again.
                }
                (Whereabouts::At(path, metadata), Some(input)) => returning.push(Found { path, metadata, input }),
                (Whereabouts::Nowhere, _) => self.gone.push(id),
            }
        }
        for id in &self.gone {
            if let Some(position) = self.restored.remove(id) {
                tracing::info!(
                    path = %position.path.display(),
                    read_to = position.offset,
                    "a file was deleted while the agent was down; what was written to it after that byte is lost"
                );
            }
        }
        returning
    }

    fn trouble(&mut self, path: &Path, input: usize, error: &io::Error) {
        if let Some((topic, _)) = self.inputs.get(input) {
            self.metrics.read_errors.with([topic]).inc();
        }
        if self.troubled.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), %error, "cannot open a file; trying again at every scan");
        }
    }

    fn complain(&mut self, scan: &Scan) {
        for (path, error) in &scan.unreadable {
            if self.troubled.insert(path.clone()) {
                tracing::warn!(path = %path.display(), %error, "cannot look for files here; trying again at every scan");
            }
        }
    }
}

/// The same for all files that follow each other under one name, and different from host to host.
fn lane_of(host: &str, path: &Path) -> u16 {
    let mut bytes = host.as_bytes().to_vec();
    bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
    u16::try_from(checksum(&bytes) % u32::from(LANES)).unwrap_or(0)
}
