//! The spool on a disk that forgets: after any crash, what was told to be durable is there, and nothing is half there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailrace_shared::disk::sim::{PowerLoss, SimDisk};
use tailrace_shared::disk::{Disk, OpenMode};

use super::committer::{Committer, Step};
use super::control::{BatchNumber, Bind, Control, Part, Producer, Stamp};
use super::testing::{batch, cursor, position, stretch, topic};
use super::{Binder, Committed, FullReason, NewBatch, OpenError, Recovered, Spool, SpoolOptions};

mod give_up;
use crate::position::JournalCursor;
use crate::stretch::{Route, Stretch};

const DATA: &str = "/data";

fn options() -> SpoolOptions {
    SpoolOptions {
        max_bytes: 7 * 65536,
        file_bytes: 65536,
        ..SpoolOptions::default()
    }
}

/// Binds every batch at once, and remembers what it was asked and told.
#[derive(Default)]
struct Recorder {
    new: Mutex<Vec<NewBatch>>,
    committed: Mutex<Vec<Committed>>,
    sequence: Mutex<i32>,
}

impl Binder for Recorder {
    fn bind(&self, batches: Vec<NewBatch>) -> Vec<Control> {
        let mut sequence = self.sequence.lock();
        let bound = batches.iter().map(|batch| {
            let base_sequence = *sequence;
            *sequence += i32::try_from(batch.records).unwrap();
            (batch.number, base_sequence)
        });
        let control = bind(bound.collect(), 1);
        self.new.lock().extend(batches);
        vec![control]
    }

    fn committed(&self, committed: Committed) {
        self.committed.lock().push(committed);
    }
}

fn bind(batches: Vec<(BatchNumber, i32)>, producer: i64) -> Control {
    Control::Bind(Bind {
        cluster_id: topic("cluster"),
        topic_id: uuid::Uuid::from_u128(1),
        partition: 0,
        producer: Producer { id: producer, epoch: 0 },
        batches,
    })
}

fn open(disk: &SimDisk) -> Result<(Committer, Arc<Recorder>, Recovered), OpenError> {
    let (opened, recovered) = Spool::open(Arc::new(disk.clone()), Path::new(DATA), &options())?;
    let recorder = Arc::new(Recorder::default());
    // The lock goes with `opened`, which a test that steps by hand does without.
    Ok((
        Committer::new(opened.journal, recorder.clone(), opened.when_full),
        recorder,
        recovered,
    ))
}

/// An entry of about 8 KiB that moves file 1 to `offset`.
fn entry(offset: u64) -> Stretch {
    let mut stretch = stretch(&[], &[position(1, offset)]);
    stretch.cursors = vec![cursor("system", offset)];
    stretch.batches = vec![batch(
        "logs",
        Route::Partition(0),
        &[format!("line {offset} {}", "x".repeat(7000))],
    )];
    stretch
}

fn append(committer: &mut Committer, stretch: &Stretch) -> Step {
    committer.step(Vec::new(), [stretch]).unwrap()
}

fn mark(committer: &mut Committer, numbers: impl IntoIterator<Item = BatchNumber>) {
    let marks = numbers
        .into_iter()
        .map(|number| (number, Some(i64::try_from(number).unwrap())))
        .collect();
    committer.step(vec![Control::Mark(marks)], []).unwrap();
}

const TAKEN: Step = Step { taken: 1, full: None };

#[test]
fn what_was_appended_is_recovered_with_its_identity() {
    let disk = SimDisk::new(1);
    let (mut committer, recorder, _) = open(&disk).unwrap();
    assert_eq!(append(&mut committer, &entry(10)), TAKEN);
    assert_eq!(append(&mut committer, &entry(20)), TAKEN);
    mark(&mut committer, [0]);

    let disk = disk.power_off(PowerLoss::DropAll);
    let (committer, _, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.positions, [position(1, 20)]);
    assert_eq!(recovered.cursors, [cursor("system", 20)]);
    assert_eq!(recovered.batches.len(), 1);
    let left = &recovered.batches[0];
    assert_eq!((left.number, left.stamp.as_ref().unwrap().base_sequence), (1, 1));
    assert_eq!(recovered.floors, [(topic("logs"), 0, uuid::Uuid::from_u128(1), 0)]);
    assert_eq!(committer.journal.shelf.read(1).unwrap(), recorder.new.lock()[1].bytes);
    assert!(recovered.damage.is_empty());
}

