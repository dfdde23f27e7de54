//! The simulated disk must lose all that it may lose, and nothing else: tests of the tests' own ground.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, DiskFile, OpenMode};

const A: &str = "/a";
const B: &str = "/b";

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(Path::new(path), OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn sync_root(disk: &SimDisk) {
    disk.sync_dir(Path::new("/")).unwrap();
}

fn durable(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = create(disk, path, bytes);
    file.sync_data().unwrap();
    sync_root(disk);
    file
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.read(Path::new(path)).ok()
}

/// All that a power failure may leave of a state.
fn outcomes<T: Ord>(disk: &SimDisk, look: impl Fn(&SimDisk) -> T) -> BTreeSet<T> {
    (0..400)
        .map(|seed| look(&disk.clone_machine(seed).power_off(PowerLoss::Random)))
        .collect()
}

#[test]
fn synced_bytes_under_a_synced_name_survive() {
    let disk = SimDisk::new(1);
    durable(&disk, A, b"kept");
    assert_eq!(
        outcomes(&disk, |disk| content(disk, A)),
        BTreeSet::from([Some(b"kept".to_vec())])
    );
}

#[test]
fn synced_bytes_under_an_unsynced_name_may_vanish() {
    let disk = SimDisk::new(1);
    create(&disk, A, b"kept").sync_data().unwrap();
    assert_eq!(
        outcomes(&disk, |disk| content(disk, A)),
        BTreeSet::from([None, Some(b"kept".to_vec())])
    );
}

#[test]
fn an_unsynced_write_is_kept_lost_or_torn_at_sectors() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, A, &[0; 1536]);
    file.write_all_at(&[1; 1536], 0).unwrap();
    let sectors = outcomes(&disk, |disk| {
        let bytes = content(disk, A).unwrap();
        assert_eq!(bytes.len(), 1536);
        assert!(
            bytes
                .chunks(512)
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        [bytes[0], bytes[512], bytes[1024]]
    });
    assert_eq!(sectors.len(), 8, "every combination of three sectors");
}

#[test]
fn a_sector_never_holds_what_it_never_held() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, A, b"");
    file.write_all_at(b"first,", 0).unwrap();
    file.write_all_at(b"second", 6).unwrap();
    let expected = [b"".to_vec(), b"first,".to_vec(), b"first,second".to_vec()];
    assert_eq!(
        outcomes(&disk, |disk| content(disk, A).unwrap()),
        BTreeSet::from(expected)
    );
}

#[test]
fn an_unsynced_replacement_leaves_the_old_or_the_new_file() {
    let disk = SimDisk::new(1);
    durable(&disk, A, b"old");
    create(&disk, B, b"new").sync_data().unwrap();
    disk.rename(Path::new(B), Path::new(A)).unwrap();
    let both = outcomes(&disk, |disk| (content(disk, A).unwrap(), content(disk, B).is_some()));
    let expected = [
        (b"old".to_vec(), false),
        (b"old".to_vec(), true),
        (b"new".to_vec(), false),
    ];
    assert_eq!(both, BTreeSet::from(expected));
    sync_root(&disk);
    assert_eq!(
        outcomes(&disk, |disk| content(disk, A)),
        BTreeSet::from([Some(b"new".to_vec())])
    );
}

#[test]
fn an_unsynced_removal_may_be_undone() {
    let disk = SimDisk::new(1);
    durable(&disk, A, b"back");
    disk.remove(Path::new(A)).unwrap();
    assert_eq!(
        outcomes(&disk, |disk| content(disk, A)),
        BTreeSet::from([None, Some(b"back".to_vec())])
    );
    sync_root(&disk);
    assert_eq!(outcomes(&disk, |disk| content(disk, A)), BTreeSet::from([None]));
}

