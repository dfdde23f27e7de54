//! Random histories of faults, each of which must end with every line exactly once and in order.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use tailrace_shared::kafka::ErrorCode;

use super::broker::Kind;
use super::world::{TOPIC, World};

/// Which faults a history may have besides crashes and broken connections.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    poison: bool,
    /// The broker forgets all producers while the agent is down.
    forgets: bool,
    /// It may be read, but not asked about producers.
    describe_forbidden: bool,
    starts_without_broker: bool,
    /// The broker takes one or two lines in a batch, and lets the agent ask how many bytes that is, or not.
    small_batches: bool,
    /// The topic is deleted and made anew, with fewer partitions or more.
    recreates: bool,
    /// The oldest batches are given up for newer ones.
    drops: bool,
}

fn world(seed: u64, kind: Kind, faults: Faults) -> World {
    let mut world = World::new(seed, kind);
    for file in 0..4 {
        world.files.insert(file, 40);
    }
    if faults.poison {
        world.poison = vec![(0, 3), (0, 17), (2, 20)];
    }
    world.broker.may_describe = !faults.describe_forbidden;
    if faults.small_batches {
        world.broker.bytes_max = 90;
        world.broker.tells_bytes_max = seed.is_multiple_of(2).then_some(90);
    }
    if !faults.starts_without_broker {
        world.broker.create(TOPIC, 3);
    }
    world
}

fn recreate(world: &mut World, rng: &mut StdRng) {
    world.broker.create(TOPIC, rng.random_range(1..5));
}

/// One random thing; `false` if the machine died over it.
fn step(world: &mut World, rng: &mut StdRng) -> bool {
    match rng.random_range(0..20) {
        0..4 => {
            let files = (0..4).choose_multiple(rng, 2);
            return world.append(&files, rng.random_range(1..4));
        }
        4..8 => world.poll(),
        8..11 => world.serve(),
        11..14 => world.reply(),
        14..16 => return world.commit(),
        16..18 => world.answer_questions(),
        18 => {
            world.broker.fails_with = None;
            match rng.random_range(0..6) {
                0 => world.break_connection(rng.random_range(0..4)),
                1 => world.broker.fails_with = Some(ErrorCode::NotEnoughReplicas),
                2 => world.broker.fails_with = Some(ErrorCode::NotLeaderOrFollower),
                3 => world.broker.fails_with = Some(ErrorCode::CorruptMessage).filter(|_| rng.random_ratio(1, 4)),
                _ => {}
            }
        }
        _ => world.advance(Duration::from_millis(rng.random_range(0..2000))),
    }
    true
}

fn history(seed: u64, kind: Kind, faults: Faults) -> World {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = world(seed, kind, faults);
    for life in 0..6 {
        let power = rng.random();
        if power {
            world.disk.cut_after(rng.random_range(0..60));
        } else {
            world.disk.kill_after(rng.random_range(0..60));
        }
        if life == 2 && faults.starts_without_broker {
            world.broker.create(TOPIC, 3);
        }
        if world.start() {
            assert!(world.agent().recovered.damage.is_empty());
            for _ in 0..400 {
                if faults.recreates && rng.random_ratio(1, 150) {
                    recreate(&mut world, &mut rng);
                }
                if faults.drops && rng.random_ratio(1, 30) {
                    world.drop_oldest(rng.random_range(1..600));
                }
                if !step(&mut world, &mut rng) {
                    break;
                }
            }
        }
        world.bury(rng.random_range(0..6));
        world.disk = world.disk.restart();
        if faults.forgets && rng.random() {
            world.broker.forget_producers();
        }
        if faults.recreates && rng.random_ratio(1, 3) {
            recreate(&mut world, &mut rng);
        }
    }
    world.broker.fails_with = None;
    assert!(world.start());
    world.finish();
    world.check();
    world
}