#[test]
fn a_batch_is_bound_in_the_commit_that_holds_it() {
    let disk = SimDisk::new(1);
    let (mut committer, recorder, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    let committed = recorder.committed.lock();
    assert_eq!(committed.len(), 1);
    assert_eq!(committed[0].appended, [0]);
    assert_eq!(committed[0].controls, [bind(vec![(0, 0)], 1)]);
}

#[test]
fn the_last_bind_of_a_batch_counts() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    committer.step(vec![bind(vec![(0, 40)], 2)], []).unwrap();
    let (_, _, recovered) = open(&disk.kill()).unwrap();
    let stamp = recovered.batches[0].stamp.clone().unwrap();
    assert_eq!((stamp.producer.id, stamp.base_sequence), (2, 40));
}

#[test]
fn a_second_agent_is_refused() {
    let disk = SimDisk::new(1);
    let _first = Spool::open(Arc::new(disk.clone()), Path::new(DATA), &options()).unwrap();
    let second = Spool::open(Arc::new(disk.clone()), Path::new(DATA), &options());
    assert!(matches!(second, Err(OpenError::Locked { .. })));
}

#[test]
fn files_are_recycled_and_the_limit_holds() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    for number in 0..200 {
        assert_eq!(append(&mut committer, &entry(number)), TAKEN);
        mark(&mut committer, [number]);
    }
    assert!(committer.journal.files.total_bytes() <= options().max_bytes);
    assert_eq!(committer.journal.files.live_bytes(), 0);
}

#[test]
fn a_full_spool_takes_marks_and_goes_on_when_there_is_room() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    let mut appended = 0;
    while append(&mut committer, &entry(appended)) == TAKEN {
        appended += 1;
    }
    assert!(appended >= 14, "three files of about seven entries, not {appended}");
    // Far more controls than one file holds: bindings that are never the last.
    for round in 0..100 {
        committer.step(vec![bind(vec![(0, round)], 7)], []).unwrap();
        assert_eq!(
            append(&mut committer, &entry(0)),
            Step {
                taken: 0,
                full: Some(FullReason::Limit)
            }
        );
    }
    mark(&mut committer, 0..appended / 2);
    assert_eq!(append(&mut committer, &entry(appended)), TAKEN);
    assert!(committer.journal.files.total_bytes() <= options().max_bytes);
}

#[test]
fn marks_fit_on_a_full_disk_and_restarts_do_too() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(0));
    disk.set_capacity(committer.journal.files.total_bytes());
    let mut appended = 1;
    while append(&mut committer, &entry(appended)) == TAKEN {
        appended += 1;
    }
    let full = Step {
        taken: 0,
        full: Some(FullReason::DiskFull),
    };
    assert_eq!(append(&mut committer, &entry(appended)), full);

    let mut disk = disk;
    for number in 0..appended {
        mark(&mut committer, [number]);
        disk = disk.power_off(PowerLoss::Random);
        (committer, _, _) = open(&disk).unwrap();
    }
    assert_eq!(committer.journal.files.live_bytes(), 0);
    assert_eq!(append(&mut committer, &entry(appended)), TAKEN);
}

