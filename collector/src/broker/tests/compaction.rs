//! Arbitrary histories of a compacted partition, with crashes at any moment, against a reference that remembers every
//! record and needs no more than a map to say what must be there, what may be, and what must not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tailrace_shared::clock::Clock;
use tailrace_shared::record::{BatchBuilder, BatchView, Compression, RecordHeaders};

use super::machine::{Ending, GRACE, Machine, create_topic, partition, position, read_batches, view};
use crate::broker::{Broker, BrokerOptions};
use crate::partition::{AppendError, Partition};
use crate::segment::compaction::KEY_BYTES;

const KEYS: u8 = 6;
const DELETE_RETENTION_MS: i64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
enum Op {
    /// Keys, and whether each record is a deletion mark.
    Produce {
        records: Vec<(u8, bool)>,
        codec: Compression,
    },
    Flush,
    Merge,
    Compact,
    /// Compacts while other runs are merged, and more are flushed and written.
    Together {
        records: Vec<(u8, bool)>,
    },
    Wait {
        seconds: u64,
    },
    DeleteRecords {
        at: f64,
    },
    Sweep,
    Read {
        at: f64,
        step_bytes: usize,
    },
    Restart,
    /// The machine dies while it compacts, flushes and takes a batch.
    Crash {
        ending: Ending,
        after: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let record = (0..KEYS, prop::bool::weighted(0.25));
    let records = proptest::collection::vec(record, 1..6);
    let codec = prop::sample::select(&Compression::ALL[..]);
    let ending = prop_oneof![Just(Ending::Kill), Just(Ending::PowerLoss)];
    let op = prop_oneof![
        4 => records.clone().prop_map(|records| Op::Together { records }),
        12 => (records, codec)
            .prop_map(|(records, codec)| Op::Produce { records, codec }),
        6 => Just(Op::Flush),
        2 => Just(Op::Merge),
        6 => Just(Op::Compact),
        3 => (0u64..100).prop_map(|seconds| Op::Wait { seconds }),
        1 => (0.0..0.5f64).prop_map(|at| Op::DeleteRecords { at }),
        1 => Just(Op::Sweep),
        2 => (0.0..1.0f64, 1usize..400).prop_map(|(at, step_bytes)| Op::Read { at, step_bytes }),
        1 => Just(Op::Restart),
        3 => (ending, 0u64..40).prop_map(|(ending, after)| Op::Crash { ending, after }),
    ];
    proptest::collection::vec(op, 1..60)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    key: u8,
    /// `None` is a deletion mark.
    value: Option<String>,
    timestamp: i64,
}

/// Every record that the partition ever took.
#[derive(Debug, Default)]
struct Reference {
    taken: BTreeMap<i64, Record>,
    /// Sent while the machine died, and never answered.
    in_doubt: Vec<Record>,
    /// When a pass can have met each deletion mark first.
    met: HashMap<i64, i64>,
    /// Everything that a pass can have seen is below.
    compactable_to: i64,
}

impl Reference {
    fn take(&mut self, base_offset: i64, records: Vec<Record>) {
        self.taken.extend((base_offset..).zip(records));
    }

    /// A pass begins that may get as far as `end`.
    fn pass(&mut self, end: i64, now: i64) {
        self.compactable_to = self.compactable_to.max(end);
        for (offset, record) in self.taken.range(..end) {
            if record.value.is_none() {
                self.met.entry(*offset).or_insert(now);
            }
        }
    }

    fn newer(&self, offset: i64, below: i64) -> bool {
        let key = self.taken[&offset].key;
        let newer = self.taken.range(offset + 1..below.max(offset + 1));
        newer.into_iter().any(|(_, record)| record.key == key)
    }

    /// Compares with all that the partition gives.
    fn check(&mut self, found: &BTreeMap<i64, Record>, log_start: i64, compacted_to: i64, now: i64) {
        let known_to = self.taken.keys().next_back().map_or(0, |last| last + 1);
        let landed: Vec<_> = found
            .range(known_to..)
            .map(|(at, record)| (*at, record.clone()))
            .collect();
        if let Some((base_offset, _)) = landed.first() {
            let records: Vec<_> = landed.iter().map(|(_, record)| record.clone()).collect();
            assert_eq!(records, self.in_doubt, "what was never sent");
            self.take(*base_offset, records);
        }
        self.in_doubt.clear();
        for (offset, record) in found {
            assert_eq!(
                self.taken.get(offset),
                Some(record),
                "offset {offset} is not what was appended there"
            );
        }
        for (offset, record) in self.taken.range(log_start..) {
            if found.contains_key(offset) {
                continue;
            }
            let expired = || {
                let met = self.met.get(offset);
                record.value.is_none() && met.is_some_and(|met| now - met >= DELETE_RETENTION_MS)
            };
            assert!(
                self.newer(*offset, self.compactable_to) || expired(),
                "offset {offset} is gone too early: {record:?}"
            );
        }
        let mut keys = BTreeSet::new();
        for record in found.range(..compacted_to).map(|(_, record)| record) {
            assert!(
                keys.insert(record.key),
                "key {} is twice below {compacted_to}",
                record.key
            );
        }
        self.check_state(found, log_start);
    }

