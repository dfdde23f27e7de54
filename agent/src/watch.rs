//! Hints that a file may have changed. Every hint may be missed or doubled: a slow scan reconciles.
//!
//! Only directories are watched, and only quiet ones. The first event in a directory stops the watch; from then on it is
//! looked at at intervals, until a look finds nothing new. So a file that is written to all the time costs no events, and
//! a file that was idle is noticed at once. [`Rounds`] decides which directory is looked at when; [`Watch`] is the
//! operating system's side of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::{Condvar, Mutex};

use crate::discover::Scan;

/// Wakes the reading thread, and tells it why; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Signal {
    shared: Arc<(Mutex<Reasons>, Condvar)>,
}

#[derive(Debug, Default)]
struct Reasons {
    woken: bool,
    stop: bool,
    /// What was missed cannot be told.
    all: bool,
    dirs: HashSet<PathBuf>,
    /// Directories that events are wanted from: this bounds `dirs`.
    armed: HashSet<PathBuf>,
}

/// Why the reading thread was woken.
#[derive(Debug, Default)]
pub struct Hints {
    /// Something happened in these directories.
    pub dirs: HashSet<PathBuf>,
    /// Events were dropped: anything may have happened.
    pub all: bool,
}

impl Signal {
    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        self.with(|_| {});
    }

    /// Asks the reading thread to stop.
    pub fn stop(&self) {
        self.with(|reasons| reasons.stop = true);
    }

    /// Whether it should stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.0.lock().stop
    }

    /// Waits until woken, or for this long.
    pub fn wait(&self, timeout: Duration) {
        let (reasons, condition) = &*self.shared;
        let mut reasons = reasons.lock();
        if !reasons.woken {
            condition.wait_for(&mut reasons, timeout);
        }
        reasons.woken = false;
    }

    /// The hints since this was last asked.
    #[must_use]
    pub fn take_hints(&self) -> Hints {
        let mut reasons = self.shared.0.lock();
        Hints {
            dirs: std::mem::take(&mut reasons.dirs),
            all: std::mem::take(&mut reasons.all),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Reasons)) {
        let (reasons, condition) = &*self.shared;
        let mut reasons = reasons.lock();
        change(&mut reasons);
        reasons.woken = true;
        condition.notify_one();
    }

    fn event(&self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            self.with(|reasons| reasons.all = true);
            return;
        };
        if event.need_rescan() {
            self.with(|reasons| reasons.all = true);
        } else if !matches!(event.kind, EventKind::Access(_)) {
            let mut reasons = self.shared.0.lock();
            let dirs = event
                .paths
                .iter()
                .flat_map(|path| [path.parent(), Some(path)])
                .flatten();
            let dirs: Vec<_> = dirs
                .filter(|dir| reasons.armed.contains(*dir))
                .map(Path::to_owned)
                .collect();
            if !dirs.is_empty() {
                reasons.dirs.extend(dirs);
                reasons.woken = true;
                self.shared.1.notify_one();
            }
        }
    }
}

/// The operating system's watches on directories.
#[derive(Debug)]
pub struct Watch {
    signal: Signal,
    watcher: Option<RecommendedWatcher>,
    warned: bool,
}

impl Watch {
    /// Watches with what the system offers; without it, everything is polled.
    #[must_use]
    pub fn new(signal: Signal) -> Self {
        let hints = signal.clone();
        let watcher = notify::recommended_watcher(move |event| hints.event(event));
        let mut watch = Self {
            signal,
            watcher: None,
            warned: false,
        };
        match watcher {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.warn(&error),
        }
        watch
    }

    /// Watches nothing: everything is polled.
    #[must_use]
    pub fn off(signal: Signal) -> Self {
        Self {
            signal,
            watcher: None,
            warned: true,
        }
    }

    /// Wants events from all of these directories; false if that cannot be had.
    pub fn arm(&mut self, dirs: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        for dir in dirs {
            if !self.signal.shared.0.lock().armed.insert(dir.clone()) {
                continue;
            }
            if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
                if !matches!(error.kind, ErrorKind::PathNotFound) {
                    self.warn(&error);
                }
                self.disarm(dirs);
                return false;
            }
        }
        true
    }

    /// Wants no events from these directories.
    pub fn disarm(&mut self, dirs: &[PathBuf]) {
        for dir in dirs {
            let was_armed = self.signal.shared.0.lock().armed.remove(dir);
            if let Some(watcher) = self.watcher.as_mut().filter(|_| was_armed)
                && let Err(error) = watcher.unwatch(dir)
            {
                // A directory that was deleted has lost its watch already.
                tracing::debug!(dir = %dir.display(), %error, "cannot stop watching a directory");
            }
        }
    }

    fn warn(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                %error,
                "cannot watch all directories, so some are polled every second; \
                 raise fs.inotify.max_user_watches and fs.inotify.max_user_instances to save that"
            );
        }
    }
}