#[test]
fn a_stuck_batch_does_not_pin_its_file() {
    let disk = SimDisk::new(1);
    let (mut committer, recorder, _) = open(&disk).unwrap();
    // Batches 0, 10, 20 … are never acknowledged; there are more of them than files.
    for number in 0..100 {
        assert_eq!(append(&mut committer, &entry(number)), TAKEN, "at {number}");
        if number % 10 != 0 {
            mark(&mut committer, [number]);
        }
    }
    let (committer, _, recovered) = open(&disk.power_off(PowerLoss::DropAll)).unwrap();
    let stuck: Vec<_> = recovered.batches.iter().map(|batch| batch.number).collect();
    assert_eq!(stuck, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    for number in stuck {
        let index = usize::try_from(number).unwrap();
        assert_eq!(
            committer.journal.shelf.read(number).unwrap(),
            recorder.new.lock()[index].bytes
        );
    }
}

#[test]
fn a_crash_during_recovery_leaves_what_the_last_process_left() {
    // The current file has no live batch of its own: only its records count.
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    let disk = disk.kill();
    let (mut committer, _, _) = open(&disk).unwrap();
    committer.step(vec![bind(vec![(0, 40)], 2)], []).unwrap();
    let disk = disk.kill();
    for seed in 0..20 {
        for operations in 0..6 {
            let disk = disk.clone_machine(seed);
            disk.cut_after(operations);
            assert!(open(&disk).is_err() || !disk.is_dead());
            let (_, _, recovered) = open(&disk.restart()).unwrap();
            assert_eq!(recovered.batches[0].stamp.as_ref().unwrap().base_sequence, 40);
        }
    }
}

#[test]
fn files_that_crashes_left_short_are_made_whole_at_the_next_start() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    let disk = disk.kill();
    for name in ["slot-0002", "slot-0003", "slot-0004"] {
        let file = disk
            .open(&Path::new("/data/spool").join(name), OpenMode::ReadWrite)
            .unwrap();
        file.set_len(0).unwrap();
        file.sync_data().unwrap();
    }
    let (mut committer, _, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.batches.len(), 1);
    assert_eq!(append(&mut committer, &entry(20)), TAKEN);
    for entry in disk.list(Path::new("/data/spool")).unwrap() {
        let len = disk.metadata(&Path::new("/data/spool").join(&entry.name)).unwrap().len;
        assert!(len == 65536 || entry.name == "lock", "{:?} {len}", entry.name);
    }
}

#[test]
fn a_failed_sync_is_fatal_and_not_believed_after_a_restart() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    disk.fail_next_sync();
    assert!(committer.step(Vec::new(), [&entry(20)]).is_err());
    // The page cache still shows the second entry.
    let (_, _, recovered) = open(&disk.kill()).unwrap();
    assert_eq!(recovered.positions, [position(1, 10)]);
}

#[test]
fn a_corrupt_batch_is_set_aside_and_the_rest_goes_on() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    for offset in 0..3 {
        append(&mut committer, &entry(offset));
    }
    // Once more, so that the entries lie in a file that is not replayed.
    let disk = disk.kill();
    let (committer, _, _) = open(&disk).unwrap();
    let (path, offset) = committer.journal.find(1).unwrap();
    let disk = disk.kill();
    disk.corrupt(&path, offset + 100).unwrap();

    let (committer, _, recovered) = open(&disk).unwrap();
    let left: Vec<_> = recovered.batches.iter().map(|batch| batch.number).collect();
    assert_eq!(left, [0, 2]);
    assert_eq!(recovered.positions, [position(1, 2)]);
    assert_eq!(recovered.damage.len(), 1);
    assert!(
        recovered.damage[0].contains("batch 1 of topic logs with 1 lines"),
        "{:?}",
        recovered.damage
    );
    assert!(disk.read(Path::new("/data/set-aside/batch-1")).unwrap().len() > 7000);
    assert!(committer.journal.shelf.read(2).is_ok());
}

#[test]
fn a_corrupt_commit_is_set_aside_and_later_ones_count() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    for offset in 0..3 {
        append(&mut committer, &entry(offset));
    }
    let (path, offset) = committer.journal.find(1).unwrap();
    let disk = disk.kill();
    disk.corrupt(&path, offset + 100).unwrap();
    let (_, _, recovered) = open(&disk).unwrap();
    let left: Vec<_> = recovered.batches.iter().map(|batch| batch.number).collect();
    assert_eq!(left, [0, 2]);
    assert_eq!(recovered.damage.len(), 1);
}

#[test]
fn a_corrupt_snapshot_falls_back_to_the_file_before() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    let disk = disk.kill();
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(20));
    let (path, _) = committer.journal.find(1).unwrap();
    let disk = disk.kill();
    disk.corrupt(&path, 4096 + 50).unwrap();
    let (_, _, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.positions, [position(1, 20)]);
    assert_eq!(recovered.batches.len(), 2);
    assert_eq!(recovered.damage.len(), 1);
}

#[test]
fn a_file_with_a_corrupt_header_is_set_aside() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    append(&mut committer, &entry(10));
    let (path, _) = committer.journal.find(0).unwrap();
    let disk = disk.kill();
    disk.corrupt(&path, 20).unwrap();
    let (_, _, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.damage.len(), 1);
    assert!(disk.metadata(&path).is_ok(), "a new file takes the name");
}