    /// A consumer that reads everything ends with what was written: nothing that was deleted comes back.
    fn check_state(&self, found: &BTreeMap<i64, Record>, log_start: i64) {
        let state = |records: &mut dyn Iterator<Item = &Record>| {
            let mut state = BTreeMap::new();
            for record in records {
                state.insert(record.key, record.value.clone());
            }
            state.retain(|_, value| value.is_some());
            state
        };
        let written = state(&mut self.taken.range(log_start..).map(|(_, record)| record));
        assert_eq!(state(&mut found.values()), written);
    }
}

struct World {
    machine: Machine,
    broker: Arc<Broker>,
    reference: Reference,
    keys_max: u64,
    produced: usize,
}

impl World {
    async fn new(seed: u64, keys_max: u64) -> Self {
        let mut machine = Machine::new(seed);
        let broker = open(&mut machine, keys_max).await;
        let retention = DELETE_RETENTION_MS.to_string();
        let configs = [
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0"),
            ("delete.retention.ms", &retention),
        ];
        create_topic(&broker, 1, &configs).await;
        Self {
            machine,
            broker,
            reference: Reference::default(),
            keys_max,
            produced: 0,
        }
    }

    fn now(&self) -> i64 {
        self.machine.clock.now_ms()
    }

    fn partition(&self) -> Arc<Partition> {
        partition(&self.broker, 0)
    }

    async fn run(&mut self, op: Op) {
        match op {
            Op::Produce { records, codec } => self.produce(&records, codec).await,
            Op::Flush => self.broker.roll_and_flush().await.unwrap(),
            Op::Merge => drop(self.broker.merge().await.unwrap()),
            Op::Compact => self.compact().await,
            Op::Together { records } => {
                let partition = self.partition();
                self.reference.pass(partition.high_watermark(), self.now());
                let broker = Arc::clone(&self.broker);
                let (_, flushed, merged, ()) = tokio::join!(
                    broker.compact(),
                    broker.roll_and_flush(),
                    broker.merge(),
                    self.produce(&records, Compression::Zstd),
                );
                flushed.unwrap();
                merged.unwrap();
                assert_eq!(self.broker.compaction_stats().failing_partitions, 0);
            }
            Op::Wait { seconds } => self.machine.clock.advance(Duration::from_secs(seconds)),
            Op::DeleteRecords { at } => {
                let partition = self.partition();
                let to = position(&partition, at);
                partition.advance_log_start(to).await.unwrap();
            }
            Op::Sweep => {
                self.broker.sweep().await.unwrap();
                self.machine.clock.advance(GRACE);
                self.broker.sweep().await.unwrap();
            }
            Op::Read { at, step_bytes } => {
                let partition = self.partition();
                let from = position(&partition, at);
                let all = read(&partition, partition.log_start(), 1 << 20).await;
                let some = read(&partition, from, step_bytes).await;
                let expected: Vec<_> = all.range(from..).collect();
                let found: Vec<_> = some.range(from..).collect();
                assert_eq!(found, expected, "from offset {from}, {step_bytes} bytes at a time");
            }
            Op::Restart => {
                self.broker.shut_down().await.unwrap();
                self.machine.end(Ending::Kill);
                self.reopen().await;
            }
            Op::Crash { ending, after } => {
                self.crash(ending, after).await;
                self.machine.end(ending);
                self.reopen().await;
            }
        }
        self.check().await;
    }

    async fn produce(&mut self, records: &[(u8, bool)], codec: Compression) {
        let records = self.next_records(records);
        let appended = self.partition().append(vec![batch(&records, codec)]).await.unwrap();
        self.reference.take(appended.base_offset, records);
    }

