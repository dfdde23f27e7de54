//! What every [`Disk`] must do, run against each of them, so that the simulated one cannot drift from the real one.

use std::io::ErrorKind;
use std::path::Path;

use super::sim::SimDisk;
use super::{ALIGN, Disk, DiskFile, FileKind, OpenMode, RealDisk, read_exact_at};

fn conforms(disk: &dyn Disk, root: &Path) {
    files_hold_what_was_written(disk, &root.join("files"));
    direct_writes_are_writes(disk, &root.join("direct"));
    preallocation_reads_as_zeros(disk, &root.join("preallocated"));
    handles_outlive_names(disk, &root.join("handles"));
    links_are_names_of_the_same_file(disk, &root.join("links"));
    renames_replace_only_when_told(disk, &root.join("renames"));
    directories_are_made_and_listed(disk, &root.join("dirs"));
    directories_are_modified_by_names(disk, &root.join("modified"));
    threads_may_make_the_same_names(disk, &root.join("threads"));
    locks_exclude(disk, &root.join("locks"));
    missing_files_are_not_found(disk, &root.join("missing"));
}

fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> std::sync::Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    read_open(&*disk.open(path, OpenMode::Read).unwrap())
}

fn read_open(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len).unwrap()];
    read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = disk
        .list(dir)
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn files_hold_what_was_written(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let path = dir.join("a");
    let file = write_new(disk, &path, b"hello");
    file.write_all_at(b"world", 8).unwrap();
    assert_eq!(read(disk, &path), b"hello\0\0\0world");
    file.sync_data().unwrap();
    assert_eq!(file.read_stable().unwrap(), b"hello\0\0\0world");
    file.set_len(2).unwrap();
    file.set_len(4).unwrap();
    assert_eq!(read_open(&*file), b"he\0\0");
    assert_eq!(file.read_at(&mut [0; 8], 4).unwrap(), 0);
    assert_eq!(file.read_at(&mut [0; 8], 100).unwrap(), 0);
    assert_eq!(file.read_at(&mut [0; 8], 3).unwrap(), 1);
    let large: Vec<u8> = (0..3_000_001_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    file.write_all_at(&large, 0).unwrap();
    assert!(
        file.read_stable().unwrap() == large,
        "dirty pages are part of the stable content"
    );
    file.set_len(8192).unwrap();
    assert!(file.read_stable().unwrap() == large[..8192]);
    assert!(disk.open(&path, OpenMode::Read).unwrap().write_all_at(b"x", 0).is_err());
    assert_eq!(
        disk.open(&path, OpenMode::CreateNew).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
}

/// Aligned or not: the same bytes, whichever way they are read.
fn direct_writes_are_writes(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let file = write_new(disk, &dir.join("a"), &[b'-'; 3 * ALIGN]);
    let memory = vec![b'x'; 3 * ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    let mut expected = vec![b'-'; 3 * ALIGN];
    for (from, len, offset) in [
        (start, ALIGN, ALIGN),
        (start + 1, ALIGN, 0),
        (start, 7, 5),
        (start, 2 * ALIGN, 2 * ALIGN),
    ] {
        file.write_direct_at(&memory[from..from + len], offset as u64).unwrap();
        expected.resize(expected.len().max(offset + len), 0);
        expected[offset..offset + len].fill(b'x');
        assert!(read_open(&*file) == expected, "{len} bytes at {offset}");
    }
    file.sync_data().unwrap();
    assert!(file.read_stable().unwrap() == expected);
}

fn preallocation_reads_as_zeros(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let file = write_new(disk, &dir.join("a"), b"old");
    file.preallocate(300_000).unwrap();
    assert_eq!(file.metadata().unwrap().len, 300_000);
    assert!(read_open(&*file).iter().all(|byte| *byte == 0));
    file.preallocate(10).unwrap();
    file.preallocate(0).unwrap();
    assert_eq!(file.metadata().unwrap().len, 300_000);
    let reserved = write_new(disk, &dir.join("b"), b"");
    reserved.reserve(5000).unwrap();
    assert_eq!(read_open(&*reserved), [0; 5000]);
    let free = disk.space(dir).unwrap().free_bytes;
    for (error, len) in [
        (
            file.preallocate(free.saturating_mul(4)).unwrap_err(),
            file.metadata().unwrap().len,
        ),
        (
            reserved.reserve(free.saturating_mul(4)).unwrap_err(),
            295_000 + reserved.metadata().unwrap().len,
        ),
    ] {
        assert!(
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge),
            "{error:?}"
        );
        assert_eq!(len, 300_000);
    }
}

fn handles_outlive_names(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let (a, b) = (dir.join("a"), dir.join("b"));
    let file = write_new(disk, &a, b"first");
    let id = file.metadata().unwrap().id;
    assert_eq!(file.metadata().unwrap().links, 1);
    disk.rename(&a, &b).unwrap();
    assert_eq!(disk.metadata(&b).unwrap().id, id);
    write_new(disk, &a, b"second");
    assert_ne!(disk.metadata(&a).unwrap().id, id);
    file.write_all_at(b"F", 0).unwrap();
    disk.remove(&b).unwrap();
    assert_eq!(file.metadata().unwrap().links, 0);
    assert_eq!(file.metadata().unwrap().id, id);
    assert_eq!(read_open(&*file), b"First");
    assert_eq!(file.read_stable().unwrap(), b"First");
    assert_eq!(read(disk, &a), b"second");
}

fn links_are_names_of_the_same_file(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
    let file = write_new(disk, &a, b"same");
    write_new(disk, &b, b"other");
    assert_eq!(disk.link(&a, &b).unwrap_err().kind(), ErrorKind::AlreadyExists);
    disk.link(&a, &c).unwrap();
    assert_eq!(file.metadata().unwrap().links, 2);
    disk.remove(&a).unwrap();
    assert_eq!((read(disk, &b), read(disk, &c)), (b"other".to_vec(), b"same".to_vec()));
    assert_eq!(disk.link(&a, &a).unwrap_err().kind(), ErrorKind::NotFound);
}

fn renames_replace_only_when_told(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(&dir.join("sub")).unwrap();
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("sub/c"));
    write_new(disk, &a, b"a");
    write_new(disk, &b, b"b");
    assert_eq!(disk.rename_new(&a, &b).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!((read(disk, &a), read(disk, &b)), (b"a".to_vec(), b"b".to_vec()));
    disk.rename_new(&a, &c).unwrap();
    assert_eq!(names(disk, dir), ["b", "sub"]);
    assert_eq!(disk.metadata(&c).unwrap().links, 1);
    disk.rename(&c, &b).unwrap();
    assert_eq!(read(disk, &b), b"a");
    assert_eq!(names(disk, &dir.join("sub")), [""; 0]);
    disk.rename(&b, &b).unwrap();
    assert_eq!(read(disk, &b), b"a");
    assert!(disk.rename(&b, &dir.join("sub")).is_err());
}

fn directories_are_made_and_listed(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(&dir.join("x/y")).unwrap();
    disk.create_dir_all(&dir.join("x/y")).unwrap();
    write_new(disk, &dir.join("file"), b"");
    disk.sync_dir(dir).unwrap();
    assert_eq!(names(disk, dir), ["file", "x"]);
    let kinds = disk.list(dir).unwrap();
    assert!(
        kinds
            .iter()
            .all(|entry| (entry.kind == FileKind::Dir) == (entry.name == "x"))
    );
    assert_eq!(disk.metadata(&dir.join("x")).unwrap().kind, FileKind::Dir);
    assert_eq!(disk.metadata(&dir.join("file")).unwrap().kind, FileKind::File);
    assert_eq!(
        disk.canonicalize(&dir.join("x/../x/./y")).unwrap(),
        disk.canonicalize(dir).unwrap().join("x/y")
    );
    assert!(disk.create_dir_all(&dir.join("file")).is_err());
    assert!(disk.create_dir_all(&dir.join("file/below")).is_err());
    assert!(disk.remove(&dir.join("x")).is_err());
}

/// And by nothing else: not by what is written to the files.
fn directories_are_modified_by_names(disk: &dyn Disk, dir: &Path) {
    let other = &dir.join("other");
    disk.create_dir_all(other).unwrap();
    let modified = || {
        // File systems keep it in steps.
        std::thread::sleep(std::time::Duration::from_millis(20));
        [dir, other].map(|dir| disk.metadata(dir).unwrap().modified_ms)
    };
    let changed = |change: &dyn Fn()| {
        let before = modified();
        change();
        let after = modified();
        [before[0] != after[0], before[1] != after[1]]
    };
    let (a, b) = (dir.join("a"), other.join("b"));
    assert_eq!(changed(&|| drop(write_new(disk, &a, b"x"))), [true, false]);
    let write = || {
        let file = disk.open(&a, OpenMode::ReadWrite).unwrap();
        file.write_all_at(b"more", 1).unwrap();
    };
    assert_eq!(changed(&write), [false, false]);
    assert_eq!(changed(&|| disk.link(&a, &b).unwrap()), [false, true]);
    assert_eq!(
        changed(&|| disk.rename(&a, &b.with_file_name("c")).unwrap()),
        [true, true]
    );
    assert_eq!(changed(&|| disk.remove(&b).unwrap()), [false, true]);
}

fn threads_may_make_the_same_names(disk: &dyn Disk, dir: &Path) {
    let deep = &dir.join("x/y");
    let make = |number: usize| {
        disk.create_dir_all(deep).unwrap();
        write_new(disk, &deep.join(number.to_string()), b"");
        disk.lock(&deep.join("lock"))
    };
    let locks = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || make(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(locks.iter().flatten().count(), 1);
    assert_eq!(names(disk, deep), ["0", "1", "2", "3", "lock"]);
}

fn locks_exclude(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let path = dir.join("lock");
    let held = disk.lock(&path).unwrap();
    assert_eq!(disk.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    disk.lock(&path).unwrap();
}

fn missing_files_are_not_found(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    let (missing, below) = (dir.join("missing"), dir.join("missing/file"));
    let kinds = [
        disk.open(&missing, OpenMode::Read).unwrap_err().kind(),
        disk.open(&missing, OpenMode::ReadWrite).unwrap_err().kind(),
        disk.open(&below, OpenMode::CreateNew).unwrap_err().kind(),
        disk.remove(&missing).unwrap_err().kind(),
        disk.rename(&missing, &below).unwrap_err().kind(),
        disk.rename_new(&missing, &dir.join("b")).unwrap_err().kind(),
        disk.list(&missing).unwrap_err().kind(),
        disk.sync_dir(&missing).unwrap_err().kind(),
        disk.metadata(&missing).unwrap_err().kind(),
        disk.canonicalize(&missing).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::NotFound; 10]);
}

#[test]
fn the_real_disk_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&RealDisk, dir.path());
}

/// `/dev/shm` refuses or fakes `O_DIRECT`, depending on the kernel: the way around it must work as well.
#[test]
fn the_real_disk_conforms_in_memory() {
    if let Ok(dir) = tempfile::tempdir_in("/dev/shm") {
        conforms(&RealDisk, dir.path());
    }
}

#[test]
fn the_simulated_disk_conforms() {
    let disk = SimDisk::new(1);
    disk.set_capacity(64 << 20);
    conforms(&disk, Path::new("/root"));
    conforms(&disk.outsider(), Path::new("/other"));
}