#[test]
fn batches_of_a_partition_that_is_no_more_stand_behind_all_others_without_identity() {
    let append_and_move = |disk: &SimDisk| {
        let (mut committer, _, _) = open(disk).ok()?;
        let mut stretch = stretch(
            &[
                ("logs", Route::Partition(0), 3),
                ("other", Route::Partition(0), 1),
                ("logs", Route::Lane(7), 2),
            ],
            &[position(1, 5)],
        );
        committer.step(Vec::new(), [&stretch]).ok()?;
        let lane = |lane, partition| Control::LaneBound {
            topic: topic("logs"),
            lane,
            partition,
        };
        let moved = Control::Moved {
            topic: topic("logs"),
            from: 0,
            to: 1,
        };
        committer.step(vec![lane(7, 0), lane(8, 2), moved], []).ok()?;
        // What was read before and still names the partition follows.
        stretch.batches.truncate(1);
        committer.step(Vec::new(), [&stretch]).ok()?;
        Some(committer)
    };
    let whole = SimDisk::new(1);
    let committer = append_and_move(&whole).unwrap();
    let routes = |recovered: &Recovered| {
        let batches = recovered.batches.iter();
        let batches = batches.map(|batch| (batch.number, &*batch.topic == "logs", batch.route, batch.records));
        batches.collect::<Vec<_>>()
    };
    let before = vec![
        (0, true, Route::Partition(0), 3),
        (3, false, Route::Partition(0), 1),
        (4, true, Route::Lane(7), 2),
    ];
    let after = vec![
        (3, false, Route::Partition(0), 1),
        (6, true, Route::Partition(1), 3),
        (9, true, Route::Partition(1), 2),
    ];
    let last = [after.clone(), vec![(11, true, Route::Partition(1), 3)]].concat();
    assert!(committer.journal.shelf.read(9).is_ok() && committer.journal.shelf.read(4).is_err());
    let operations = whole.operations();
    let (_, _, recovered) = open(&whole.kill()).unwrap();
    assert_eq!(routes(&recovered), last);
    assert_eq!(recovered.lanes, [(topic("logs"), 7, 1), (topic("logs"), 8, 2)]);
    for cut in 0..operations {
        for power in [false, true] {
            let disk = SimDisk::new(cut);
            if power {
                disk.cut_after(cut)
            } else {
                disk.kill_after(cut)
            }
            append_and_move(&disk);
            let (committer, _, recovered) = open(&disk.restart()).unwrap();
            let left = routes(&recovered);
            assert!(left.is_empty() || [&before, &after, &last].contains(&&left), "{left:?}");
            for (number, ..) in left {
                assert!(committer.journal.shelf.read(number).is_ok());
            }
        }
    }
}

/// Two parts of one record each, of a batch of two.
fn split_in_two(number: BatchNumber) -> Control {
    let part = |half: &str| {
        let value = format!("{half} of batch {number} {}", "x".repeat(3400));
        let part = batch("logs", Route::Partition(0), &[value]);
        Part {
            records: 1,
            bytes: part.bytes,
        }
    };
    Control::Split {
        batch: number,
        parts: vec![part("first"), part("last")],
    }
}

/// An entry with one batch of two records and about 7 KiB.
fn two_records(offset: u64) -> Stretch {
    let mut stretch = entry(offset);
    let value = || "x".repeat(3500);
    stretch.batches = vec![batch("logs", Route::Partition(0), &[value(), value()])];
    stretch
}

