//! Whatever happens to the process or to the machine, at whatever operation: what was acknowledged is there, in order,
//! and nothing is there that was not submitted.

use proptest::prelude::*;
use tailrace_shared::disk::sim::PowerLoss;

use super::model::{Model, PARTITIONS};
use super::*;

#[derive(Debug, Clone)]
enum Op {
    Submit { partition: i32, count: usize },
    Settle,
    Roll,
    Release { closed: usize },
    ReadBack,
    FailSync,
    CutAfter { operations: u64 },
    KillAfter { operations: u64 },
    Stop,
    Kill,
    PowerOff(PowerLoss),
    KillThenPowerOff(PowerLoss),
}

fn power_loss() -> impl Strategy<Value = PowerLoss> {
    prop_oneof![
        4 => Just(PowerLoss::Random),
        1 => Just(PowerLoss::KeepAll),
        1 => Just(PowerLoss::DropAll),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        24 => (0..PARTITIONS, 1_usize..4).prop_map(|(partition, count)| Op::Submit { partition, count }),
        6 => Just(Op::Settle),
        2 => Just(Op::Roll),
        2 => (1_usize..4).prop_map(|closed| Op::Release { closed }),
        1 => Just(Op::ReadBack),
        1 => Just(Op::FailSync),
        2 => (0_u64..30).prop_map(|operations| Op::CutAfter { operations }),
        1 => (0_u64..30).prop_map(|operations| Op::KillAfter { operations }),
        1 => Just(Op::Stop),
        1 => Just(Op::Kill),
        1 => power_loss().prop_map(Op::PowerOff),
        1 => power_loss().prop_map(Op::KillThenPowerOff),
    ]
}

