//! Behaviours of the broker that deserve a name.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::ObjectStore;
use tailrace_shared::clock::Clock;

use super::machine::{
    Ending, GRACE, Machine, batch, create_topic, open_batches, partition, read_all, stamped, timed_batch,
};
use crate::broker::{Broker, DataDir, DataDirError, MaintenanceIntervals, OpenError};
use crate::partition::{
    AppendError, Awaited, FoundOffset, OffsetQuery, Partition, ReadError, ReadLimits, SequenceError, any_beyond,
};
use crate::segment;
use crate::store::AdoptFile;

fn values(of: std::ops::Range<i64>) -> Vec<String> {
    of.map(|offset| offset.to_string()).collect()
}

/// Appends single records whose values are their offsets.
async fn append(partition: &Arc<Partition>, count: i64) {
    for _ in 0..count {
        let next = partition.high_watermark();
        let appended = partition
            .append(vec![batch(&values(next..next + 1), next)])
            .await
            .unwrap();
        assert_eq!(appended.base_offset, next);
    }
}

async fn objects(broker: &Broker) -> usize {
    let prefix = object_store::path::Path::from("segments");
    let listed: Vec<_> = broker.store.list(Some(&prefix)).try_collect().await.unwrap();
    listed.len()
}

#[tokio::test]
async fn a_batch_lands_on_stable_storage_before_it_is_acknowledged() {
    let mut machine = Machine::new(1);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    append(&partition(&broker, 0), 3).await;
    machine.disk = machine.disk.power_off(tailrace_shared::disk::sim::PowerLoss::DropAll);
    let broker = machine.open().await;
    assert_eq!(read_all(&partition(&broker, 0), 1 << 20).await.len(), 3);
}

#[tokio::test]
async fn several_batches_are_appended_as_one() {
    let mut machine = Machine::new(2);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    let appended = partition
        .append(vec![batch(&values(0..2), 5), batch(&values(2..5), 5)])
        .await
        .unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (0, 4));
    let refused = partition
        .append(vec![
            stamped(&batch(&values(0..1), 5), 1, 0, 0),
            batch(&values(0..1), 5),
        ])
        .await;
    assert!(matches!(refused, Err(AppendError::SeveralWithProducer { batches: 2 })));
    assert!(matches!(partition.append(vec![]).await, Err(AppendError::Empty)));
    let found = read_all(&partition, 1 << 20).await;
    assert_eq!(found.iter().map(|batch| batch.base_offset).collect::<Vec<_>>(), [0, 2]);
}

/// One record of partition 0 in a segment of its own, and five of each of two partitions where the WAL wrote them.
/// Machines of an even seed adopt in their second process, those of an odd one in their first.
async fn adopted() -> (Machine, Arc<Broker>) {
    let mut machine = Machine::new(21);
    let broker = machine.open().await;
    create_topic(&broker, 2, &[]).await;
    // The first file is a small one.
    append(&partition(&broker, 0), 1).await;
    broker.roll_and_flush().await.unwrap();
    for index in 0..2 {
        append(&partition(&broker, index), 5).await;
    }
    broker.roll_and_flush().await.unwrap();
    (machine, broker)
}

#[tokio::test]
async fn a_wal_file_of_long_frames_becomes_a_segment_as_it_stands() {
    let (mut machine, broker) = adopted().await;
    assert_eq!(objects(&broker).await, 2);
    let runs = [0, 1].map(|index| partition(&broker, index).manifest().segments.last().cloned().unwrap());
    assert_eq!(runs[0].object, runs[1].object, "the file");
    assert!(
        runs[0].position < runs[1].position && runs[1].position > 5 * 4096,
        "as the WAL wrote them"
    );
    // What is short is written anew behind it, and the next long stretch finds it there.
    append(&partition(&broker, 0), 1).await;
    append(&partition(&broker, 1), 5).await;
    broker.roll_and_flush().await.unwrap();
    append(&partition(&broker, 0), 5).await;
    broker.roll_and_flush().await.unwrap();
    drop(broker);
    machine.end(Ending::PowerLoss);
    let broker = machine.open().await;
    for (index, count) in [(0, 12), (1, 10)] {
        let partition = partition(&broker, index);
        let read: Vec<_> = read_all(&partition, 200)
            .await
            .into_iter()
            .flat_map(|batch| batch.values)
            .collect();
        assert_eq!(read, values(0..count));
    }
    let topic = broker.topic("t").unwrap().meta.id;
    broker.delete_topic(topic).await.unwrap();
    for _ in 0..2 {
        broker.roll_and_flush().await.unwrap();
        broker.sweep().await.unwrap();
        machine.clock.advance(GRACE);
    }
    broker.sweep().await.unwrap();
    assert_eq!(objects(&broker).await, 0);
}