#[test]
fn the_parts_of_a_batch_stand_in_its_place_without_identity() {
    let split = |disk: &SimDisk| {
        let (mut committer, _, _) = open(disk).ok()?;
        for offset in [1, 2] {
            committer.step(Vec::new(), [&two_records(offset)]).ok()?;
        }
        committer.step(vec![split_in_two(0)], []).ok()?;
        committer.step(vec![bind(vec![(0, 7), (1, 8)], 2)], []).ok()?;
        Some(committer)
    };
    let whole = SimDisk::new(1);
    let committer = split(&whole).unwrap();
    assert_eq!(committer.journal.ledger.next_batch, 4);
    let left = |recovered: &Recovered, committer: &Committer| -> Vec<_> {
        let batches = recovered.batches.iter().map(|batch| {
            let bytes = committer.journal.shelf.read(batch.number).unwrap();
            let sequence = batch.stamp.as_ref().map(|stamp| stamp.base_sequence);
            (batch.number, batch.records, sequence, bytes.len())
        });
        batches.collect()
    };
    let operations = whole.operations();
    let (committer, _, recovered) = open(&whole.kill()).unwrap();
    let last = left(&recovered, &committer);
    let [first, second, other] = last[..] else {
        panic!("{last:?}")
    };
    assert_eq!((first.0, first.1, first.2), (0, 1, Some(7)));
    assert_eq!((second.0, second.1, second.2), (1, 1, Some(8)));
    assert_eq!((other.0, other.1, other.2), (2, 2, Some(2)));
    assert!(first.3 < 4000 && other.3 > 7000);
    let unbound = vec![(0, 1, None, first.3), (1, 1, None, second.3), other];
    let unsplit = vec![(0, 2, Some(0), other.3), other];
    for cut in 0..operations {
        for power in [false, true] {
            let disk = SimDisk::new(cut);
            if power {
                disk.cut_after(cut)
            } else {
                disk.kill_after(cut)
            }
            assert!(split(&disk).is_none());
            let (committer, _, recovered) = open(&disk.restart()).unwrap();
            let left = left(&recovered, &committer);
            let may_be = [&last, &unbound, &unsplit];
            assert!(left.len() < 2 || may_be.contains(&&left), "{left:?}");
            assert!(recovered.damage.is_empty());
        }
    }
}

#[test]
fn a_full_spool_of_batches_that_are_too_large_can_be_split_and_emptied() {
    for is_disk_full in [false, true] {
        let disk = SimDisk::new(1);
        let (mut committer, _, _) = open(&disk).unwrap();
        if is_disk_full {
            append(&mut committer, &two_records(0));
            disk.set_capacity(committer.journal.files.total_bytes());
        }
        while append(&mut committer, &two_records(9)) == TAKEN {}
        let waiting: Vec<_> = committer.journal.ledger.live().map(|(number, _)| number).collect();
        assert!(waiting.len() >= 7 && waiting.windows(2).all(|pair| pair[0] + 2 == pair[1]));
        for number in waiting {
            committer.step(vec![split_in_two(number)], []).unwrap();
            assert!(!committer.waits_for_room(), "batch {number}");
            // Each half is bound and marked in a commit of its own, as slowly as can be.
            for part in [number, number + 1] {
                committer.step(vec![bind(vec![(part, 0)], 3)], []).unwrap();
                mark(&mut committer, [part]);
            }
        }
        assert!(committer.journal.files.total_bytes() <= options().max_bytes);
        assert_eq!(committer.journal.files.live_bytes(), 0);
        assert_eq!(append(&mut committer, &two_records(10)), TAKEN);
    }
}

#[test]
fn parts_that_find_no_room_wait_and_marks_still_fit() {
    let disk = SimDisk::new(1);
    let (mut committer, _, _) = open(&disk).unwrap();
    while append(&mut committer, &two_records(9)) == TAKEN {}
    let waiting: Vec<_> = committer.journal.ledger.live().map(|(number, _)| number).collect();
    // As no delivery would: one after the other, and nothing is marked. What is not split keeps the files in use.
    for number in waiting.iter().step_by(2) {
        committer.step(vec![split_in_two(*number)], []).unwrap();
    }
    assert!(committer.waits_for_room());
    assert!(committer.journal.files.total_bytes() <= options().max_bytes);
    for round in 0..50 {
        committer.step(vec![bind(vec![(0, round)], 7)], []).unwrap();
    }
    assert!(committer.journal.files.total_bytes() <= options().max_bytes);
    for number in &waiting {
        mark(&mut committer, [*number, number + 1]);
    }
    assert!(
        !committer.waits_for_room(),
        "what is gone meanwhile is not split any more"
    );
    assert_eq!(committer.journal.files.live_bytes(), 0);
}

// The model: a list of states, one after each record; a crash may fall back to any that is not older than the last
// commit that was told.

#[derive(Debug, Clone, PartialEq, Default)]
struct State {
    positions: BTreeMap<u64, u64>,
    cursors: Vec<JournalCursor>,
    live: BTreeMap<BatchNumber, (Bytes, Option<(i64, i32)>)>,
    lanes: BTreeMap<u16, i32>,
}

