//! Records on their way to their partitions: gathered into compressed batches, sent in order, counted when acknowledged.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use tailrace_shared::client::{ClientError, Producer};
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::murmur2;
use tailrace_shared::record::{BatchBuilder, Compression, RecordHeaders};

use crate::output::records;

/// A batch takes records up to this size, or a single larger one. Even if they cannot be compressed, brokers accept it.
const BATCH_BYTES: usize = 512 << 10;
/// What a record takes beside its key and value, at most.
const RECORD_OVERHEAD: usize = 32;

/// How a record finds its partition.
#[derive(Debug, Clone, Copy)]
pub(super) enum Route {
    /// All to this one.
    Fixed(i32),
    /// By the hash of the key among so many.
    ByKey(i32),
}

/// The batches that are being gathered, and what became of those before.
pub(super) struct Outbox {
    producer: Producer,
    route: Route,
    /// Where records without a key go.
    keyless: i32,
    clock: SystemClock,
    gathering: BTreeMap<i32, BatchBuilder>,
    acknowledged: BTreeMap<i32, Acknowledged>,
    added: u64,
}

/// What a partition has of this run.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    records: u64,
    /// Offsets of the first and the last record, where the broker said them.
    offsets: Option<(i64, i64)>,
}

impl Outbox {
    pub(super) fn new(producer: Producer, route: Route) -> Self {
        let keyless = match route {
            Route::Fixed(partition) => partition,
            Route::ByKey(count) => rand::random_range(0..count.max(1)),
        };
        Self {
            producer,
            route,
            keyless,
            clock: SystemClock::new(),
            gathering: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            added: 0,
        }
    }

    /// Adds a record, and sends the batch before it if it has no room.
    pub(super) async fn add(&mut self, key: Option<&[u8]>, value: &[u8]) -> Result<()> {
        self.added += 1;
        let partition = match (self.route, key) {
            (Route::ByKey(count), Some(key)) => murmur2::partition_of(key, count),
            _ => self.keyless,
        };
        let size = key.map_or(0, <[u8]>::len) + value.len() + RECORD_OVERHEAD;
        let gathered = self.gathering.get(&partition).map_or(0, BatchBuilder::uncompressed_len);
        if gathered > 0 && gathered + size > BATCH_BYTES {
            self.send(partition).await?;
        }
        let now = self.clock.now_ms();
        let builder = match self.gathering.entry(partition) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(BatchBuilder::new(Compression::Zstd, Compression::Zstd.default_level())?)
            }
        };
        builder.append(now, key, Some(value), &RecordHeaders::empty())?;
        Ok(())
    }

    /// Sends everything that was gathered.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let partitions: Vec<i32> = self.gathering.keys().copied().collect();
        for partition in partitions {
            self.send(partition).await?;
        }
        Ok(())
    }

    async fn send(&mut self, partition: i32) -> Result<()> {
        let Some(builder) = self.gathering.get_mut(&partition).filter(|builder| !builder.is_empty()) else {
            return Ok(());
        };
        let records = builder.record_count();
        let batch = builder.finish()?;
        let produced = self.producer.send(partition, batch).await.map_err(with_remedy)?;
        let offsets = produced
            .base_offset
            .map(|first| (first, first.saturating_add(i64::from(records) - 1)));
        let nothing = Acknowledged {
            records: 0,
            offsets: None,
        };
        let so_far = self.acknowledged.entry(partition).or_insert(nothing);
        so_far.records += u64::from(records.unsigned_abs());
        so_far.offsets = match (so_far.offsets, offsets) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (before, now) => before.or(now),
        };
        Ok(())
    }

    /// Records that were added and that no broker has acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.added - self.count_acknowledged()
    }

    /// What a person wants to know at the end.
    pub(super) fn report(&self, topic: &str) -> String {
        let mut report = format!("{} acknowledged in topic {topic}\n", records(self.count_acknowledged()));
        for (partition, it) in &self.acknowledged {
            let offsets = it.offsets.map(|(first, last)| format!(", offsets {first} to {last}"));
            // Writing to a string cannot fail.
            writeln!(
                report,
                "  partition {partition}: {}{}",
                records(it.records),
                offsets.unwrap_or_default()
            )
            .ok();
        }
        report
    }

    fn count_acknowledged(&self) -> u64 {
        self.acknowledged.values().map(|it| it.records).sum()
    }
}

fn with_remedy(error: ClientError) -> anyhow::Error {
    let remedy = match error.code() {
        Some(ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge) => {
            "a line is longer than the topic takes; raise it with `tailrace topics alter TOPIC --config max.message.bytes=…`"
        }
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(remedy)
}
