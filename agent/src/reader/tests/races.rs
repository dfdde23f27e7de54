//! A rotation that goes on while the agent looks: at every one of its operations, one after the other.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use tailrace_shared::disk::{DirEntry, DiskFile, DiskLock, Metadata, OpenMode};

use super::*;

/// A disk where something else happens before the operations of the agent.
struct Meddled {
    disk: SimDisk,
    /// Operations until the next step.
    left: AtomicI64,
    steps: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Meddled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meddled").finish_non_exhaustive()
    }
}

impl Meddled {
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

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.disk.lock(path)
    }
}

/// What a rotation does, one after the other.
fn steps_of_rotation(programs: &SimDisk, line: usize) -> Vec<Box<dyn FnOnce() + Send>> {
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
    steps.push(Box::new(move || write(&programs, LOG, &format!("{line}\n"))));
    steps
}

fn check_rotations_at(operation: i64, at_once: bool, down: bool) {
    let (disk, programs) = machine();
    write(&programs, LOG, "0\n");
    let mut rig = Rig::new(disk.clone(), "/log/*.log");
    rig.run(SECOND);
    let disk = disk.restart();
    let meddled = |disk: SimDisk| {
        Arc::new(Meddled {
            disk,
            left: AtomicI64::new(i64::MAX),
            steps: Mutex::default(),
        })
    };
    let meddled = meddled(disk);
    if !down {
        rig = rig.restart_with(
            Arc::clone(&meddled) as Arc<dyn Disk>,
            vec![input("/log/*.log")],
            settings(),
        );
        rig.run(SECOND * 15);
    }
    for line in 1..=2 {
        steps_of_rotation(&programs, line).into_iter().for_each(|step| step());
    }
    let mut steps: Vec<_> = (3..=4).flat_map(|line| steps_of_rotation(&programs, line)).collect();
    if at_once {
        steps = vec![Box::new(move || steps.into_iter().for_each(|step| step()))];
    }
    steps.reverse();
    *meddled.steps.lock().unwrap() = steps;
    meddled.left.store(operation, Ordering::Relaxed);
    if down {
        rig = rig.restart_with(
            Arc::clone(&meddled) as Arc<dyn Disk>,
            vec![input("/log/*.log")],
            settings(),
        );
    }
    rig.run(SECOND * 60);
    assert!(meddled.steps.lock().unwrap().is_empty());
    let expected: Vec<_> = (0..=4).map(|line| line.to_string()).collect();
    assert_eq!(
        rig.take(),
        expected,
        "operation {operation}, at once: {at_once}, while down: {down}"
    );
    assert_eq!(rig.lost(), 0);
}

#[test]
fn a_rotation_during_the_look_for_generations_loses_and_doubles_nothing() {
    for operation in 0..70 {
        for at_once in [true, false] {
            for down in [true, false] {
                check_rotations_at(operation, at_once, down);
            }
        }
    }
}
