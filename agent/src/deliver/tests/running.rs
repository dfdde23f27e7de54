//! Delivery with its threads and tasks, against the model of a broker.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tailrace_shared::clock::SystemClock;
use tailrace_shared::disk::RealDisk;

use super::broker::{Broker, Kind, POISON};
use crate::deliver::queue::{Findings, Question};
use crate::deliver::{Answer, Answers, Brokers, ClusterView, Deliver, DeliverOptions, Search, Stamped, Unknown};
use crate::spool::testing::{batch, position};
use crate::spool::{Producer, Spool, SpoolOptions};
use crate::stretch::Stretch;

const TOPIC: &str = "logs";

/// A broker that is down every now and then, and loses answers.
struct Flaky {
    broker: Mutex<Broker>,
    calls: AtomicU64,
}

impl Flaky {
    fn nth(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    fn findings(&self, question: &Question, partition: i32) -> (Option<i32>, Vec<(u64, i64)>) {
        match self.broker.lock().answer(TOPIC, partition, question) {
            Findings::Known { last_sequence, found } => (last_sequence, found.unwrap_or_default()),
            Findings::Failed(reason) => panic!("{reason}"),
        }
    }
}

impl Brokers for Flaky {
    fn view(&self, _: Vec<Arc<str>>) -> BoxFuture<'_, Result<ClusterView, String>> {
        ready(Ok(self.broker.lock().view())).boxed()
    }

    fn init_producer(&self) -> BoxFuture<'_, Result<Producer, String>> {
        ready(Ok(self.broker.lock().init_producer())).boxed()
    }

    fn leader(&self, _: &str, partition: i32) -> Option<String> {
        Some(format!("broker-{}", partition % 2))
    }

    fn produce(&self, _: &str, batches: Vec<Stamped>) -> BoxFuture<'_, Result<Answers, String>> {
        let nth = self.nth();
        if nth % 7 == 3 {
            return ready(Err("down".to_owned())).boxed();
        }
        let answers: Vec<_> = batches
            .into_iter()
            .map(|batch| {
                let (code, offset) = self.broker.lock().produce(TOPIC, &batch.stamp, batch.bytes);
                let lost = nth % 11 == 5;
                let answer = if lost {
                    Answer::InDoubt("lost".into())
                } else {
                    Answer::of(code, offset, None)
                };
                (batch.number, answer)
            })
            .collect();
        let answers: Answers = async move {
            tokio::time::sleep(Duration::from_millis(nth % 3)).await;
            answers
        }
        .boxed();
        ready(Ok(answers)).boxed()
    }

    fn last_sequence(
        &self,
        _: Arc<str>,
        partition: i32,
        producer: Producer,
    ) -> BoxFuture<'_, Result<Option<i32>, Unknown>> {
        let question = Question {
            producer,
            batches: Vec::new(),
            read: false,
            from: None,
        };
        ready(Ok(self.findings(&question, partition).0)).boxed()
    }

    fn batch_bytes_max(&self, _: Arc<str>) -> BoxFuture<'_, Result<u32, Unknown>> {
        ready(Err(Unknown::NotAllowed)).boxed()
    }

    fn find(&self, search: Search) -> BoxFuture<'_, Result<Vec<(i32, i64)>, Unknown>> {
        assert!(search.from.is_some() || search.oldest_ms == 1_700_000_000_000 - 600_000);
        let numbered = search
            .base_sequences
            .iter()
            .map(|base| (u64::try_from(*base).unwrap(), *base, *base));
        let question = Question {
            producer: search.producer,
            batches: numbered.collect(),
            read: true,
            from: search.from,
        };
        let found = self.findings(&question, search.partition).1.into_iter();
        ready(Ok(found
            .map(|(base, offset)| (i32::try_from(base).unwrap(), offset))
            .collect()))
        .boxed()
    }
}

fn start(dir: &Path, brokers: &Arc<Flaky>, memory_bytes: u64) -> (Arc<Spool>, Deliver, u64) {
    let disk = Arc::new(RealDisk);
    let options = SpoolOptions {
        max_bytes: 8 * 65536,
        file_bytes: 65536,
        ..SpoolOptions::default()
    };
    let (opened, recovered) = Spool::open(disk.clone(), dir, &options).unwrap();
    let read = recovered.positions.first().map_or(0, |position| position.offset);
    let options = DeliverOptions {
        memory_bytes,
        in_flight_bytes: 4096,
        ..DeliverOptions::new(disk, dir.to_owned(), Arc::new(SystemClock::new()), 0)
    };
    let on_fatal = Box::new(|error| panic!("{error}"));
    let (spool, deliver) = Deliver::start(opened, &recovered, Arc::clone(brokers) as _, options, on_fatal).unwrap();
    (spool, deliver, read)
}

/// Appends lines `from..to` of one file, three to a batch.
async fn append(spool: &Spool, deliver: &Deliver, from: u64, to: u64) {
    for start in (from..to).step_by(3) {
        let end = to.min(start + 3);
        let lines: Vec<String> = (start..end)
            .map(|line| {
                if line == 31 {
                    format!("{line} {POISON}")
                } else {
                    line.to_string()
                }
            })
            .collect();
        let route = deliver.routes().route(TOPIC, 1);
        let stretch = Stretch {
            batches: vec![batch(TOPIC, route, &lines)],
            positions: vec![position(1, end)],
            ..Stretch::default()
        };
        spool.append(stretch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_arrive_once_and_in_order_over_restarts_and_a_flaky_broker() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::new(Kind::Kafka);
    broker.create(TOPIC, 3);
    let brokers = Arc::new(Flaky {
        broker: Mutex::new(broker),
        calls: AtomicU64::new(0),
    });
    for (life, memory_bytes) in [(1, 0), (2, 300), (3, 1 << 20)] {
        let (spool, deliver, read) = start(dir.path(), &brokers, memory_bytes);
        assert_eq!(read, (life - 1) * 60);
        append(&spool, &deliver, read, life * 60).await;
        if life == 3 {
            while deliver.stats().batches_waiting > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        deliver.stop(Duration::from_millis(20)).await;
        spool.stop();
    }
    let broker = brokers.broker.lock();
    let lines: Vec<&String> = broker.topics[TOPIC]
        .partitions
        .iter()
        .flat_map(|partition| partition.lines())
        .collect();
    // Of its batch, only the poisoned line went to the dead letters.
    let expected: Vec<String> = (0..180)
        .filter(|line| *line != 31)
        .map(|line| line.to_string())
        .collect();
    assert_eq!(lines, expected.iter().collect::<Vec<_>>());
    let kept = std::fs::read_dir(dir.path().join("dead-letter"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept
        .filter(|path| path.extension().is_some_and(|extension| extension == "reason"))
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), "MESSAGE_TOO_LARGE (10)");
}