fn histories(kind: Kind, faults: Faults) {
    for seed in 0..25 {
        let result = std::panic::catch_unwind(|| history(seed, kind, faults));
        if let Err(panic) = result {
            eprintln!("seed {seed}, {kind:?}, {faults:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn crashes_and_broken_connections() {
    for kind in [Kind::Kafka, Kind::Strict] {
        histories(kind, Faults::default());
    }
}

#[test]
fn brokers_that_forget_producers() {
    for kind in [Kind::Kafka, Kind::Strict] {
        histories(
            kind,
            Faults {
                forgets: true,
                ..Faults::default()
            },
        );
        histories(
            kind,
            Faults {
                forgets: true,
                describe_forbidden: true,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn batches_that_no_broker_takes() {
    for kind in [Kind::Kafka, Kind::Strict] {
        histories(
            kind,
            Faults {
                poison: true,
                ..Faults::default()
            },
        );
        histories(
            kind,
            Faults {
                poison: true,
                forgets: true,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn batches_that_are_too_large() {
    for (kind, forgets, poison, recreates) in [
        (Kind::Kafka, false, false, false),
        (Kind::Kafka, true, false, true),
        (Kind::Strict, true, false, false),
        (Kind::Strict, false, true, false),
    ] {
        let faults = Faults {
            small_batches: true,
            forgets,
            poison,
            recreates,
            ..Faults::default()
        };
        histories(kind, faults);
    }
}

#[test]
fn a_broker_that_comes_late() {
    for kind in [Kind::Kafka, Kind::Strict] {
        histories(
            kind,
            Faults {
                starts_without_broker: true,
                forgets: true,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn topics_that_are_made_anew() {
    for kind in [Kind::Kafka, Kind::Strict] {
        let faults = Faults {
            recreates: true,
            ..Faults::default()
        };
        histories(kind, faults);
    }
}

#[test]
fn a_full_spool_that_gives_up_its_oldest() {
    let any = Faults {
        drops: true,
        ..Faults::default()
    };
    for kind in [Kind::Kafka, Kind::Strict] {
        histories(kind, any);
        histories(kind, Faults { forgets: true, ..any });
        let poison = true;
        histories(kind, Faults { poison, ..any });
        let (small_batches, starts_without_broker) = (true, true);
        histories(
            kind,
            Faults {
                small_batches,
                starts_without_broker,
                ..any
            },
        );
    }
    histories(Kind::Strict, Faults { recreates: true, ..any });
}

/// A batch of eight lines goes out in parts, down to one line that no broker takes: each write of that is cut once by a
/// kill and once by a power failure.
#[test]
fn a_crash_at_each_write_of_a_split() {
    let world = |seed| {
        let mut world = World::new(seed, Kind::Kafka);
        world.files.extend([(0, 16), (1, 5)]);
        world.poison = vec![(0, 5)];
        world.broker.create(TOPIC, 1);
        world.broker.bytes_max = 90;
        world
    };
    let run = |world: &mut World, turns: usize| {
        world.start() && world.append(&[0], 8) && world.append(&[0, 1], 3) && (0..turns).all(|_| world.turn())
    };
    let mut whole = world(7);
    assert!(run(&mut whole, 60));
    let stats = whole.stats();
    assert_eq!((stats.batches_waiting, stats.records_dead_lettered), (0, 1));
    assert!(stats.batches_split >= 5, "{stats:?}");
    let operations = whole.disk.operations();
    for cut in 0..operations {
        for power in [false, true] {
            for arrive in [0, 2] {
                let mut world = world(cut);
                if power {
                    world.disk.cut_after(cut)
                } else {
                    world.disk.kill_after(cut)
                }
                assert!(!run(&mut world, 60), "cut {cut} of {operations}");
                world.bury(arrive);
                world.disk = world.disk.restart();
                if cut % 2 == 0 {
                    world.broker.forget_producers();
                }
                assert!(world.start());
                assert!(world.agent().recovered.damage.is_empty());
                world.finish();
                world.check();
                assert_eq!(world.dead, ["0:5:poison"]);
            }
        }
    }
}

/// Every operation of one run, cut once by a kill and once by a power failure.
#[test]
fn a_crash_at_each_operation() {
    let run = |world: &mut World| {
        let mut rng = StdRng::seed_from_u64(11);
        if world.start() {
            (0..300).all(|_| step(world, &mut rng));
        }
    };
    let mut whole = world(11, Kind::Kafka, Faults::default());
    run(&mut whole);
    let operations = whole.disk.operations();
    assert!(operations > 60, "{operations}");
    for cut in 0..operations {
        for power in [false, true] {
            let mut world = world(cut, Kind::Kafka, Faults::default());
            if power {
                world.disk.cut_after(cut)
            } else {
                world.disk.kill_after(cut)
            }
            run(&mut world);
            world.bury(usize::try_from(cut % 5).unwrap());
            world.disk = world.disk.restart();
            world.broker.fails_with = None;
            if cut % 3 == 0 {
                world.broker.forget_producers();
            }
            assert!(world.start());
            world.finish();
            world.check();
        }
    }
}