/// A directory that changes is looked at this often, …
const BUSY_INTERVAL: Duration = Duration::from_millis(250);
/// … one that does not, but cannot be watched, this often, …
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(1);
/// … and both less often if they hold many names: a look costs about two microseconds for each, and may take a fiftieth
/// of the time.
const INTERVAL_PER_NAME: Duration = Duration::from_micros(100);

/// Which directory is looked at when: no I/O, only the timetable.
#[derive(Debug, Default)]
pub struct Rounds {
    dirs: HashMap<Arc<Path>, Round>,
    agenda: BTreeSet<(Duration, Arc<Path>)>,
    /// For a directory that files are linked from: those that really have them, and the other way round.
    real_dirs: HashMap<PathBuf, HashSet<PathBuf>>,
    linking_dirs: HashMap<PathBuf, HashSet<PathBuf>>,
}

#[derive(Debug)]
struct Round {
    /// Not while it is watched.
    due: Option<Duration>,
    looked_at: Duration,
    interval: Duration,
}

impl Rounds {
    /// Takes in what a scan met. New directories are due at once. Returns those that are no more, after a scan of
    /// everything.
    pub fn meet(&mut self, scan: &Scan, complete: bool, now: Duration) -> Vec<PathBuf> {
        for (real, linking) in &scan.linked {
            self.real_dirs.entry(linking.clone()).or_default().insert(real.clone());
            self.linking_dirs
                .entry(real.clone())
                .or_default()
                .insert(linking.clone());
        }
        for dir in &scan.dirs {
            if !self.dirs.contains_key(dir.as_path()) {
                let dir: Arc<Path> = dir.as_path().into();
                let round = Round {
                    due: None,
                    looked_at: now,
                    interval: BUSY_INTERVAL,
                };
                self.dirs.insert(Arc::clone(&dir), round);
                self.set(&dir, Some(now));
            }
        }
        if !complete {
            return Vec::new();
        }
        let gone: Vec<_> = self
            .dirs
            .keys()
            .filter(|dir| !scan.dirs.contains(&***dir))
            .cloned()
            .collect();
        gone.iter()
            .flat_map(|dir| {
                let watched = self.watched_for(dir);
                self.set(dir, None);
                self.dirs.remove(dir);
                self.real_dirs.remove(&**dir);
                watched
            })
            .collect()
    }

    /// Something happened in a directory: it is due, but not too soon after the last look. Returns what was watched for
    /// the directories concerned, of which no more events are wanted.
    pub fn hint(&mut self, dir: &Path) -> Vec<PathBuf> {
        let linking = self.linking_dirs.get(dir).into_iter().flatten();
        let concerned: Vec<PathBuf> = linking.cloned().chain([dir.to_owned()]).collect();
        concerned
            .iter()
            .flat_map(|dir| {
                let Some((dir, round)) = self.dirs.get_key_value(dir.as_path()) else {
                    return Vec::new();
                };
                let (dir, due) = (Arc::clone(dir), round.looked_at + round.interval);
                if round.due.is_none_or(|planned| due < planned) {
                    self.set(&dir, Some(due));
                }
                self.watched_for(&dir)
            })
            .collect()
    }

    /// Anything may have happened: every directory is due.
    pub fn hint_all(&mut self) -> Vec<PathBuf> {
        let dirs: Vec<_> = self.dirs.keys().cloned().collect();
        dirs.iter().flat_map(|dir| self.hint(dir)).collect()
    }

    /// The next directory that is due.
    pub fn next(&mut self, now: Duration) -> Option<PathBuf> {
        let (_, dir) = self.agenda.first().filter(|(due, _)| *due <= now)?.clone();
        self.set(&dir, None);
        Some(dir.to_path_buf())
    }

    /// When a directory is due next.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.agenda.first().map(|(due, _)| *due)
    }

    /// What to watch to learn of changes in a directory: it, and where the links in it lead.
    #[must_use]
    pub fn watched_for(&self, dir: &Path) -> Vec<PathBuf> {
        let real = self.real_dirs.get(dir).into_iter().flatten();
        real.cloned().chain([dir.to_owned()]).collect()
    }

    /// A directory was looked at, and so many names in it.
    pub fn looked(&mut self, dir: &Path, names: usize, outcome: Outcome, now: Duration) {
        let Some((dir, round)) = self.dirs.get_key_value(dir) else {
            return;
        };
        let dir = Arc::clone(dir);
        let cost = INTERVAL_PER_NAME.saturating_mul(u32::try_from(names).unwrap_or(u32::MAX));
        let due = match outcome {
            Outcome::Changed => Some(now + BUSY_INTERVAL.max(cost)),
            Outcome::Unwatched => Some(now + UNWATCHED_INTERVAL.max(cost)),
            Outcome::Watched => None,
        };
        let planned = round.due.filter(|_| due.is_some());
        self.set(&dir, planned.into_iter().chain(due).min());
        if let Some(round) = self.dirs.get_mut(&dir) {
            (round.looked_at, round.interval) = (now, BUSY_INTERVAL.max(cost));
        }
    }

    fn set(&mut self, dir: &Arc<Path>, due: Option<Duration>) {
        if let Some(round) = self.dirs.get_mut(dir) {
            if let Some(planned) = std::mem::replace(&mut round.due, due) {
                self.agenda.remove(&(planned, Arc::clone(dir)));
            }
            if let Some(due) = due {
                self.agenda.insert((due, Arc::clone(dir)));
            }
        }
    }
}

