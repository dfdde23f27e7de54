//! Produces batches of one incompressible record, round robin over the partitions, from one connection.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use bytestring::ByteString;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};
use tailrace_shared::kafka::messages::ProduceRequest;
use tailrace_shared::kafka::messages::produce::{PartitionProduceData, TopicProduceData};
use tailrace_shared::record::{BatchBuilder, Compression, RecordHeaders};

use super::ProduceArgs;
use super::offsets;
use super::wire::{self, Wire};

/// What a batch is longer than its value.
const ENVELOPE: usize = 72;

pub(crate) fn run(args: &ProduceArgs) -> anyhow::Result<Value> {
    let mut wire = Wire::connect(&args.topic.address)?;
    let partitions = offsets::partitions(&mut wire, &args.topic.topic, true)?;
    anyhow::ensure!(partitions > 0, "topic {} was not created", args.topic.topic);
    let batch = batch(args.batch_bytes)?;
    let requests: Vec<Bytes> = (0..partitions)
        .map(|partition| request(&args.topic.topic, partition, batch.clone()))
        .collect::<Result<_, _>>()?;

    // The sender is one behind the window: the one that it holds is in flight too.
    let (sent, to_receive) = sync_channel(args.in_flight.max(1) - 1);
    let writer = wire.try_clone()?;
    let limit = args.bytes.map(|bytes| bytes / batch.len() as u64);
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    let started = Instant::now();
    let sender = thread::spawn(move || send(writer, &requests, &sent, limit, until));
    let mut latencies = Vec::new();
    let mut buffer = Vec::new();
    for at in to_receive {
        buffer = wire.receive(buffer)?;
        latencies.push(at.elapsed());
        check(&buffer)?;
    }
    let took = started.elapsed();
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;

    latencies.sort_unstable();
    let percentile = |percent: usize| {
        latencies
            .get(latencies.len() * percent / 100)
            .map(Duration::as_secs_f64)
    };
    Ok(json!({
        "batches": latencies.len(),
        "bytes": latencies.len() * batch.len(),
        "seconds": took.as_secs_f64(),
        "p50": percentile(50),
        "p99": percentile(99),
    }))
}

fn send(
    mut wire: Wire,
    requests: &[Bytes],
    sent: &SyncSender<Instant>,
    limit: Option<u64>,
    until: Instant,
) -> anyhow::Result<()> {
    for (number, request) in (0..).zip(requests.iter().cycle()) {
        if limit.map_or_else(|| Instant::now() >= until, |limit| number >= limit) {
            break;
        }
        let at = Instant::now();
        wire.send(request)?;
        sent.send(at).context("the receiver stopped")?;
    }
    Ok(())
}

fn batch(bytes: usize) -> anyhow::Result<Bytes> {
    let mut value = vec![0; bytes.saturating_sub(ENVELOPE)];
    StdRng::seed_from_u64(1).fill_bytes(&mut value);
    let mut builder = BatchBuilder::new(Compression::None, 0)?;
    builder.append(0, None, Some(&value), &RecordHeaders::default())?;
    Ok(builder.finish()?)
}

fn request(topic: &str, partition: i32, batch: Bytes) -> anyhow::Result<Bytes> {
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: ByteString::from(topic),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    wire::encode(&request, wire::PRODUCE)
}

fn check(frame: &[u8]) -> anyhow::Result<()> {
    let answer = wire::decode::<ProduceRequest>(Bytes::copy_from_slice(frame), wire::PRODUCE)?;
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.try_for_each(|partition| wire::check(partition.error_code, "a batch"))
}