fn run(model: &mut Model, op: &Op) {
    match op {
        Op::Submit { partition, count } => {
            model.submit(*partition, *count);
        }
        Op::Settle => model.settle(),
        Op::Roll => model.roll(),
        Op::Release { closed } => model.release(*closed),
        Op::ReadBack => model.read_back(),
        Op::FailSync => model.fail_next_sync(),
        Op::CutAfter { operations } => model.disk.cut_after(*operations),
        Op::KillAfter { operations } => model.disk.kill_after(*operations),
        Op::Stop => model.stop(),
        Op::Kill => model.end(SimDisk::kill),
        Op::PowerOff(loss) => model.end(|disk| disk.power_off(*loss)),
        Op::KillThenPowerOff(loss) => model.end(|disk| disk.kill().power_off(*loss)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_lost_comes_back(
        seed: u64,
        ops in proptest::collection::vec(op(), 1..80),
    ) {
        let mut model = Model::new(SimDisk::new(seed));
        for op in &ops {
            if !model.is_running() {
                model.end(SimDisk::restart);
                model.restart();
            }
            run(&mut model, op);
        }
        model.end(|disk| disk.power_off(PowerLoss::Random));
        model.restart();
        model.read_back();
    }
}

/// A short life: commits, files that are rolled, released and recycled, a clean stop, a restart, and more.
fn short_life(model: &mut Model) -> Result<(), WalOpenError> {
    model.open()?;
    for round in 0..5 {
        model.submit(round % PARTITIONS, 3);
        model.submit((round + 1) % PARTITIONS, 2);
        model.settle();
        model.roll();
        model.release(usize::from(round == 2));
    }
    model.submit(0, 3);
    model.settle();
    if model.disk.is_dead() {
        return Ok(());
    }
    model.stop();
    model.open()?;
    model.submit(1, 2);
    model.settle();
    model.release(2);
    model.submit(2, 2);
    model.settle();
    Ok(())
}

fn cut_everywhere(arm: impl Fn(&SimDisk, u64)) {
    let mut whole = Model::new(SimDisk::new(0));
    short_life(&mut whole).unwrap();
    let operations = whole.disk.operations();
    assert!(operations > 50, "{operations} operations are no life");
    for cut in 0..operations {
        for seed in 0..4 {
            let mut model = Model::new(SimDisk::new(seed));
            arm(&model.disk, cut);
            // Where it ended does not matter: what was acknowledged until then does.
            short_life(&mut model).ok();
            model.end(SimDisk::restart);
            model.restart();
            model.end(|disk| disk.power_off(PowerLoss::Random));
            model.restart();
            model.submit(0, 1);
            model.read_back();
        }
    }
}

#[test]
fn the_power_may_fail_at_every_operation() {
    cut_everywhere(SimDisk::cut_after);
}

#[test]
fn the_process_may_be_killed_at_every_operation() {
    cut_everywhere(SimDisk::kill_after);
}

/// The second process dies at each operation of its recovery; the third finds what the first acknowledged.
#[test]
fn recovery_may_be_cut_at_every_operation() {
    for first_end in [PowerLoss::Random, PowerLoss::DropAll, PowerLoss::KeepAll] {
        for cut in 0.. {
            let mut model = Model::new(SimDisk::new(cut));
            model.open().unwrap();
            model.submit(0, 3);
            model.settle();
            model.submit(1, 3);
            model.end(|disk| disk.power_off(first_end));
            model.disk.cut_after(cut);
            let was_cut = model.open().is_err();
            model.end(SimDisk::restart);
            model.restart();
            if !was_cut {
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_is_fatal_and_acknowledges_nothing() {
    for end in [SimDisk::kill, |disk: &SimDisk| disk.power_off(PowerLoss::Random)] {
        let disk = SimDisk::new(3);
        let failures = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&failures);
        let options = |disk: &SimDisk| WalOptions {
            on_fatal: Arc::new({
                let heard = Arc::clone(&heard);
                move |error| heard.lock().push(error.to_string())
            }),
            ..options(disk)
        };
        let (wal, ..) = open(options(&disk), 1, None).unwrap();
        commit(&wal, batches(0, 0..1, 100));
        let journal = Arc::new(Journal::default());
        wait_for_next_file(&wal);
        disk.fail_next_sync();
        submit(&wal, batches(0, 1..2, 100), &journal);
        while failures.lock().is_empty() && journal.frames().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(
            *failures.lock(),
            ["cannot sync /wal/00000000000000000001-00000000000000000000.wal: simulated fsync failure"]
        );
        assert_eq!(
            block_on(wal.reserve(1, Class::Client)).err(),
            Some(ReserveError::Closed)
        );
        drop(wal);
        assert!(journal.frames().is_empty());

        let disk = end(&disk);
        let (_, replayed, _) = open(options(&disk), 2, None).unwrap();
        assert_eq!(
            summary(&replayed),
            [(0, 0, 1)],
            "what the failed sync left in the cache was believed"
        );
    }
}

#[test]
fn a_recycled_file_keeps_its_new_name_when_the_power_fails() {
    let mut model = Model::new(SimDisk::new(1));
    model.open().unwrap();
    for _ in 0..6 {
        model.submit(0, 2);
        model.settle();
        model.roll();
        model.release(usize::MAX);
    }
    model.submit(0, 2);
    model.settle();
    model.end(|disk| disk.power_off(PowerLoss::DropAll));
    model.restart();
}

/// Each restart finds the disk as full as the one before.
#[test]
fn restarts_in_a_loop_do_not_eat_the_disk() {
    let disk = SimDisk::new(1);
    for incarnation in 1..20 {
        let (wal, replayed, _) = open(options(&disk), incarnation, None).unwrap();
        assert_eq!(replayed.len() as u64, incarnation - 1);
        let start = i64::try_from(incarnation).unwrap();
        commit(&wal, batches(0, start..start + 1, 100));
    }
    let dir = PathBuf::from("/wal");
    let lengths = disk.list(&dir).unwrap().into_iter().map(|entry| {
        let path = dir.join(entry.name);
        disk.metadata(&path).unwrap().len
    });
    assert!(lengths.sum::<u64>() < 20 * 8192 + 2 * 64 * KIB as u64);
}
