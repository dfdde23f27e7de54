//! The hot paths, by the instructions that they take: counted under callgrind, so the same on every machine.
//! `bench/instructions` compares them with those of an earlier commit.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gungraun::prelude::*;
use tailrace_agent::batch::{Batcher, Encoding, Format, Size};
use tailrace_agent::frame::{End, Lines};
use tailrace_agent::stretch::{Route, RoutedBatch, Routes};
use tailrace_collector::partition::producers::ProducerStamp;
use tailrace_collector::partition::sequencer::{Incoming, Sequencer};
use tailrace_shared::kafka::frame::encode_response;
use tailrace_shared::kafka::messages::fetch::{FetchableTopicResponse, PartitionData};
use tailrace_shared::kafka::messages::produce::{PartitionProduceData, TopicProduceData};
use tailrace_shared::kafka::messages::{FetchResponse, ProduceRequest};
use tailrace_shared::kafka::{Message, Segments};
use tailrace_shared::record::{BatchBuilder, Batches, Compression, RecordHeaders};

const TEXT_BYTES: usize = 1 << 20;
const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 12;
const PARTITIONS: i32 = 4;

/// Lines that differ, as long as log lines are.
fn text() -> Vec<u8> {
    let line = |number: usize| {
        let (user, took) = (number * 7919 % 100_003, number * 31 % 977);
        format!(
            "2026-11-27T12:00:00.{:03}Z INFO http.server request completed user={user} duration_ms={took}\n",
            number % 1000
        )
    };
    (0..)
        .map(line)
        .scan(0, |length, line| {
            *length += line.len();
            (*length <= TEXT_BYTES).then_some(line)
        })
        .flat_map(String::into_bytes)
        .collect()
}

fn batch(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, 0).unwrap();
    for line in value.split(|byte| *byte == b'\n') {
        builder
            .append(1_000, None, Some(line), &RecordHeaders::empty())
            .unwrap();
    }
    builder.finish().unwrap()
}

#[library_benchmark]
#[bench::one_mib(text())]
fn split_lines(text: Vec<u8>) -> usize {
    let lines = Lines::new(&text, false, 1 << 20, End::Open);
    lines.map(|line| black_box(line).bytes.len()).sum()
}

struct OneBatch;

impl Routes for OneBatch {
    fn route(&self, _: &str, lane: u16) -> Route {
        Route::Lane(lane)
    }
}

fn batcher() -> (Batcher, Encoding, Vec<u8>) {
    let encoding = Encoding::new(
        Format::Raw,
        &[("host", "web1"), ("path", "/var/log/app.log")],
        &BTreeMap::new(),
    );
    (Batcher::new(Arc::new(OneBatch), Size::default()), encoding, text())
}

#[library_benchmark]
#[bench::one_mib(batcher())]
fn build_batches((mut batcher, encoding, text): (Batcher, Encoding, Vec<u8>)) -> Vec<RoutedBatch> {
    let slot = batcher.slot(&Arc::from("logs"), 0);
    for line in text.split(|byte| *byte == b'\n') {
        batcher.append(slot, 1_000, &encoding, (None, line)).unwrap();
    }
    batcher.finish().unwrap()
}

/// A Produce of four partitions, a batch of 16 KiB each.
fn produce_body() -> Bytes {
    let records = batch(&text()[..16 << 10]);
    let partition = |index| PartitionProduceData {
        index,
        records: Some(records.clone()),
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: "logs".into(),
            partition_data: (0..PARTITIONS).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut body = BytesMut::new();
    request.encode(&mut body, PRODUCE_VERSION).unwrap();
    body.freeze()
}

#[library_benchmark]
#[bench::four_partitions(produce_body())]
fn read_produce(body: Bytes) -> i32 {
    let request = ProduceRequest::decode_exact(body, PRODUCE_VERSION).unwrap();
    let partitions = request.topic_data.into_iter().flat_map(|topic| topic.partition_data);
    let records = partitions.flat_map(|partition| Batches::split(partition.records.unwrap_or_default(), 1 << 20));
    let counted = records.map(|batch| {
        let batch = batch.unwrap();
        batch.validate_produced().unwrap();
        batch.header.record_count
    });
    counted.sum()
}

#[library_benchmark]
#[bench::ten_thousand_batches(Sequencer::default())]
fn sequence(mut sequencer: Sequencer) -> Sequencer {
    for number in 0..10_000 {
        let stamp = ProducerStamp {
            producer_id: i64::from(number % 16),
            epoch: 0,
            base_sequence: number / 16,
            last_sequence: number / 16,
            crc: None,
        };
        let incoming = Incoming {
            offsets: 1,
            stamp: Some(stamp),
        };
        black_box(sequencer.sequence(&[incoming], 1_000).unwrap());
        sequencer.commit(i64::from(number) + 1, [stamp.producer_id]);
    }
    sequencer
}

fn fetched() -> FetchResponse {
    let records = batch(&text()[..16 << 10]);
    let partition = |partition_index| PartitionData {
        partition_index,
        records: Some(records.clone().into()),
        ..Default::default()
    };
    FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: "logs".into(),
            partitions: (0..PARTITIONS).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[library_benchmark]
#[bench::four_partitions(fetched())]
fn write_fetch(response: FetchResponse) -> Segments {
    encode_response(&response, FETCH_VERSION, 7).unwrap()
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [split_lines, build_batches, read_produce, sequence, write_fetch]
);
main!(library_benchmark_groups = hot_paths);
