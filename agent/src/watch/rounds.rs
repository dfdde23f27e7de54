//! Which directory is looked at when: no I/O, only the timetable.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::discover::Scan;

/// A directory that changes is looked at this often, …
const BUSY_INTERVAL: Duration = Duration::from_millis(250);
/// … one that a file has just left after at least this long, …
const URGENT_INTERVAL: Duration = Duration::from_millis(10);
/// … one that does not change, but cannot be watched, this often, …
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(1);
/// … and all less often if they hold many names: a look costs about two microseconds for each, and all that change may take about
/// a twenty-fifth of the time.
const INTERVAL_PER_NAME: Duration = Duration::from_micros(100);

/// Which directory is looked at when: no I/O, only the timetable.
#[derive(Debug, Default)]
pub struct Rounds {
    dirs: HashMap<Arc<Path>, Round>,
    agenda: BTreeSet<(Duration, Arc<Path>)>,
    /// What the directories on the agenda cost together.
    agenda_cost: Duration,
    /// For a directory that has links to files: the directories that really have them.
    real_dirs: HashMap<PathBuf, BTreeSet<PathBuf>>,
}

#[derive(Debug)]
struct Round {
    /// Not while it is watched.
    due: Option<Duration>,
    looked_at: Duration,
    /// How long it should be left alone for what a look costs.
    cost: Duration,
}

impl Rounds {
    /// Takes in what a scan met. New directories are due at once. Returns what need not be watched any more: where links
    /// no longer lead, and, after a scan of everything, directories that are no more.
    pub fn meet(&mut self, scan: &Scan, complete: bool, now: Duration) -> Vec<PathBuf> {
        let mut unwanted = self.meet_links(scan);
        for dir in &scan.dirs {
            if !self.dirs.contains_key(dir.as_path()) {
                let dir: Arc<Path> = dir.as_path().into();
                let round = Round {
                    due: None,
                    looked_at: now,
                    cost: Duration::ZERO,
                };
                self.dirs.insert(Arc::clone(&dir), round);
                self.set(&dir, Some(now));
            }
        }
        if complete {
            let known = self.dirs.keys();
            let gone: Vec<_> = known.filter(|dir| !scan.dirs.contains(&***dir)).cloned().collect();
            for dir in gone {
                unwanted.extend(self.watched_for(&dir));
                self.set(&dir, None);
                self.dirs.remove(&dir);
                self.real_dirs.remove(&*dir);
            }
        }
        unwanted
    }

    /// Where the links in the directories that were looked at lead now; returns where they no longer do.
    fn meet_links(&mut self, scan: &Scan) -> Vec<PathBuf> {
        let mut links: HashMap<&PathBuf, BTreeSet<PathBuf>> = HashMap::new();
        for (real, linking) in &scan.linked {
            links.entry(linking).or_default().insert(real.clone());
        }
        let mut unwanted = Vec::new();
        for dir in &scan.dirs {
            let now = links.remove(dir).unwrap_or_default();
            if let Some(before) = self.real_dirs.remove(dir) {
                unwanted.extend(before.difference(&now).cloned());
            }
            if !now.is_empty() {
                self.real_dirs.insert(dir.clone(), now);
            }
        }
        unwanted
    }

    /// Something happened in a directory: it is due, but not too soon after the last look. Returns what was watched for
    /// the directories concerned, of which no more events are wanted.
    pub fn hint(&mut self, dir: &Path) -> Vec<PathBuf> {
        self.make_due(dir, |round| round.looked_at + BUSY_INTERVAL.max(round.cost))
    }

    /// A followed file is not where it was: its directory is due as soon as the cost of a look allows. What took its place
    /// may be gone in a moment.
    pub fn urge(&mut self, dir: &Path) -> Vec<PathBuf> {
        self.make_due(dir, |round| round.looked_at + URGENT_INTERVAL.max(round.cost))
    }

