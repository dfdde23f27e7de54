//! A rotation that goes on while the agent looks: at every one of its operations, one after the other.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tailrace_shared::disk::{DirEntry, DiskFile, DiskLock, Metadata, OpenMode, Space};

use super::*;

/// A disk where something else happens before the operations of the agent.
pub(super) struct Meddled {
    disk: SimDisk,
    /// Operations until the next step.
    left: AtomicI64,
    steps: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    listings: AtomicU64,
}

impl std::fmt::Debug for Meddled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meddled").finish_non_exhaustive()
    }
}

impl Meddled {
    pub(super) fn new(disk: SimDisk) -> Arc<Self> {
        Arc::new(Self {
            disk,
            left: AtomicI64::new(i64::MAX),
            steps: Mutex::default(),
            listings: AtomicU64::new(0),
        })
    }

    /// How often a directory was listed so far.
    pub(super) fn listings(&self) -> u64 {
        self.listings.load(Ordering::Relaxed)
    }

    fn meddle(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0
            && let Some(step) = self.steps.lock().unwrap().pop()
        {
            step();
        }
    }
}

impl Disk for Meddled {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.meddle();
        self.disk.open(path, mode)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        self.meddle();
        self.disk.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.meddle();
        self.disk.metadata(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.meddle();
        self.disk.canonicalize(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.disk.lock(path)
    }
}

/// What a rotation does, one after the other.
fn steps_of_rotation(programs: &SimDisk, generation: usize) -> Vec<Box<dyn FnOnce() + Send>> {
    let mut steps: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for number in (0..8).rev() {
        let programs = programs.clone();
        let from = if number == 0 {
            LOG.to_owned()
        } else {
            format!("{LOG}.{number}")
        };
        steps.push(Box::new(move || {
            // Not all of them are there.
            drop(programs.rename(Path::new(&from), Path::new(&format!("{LOG}.{}", number + 1))));
        }));
    }
    let programs = programs.clone();
    steps.push(Box::new(move || write(&programs, LOG, &text(generation, 0..LINES))));
    steps
}

fn lines(generation: usize, numbers: Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(move |number| format!("{generation} {number}"))
}

fn text(generation: usize, numbers: Range<usize>) -> String {
    lines(generation, numbers).map(|line| line + "\n").collect()
}

/// Rotations at one operation of the agent, and as it goes on from there.
#[derive(Debug, Clone, Copy)]
struct Case {
    operation: i64,
    /// All that rotations do happens at that operation, rather than a step at each that follows.
    at_once: bool,
    /// The operation is one of a process that begins.
    down: bool,
    /// So many rotations were before.
    before: usize,
    /// The process is killed after so many steps.
    killed_after: Option<usize>,
}

/// How many lines each file has, of which a few are read at once.
const LINES: usize = 30;

impl Case {
    fn check(self) {
        let (disk, programs) = machine();
        let inputs = || vec![input("/log/*.log")];
        let settings = || Settings {
            tail: Limits {
                chunk_len: 16,
                ..Limits::default()
            },
            ..settings()
        };
        let rotation = |generation| steps_of_rotation(&programs, generation);
        write(&programs, LOG, &text(0, 0..1));
        let mut rig = Rig::with(Arc::new(disk.clone()), inputs(), settings(), Vec::new());
        rig.run(SECOND);
        let meddled = Meddled::new(disk.restart());
        let next = |rig: Rig| rig.restart_with(Arc::clone(&meddled) as Arc<dyn Disk>, inputs(), settings());
        if !self.down {
            rig = next(rig);
            rig.run(SECOND * 15);
        }
        // Of the last known file not all was read.
        write(&programs, LOG, &text(0, 1..LINES));
        for generation in 1..=self.before {
            rotation(generation).into_iter().for_each(|step| step());
        }
        let last = self.before + 2;
        let mut steps: Vec<_> = (self.before + 1..=last).flat_map(rotation).collect();
        if self.at_once {
            steps = vec![Box::new(move || steps.into_iter().for_each(|step| step()))];
        }
        steps.reverse();
        *meddled.steps.lock().unwrap() = steps;
        meddled.left.store(self.operation, Ordering::Relaxed);
        if self.down {
            rig = next(rig);
        }
        if let Some(steps) = self.killed_after {
            for _ in 0..steps {
                rig.reader.step().unwrap();
                rig.receive();
            }
            rig = next(rig);
        }
        rig.run(SECOND * 60);
        assert!(meddled.steps.lock().unwrap().is_empty());
        let expected: Vec<_> = (0..=last).flat_map(|generation| lines(generation, 0..LINES)).collect();
        assert_eq!(rig.take(), expected, "{self:?}");
        assert_eq!(rig.lost(), 0);
    }
}

#[test]
fn a_rotation_while_the_agent_looks_loses_and_doubles_nothing_and_keeps_the_order() {
    for operation in 0..70 {
        for (at_once, down) in [(true, true), (true, false), (false, true), (false, false)] {
            for (before, killed_after) in [(0, None), (2, None), (0, Some(2)), (2, Some(5))] {
                let case = Case {
                    operation,
                    at_once,
                    down,
                    before,
                    killed_after,
                };
                case.check();
            }
        }
    }
}