    fn next_records(&mut self, records: &[(u8, bool)]) -> Vec<Record> {
        let now = self.now();
        records
            .iter()
            .map(|(key, deleted)| {
                self.produced += 1;
                Record {
                    key: *key,
                    value: (!deleted).then(|| format!("value {}", self.produced)),
                    timestamp: now + i64::try_from(self.produced % 7).unwrap(),
                }
            })
            .collect()
    }

    /// Until there is nothing left to do, however few keys fit into memory.
    async fn compact(&mut self) {
        let partition = self.partition();
        let end = partition.manifest().covered_to();
        self.reference.pass(end, self.now());
        while self.broker.compact().await {}
        assert_eq!(self.broker.compaction_stats().failing_partitions, 0);
        let manifest = partition.manifest();
        if !manifest.segments.is_empty() {
            assert_eq!(manifest.compacted_to, end, "{manifest:?}");
        }
    }

    async fn crash(&mut self, ending: Ending, after: u64) {
        let partition = self.partition();
        self.reference.pass(partition.high_watermark(), self.now());
        let records = self.next_records(&[(0, false), (1, true)]);
        let batch = batch(&records, Compression::Lz4);
        match ending {
            Ending::Kill => self.machine.disk.kill_after(after),
            Ending::PowerLoss => self.machine.disk.cut_after(after),
        }
        let until_dead = async |work: &mut (dyn Future<Output = ()> + Unpin)| {
            tokio::select! {
                () = work => {}
                () = self.machine.dead.cancelled() => {}
            }
        };
        let mut answer = None;
        let mut append = Box::pin(async { answer = partition.append(vec![batch]).await.ok() });
        let mut flush = Box::pin(async { drop(self.broker.roll_and_flush().await) });
        let mut compact = Box::pin(async {
            self.broker.compact().await;
        });
        tokio::join!(
            until_dead(&mut compact),
            until_dead(&mut append),
            until_dead(&mut flush)
        );
        drop((append, flush, compact));
        match answer {
            Some(appended) => self.reference.take(appended.base_offset, records),
            None => self.reference.in_doubt = records,
        }
    }

    async fn reopen(&mut self) {
        self.broker = open(&mut self.machine, self.keys_max).await;
    }

    async fn check(&mut self) {
        let partition = self.partition();
        let found = read(&partition, partition.log_start(), 1 << 20).await;
        let found = found
            .range(partition.log_start()..)
            .map(|(at, record)| (*at, record.clone()));
        let compacted_to = partition.manifest().compacted_to;
        let now = self.now();
        self.reference
            .check(&found.collect(), partition.log_start(), compacted_to, now);
    }

    /// Once nothing is written any more and every deletion mark has had its time, only the newest values are left.
    async fn settle(&mut self) {
        for _ in 0..2 {
            self.run(Op::Produce {
                records: vec![(KEYS, false)],
                codec: Compression::None,
            })
            .await;
            self.run(Op::Flush).await;
            self.run(Op::Compact).await;
            self.machine
                .clock
                .advance(Duration::from_millis(DELETE_RETENTION_MS.unsigned_abs()));
        }
        let partition = self.partition();
        let log_start = partition.log_start();
        let mut newest = BTreeMap::new();
        for (offset, record) in self.reference.taken.range(log_start..) {
            newest.insert(record.key, (*offset, record.clone()));
        }
        let expected: BTreeMap<_, _> = newest
            .into_values()
            .filter(|(_, record)| record.value.is_some())
            .collect();
        let found = read(&partition, log_start, 1 << 20).await;
        let found: BTreeMap<_, _> = found.into_iter().filter(|(offset, _)| *offset >= log_start).collect();
        assert_eq!(found, expected);
    }
}

async fn open(machine: &mut Machine, keys_max: u64) -> Arc<Broker> {
    let mut options: BrokerOptions = machine.options().expect("the machine runs");
    options.compaction.key_memory = keys_max * KEY_BYTES;
    options.compaction.object_bytes = 600;
    Broker::open(options).await.unwrap_or_else(|error| panic!("{error}"))
}

fn batch(records: &[Record], codec: Compression) -> BatchView {
    let mut builder = BatchBuilder::new(codec, codec.default_level()).unwrap();
    for record in records {
        let headers = RecordHeaders::encode([("key", Some(&[record.key][..]))]);
        let value = record.value.as_ref().map(String::as_bytes);
        builder
            .append(record.timestamp, Some(&[record.key]), value, &headers)
            .unwrap();
    }
    view(builder.finish().unwrap())
}

async fn read(partition: &Partition, from: i64, step_bytes: usize) -> BTreeMap<i64, Record> {
    let mut found = BTreeMap::new();
    for batch in read_batches(partition, from, step_bytes).await {
        assert!(batch.header.record_count > 0, "an empty batch");
        let latest = take_records(&batch, &mut found);
        assert_eq!(batch.header.max_timestamp, latest);
    }
    found
}

fn take_records(batch: &BatchView, found: &mut BTreeMap<i64, Record>) -> i64 {
    let mut latest = i64::MIN;
    for record in batch.records(1 << 20).unwrap().map(Result::unwrap) {
        let key = record.key.unwrap()[0];
        let headers: Vec<_> = record.headers.iter().collect();
        assert_eq!(headers.len(), 1);
        latest = latest.max(record.timestamp);
        let text = |value: Bytes| String::from_utf8(value.to_vec()).unwrap();
        let known = Record {
            key,
            value: record.value.map(text),
            timestamp: record.timestamp,
        };
        assert_eq!(
            found.insert(record.offset, known),
            None,
            "offset {} twice",
            record.offset
        );
    }
    latest
}

fn live(seed: u64, keys_max: u64, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, keys_max).await;
        for op in ops {
            let name = format!("{op:?}");
            let ran = tokio::time::timeout(PATIENCE, world.run(op)).await;
            ran.unwrap_or_else(|_| panic!("{name} hangs"));
        }
        world.settle().await;
    });
}