/// What a look at a directory gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was new: look again soon.
    Changed,
    /// Nothing was new, and an event will tell when that changes.
    Watched,
    /// Nothing was new, but no event will tell.
    Unwatched,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn meeting(dirs: &[&str]) -> Scan {
        let mut scan = Scan::default();
        scan.dirs.extend(dirs.iter().map(PathBuf::from));
        scan
    }

    #[test]
    fn a_new_directory_is_due_at_once_and_a_watched_one_not_until_a_hint() {
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&["/a"]), true, SECOND);
        assert_eq!(rounds.next(SECOND), Some(PathBuf::from("/a")));
        assert_eq!(rounds.next(SECOND), None);
        rounds.looked(Path::new("/a"), 3, Outcome::Watched, SECOND);
        assert_eq!(rounds.next_due(), None);
        assert_eq!(rounds.hint(Path::new("/a")), [PathBuf::from("/a")]);
        assert_eq!(rounds.next(SECOND), None, "too soon after the last look");
        assert_eq!(rounds.next(SECOND * 2), Some(PathBuf::from("/a")));
    }

    #[test]
    fn a_directory_with_many_names_is_looked_at_less_often() {
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&["/few", "/many"]), true, SECOND);
        while let Some(dir) = rounds.next(SECOND) {
            let names = if dir.ends_with("many") { 100_000 } else { 10 };
            rounds.looked(&dir, names, Outcome::Changed, SECOND);
        }
        assert_eq!(rounds.next_due(), Some(SECOND + BUSY_INTERVAL));
        assert_eq!(rounds.next(SECOND * 10), Some(PathBuf::from("/few")));
        assert_eq!(rounds.next_due(), Some(SECOND * 11));
    }

    #[test]
    fn a_hint_where_a_file_really_is_concerns_the_directory_that_links_to_it() {
        let mut rounds = Rounds::default();
        let mut scan = meeting(&["/links"]);
        scan.linked.push((PathBuf::from("/real"), PathBuf::from("/links")));
        rounds.meet(&scan, true, SECOND);
        assert_eq!(
            rounds.watched_for(Path::new("/links")),
            [PathBuf::from("/real"), PathBuf::from("/links")]
        );
        rounds.next(SECOND);
        rounds.looked(Path::new("/links"), 1, Outcome::Watched, SECOND);
        rounds.hint(Path::new("/real"));
        assert_eq!(rounds.next(SECOND * 2), Some(PathBuf::from("/links")));
    }

    #[test]
    fn a_directory_that_is_gone_is_forgotten_after_a_scan_of_everything() {
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&["/a", "/b"]), true, SECOND);
        assert!(rounds.meet(&meeting(&["/a"]), false, SECOND).is_empty());
        assert_eq!(rounds.meet(&meeting(&["/a"]), true, SECOND), [PathBuf::from("/b")]);
        assert_eq!(rounds.next(SECOND), Some(PathBuf::from("/a")));
        assert_eq!(rounds.next(SECOND), None);
    }

    #[test]
    fn a_change_in_a_watched_directory_is_hinted_and_in_others_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let signal = Signal::default();
        let mut watch = Watch::new(signal.clone());
        assert!(watch.arm(std::slice::from_ref(&path)));
        assert!(!watch.arm(&[path.join("missing")]));
        std::fs::write(path.join("a.log"), "line\n").unwrap();
        let hinted = || {
            (0..500).any(|_| {
                signal.wait(Duration::from_millis(10));
                signal.take_hints().dirs.contains(&path)
            })
        };
        assert!(hinted());
        watch.disarm(std::slice::from_ref(&path));
        let unwanted = notify::Event::new(EventKind::Any).add_path(path.join("a.log"));
        let mut access = unwanted.clone();
        access.kind = EventKind::Access(notify::event::AccessKind::Read);
        drop(signal.take_hints());
        signal.event(Ok(unwanted));
        assert!(watch.arm(std::slice::from_ref(&path)));
        signal.event(Ok(access));
        assert!(signal.take_hints().dirs.is_empty());
    }

    #[test]
    fn dropped_events_are_a_hint_at_everything() {
        let signal = Signal::default();
        signal.event(Err(notify::Error::generic("queue overflow")));
        assert!(signal.take_hints().all);
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&["/a", "/b"]), true, SECOND);
        while rounds.next(SECOND).is_some() {}
        rounds.hint_all();
        assert!(rounds.next(SECOND * 2).is_some() && rounds.next(SECOND * 2).is_some());
    }
}
