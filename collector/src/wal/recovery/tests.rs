//! A test per row of the table.

use std::path::Path;

use tailrace_shared::disk::sim::{PowerLoss, SimDisk};

use super::super::codec::checksum;
use super::super::tests::{KIB, batches, commit, open, options, summary, wait_for_next_file};
use super::super::{Class, Wal};
use super::*;

const DIR: &str = "/wal";

/// Partition, start, end.
type Offsets = (i32, i64, i64);

fn at(incarnation: u64, file: u64) -> WalPosition {
    WalPosition { incarnation, file }
}

fn path(file: WalPosition) -> PathBuf {
    file.path(Path::new(DIR))
}

/// A clean life of one process.
fn live(disk: &SimDisk, incarnation: u64, life: impl FnOnce(&Wal)) -> Vec<Offsets> {
    live_from(disk, incarnation, None, life).unwrap()
}

fn live_from(
    disk: &SimDisk,
    incarnation: u64,
    from: Option<WalPosition>,
    life: impl FnOnce(&Wal),
) -> Result<Vec<Offsets>, WalOpenError> {
    let (wal, replayed, _) = open(options(disk), incarnation, from)?;
    wait_for_next_file(&wal);
    life(&wal);
    Ok(summary(&replayed))
}

/// One commit of one block.
fn append(wal: &Wal, start: i64) {
    commit(wal, batches(0, start..start + 1, 100));
}

/// Incarnation 1 with, in file 0, its header, offset 0 at byte 4096 and offset 1 at byte 8192.
fn two_commits() -> SimDisk {
    let disk = SimDisk::new(1);
    live(&disk, 1, |wal| {
        append(wal, 0);
        append(wal, 1);
    });
    disk
}

/// The files 0, 1 and 2 of incarnation 1, with two offsets each: 0 and 1, 2 and 3, 4 and 5.
fn three_files() -> SimDisk {
    let disk = SimDisk::new(1);
    live(&disk, 1, |wal| {
        for file in 0..3 {
            append(wal, 2 * file);
            append(wal, 2 * file + 1);
            if file < 2 {
                futures::executor::block_on(wal.roll()).unwrap();
            }
        }
    });
    disk
}

fn write(disk: &SimDisk, file: WalPosition, offset: u64, bytes: &[u8]) {
    let mode = if disk.read(&path(file)).is_ok() {
        OpenMode::ReadWrite
    } else {
        OpenMode::CreateNew
    };
    let file = disk.open(&path(file), mode).unwrap();
    file.write_all_at(bytes, offset).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
}

/// What a crash leaves of the file that was made ready ahead: a clean stop removes it.
fn make_ready(disk: &SimDisk, file: WalPosition) {
    write(disk, file, 0, &[0; 64 * KIB]);
}

/// A commit as the writer would write it.
fn encoded(file: WalPosition, offset: u64, commit: u64, frames: Vec<Frame>) -> Vec<u8> {
    let frames: Vec<Pending> = frames.into_iter().map(|frame| Pending::new(frame, None)).collect();
    let place = Place { file, offset, commit };
    encode(
        place,
        None,
        &frames,
        &mut CommitBuffer::default(),
        &FullBlocks::for_cache(0),
    )
    .bytes
    .to_vec()
}

fn refusal(disk: &SimDisk, incarnation: u64, from: Option<WalPosition>) -> String {
    let before = names(disk);
    let refused = live_from(disk, incarnation, from, |_| {});
    assert_eq!(names(disk), before, "a refusal changes nothing");
    refused.unwrap_err().to_string()
}