    fn make_due(&mut self, dir: &Path, when: impl Fn(&Round) -> Duration) -> Vec<PathBuf> {
        let linking = self.real_dirs.iter().filter(|(_, real)| real.contains(dir));
        let linking = linking.map(|(linking, _)| linking.clone());
        let concerned: Vec<PathBuf> = linking.chain([dir.to_owned()]).collect();
        concerned
            .iter()
            .flat_map(|dir| {
                let Some((dir, round)) = self.dirs.get_key_value(dir.as_path()) else {
                    return Vec::new();
                };
                let (dir, due) = (Arc::clone(dir), when(round));
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
        let planned = round.due;
        self.set(&dir, None);
        // One of many names waits for all of them, one of few for as many like itself.
        let alike = u32::try_from(self.agenda.len() + 1).unwrap_or(u32::MAX);
        let share = cost.saturating_mul(alike).min(self.agenda_cost + cost);
        let due = match outcome {
            Outcome::Changed => Some(now + BUSY_INTERVAL.max(share)),
            Outcome::Unwatched => Some(now + UNWATCHED_INTERVAL.max(share)),
            Outcome::Watched => None,
        };
        if let Some(round) = self.dirs.get_mut(&dir) {
            (round.looked_at, round.cost) = (now, cost);
        }
        let planned = planned.filter(|_| due.is_some());
        self.set(&dir, planned.into_iter().chain(due).min());
    }

    fn set(&mut self, dir: &Arc<Path>, due: Option<Duration>) {
        if let Some(round) = self.dirs.get_mut(dir) {
            if let Some(planned) = std::mem::replace(&mut round.due, due) {
                self.agenda.remove(&(planned, Arc::clone(dir)));
                self.agenda_cost -= round.cost;
            }
            if let Some(due) = due {
                self.agenda.insert((due, Arc::clone(dir)));
                self.agenda_cost += round.cost;
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
    fn a_directory_that_a_file_has_left_is_looked_at_without_delay() {
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&["/a"]), true, SECOND);
        rounds.next(SECOND);
        rounds.looked(Path::new("/a"), 3, Outcome::Changed, SECOND);
        rounds.urge(Path::new("/a"));
        assert_eq!(rounds.next_due(), Some(SECOND + URGENT_INTERVAL));
        rounds.next(SECOND * 2);
        rounds.looked(Path::new("/a"), 10_000, Outcome::Changed, SECOND * 2);
        rounds.urge(Path::new("/a"));
        assert_eq!(rounds.next_due(), Some(SECOND * 3));
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
        let both = Duration::from_millis(10_001);
        assert_eq!(rounds.next_due(), Some(SECOND + both));
    }

    #[test]
    fn many_directories_share_the_time_that_looks_may_take() {
        let names: Vec<_> = (0..10).map(|number| format!("/{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&names), true, SECOND);
        let mut look_at_all = |now| {
            while let Some(dir) = rounds.next(now) {
                rounds.looked(&dir, 1000, Outcome::Changed, now);
            }
            rounds.next_due().unwrap()
        };
        let next = look_at_all(SECOND);
        assert!(next >= SECOND + BUSY_INTERVAL);
        assert_eq!(
            look_at_all(SECOND * 10),
            SECOND * 11,
            "each costs 100 ms, and there are ten"
        );
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
        let elsewhere = meeting(&["/links"]);
        assert_eq!(rounds.meet(&elsewhere, false, SECOND), [PathBuf::from("/real")]);
        assert_eq!(rounds.watched_for(Path::new("/links")), [PathBuf::from("/links")]);
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
    fn a_hint_at_everything_makes_every_directory_due() {
        let mut rounds = Rounds::default();
        rounds.meet(&meeting(&["/a", "/b"]), true, SECOND);
        while rounds.next(SECOND).is_some() {}
        rounds.hint_all();
        assert!(rounds.next(SECOND * 2).is_some() && rounds.next(SECOND * 2).is_some());
    }
}
