//! Arbitrary histories of one broker: appends, repeats, reads, flushes, restarts and crashes in any order.
//!
//! Whatever the history, of what was acknowledged nothing is lost, nothing is there twice, and the order holds.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;
use tailrace_shared::clock::Clock;
use tailrace_shared::record::{BatchView, next_sequence};

use super::machine::{
    Ending, GRACE, Machine, batch, create_topic, open_batches, partition, position, read_all, stamped,
};
use super::model::{Model, Sent};
use crate::broker::Broker;
use crate::partition::producers::REMEMBERED_BATCHES;
use crate::partition::{AppendError, Appended, ReadError, ReadLimits, SequenceError};

const PARTITIONS: i32 = 2;
const PRODUCERS: usize = 3;
const RETENTION_MS: i64 = 600_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
enum Op {
    Append {
        partition: i32,
        records: usize,
    },
    Produce {
        producer: usize,
        records: usize,
    },
    Repeat {
        producer: usize,
        age: usize,
    },
    Read {
        partition: i32,
        at: f64,
        max_bytes: usize,
    },
    DeleteRecords {
        partition: i32,
        at: f64,
    },
    Retain {
        after_minutes: u64,
    },
    Flush,
    Merge,
    Sweep,
    Restart,
    Crash {
        ending: Ending,
        after: u64,
        burst: Vec<Burst>,
    },
    CrashOpening {
        ending: Ending,
        after: u64,
    },
}

/// What goes on at once while the machine dies.
#[derive(Debug, Clone)]
enum Burst {
    Append { partition: i32 },
    Produce { producer: usize },
    Flush,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let partitions = 0..PARTITIONS;
    let ending = prop_oneof![Just(Ending::Kill), Just(Ending::PowerLoss)];
    let burst = prop_oneof![
        3 => partitions.clone().prop_map(|partition| Burst::Append { partition }),
        3 => (0..PRODUCERS).prop_map(|producer| Burst::Produce { producer }),
        1 => Just(Burst::Flush),
    ];
    let op = prop_oneof![
        8 => (partitions.clone(), 1usize..6).prop_map(|(partition, records)| Op::Append { partition, records }),
        8 => (0..PRODUCERS, 1usize..6).prop_map(|(producer, records)| Op::Produce { producer, records }),
        4 => (0..PRODUCERS, 0usize..8).prop_map(|(producer, age)| Op::Repeat { producer, age }),
        4 => (partitions.clone(), 0.0..1.2f64, 0usize..2000)
            .prop_map(|(partition, at, max_bytes)| Op::Read { partition, at, max_bytes }),
        1 => (partitions, 0.0..0.5f64).prop_map(|(partition, at)| Op::DeleteRecords { partition, at }),
        2 => (0u64..9).prop_map(|after_minutes| Op::Retain { after_minutes }),
        4 => Just(Op::Flush),
        2 => Just(Op::Merge),
        1 => Just(Op::Sweep),
        1 => Just(Op::Restart),
        3 => (ending.clone(), 0u64..60, proptest::collection::vec(burst, 0..8))
            .prop_map(|(ending, after, burst)| Op::Crash { ending, after, burst }),
        1 => (ending, 0u64..40).prop_map(|(ending, after)| Op::CrashOpening { ending, after }),
    ];
    proptest::collection::vec(op, 1..50)
}

/// An idempotent producer, and all that it ever sent.
struct Producer {
    id: i64,
    partition: i32,
    next_sequence: i32,
    history: Vec<Produced>,
}

struct Produced {
    batch: BatchView,
    sent: Sent,
    answer: Option<Appended>,
}

