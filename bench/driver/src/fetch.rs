//! Reads a topic to its end as a consumer does: one request at a time, all partitions in each.

use std::time::Instant;

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::{Value, json};
use tailrace_shared::kafka::messages::FetchRequest;
use tailrace_shared::kafka::messages::fetch::{FetchPartition, FetchTopic};
use tailrace_shared::record::BatchHeader;

use super::FetchArgs;
use super::offsets;
use super::wire::{self, Wire};

pub(crate) struct Partition {
    index: i32,
    next: i64,
    end: i64,
}

impl Partition {
    /// From its start on, without an end.
    pub(crate) fn whole(index: i32) -> Self {
        Self {
            index,
            next: 0,
            end: i64::MAX,
        }
    }
}

pub(crate) fn run(args: &FetchArgs) -> anyhow::Result<Value> {
    let topic = &args.topic.topic;
    let mut wire = Wire::connect(&args.topic.address)?;
    let count = offsets::partitions(&mut wire, topic, false)?;
    let starts = offsets::starts(&mut wire, topic, count)?;
    let ends = offsets::ends(&mut wire, topic, count)?;
    let last = args.last_bytes.zip(args.batch_bytes);
    let last = last.map(|(last, batch)| i64::try_from(last / batch.max(1) / u64::from(count.unsigned_abs().max(1))));
    let last = last.transpose()?.unwrap_or(i64::MAX);
    let all = || {
        let ranges = (0..).zip(starts.iter().zip(&ends));
        ranges.map(|(index, (start, end))| Partition {
            index,
            next: *start.max(&end.saturating_sub(last)),
            end: *end,
        })
    };

    let (mut bytes, mut requests) = (0, 0);
    let mut buffer = Vec::new();
    let started = Instant::now();
    for _ in 0..args.times {
        let mut left: Vec<_> = all().filter(|partition| partition.next < partition.end).collect();
        while !left.is_empty() {
            wire.send(&request(topic, &left, args.partition_bytes)?)?;
            let frame = Bytes::from(wire.receive(buffer)?);
            bytes += take(frame.clone(), &mut left)?.iter().map(Bytes::len).sum::<usize>();
            requests += 1;
            left.retain(|partition| partition.next < partition.end);
            // The answer was dropped, so this is the only handle and nothing is copied.
            buffer = Vec::from(frame);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({ "bytes": bytes, "requests": requests, "seconds": seconds }))
}

pub(crate) fn request(topic: &str, partitions: &[Partition], partition_bytes: i32) -> anyhow::Result<Bytes> {
    let asked = partitions.iter().map(|partition| FetchPartition {
        partition: partition.index,
        current_leader_epoch: -1,
        fetch_offset: partition.next,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: partition_bytes,
        ..Default::default()
    });
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: i32::MAX,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: ByteString::from(topic),
            partitions: asked.collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    wire::encode(&request, wire::FETCH)
}

/// Moves each partition behind what came of it, and hands it on: whole batches.
pub(crate) fn take(frame: Bytes, partitions: &mut [Partition]) -> anyhow::Result<Vec<Bytes>> {
    let answer = wire::decode::<FetchRequest>(frame, wire::FETCH)?;
    let mut whole = Vec::new();
    for found in answer.responses.iter().flat_map(|topic| &topic.partitions) {
        wire::check(found.error_code, "a fetch")?;
        let records = found.records.clone().unwrap_or_default().into_bytes();
        let mut rest = records.clone();
        let asked = partitions
            .iter_mut()
            .find(|partition| partition.index == found.partition_index);
        let asked = asked.ok_or_else(|| anyhow::anyhow!("partition {} was not asked for", found.partition_index))?;
        while let Ok(header) = BatchHeader::decode(&rest) {
            if header.size_in_bytes() > rest.len() {
                break;
            }
            asked.next = header.next_offset();
            rest = rest.slice(header.size_in_bytes()..);
        }
        whole.push(records.slice(..records.len() - rest.len()));
    }
    Ok(whole)
}