#[test]
fn a_kill_keeps_the_cache_and_ends_handles_and_locks() {
    let disk = SimDisk::new(1);
    let file = create(&disk, A, b"cached");
    let lock = disk.lock(Path::new("/lock")).unwrap();
    let next = disk.kill();
    assert!(file.read_at(&mut [0; 1], 0).is_err());
    assert!(disk.list(Path::new("/")).is_err(), "the old process's view is dead");
    assert_eq!(content(&next, A).unwrap(), b"cached");
    let held = next.lock(Path::new("/lock")).unwrap();
    drop(lock);
    assert_eq!(next.lock(Path::new("/lock")).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    assert_eq!(
        outcomes(&next, |disk| content(disk, A).is_some()).len(),
        2,
        "the cache was not durable"
    );
}

#[test]
fn a_failed_sync_shows_bytes_that_the_medium_lacks() {
    let disk = SimDisk::new(1);
    let file = durable(&disk, A, b"old");
    file.write_all_at(b"new", 0).unwrap();
    disk.fail_next_sync();
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(content(&disk, A).unwrap(), b"new");
    assert_eq!(file.read_stable().unwrap(), b"old");
    assert_eq!(
        outcomes(&disk, |disk| content(disk, A).unwrap()),
        BTreeSet::from([b"old".to_vec()])
    );
    disk.evict_cache();
    assert_eq!(content(&disk, A).unwrap(), b"old");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let disk = SimDisk::new(1);
    disk.set_capacity(10);
    let file = create(&disk, A, b"12345678");
    assert_eq!(
        file.write_all_at(b"abcd", 8).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(content(&disk, A).unwrap(), b"12345678ab");
    file.write_all_at(b"overwriting needs no room", 0).unwrap_err();
    file.write_all_at(b"0123456789", 0).unwrap();
    drop(file);
    disk.remove(Path::new(A)).unwrap();
    assert_eq!(disk.space(Path::new("/")).unwrap().free_bytes, 10);
}

#[test]
fn a_corrupted_byte_stays_corrupt() {
    let disk = SimDisk::new(1);
    durable(&disk, A, &[0; 4]);
    disk.corrupt(Path::new(A), 2).unwrap();
    let disk = disk.power_off(PowerLoss::KeepAll);
    let bytes = content(&disk, A).unwrap();
    assert_eq!(bytes[2].count_ones(), 1);
    assert_eq!(bytes.iter().filter(|byte| **byte == 0).count(), 3);
    assert!(disk.corrupt(Path::new(A), 4).is_err());
}

#[test]
fn inodes_come_back_only_if_asked_for() {
    let disk = SimDisk::new(1);
    let inode = |path| disk.metadata(Path::new(path)).unwrap().id.inode;
    let replace = || {
        durable(&disk, A, b"1");
        let before = inode(A);
        disk.remove(Path::new(A)).unwrap();
        create(&disk, A, b"2");
        let after = inode(A);
        disk.remove(Path::new(A)).unwrap();
        (before, after)
    };
    let (before, after) = replace();
    assert_ne!(before, after);
    disk.reuse_inodes(true);
    let (before, after) = replace();
    assert_eq!(before, after);
    let open = create(&disk, B, b"");
    disk.remove(Path::new(B)).unwrap();
    create(&disk, A, b"");
    assert_ne!(
        inode(A),
        open.metadata().unwrap().id.inode,
        "an open file keeps its inode"
    );
}

#[test]
fn symbolic_and_hard_links_lead_to_the_file() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/var/log")).unwrap();
    disk.append(Path::new("/var/log/app"), b"x").unwrap();
    disk.symlink(Path::new("log"), Path::new("/var/current")).unwrap();
    disk.symlink(Path::new("/loop"), Path::new("/loop")).unwrap();
    disk.hard_link(Path::new("/var/log/app"), Path::new("/var/log/app.1"))
        .unwrap();
    assert_eq!(
        disk.canonicalize(Path::new("/var/current/app")).unwrap(),
        Path::new("/var/log/app")
    );
    assert_eq!(disk.metadata(Path::new("/var/current/app")).unwrap().links, 2);
    assert!(disk.canonicalize(Path::new("/loop")).is_err());
}

/// A register that is replaced by temp file, sync and rename: small, and sensitive to every lie of the disk.
fn put(disk: &SimDisk, bytes: &[u8]) -> io::Result<()> {
    let temp = Path::new("/temp");
    match disk.remove(temp) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(temp, OpenMode::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(temp, Path::new(A))?;
    disk.sync_dir(Path::new("/"))
}

#[test]
fn every_cut_point_is_reached_and_leaves_the_old_or_the_new() {
    let rounds: Vec<Vec<u8>> = (0..4_u8).map(|round| vec![round; 3000]).collect();
    let whole = SimDisk::new(0);
    for bytes in &rounds {
        put(&whole, bytes).unwrap();
    }
    for cut in 0..whole.operations() {
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            disk.cut_after(cut);
            let acknowledged = rounds.iter().take_while(|bytes| put(&disk, bytes).is_ok()).count();
            assert!(disk.is_dead(), "operation {cut} was reached");
            assert_eq!(disk.operations(), cut + 1);
            let found = content(&disk.restart(), A);
            let possible = [acknowledged.checked_sub(1), Some(acknowledged)];
            let possible = possible.map(|round| round.and_then(|round| rounds.get(round)).cloned());
            assert!(
                possible.contains(&found),
                "cut {cut}, seed {seed}: {acknowledged} acknowledged"
            );
        }
    }
}

proptest! {
    #[test]
    fn the_same_seed_gives_the_same_outcome(seed: u64, cut in 0_u64..12) {
        let run = || {
            let disk = SimDisk::new(seed);
            disk.cut_after(cut);
            let results: Vec<bool> = (0..3_u8).map(|round| put(&disk, &[round; 2000]).is_ok()).collect();
            let disk = disk.restart();
            (results, content(&disk, A), content(&disk, "/temp"), disk.list(Path::new("/")).unwrap())
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn a_file_is_what_a_vector_is(
        writes in proptest::collection::vec((0_usize..5000, 0_usize..3000, any::<u8>(), any::<bool>()), 1..20),
    ) {
        let disk = SimDisk::new(0);
        let file = durable(&disk, A, b"");
        let mut model = Vec::new();
        for (offset, len, byte, sync) in writes {
            if len == 0 {
                file.set_len(offset as u64).unwrap();
                model.resize(offset, 0);
            } else {
                file.write_all_at(&vec![byte; len], offset as u64).unwrap();
                model.resize(model.len().max(offset + len), 0);
                model[offset..offset + len].fill(byte);
            }
            if sync {
                file.sync_data().unwrap();
            }
            prop_assert_eq!(&content(&disk, A).unwrap(), &model);
            prop_assert_eq!(&file.read_stable().unwrap(), &model);
        }
        file.sync_data().unwrap();
        prop_assert_eq!(content(&disk.power_off(PowerLoss::DropAll), A).unwrap(), model);
    }
}