struct World {
    machine: Machine,
    broker: Arc<Broker>,
    models: Vec<Model>,
    producers: Vec<Producer>,
    sent: usize,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut machine = Machine::new(seed);
        let broker = machine.open().await;
        let retention = RETENTION_MS.to_string();
        create_topic(&broker, PARTITIONS, &[("retention.ms", &retention)]).await;
        let mut producers = Vec::new();
        for partition in (0..PARTITIONS).cycle().take(PRODUCERS) {
            producers.push(Producer {
                id: broker.allocate_producer_id().await.unwrap(),
                partition,
                next_sequence: if partition == 0 { 0 } else { i32::MAX - 3 },
                history: Vec::new(),
            });
        }
        Self {
            machine,
            broker,
            models: (0..PARTITIONS).map(|_| Model::default()).collect(),
            producers,
            sent: 0,
        }
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Append { partition, records } => {
                let (batch, sent) = self.next_batch(records);
                let appended = self.append(partition, batch).await.expect("alive").unwrap();
                assert!(!appended.duplicate);
                self.model(partition).acknowledge(appended.base_offset, sent);
            }
            Op::Produce { producer, records } => {
                let at = self.prepare(producer, records);
                self.send(producer, at).await;
            }
            Op::Repeat { producer, age } => self.repeat(producer, age).await,
            Op::Read {
                partition,
                at,
                max_bytes,
            } => self.read(partition, at, max_bytes).await,
            Op::DeleteRecords { partition: index, at } => {
                let partition = partition(&self.broker, index);
                let to = position(&partition, at);
                let log_start = partition.advance_log_start(to).await.unwrap();
                assert_eq!(log_start, to);
                self.forget_below(index, log_start);
            }
            Op::Retain { after_minutes } => self.retain(after_minutes).await,
            Op::Flush => self.broker.roll_and_flush().await.unwrap(),
            Op::Merge => {
                self.broker.merge().await.unwrap();
                self.broker.reclaim().await.unwrap();
            }
            Op::Sweep => {
                self.broker.sweep().await.unwrap();
                self.machine.clock.advance(GRACE);
                self.broker.sweep().await.unwrap();
            }
            Op::Restart => {
                self.broker.shut_down().await.unwrap();
                self.machine.end(Ending::Kill);
                self.reopen().await;
                assert_eq!(
                    self.broker.recovery().frames,
                    0,
                    "a clean stop leaves nothing to replay"
                );
            }
            Op::Crash { ending, after, burst } => {
                self.crash(ending, after, burst).await;
                self.machine.end(ending);
                self.reopen().await;
            }
            Op::CrashOpening { ending, after } => {
                self.machine.end(ending);
                arm(&self.machine, ending, after);
                let opened = self.machine.try_open().await;
                drop(opened);
                self.machine.end(ending);
                self.reopen().await;
            }
        }
    }

    fn model(&mut self, partition: i32) -> &mut Model {
        &mut self.models[usize::try_from(partition).unwrap()]
    }

    fn next_batch(&mut self, records: usize) -> (BatchView, Sent) {
        let values: Vec<_> = (0..records).map(|nth| format!("{}-{nth}", self.sent)).collect();
        self.sent += 1;
        let now = self.machine.clock.now_ms();
        let sent = Sent {
            values: values.clone(),
            appended_at: now,
        };
        (batch(&values, now), sent)
    }

    /// `None` if the process died before the answer came.
    async fn append(&self, index: i32, batch: BatchView) -> Option<Result<Appended, AppendError>> {
        let partition = partition(&self.broker, index);
        tokio::select! {
            biased;
            appended = partition.append(vec![batch]) => match appended {
                Err(AppendError::Reserve(_) | AppendError::Unknown) if self.machine.disk.is_dead() => None,
                appended => Some(appended),
            },
            () = self.machine.dead.cancelled() => None,
        }
    }

    /// Gives a producer's next batch its sequence.
    fn prepare(&mut self, producer: usize, records: usize) -> usize {
        let (batch, sent) = self.next_batch(records);
        let producer = &mut self.producers[producer];
        let batch = stamped(&batch, producer.id, 0, producer.next_sequence);
        producer.next_sequence = next_sequence(producer.next_sequence, i32::try_from(records).unwrap());
        producer.history.push(Produced {
            batch,
            sent,
            answer: None,
        });
        producer.history.len() - 1
    }

    /// Sends a producer's batch, for the first time or after a crash left it in doubt.
    async fn send(&mut self, producer: usize, at: usize) {
        let Producer { partition, history, .. } = &self.producers[producer];
        let (partition, produced) = (*partition, &history[at]);
        let appended = self
            .append(partition, produced.batch.clone())
            .await
            .expect("alive")
            .unwrap();
        let sent = produced.sent.clone();
        let model = self.model(partition);
        let landed = model
            .acknowledged()
            .iter()
            .find(|(_, known)| known.values == sent.values);
        match landed {
            Some((base_offset, _)) => assert_eq!((appended.duplicate, appended.base_offset), (true, *base_offset)),
            // What retention took since cannot be told from what never landed.
            None if appended.duplicate => assert!(appended.base_offset < model.log_start_max),
            None => model.acknowledge(appended.base_offset, sent),
        }
        self.producers[producer].history[at].answer = Some(appended);
    }

    async fn repeat(&mut self, producer: usize, age: usize) {
        let Producer { partition, history, .. } = &self.producers[producer];
        let Some(at) = history.len().checked_sub(age + 1) else {
            return;
        };
        let again = self.append(*partition, history[at].batch.clone()).await.expect("alive");
        if age < REMEMBERED_BATCHES {
            let original = history[at].answer.unwrap();
            let again = again.unwrap();
            assert!(again.duplicate);
            assert_eq!(again.base_offset, original.base_offset);
            assert_eq!(again.last_offset, original.last_offset);
        } else {
            assert!(
                matches!(again, Err(AppendError::Sequence(SequenceError::OutOfOrder { .. }))),
                "{again:?}"
            );
        }
    }

    async fn read(&mut self, index: i32, at: f64, max_bytes: usize) {
        let partition = partition(&self.broker, index);
        let high_watermark = partition.high_watermark();
        let from = position(&partition, at);
        let limits = ReadLimits {
            max_bytes,
            at_least_one: max_bytes.is_multiple_of(2),
        };
        let read = partition.read(from, limits).await;
        if from > high_watermark {
            assert!(matches!(read, Err(ReadError::OutOfRange { .. })));
            return;
        }
        let read = read.unwrap();
        let bytes: usize = read.batches.iter().map(bytes::Bytes::len).sum();
        let found = open_batches(read.batches);
        assert!(bytes <= max_bytes || (limits.at_least_one && found.len() == 1));
        assert!(!limits.at_least_one || from == high_watermark || !found.is_empty());
        let holding = |sent: &&(i64, Sent)| sent.0 + sent.1.len() > from;
        let expected = self.model(index).acknowledged().iter().filter(holding);
        for (found, (base_offset, sent)) in found.iter().zip(expected) {
            assert_eq!((found.base_offset, &found.values), (*base_offset, &sent.values));
        }
    }

    async fn retain(&mut self, after_minutes: u64) {
        self.machine.clock.advance(Duration::from_secs(60 * after_minutes));
        self.broker.retain().await;
        let now = self.machine.clock.now_ms();
        for index in 0..PARTITIONS {
            let log_start = partition(&self.broker, index).log_start();
            let since = self.model(index).log_start_max;
            for (base_offset, sent) in self.model(index).acknowledged() {
                let gone = *base_offset >= since && *base_offset < log_start;
                assert!(!gone || now - sent.appended_at > RETENTION_MS, "deleted too early");
            }
            self.forget_below(index, log_start);
        }
    }

    fn forget_below(&mut self, index: i32, log_start: i64) {
        let model = self.model(index);
        assert!(log_start >= model.log_start_max);
        model.log_start_max = log_start;
        model.forget_below(log_start);
    }

    /// Lets the machine die in the middle of something. Whether it really does depends on how much there is to do.
    async fn crash(&mut self, ending: Ending, after: u64, burst: Vec<Burst>) {
        let mut plain = Vec::new();
        let mut produced = Vec::new();
        let mut flushes = 0;
        for one in burst {
            match one {
                Burst::Append { partition } => plain.push((partition, self.next_batch(1))),
                Burst::Produce { producer } => produced.push((producer, self.prepare(producer, 1))),
                Burst::Flush => flushes += 1,
            }
        }
        arm(&self.machine, ending, after);
        let world = &*self;
        let plain = plain.into_iter().map(async |(partition, (batch, sent))| {
            let answer = world.append(partition, batch).await.and_then(Result::ok);
            (partition, sent, answer)
        });
        let produced = produced.into_iter().map(async |(producer, at)| {
            let Producer { partition, history, .. } = &world.producers[producer];
            let answer = world
                .append(*partition, history[at].batch.clone())
                .await
                .and_then(Result::ok);
            (producer, at, answer)
        });
        let flushes = (0..flushes).map(async |_| {
            tokio::select! {
                flushed = world.broker.roll_and_flush() => drop(flushed),
                () = world.machine.dead.cancelled() => {}
            }
        });
        let (plain, produced, _) = tokio::join!(join_all(plain), join_all(produced), join_all(flushes));
        for (partition, sent, answer) in plain {
            match answer {
                Some(answer) => self.model(partition).acknowledge(answer.base_offset, sent),
                None => self.model(partition).doubt(sent),
            }
        }
        for (producer, at, answer) in produced {
            let producer = &mut self.producers[producer];
            let (partition, sent) = (producer.partition, producer.history[at].sent.clone());
            producer.history[at].answer = answer;
            match answer {
                Some(answer) => self.model(partition).acknowledge(answer.base_offset, sent),
                None => self.model(partition).doubt(sent),
            }
        }
    }

    async fn reopen(&mut self) {
        self.broker = self.machine.open().await;
        self.check(usize::MAX).await;
        for model in &mut self.models {
            model.settle();
        }
        for producer in 0..PRODUCERS {
            for at in 0..self.producers[producer].history.len() {
                if self.producers[producer].history[at].answer.is_none() {
                    self.send(producer, at).await;
                }
            }
        }
    }

    async fn check(&mut self, step_bytes: usize) {
        for index in 0..PARTITIONS {
            let partition = partition(&self.broker, index);
            let log_start = partition.log_start();
            assert!(log_start >= self.model(index).log_start_max, "the log start went back");
            let found = read_all(&partition, step_bytes).await;
            self.model(index).check(log_start, &found);
        }
    }
}

fn arm(machine: &Machine, ending: Ending, after: u64) {
    match ending {
        Ending::Kill => machine.disk.kill_after(after),
        Ending::PowerLoss => machine.disk.cut_after(after),
    }
}

fn live(seed: u64, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed).await;
        for op in ops {
            let name = format!("{op:?}");
            let ran = tokio::time::timeout(PATIENCE, world.run(op)).await;
            ran.unwrap_or_else(|_| panic!("{name} hangs"));
        }
        world.check(300).await;
        world.run(Op::Restart).await;
        world.check(1).await;
    });
}

proptest! {
    // A case is a whole life; `PROPTEST_CASES` asks for more of them.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 8))]

    #[test]
    fn nothing_acknowledged_is_lost_doubled_or_reordered(seed in any::<u64>(), ops in ops()) {
        live(seed, ops);
    }
}