impl State {
    fn apply(&mut self, control: &Control) {
        match control {
            Control::Bind(bind) => {
                for (number, sequence) in &bind.batches {
                    if let Some((_, stamp)) = self.live.get_mut(number) {
                        *stamp = Some((bind.producer.id, *sequence));
                    }
                }
            }
            Control::LaneBound { lane, partition, .. } => {
                self.lanes.insert(*lane, *partition);
            }
            Control::Mark(marks) => self
                .live
                .retain(|number, _| !marks.iter().any(|(marked, _)| marked == number)),
            Control::DeadLetter { batch, .. } => {
                self.live.remove(batch);
            }
            Control::Moved { .. } | Control::Split { .. } => panic!("they have tests of their own"),
        }
    }

    fn of(recovered: &Recovered, committer: &Committer) -> Self {
        let positions = recovered
            .positions
            .iter()
            .map(|position| (position.key.id.inode, position.offset));
        let stamp = |stamp: &Stamp| (stamp.producer.id, stamp.base_sequence);
        let live = recovered.batches.iter().map(|batch| {
            let bytes = committer.journal.shelf.read(batch.number).unwrap();
            (batch.number, (bytes, batch.stamp.as_ref().map(stamp)))
        });
        Self {
            positions: positions.collect(),
            cursors: recovered.cursors.clone(),
            live: live.collect(),
            lanes: recovered
                .lanes
                .iter()
                .map(|(_, lane, partition)| (*lane, *partition))
                .collect(),
        }
    }
}

/// Some controls and entries over the live batches of `state`; what they make of it, record by record.
fn random_work(rng: &mut StdRng, state: &State, offset: &mut u64) -> (Vec<Control>, Vec<Stretch>) {
    let live: Vec<BatchNumber> = state.live.keys().copied().collect();
    let any = |rng: &mut StdRng| live[rng.random_range(0..live.len())];
    let mut controls = Vec::new();
    if !live.is_empty() {
        for _ in 0..rng.random_range(0..3) {
            controls.push(match rng.random_range(0..6) {
                0 => bind(vec![(any(rng), rng.random_range(0..99))], 2),
                1 => Control::DeadLetter {
                    batch: any(rng),
                    reason: "test".to_owned(),
                },
                2 => Control::LaneBound {
                    topic: topic("logs"),
                    lane: rng.random_range(0..4),
                    partition: 1,
                },
                _ => Control::Mark((0..3).map(|_| (any(rng), Some(5))).collect()),
            });
        }
    }
    let stretches = (0..rng.random_range(0..3)).map(|_| {
        *offset += 1;
        let size = rng.random_range(1..9000);
        let mut stretch = stretch(&[], &[position(rng.random_range(1..4), *offset)]);
        stretch.cursors.push(cursor("system", *offset));
        for _ in 0..rng.random_range(0..3) {
            stretch
                .batches
                .push(batch("logs", Route::Partition(0), &["y".repeat(size)]));
        }
        stretch
    });
    (controls, stretches.collect())
}

/// Runs until the disk dies; tells the states that the next process may find.
fn run(disk: &SimDisk, rng: &mut StdRng, allowed: &[State], offset: &mut u64, steps: usize) -> Vec<State> {
    let Ok((mut committer, recorder, recovered)) = open(disk) else {
        return allowed.to_vec();
    };
    let mut state = State::of(&recovered, &committer);
    assert!(
        allowed.contains(&state),
        "recovered {state:#?}\nwhich is none of {allowed:#?}"
    );
    assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
    for _ in 0..steps {
        let (controls, stretches) = random_work(rng, &state, offset);
        let seen = recorder.new.lock().len();
        let result = committer.step(controls.clone(), &stretches);
        // The states that this commit may leave behind, in the order in which its records stand.
        let mut states = vec![state];
        let mut then = |change: &mut dyn FnMut(&mut State)| {
            let mut next = states[states.len() - 1].clone();
            change(&mut next);
            states.push(next);
        };
        for control in &controls {
            then(&mut |state| state.apply(control));
        }
        let new = recorder.new.lock()[seen..].to_vec();
        let mut left = new.iter();
        let mut sequence = *recorder.sequence.lock() - i32::try_from(new.len()).unwrap();
        let taken = result.as_ref().map_or(stretches.len(), |step| step.taken);
        for stretch in stretches.iter().take(taken) {
            let batches: Vec<_> = left.by_ref().take(stretch.batches.len()).collect();
            if batches.len() < stretch.batches.len() {
                break;
            }
            then(&mut |state| {
                for position in &stretch.positions {
                    state.positions.insert(position.key.id.inode, position.offset);
                }
                state.cursors.clone_from(&stretch.cursors);
                for batch in &batches {
                    state.live.insert(batch.number, (batch.bytes.clone(), None));
                }
            });
        }
        if !new.is_empty() {
            then(&mut |state| {
                for batch in &new {
                    state.live.get_mut(&batch.number).unwrap().1 = Some((1, sequence));
                    sequence += 1;
                }
            });
        }
        if result.is_err() {
            assert!(disk.is_dead());
            return states;
        }
        state = states.swap_remove(states.len() - 1);
    }
    vec![state]
}