#[tokio::test]
async fn what_is_left_in_a_file_that_is_mostly_gone_moves_elsewhere() {
    let (machine, broker) = adopted().await;
    let adopted = partition(&broker, 1).manifest().segments[0].object;
    assert!(broker.reclaim().await.unwrap(), "mostly padding");
    assert!(!broker.reclaim().await.unwrap());
    for index in 0..2 {
        assert!(
            partition(&broker, index)
                .manifest()
                .segments
                .iter()
                .all(|run| run.object != adopted)
        );
    }
    broker.sweep().await.unwrap();
    machine.clock.advance(GRACE);
    assert_eq!(broker.sweep().await.unwrap().deleted, 1);
    assert_eq!(read_all(&partition(&broker, 0), 200).await.len(), 6);
    assert_eq!(read_all(&partition(&broker, 1), 200).await.len(), 5);
}

/// A file system without links, or another one.
#[derive(Debug)]
struct Refusing;

#[async_trait::async_trait]
impl AdoptFile for Refusing {
    async fn adopt(&self, _: std::path::PathBuf, _: &object_store::path::Path) -> object_store::Result<()> {
        Err(object_store::Error::NotImplemented {
            operation: "link".into(),
            implementer: "a test".into(),
        })
    }
}

#[tokio::test]
async fn a_file_that_the_store_does_not_take_is_written_anew() {
    let mut machine = Machine::new(21);
    let mut options = machine.options().unwrap();
    options.adopts = Some(Arc::new(Refusing));
    let broker = Broker::open(options).await.unwrap();
    create_topic(&broker, 1, &[]).await;
    append(&partition(&broker, 0), 5).await;
    broker.roll_and_flush().await.unwrap();
    assert_eq!(partition(&broker, 0).manifest().segments[0].position, 8);
    assert_eq!(read_all(&partition(&broker, 0), 1 << 20).await.len(), 5);
}

#[tokio::test]
async fn log_append_time_stamps_batches_and_still_knows_duplicates_after_a_restart() {
    let mut machine = Machine::new(3);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let sent = stamped(&batch(&values(0..1), 5), 7, 0, 0);
    let now = machine.clock.now_ms();
    let appended = partition(&broker, 0).append(vec![sent.clone()]).await.unwrap();
    assert_eq!(appended.log_append_time, Some(now));
    drop(broker);
    machine.end(Ending::Kill);
    let broker = machine.open().await;
    let partition = partition(&broker, 0);
    let again = partition.append(vec![sent]).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.base_offset, 0);
    let found = partition.find_offset(OffsetQuery::At(now)).await.unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (0, Some(now)));
}

/// Holds the WAL's writer thread between the sync of a commit and its announcement.
#[derive(Default)]
struct Gate {
    shut: parking_lot::Mutex<bool>,
    opened: parking_lot::Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut shut = self.shut.lock();
        while *shut {
            self.opened.wait(&mut shut);
        }
    }

    fn set(&self, shut: bool) {
        *self.shut.lock() = shut;
        self.opened.notify_all();
    }
}

#[tokio::test]
async fn what_is_in_flight_is_neither_acknowledged_nor_read_nor_checkpointed() {
    let mut machine = Machine::new(17);
    let gate = Arc::new(Gate::default());
    let mut options = machine.options().unwrap();
    let passing = Arc::clone(&gate);
    options.wal.on_commit = Arc::new(move |_| passing.pass());
    let broker = Broker::open(options).await.unwrap();
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    let sent = stamped(&batch(&values(0..1), 5), 7, 0, 0);

    gate.set(true);
    let original = partition.begin_append(vec![sent.clone()]).await.unwrap();
    let mut again = std::pin::pin!(partition.append(vec![sent]));
    assert!(futures::poll!(&mut again).is_pending(), "the original is in flight");
    let snapshot = partition.snapshot();
    assert_eq!((snapshot.end, snapshot.producers), (0, vec![]));
    assert_eq!(partition.high_watermark(), 0);
    gate.set(false);

    let (original, again) = (original.durable().await.unwrap(), again.await.unwrap());
    assert_eq!((original.duplicate, original.base_offset), (false, 0));
    assert_eq!((again.duplicate, again.base_offset), (true, 0));
    assert_eq!(partition.snapshot().producers.len(), 1);
}

