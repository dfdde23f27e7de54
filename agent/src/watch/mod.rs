//! Hints that a file may have changed. Every hint may be missed or doubled: a slow scan reconciles.
//!
//! Only directories are watched, and only quiet ones. The first event in a directory stops the watch; from then on it is
//! looked at at intervals, until a look finds nothing new. So a file that is written to all the time costs no events, and
//! a file that was idle is noticed at once. [`Rounds`] decides which directory is looked at when; [`Watch`] is the
//! operating system's side of it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::{Condvar, Mutex};

mod rounds;

pub use rounds::{Outcome, Rounds};

/// Wakes the reading thread, and tells it why; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Signal {
    shared: Arc<(Mutex<Reasons>, Condvar)>,
}

#[derive(Debug, Default)]
struct Reasons {
    woken: bool,
    /// How often the reading thread has looked here.
    looks: u64,
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

    /// How often the reading thread has looked for hints, as it does with every step: woken, it does so soon.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.shared.0.lock().looks
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
        reasons.looks = reasons.looks.wrapping_add(1);
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

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