#[test]
fn after_any_crash_the_spool_is_what_was_durable() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::new(seed);
        let mut allowed = vec![State::default()];
        let mut offset = 0;
        for _ in 0..12 {
            let operations = rng.random_range(0..80);
            if rng.random() {
                disk.cut_after(operations);
            } else {
                disk.kill_after(operations);
            }
            allowed = run(&disk, &mut rng, &allowed, &mut offset, 30);
            disk = match rng.random_range(0..3) {
                0 if !disk.is_dead() => disk.power_off(PowerLoss::Random),
                _ => disk.restart(),
            };
        }
    }
}

#[test]
fn a_crash_at_each_operation_of_a_run_loses_nothing() {
    let steps = 25;
    let whole = SimDisk::new(3);
    run(
        &whole,
        &mut StdRng::seed_from_u64(3),
        &[State::default()],
        &mut 0,
        steps,
    );
    let operations = whole.operations();
    assert!(operations > 50);
    for cut in 0..operations {
        for power in [false, true] {
            let disk = SimDisk::new(cut);
            if power {
                disk.cut_after(cut)
            } else {
                disk.kill_after(cut)
            }
            let mut offset = 0;
            let allowed = run(
                &disk,
                &mut StdRng::seed_from_u64(3),
                &[State::default()],
                &mut offset,
                steps,
            );
            assert!(disk.is_dead(), "cut {cut} of {operations}");
            // A second crash during recovery, and then a quiet life.
            let disk = disk.restart();
            disk.cut_after(cut % 7);
            let allowed = run(&disk, &mut StdRng::seed_from_u64(4), &allowed, &mut offset, 0);
            run(
                &disk.power_off(PowerLoss::DropAll),
                &mut StdRng::seed_from_u64(4),
                &allowed,
                &mut offset,
                3,
            );
        }
    }
}

#[tokio::test]
async fn the_thread_commits_appends_and_controls() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(tailrace_shared::disk::RealDisk);
    let (opened, _) = Spool::open(Arc::clone(&disk), dir.path(), &options()).unwrap();
    let recorder = Arc::new(Recorder::default());
    let spool = opened
        .start(recorder.clone(), Box::new(|error| panic!("{error}")))
        .unwrap();
    for offset in 0..20 {
        spool.append(entry(offset)).await.unwrap();
        spool.submit(vec![Control::Mark(vec![(offset, None)])], offset % 2 == 0);
    }
    assert!(spool.read(19).is_ok());
    spool.stop();
    assert_eq!(spool.append(entry(99)).await, Err(super::Stopped));

    let (_, recovered) = Spool::open(disk, dir.path(), &options()).unwrap();
    assert_eq!(recovered.positions, [position(1, 19)]);
    assert!(recovered.batches.is_empty(), "stop commits the marks that waited");
}

#[tokio::test]
async fn a_failed_sync_stops_the_spool() {
    let disk = SimDisk::new(1);
    let (opened, _) = Spool::open(Arc::new(disk.clone()), Path::new(DATA), &options()).unwrap();
    let (told, fatal) = std::sync::mpsc::sync_channel(1);
    let on_fatal = Box::new(move |error| told.send(error).unwrap());
    let spool = opened.start(Arc::new(Recorder::default()), on_fatal).unwrap();
    spool.append(entry(1)).await.unwrap();
    disk.fail_next_sync();
    assert_eq!(spool.append(entry(2)).await, Err(super::Stopped));
    assert!(fatal.recv().unwrap().to_string().contains("fsync"));
}
