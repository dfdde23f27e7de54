//! Produces batches of one record, incompressible unless it is to be all zeros, round robin over the partitions.

use std::sync::mpsc::sync_channel;
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

/// A thread for each connection, of which there may be thousands.
const STACK_BYTES: usize = 256 << 10;
/// What a batch is longer than its value.
const ENVELOPE: usize = 72;

pub(crate) fn run(args: &ProduceArgs) -> anyhow::Result<Value> {
    let mut wire = Wire::connect(&args.topic.address)?;
    let partitions = offsets::partitions(&mut wire, &args.topic.topic, true)?;
    anyhow::ensure!(partitions > 0, "topic {} was not created", args.topic.topic);
    let batch = batch(args.batch_bytes, args.zeros)?;
    let requests: Vec<Bytes> = (0..partitions)
        .map(|partition| request(&args.topic.topic, partition, batch.clone()))
        .collect::<Result<_, _>>()?;
    let wires = (0..args.connections).map(|_| Wire::connect(&args.topic.address));
    let wires = wires.collect::<Result<Vec<_>, _>>()?;

    let started = Instant::now();
    let load = Load {
        requests: &requests,
        in_flight: args.in_flight,
        limit: args
            .bytes
            .map(|bytes| bytes / batch.len() as u64 / wires.len().max(1) as u64),
        until: started + Duration::from_secs_f64(args.seconds),
        interval: args.interval_ms.map(Duration::from_millis),
    };
    let load = &load;
    let mut latencies = thread::scope(|scope| {
        let connections = (0..).zip(wires).map(|(number, wire)| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, move || load.run(number, wire))
        });
        let connections = connections.collect::<Result<Vec<_>, _>>()?;
        let mut latencies = Vec::new();
        for connection in connections {
            latencies.extend(
                connection
                    .join()
                    .map_err(|_| anyhow::anyhow!("a connection panicked"))??,
            );
        }
        anyhow::Ok(latencies)
    })?;
    let took = started.elapsed();

    latencies.sort_unstable();
    Ok(json!({
        "batches": latencies.len(),
        "bytes": latencies.len() * batch.len(),
        "seconds": took.as_secs_f64(),
        "p50": percentile(&latencies, 0.5),
        "p99": percentile(&latencies, 0.99),
        "p999": percentile(&latencies, 0.999),
    }))
}

/// In seconds.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into measurements"
)]
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Option<f64> {
    sorted
        .get((sorted.len() as f64 * share) as usize)
        .map(Duration::as_secs_f64)
}

/// What each connection does.
struct Load<'a> {
    requests: &'a [Bytes],
    in_flight: usize,
    limit: Option<u64>,
    until: Instant,
    interval: Option<Duration>,
}

impl Load<'_> {
    /// The time that each batch took from sending to its acknowledgement.
    fn run(&self, number: usize, mut wire: Wire) -> anyhow::Result<Vec<Duration>> {
        if self.in_flight <= 1 {
            return self.one_at_a_time(number, &mut wire);
        }
        // The sender is one behind the window: the one that it holds is in flight too.
        let (sent, to_receive) = sync_channel(self.in_flight - 1);
        let mut writer = wire.try_clone()?;
        thread::scope(|scope| {
            let sender = scope.spawn(move || {
                self.each(number, |request| {
                    let at = Instant::now();
                    writer.send(request)?;
                    sent.send(at).context("the receiver stopped")
                })
            });
            let mut latencies = Vec::new();
            let mut buffer = Vec::new();
            for at in to_receive {
                buffer = wire.receive(buffer)?;
                latencies.push(at.elapsed());
                check(&buffer)?;
            }
            sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
            Ok(latencies)
        })
    }

    fn one_at_a_time(&self, number: usize, wire: &mut Wire) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut buffer = Vec::new();
        self.each(number, |request| {
            let at = Instant::now();
            wire.send(request)?;
            buffer = wire.receive(std::mem::take(&mut buffer))?;
            latencies.push(at.elapsed());
            check(&buffer)
        })?;
        Ok(latencies)
    }

    /// Goes round the partitions, each connection from another one on, at its pace and to its end.
    fn each(&self, number: usize, mut send: impl FnMut(&Bytes) -> anyhow::Result<()>) -> anyhow::Result<()> {
        // Connections that keep a pace do not all send at once.
        let mut due = Instant::now() + self.interval.unwrap_or_default() / 1000 * u32::try_from(number % 1000)?;
        let requests = self.requests.iter().cycle().skip(number % self.requests.len().max(1));
        for (count, request) in (0..).zip(requests) {
            if self
                .limit
                .map_or_else(|| Instant::now() >= self.until, |limit| count >= limit)
            {
                break;
            }
            if let Some(interval) = self.interval {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                due += interval;
            }
            send(request)?;
        }
        Ok(())
    }
}

fn batch(bytes: usize, zeros: bool) -> anyhow::Result<Bytes> {
    let mut value = vec![0; bytes.saturating_sub(ENVELOPE)];
    if !zeros {
        StdRng::seed_from_u64(1).fill_bytes(&mut value);
    }
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