fn names(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    let mut names: Vec<String> = entries
        .iter()
        .map(|entry| entry.name.to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

const FRAME: usize = 72 + 100;

/// Three frames of commit 4, after `two_commits`.
fn third_commit() -> Vec<u8> {
    let frames = (0..3).map(|partition| batches(partition, 2..3, 100)).collect();
    encoded(at(1, 0), 12288, 4, frames)
}

#[test]
fn empty_directory() {
    let (wal, replayed, report) = open(options(&SimDisk::new(1)), 1, None).unwrap();
    assert!(replayed.is_empty());
    assert_eq!(report, RecoveryReport::default());
    assert_eq!(wal.current(), at(1, 0));
}

#[test]
fn torn_last_frame() {
    let disk = two_commits();
    let mut torn = third_commit();
    torn[3 * FRAME - 50..].fill(0);
    write(&disk, at(1, 0), 12288, &torn);
    let (_, replayed, report) = open(options(&disk), 2, None).unwrap();
    assert_eq!(summary(&replayed), [(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 2, 3)]);
    assert_eq!(report.rewritten_frames, 2);
    let end = LogEnd {
        path: path(at(1, 0)),
        offset: 12288 + 2 * FRAME as u64,
        found: FrameFault::WrongChecksum,
    };
    assert_eq!(report.end, Some(end));
}

#[test]
fn missing_frame_of_the_last_commit() {
    let disk = two_commits();
    let mut torn = third_commit();
    torn[FRAME..2 * FRAME].fill(0);
    write(&disk, at(1, 0), 12288, &torn);
    assert_eq!(live(&disk, 2, |_| {}), [(0, 0, 1), (0, 1, 2), (0, 2, 3)]);
}

#[test]
fn bit_flip_in_the_last_commit() {
    let disk = two_commits();
    disk.corrupt(&path(at(1, 0)), 8192 + 100).unwrap();
    assert_eq!(live(&disk, 2, |_| {}), [(0, 0, 1)]);
}

#[test]
fn bit_flip_before_committed_data() {
    let disk = two_commits();
    disk.corrupt(&path(at(1, 0)), 4096 + 100).unwrap();
    assert_eq!(
        refusal(&disk, 2, None),
        "/wal/00000000000000000001-00000000000000000000.wal is damaged: at byte 4096, where commit 2 belongs, there is \
         a frame with a wrong checksum, and it cannot be a torn end (commit 3 at byte 8192): restore the file from a \
         backup or a replica of the disk"
    );
}

#[test]
fn bit_flip_in_a_file_header() {
    let disk = three_files();
    disk.corrupt(&path(at(1, 1)), 80).unwrap();
    let refusal = refusal(&disk, 2, None);
    let expected = "/wal/00000000000000000001-00000000000000000001.wal is damaged: at byte 0, where commit 4 belongs";
    assert!(refusal.starts_with(expected), "{refusal}");
}

#[test]
fn bit_flip_in_a_sealed_incarnation() {
    let disk = two_commits();
    live(&disk, 2, |_| {});
    disk.corrupt(&path(at(1, 0)), 4096 + 100).unwrap();
    let refusal = refusal(&disk, 3, None);
    assert!(
        refusal.contains("at byte 4096") && refusal.contains("by its seal"),
        "{refusal}"
    );
}

#[test]
fn missing_file_in_the_middle() {
    let disk = three_files();
    disk.remove(&path(at(1, 1))).unwrap();
    assert_eq!(
        refusal(&disk, 2, None),
        "/wal/00000000000000000001-00000000000000000001.wal is missing, and it holds acknowledged data: restore it from \
         a backup"
    );
}

#[test]
fn missing_first_file() {
    let disk = three_files();
    disk.remove(&path(at(1, 0))).unwrap();
    assert!(refusal(&disk, 2, None).contains("00000.wal is missing"));
    let rest = live_from(&disk, 2, Some(at(1, 1)), |_| {}).unwrap();
    assert_eq!(
        rest,
        [(0, 2, 3), (0, 3, 4), (0, 4, 5), (0, 5, 6)],
        "a checkpoint behind it does without"
    );
}

#[test]
fn missing_incarnation() {
    let disk = two_commits();
    live(&disk, 2, |wal| append(wal, 2));
    disk.remove(&path(at(1, 0))).unwrap();
    assert!(refusal(&disk, 3, None).starts_with("/wal/00000000000000000001-00000000000000000000.wal is missing"));
}

#[test]
fn file_cut_in_the_middle() {
    let disk = three_files();
    disk.truncate(&path(at(1, 1)), 8192).unwrap();
    let refusal = refusal(&disk, 2, None);
    let expected =
        "/wal/00000000000000000001-00000000000000000001.wal is damaged: at byte 8192, where commit 6 belongs";
    assert!(refusal.starts_with(expected), "{refusal}");
}

#[test]
fn unknown_version() {
    let disk = two_commits();
    let mut later = encoded(at(1, 0), 12288, 4, vec![batches(0, 2..3, 100)]);
    later[12] = 2;
    let crc = checksum(at(1, 0), [&later[8..FRAME]]).to_le_bytes();
    later[4..8].copy_from_slice(&crc);
    write(&disk, at(1, 0), 12288, &later);
    assert_eq!(
        refusal(&disk, 2, None),
        "/wal/00000000000000000001-00000000000000000000.wal has, at byte 12288, a frame of version 2, and this release \
         knows up to 1: start the release that wrote it, or a later one"
    );
}

#[test]
fn stale_recycled_block() {
    let disk = three_files();
    let old = disk.read(&path(at(1, 1))).unwrap();
    write(&disk, at(1, 3), 0, &old);
    write(&disk, at(1, 2), 12288, &old[..40960]);
    let all: Vec<Offsets> = (0..6).map(|start| (0, start, start + 1)).collect();
    assert_eq!(live(&disk, 2, |_| {}), all);
}

#[test]
fn empty_preallocated_file() {
    let disk = two_commits();
    make_ready(&disk, at(1, 1));
    assert_eq!(live(&disk, 2, |_| {}), [(0, 0, 1), (0, 1, 2)]);
    assert!(!names(&disk).contains(&at(1, 1).to_string()), "removed");
}

#[test]
fn zero_length_file() {
    let disk = two_commits();
    make_ready(&disk, at(1, 1));
    disk.truncate(&path(at(1, 1)), 0).unwrap();
    assert_eq!(live(&disk, 2, |_| {}), [(0, 0, 1), (0, 1, 2)]);
}

#[test]
fn checkpoint_newer_than_the_wal() {
    for disk in [SimDisk::new(1), two_commits()] {
        disk.create_dir_all(Path::new(DIR)).unwrap();
        assert_eq!(
            refusal(&disk, 3, Some(at(2, 0))),
            "the checkpoint replays from 00000000000000000002-00000000000000000000.wal, but /wal ends before it: the \
             WAL is older than the checkpoint; restore both from the same backup"
        );
    }
    assert!(refusal(&two_commits(), 3, Some(at(1, 7))).starts_with("the checkpoint replays from"));
}

#[test]
fn checkpoint_older_than_the_wal() {
    let disk = three_files();
    live_from(&disk, 2, Some(at(1, 1)), |_| {}).unwrap();
    assert_eq!(
        refusal(&disk, 3, None),
        "the WAL in /wal starts at 00000000000000000001-00000000000000000001.wal, but there is no checkpoint: the \
         checkpoint is missing or older than the WAL; restore both from the same backup"
    );
    assert!(refusal(&disk, 3, Some(at(1, 0))).contains("but the checkpoint replays from"));
}

#[test]
fn released_file_came_back() {
    let disk = three_files();
    let released = disk.read(&path(at(1, 0))).unwrap();
    let kept = [(0, 2, 3), (0, 3, 4), (0, 4, 5), (0, 5, 6)];
    assert_eq!(live_from(&disk, 2, Some(at(1, 1)), |_| {}).unwrap(), kept);
    assert!(!names(&disk).contains(&at(1, 0).to_string()));
    write(&disk, at(1, 0), 0, &released);
    assert_eq!(live_from(&disk, 3, Some(at(1, 1)), |_| {}).unwrap(), kept);
    assert!(!names(&disk).contains(&at(1, 0).to_string()));
}

#[test]
fn first_commit_torn() {
    let disk = two_commits();
    let first = disk.read(&path(at(1, 0))).unwrap();
    live(&disk, 2, |_| {});
    make_ready(&disk, at(2, 1));
    write(&disk, at(1, 0), 0, &first);
    // The file header is whole, the frame that was taken over is not: the seal in the header must not count.
    disk.corrupt(&path(at(2, 0)), 300).unwrap();
    let (_, replayed, report) = open(options(&disk), 3, None).unwrap();
    assert_eq!(summary(&replayed), [(0, 0, 1), (0, 1, 2)]);
    assert_eq!(report.void_files, [at(2, 0), at(2, 1)]);
}

#[test]
fn first_commit_damaged() {
    let disk = two_commits();
    live(&disk, 2, |wal| append(wal, 2));
    disk.corrupt(&path(at(2, 0)), 300).unwrap();
    let refusal = refusal(&disk, 3, None);
    let expected = "/wal/00000000000000000002-00000000000000000000.wal is damaged: at byte 133, where commit 1 belongs";
    assert!(refusal.starts_with(expected), "{refusal}");
}

#[test]
fn superseded_incarnation() {
    let disk = two_commits();
    live(&disk, 2, |_| {});
    let superseded = disk.read(&path(at(2, 0))).unwrap();
    live(&disk, 3, |_| {});
    assert!(
        !names(&disk).contains(&at(2, 0).to_string()),
        "all of it is in incarnation 3"
    );
    write(&disk, at(2, 0), 0, &superseded);
    assert_eq!(live(&disk, 4, |_| {}), [(0, 0, 1), (0, 1, 2)]);
    assert!(!names(&disk).contains(&at(2, 0).to_string()));
}

#[test]
fn two_crashes_in_a_row() {
    for cut in 0..100 {
        let disk = two_commits().kill();
        disk.cut_after(cut);
        let ended = open(options(&disk), 2, None);
        let disk = disk.restart();
        assert_eq!(live(&disk, 3, |_| {}), [(0, 0, 1), (0, 1, 2)], "cut {cut}");
        let disk = disk.power_off(PowerLoss::DropAll);
        assert_eq!(live(&disk, 4, |_| {}), [(0, 0, 1), (0, 1, 2)], "cut {cut}");
        if ended.is_ok() {
            return;
        }
    }
    panic!("no recovery came to its end");
}

#[test]
fn commit_beyond_a_seal_stays_dropped() {
    let disk = two_commits();
    let mut torn = third_commit();
    torn[FRAME..2 * FRAME].fill(0);
    write(&disk, at(1, 0), 12288, &torn);
    live(&disk, 2, |wal| append(wal, 3));
    // As if the blocks that were missing had been in some cache all the time.
    write(
        &disk,
        at(1, 0),
        8192,
        &encoded(at(1, 0), 8192, 3, vec![batches(0, 1..2, 100)]),
    );
    write(&disk, at(1, 0), 12288, &third_commit());
    let expected = [(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 4)];
    assert_eq!(live(&disk, 3, |_| {}), expected);
}

#[test]
fn leftover_spare() {
    let disk = two_commits();
    disk.append(&Path::new(DIR).join("spare.tmp"), b"half").unwrap();
    let (wal, ..) = open(options(&disk), 2, None).unwrap();
    wait_for_next_file(&wal);
    assert!(!names(&disk).contains(&"spare.tmp".to_owned()));
}

#[test]
fn unknown_names() {
    let disk = two_commits();
    disk.create_dir_all(&Path::new(DIR).join("lost+found")).unwrap();
    disk.create_dir_all(&path(at(9, 9))).unwrap();
    disk.append(&Path::new(DIR).join("notes.txt"), b"note").unwrap();
    assert_eq!(live(&disk, 2, |_| {}), [(0, 0, 1), (0, 1, 2)]);
    for name in ["lost+found", "notes.txt"] {
        assert!(names(&disk).contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn incarnation_used_before() {
    let disk = two_commits();
    assert_eq!(
        refusal(&disk, 1, None),
        "incarnation 1 was already used in /wal, which holds 00000000000000000001-00000000000000000000.wal: the \
         catalog is older than the WAL; restore both from the same backup"
    );
}

#[test]
fn full_disk_at_start() {
    let disk = two_commits();
    let lengths = names(&disk)
        .into_iter()
        .map(|name| disk.metadata(&Path::new(DIR).join(name)).unwrap().len);
    let used: u64 = lengths.sum();
    disk.set_capacity(used + 4096);
    assert_eq!(
        refusal(&disk, 2, None),
        "no space for a new WAL file of 8192 bytes in /wal: free some, then start again"
    );
    disk.set_capacity(used + 8192);
    let (wal, replayed, _) = open(options(&disk), 2, None).unwrap();
    assert_eq!(summary(&replayed), [(0, 0, 1), (0, 1, 2)]);
    let reserve = |class| futures::executor::block_on(wal.reserve(100, class));
    assert!(reserve(Class::Internal).is_ok());
}