#[tokio::test]
async fn other_bytes_under_a_used_sequence_are_refused() {
    let mut machine = Machine::new(4);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    partition
        .append(vec![stamped(&batch(&values(0..1), 5), 7, 0, 0)])
        .await
        .unwrap();
    let refused = partition.append(vec![stamped(&batch(&values(1..2), 5), 7, 0, 0)]).await;
    assert!(
        matches!(refused, Err(AppendError::Sequence(SequenceError::Reused { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn offsets_are_found_by_time_exact_to_the_record_wherever_they_lie() {
    let mut machine = Machine::new(5);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    partition
        .append(vec![timed_batch(&[("a", 100), ("b", 300), ("c", 200)])])
        .await
        .unwrap();
    partition
        .append(vec![timed_batch(&[("d", 50), ("e", 400)])])
        .await
        .unwrap();
    for place in ["in memory", "in a segment"] {
        let cases = [
            (OffsetQuery::At(0), Some((0, Some(100)))),
            (OffsetQuery::At(101), Some((1, Some(300)))),
            (OffsetQuery::At(301), Some((4, Some(400)))),
            (OffsetQuery::At(401), None),
            (OffsetQuery::MaxTimestamp, Some((4, Some(400)))),
            (OffsetQuery::Earliest, Some((0, None))),
            (OffsetQuery::EarliestLocal, Some((0, None))),
            (OffsetQuery::Latest, Some((5, None))),
            (OffsetQuery::LatestTiered, None),
        ];
        for (query, expected) in cases {
            let found = partition.find_offset(query).await.unwrap();
            let found = found.map(|FoundOffset { offset, timestamp, .. }| (offset, timestamp));
            assert_eq!(found, expected, "{query:?} {place}");
        }
        broker.roll_and_flush().await.unwrap();
    }
    partition.advance_log_start(2).await.unwrap();
    let found = partition.find_offset(OffsetQuery::At(150)).await.unwrap().unwrap();
    assert_eq!(
        (found.offset, found.timestamp),
        (2, Some(200)),
        "what lies below the log start does not count"
    );
}

#[tokio::test]
async fn a_fetch_at_the_end_is_woken_by_a_commit() {
    let mut machine = Machine::new(6);
    let broker = machine.open().await;
    create_topic(&broker, 2, &[]).await;
    let partitions = [partition(&broker, 0), partition(&broker, 1)];
    let awaited = partitions.iter().map(|partition| Awaited {
        progress: partition.progress(),
        beyond: partition.high_watermark(),
    });
    let waiting = tokio::spawn(any_beyond(awaited.collect()));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    append(&partitions[1], 1).await;
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_restart_after_a_clean_stop_replays_nothing() {
    let mut machine = Machine::new(7);
    let broker = machine.open().await;
    create_topic(&broker, 3, &[]).await;
    append(&partition(&broker, 1), 10).await;
    broker.shut_down().await.unwrap();
    assert!(matches!(
        partition(&broker, 1).append(vec![batch(&values(0..1), 0)]).await,
        Err(AppendError::Closed | AppendError::Reserve(_))
    ));
    drop(broker);
    let broker = machine.open().await;
    assert_eq!(broker.recovery().frames, 0);
    assert!(partition(&broker, 1).unflushed().is_empty());
    assert_eq!(read_all(&partition(&broker, 1), 100).await.len(), 10);
}

#[tokio::test]
async fn a_second_broker_on_the_same_directory_is_refused() {
    let mut machine = Machine::new(8);
    let _broker = machine.open().await;
    let disk = Arc::new(machine.disk.clone());
    let refused = DataDir::claim(disk, "/data".into());
    assert!(matches!(refused, Err(DataDirError::InUse { .. })));
}

#[tokio::test]
async fn expired_batches_are_gone_and_so_are_their_objects() {
    let mut machine = Machine::new(8);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[("retention.ms", "1000")]).await;
    let partition = partition(&broker, 0);
    append(&partition, 5).await;
    broker.roll_and_flush().await.unwrap();
    append(&partition, 2).await;
    machine.clock.advance(Duration::from_millis(1001));
    append(&partition, 1).await;
    broker.retain().await;
    assert_eq!((partition.log_start(), partition.high_watermark()), (7, 8));
    let limits = ReadLimits {
        max_bytes: 1000,
        at_least_one: true,
    };
    let refused = partition.read(6, limits).await;
    assert!(matches!(
        refused,
        Err(ReadError::OutOfRange {
            asked: 6,
            log_start: 7,
            high_watermark: 8
        })
    ));
    assert_eq!(objects(&broker).await, 1);
    broker.sweep().await.unwrap();
    machine.clock.advance(GRACE);
    broker.sweep().await.unwrap();
    assert_eq!(objects(&broker).await, 0);
    assert_eq!(
        open_batches(partition.read(7, limits).await.unwrap().batches)[0].values,
        ["7"]
    );
}

#[tokio::test]
async fn a_deleted_topic_takes_no_batches_and_leaves_no_objects() {
    let mut machine = Machine::new(10);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    let old = partition(&broker, 0);
    append(&old, 5).await;
    broker.roll_and_flush().await.unwrap();
    broker.delete_topic(old.id().topic).await.unwrap();
    assert!(matches!(
        old.append(vec![batch(&values(0..1), 0)]).await,
        Err(AppendError::Closed)
    ));
    create_topic(&broker, 1, &[]).await;
    assert_eq!(
        partition(&broker, 0).high_watermark(),
        0,
        "another topic of the same name"
    );
    broker.sweep().await.unwrap();
    machine.clock.advance(GRACE);
    broker.sweep().await.unwrap();
    assert_eq!(objects(&broker).await, 0);
    drop(broker);
    machine.end(Ending::Kill);
    let broker = machine.open().await;
    assert_eq!(broker.topics().len(), 1);
    assert_eq!(partition(&broker, 0).high_watermark(), 0);
}

#[tokio::test]
async fn a_topic_grows_and_its_configs_change_while_it_is_used() {
    let mut machine = Machine::new(11);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    append(&partition(&broker, 0), 2).await;
    let id = broker.topic("t").unwrap().meta.id;
    let grown = broker.grow_topic(id, 3).await.unwrap();
    assert_eq!(grown.partitions().len(), 3);
    append(&partition(&broker, 2), 1).await;
    broker
        .alter_topic(id, |config| config.set("retention.bytes", Some("0")))
        .await
        .unwrap();
    broker.retain().await;
    assert_eq!(partition(&broker, 0).log_start(), 2);
    drop(broker);
    machine.end(Ending::PowerLoss);
    let broker = machine.open().await;
    assert_eq!(partition(&broker, 0).log_start(), 2);
    assert_eq!(partition(&broker, 2).high_watermark(), 1);
}

#[tokio::test]
async fn producer_ids_are_never_handed_out_twice() {
    let mut machine = Machine::new(12);
    let broker = machine.open().await;
    let first = broker.allocate_producer_id().await.unwrap();
    assert_eq!(broker.allocate_producer_id().await.unwrap(), first + 1);
    drop(broker);
    machine.end(Ending::Kill);
    let broker = machine.open().await;
    assert!(broker.allocate_producer_id().await.unwrap() > first + 1);
}

#[tokio::test]
async fn merged_segments_read_the_same_and_the_old_objects_go() {
    let mut machine = Machine::new(13);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    for _ in 0..4 {
        append(&partition, 3).await;
        broker.roll_and_flush().await.unwrap();
    }
    let before = read_all(&partition, 1 << 20).await;
    assert_eq!(partition.manifest().segments.len(), 4);
    while broker.merge().await.unwrap() {}
    assert_eq!(partition.manifest().segments.len(), 1);
    assert_eq!(read_all(&partition, 1 << 20).await, before);
    broker.sweep().await.unwrap();
    machine.clock.advance(GRACE);
    broker.sweep().await.unwrap();
    assert_eq!(objects(&broker).await, 1);
    assert_eq!(read_all(&partition, 1 << 20).await, before);
}

#[tokio::test]
async fn a_damaged_checkpoint_gives_way_to_the_one_before_it() {
    let mut machine = Machine::new(14);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    for _ in 0..3 {
        append(&partition(&broker, 0), 3).await;
        broker.roll_and_flush().await.unwrap();
    }
    append(&partition(&broker, 0), 1).await;
    let prefix = object_store::path::Path::from("checkpoints");
    let mut listed: Vec<_> = broker.store.list(Some(&prefix)).try_collect().await.unwrap();
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    assert_eq!(listed.len(), 2);
    let newest = &listed[1].location;
    object_store::ObjectStoreExt::put(&*broker.store, newest, "damaged".into())
        .await
        .unwrap();
    drop(broker);
    machine.end(Ending::Kill);
    let broker = machine.open().await;
    assert_eq!(read_all(&partition(&broker, 0), 1 << 20).await.len(), 10);
}

/// With the smallest budget that is allowed, and flushing in the background.
async fn open_with_little_budget(machine: &mut Machine) -> Arc<Broker> {
    let mut options = machine.options().unwrap();
    options.wal.budget_bytes = 2 * options.wal.file_bytes;
    options.maintenance = Some(MaintenanceIntervals::default());
    Broker::open(options).await.unwrap()
}

/// Fails where appends would wait for ever.
async fn append_soon(partition: &Arc<Partition>, count: i64) {
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, append(partition, count)).await.unwrap();
}

#[tokio::test]
async fn flushing_makes_room_also_within_the_smallest_budget() {
    let mut machine = Machine::new(18);
    let broker = open_with_little_budget(&mut machine).await;
    create_topic(&broker, 1, &[]).await;
    append_soon(&partition(&broker, 0), 300).await;
    broker.shut_down().await.unwrap();
}

/// A crash leaves so many closed files, and the next start has the smallest budget.
async fn recovered_wal_is_flushed(seed: u64, closed_files: usize) {
    let mut machine = Machine::new(seed);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    while broker.wal_stats().closed_files < closed_files {
        append(&partition(&broker, 0), 1).await;
    }
    drop(broker);
    machine.end(Ending::Kill);
    let broker = open_with_little_budget(&mut machine).await;
    append_soon(&partition(&broker, 0), 100).await;
    broker.shut_down().await.unwrap();
}

#[tokio::test]
async fn a_recovered_wal_that_uses_up_the_budget_is_flushed_at_once() {
    recovered_wal_is_flushed(19, 2).await;
}

#[tokio::test]
async fn a_recovered_wal_beyond_a_lowered_budget_is_flushed() {
    recovered_wal_is_flushed(20, 5).await;
}

#[tokio::test]
async fn a_missing_segment_is_an_error_that_names_it() {
    let mut machine = Machine::new(15);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    append(&partition, 3).await;
    broker.roll_and_flush().await.unwrap();
    let object = partition.manifest().segments[0].object;
    object_store::ObjectStoreExt::delete(&*broker.store, &segment::object_path(object))
        .await
        .unwrap();
    let limits = ReadLimits {
        max_bytes: 1000,
        at_least_one: true,
    };
    let failed = partition.read(0, limits).await.unwrap_err();
    assert!(failed.to_string().contains(&object.to_string()), "{failed}");
}

#[tokio::test]
async fn a_lost_wal_is_refused() {
    let mut machine = Machine::new(16);
    let broker = machine.open().await;
    create_topic(&broker, 1, &[]).await;
    append(&partition(&broker, 0), 3).await;
    broker.roll_and_flush().await.unwrap();
    append(&partition(&broker, 0), 3).await;
    broker.shut_down().await.unwrap();
    drop(broker);
    let wal = std::path::Path::new("/data/wal");
    for name in tailrace_shared::disk::Disk::list(&machine.disk, wal).unwrap() {
        tailrace_shared::disk::Disk::remove(&machine.disk, &wal.join(name.name)).unwrap();
    }
    let refused = machine.try_open().await.unwrap();
    assert!(matches!(refused, Err(OpenError::Wal(_))), "{refused:?}");
}