proptest! {
    // A case is a whole life; `PROPTEST_CASES` asks for more of them.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn only_what_a_newer_record_replaced_is_gone(
        seed in any::<u64>(), keys_max in prop_oneof![1u64..4, Just(1000)], ops in ops(),
    ) {
        live(seed, keys_max, ops);
    }
}

#[tokio::test]
async fn a_record_without_a_key_is_refused_by_its_place_in_the_batch() {
    let mut machine = Machine::new(51);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[("cleanup.policy", "compact")]).await;
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    builder
        .append(1, Some(b"k"), Some(b"v"), &RecordHeaders::empty())
        .unwrap();
    builder.append(1, None, Some(b"v"), &RecordHeaders::empty()).unwrap();
    let refused = partition(&broker, 0)
        .append(vec![view(builder.finish().unwrap())])
        .await;
    let error = refused.unwrap_err();
    assert!(matches!(error, AppendError::Uncompactable(_)));
    assert!(
        error.to_string().starts_with("record 1 of the batch without a key"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_in_the_wal_for_too_long_waits_for_segments() {
    let mut machine = Machine::new(52);
    let broker = machine.open().await;
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1000"),
        ("segment.bytes", "2000"),
    ];
    create_topic(&broker, 1, &configs).await;
    let partition = partition(&broker, 0);
    let record = |value: &str| Record {
        key: 1,
        value: Some(value.to_owned()),
        timestamp: 1,
    };
    partition
        .append(vec![batch(&[record("a")], Compression::None)])
        .await
        .unwrap();
    machine.clock.advance(Duration::from_millis(1000));
    assert!(!partition.waits_for_segments());
    machine.clock.advance(Duration::from_millis(1));
    assert!(partition.waits_for_segments());
    broker.roll_and_flush().await.unwrap();
    assert!(!partition.waits_for_segments());
    let large = [record(&"x".repeat(2000))];
    partition.append(vec![batch(&large, Compression::None)]).await.unwrap();
    assert!(partition.waits_for_segments());
}

#[tokio::test]
async fn a_compaction_that_is_overtaken_by_the_log_start_has_not_failed() {
    let mut machine = Machine::new(53);
    let mut options = machine.options().unwrap();
    options.compaction.object_bytes = 600;
    let broker = Broker::open(options).await.unwrap();
    let configs = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")];
    create_topic(&broker, 1, &configs).await;
    let partition = partition(&broker, 0);
    for round in 0..40 {
        let record = Record {
            key: 1,
            value: Some(format!("value {round}")),
            timestamp: 1,
        };
        let batches = vec![batch(&[record], Compression::None)];
        partition.append(batches).await.unwrap();
        broker.roll_and_flush().await.unwrap();
    }
    let overtake = async {
        let end = partition.high_watermark();
        partition.advance_log_start(end).await.unwrap();
        broker.sweep().await.unwrap();
        machine.clock.advance(GRACE);
        broker.sweep().await.unwrap();
    };
    tokio::join!(broker.compact(), overtake);
    assert_eq!(partition.manifest().segments, []);
    assert_eq!(broker.compaction_stats().failing_partitions, 0);
}
