//! Fetch 4-18: the stored bytes from an offset on, as they came, and no more than the quota leaves but for one batch. Waits
//! on the partitions, not on a timer, until there is enough. Fetch sessions (KIP-227) are declined, which every client
//! accepts: a full fetch each time. There are no transactions yet, so both isolation levels read the same.

use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::kafka::messages::fetch::{
    EpochEndOffset, FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData,
};
use tailrace_shared::kafka::messages::{FetchRequest, FetchResponse};
use tailrace_shared::kafka::{ErrorCode, Records};
use tailrace_shared::record::BatchHeader;
use tokio::time::{Instant, timeout_at};

use super::topic_ref::{check_leader_epoch, find_partition, find_topic};
use crate::broker::Topic;
use crate::catalog::QuotaKind;
use crate::catalog::acl::Operation;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;
use crate::kafka::memory::MemoryPermit;
use crate::kafka::throttle::Meter;
use crate::metrics::CollectorMetrics;
use crate::partition::{Awaited, Partition, ReadBatches, ReadLimits, any_beyond};

/// Clients that speak less than this need not know zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;
/// From this version on, an answer can say who leads (KIP-595).
const CURRENT_LEADER_SINCE: i16 = 12;

/// What a fetch waits for if more is not free: room for a batch.
const MEMORY_BYTES_MIN: usize = 2 << 20;

/// One look at all partitions.
#[derive(Default)]
struct Round {
    responses: Vec<FetchableTopicResponse>,
    bytes: usize,
    /// Something that the client should know at once: an error, or that it diverged.
    urgent: bool,
    awaited: Vec<Awaited>,
    /// Topic, bytes and records: what is counted once the round is answered.
    counts: Vec<(String, u64, u64)>,
}

impl Round {
    fn count(&mut self, topic: &str, read: &ReadBatches) {
        if !read.batches.is_empty() {
            let headers = read.batches.iter().flat_map(|piece| headers(piece));
            let records = headers
                .map(|header| u64::try_from(header.record_count).unwrap_or(0))
                .sum();
            let bytes = read.batches.iter().map(|piece| piece.len() as u64).sum();
            self.counts.push((topic.to_owned(), bytes, records));
        }
    }

    /// The batches hold their memory until they are sent.
    fn hold(&mut self, mut memory: MemoryPermit) {
        memory.shrink_to(self.bytes);
        let memory = Arc::new(memory);
        let partitions = self.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        for records in partitions.filter_map(|data| data.records.as_mut()) {
            let pieces = std::mem::take(records).into_iter();
            *records = pieces.map(|piece| memory.attach(piece)).collect();
        }
    }

    fn report(&self, metrics: &CollectorMetrics) {
        for (topic, bytes, records) in &self.counts {
            metrics.fetched_bytes.with([topic]).inc_by(*bytes);
            metrics.fetched_records.with([topic]).inc_by(*records);
        }
    }
}

pub(in crate::kafka) async fn fetch(context: &Context, call: &Call, request: FetchRequest) -> FetchResponse {
    if request.session_id != 0 {
        let error_code = ErrorCode::FetchSessionIdNotFound.code();
        return FetchResponse {
            error_code,
            ..Default::default()
        };
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let meter = context.throttle.meter(context, call, QuotaKind::Fetch);
    let debt = meter.as_ref().map_or(0, Meter::debt);
    if debt > 0 {
        return FetchResponse {
            throttle_time_ms: debt,
            ..Default::default()
        };
    }
    let asked = usize::try_from(request.max_bytes).unwrap_or(0);
    let left = meter.as_ref().map_or(usize::MAX, Meter::room);
    let bytes_max = asked.min(context.limits.fetch_bytes_max).min(left);
    // Where nothing is left it is still worth waiting for a batch.
    let enough = usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max.max(1));
    loop {
        // Without memory in time the answer has no batches, and the client asks again.
        let wanted = bytes_max.min(MEMORY_BYTES_MIN)..=bytes_max;
        let memory = timeout_at(deadline, context.fetch_memory.acquire_within(wanted)).await;
        let limits = ReadLimits {
            max_bytes: memory.as_ref().map_or(0, |memory| memory.bytes().min(bytes_max)),
            at_least_one: memory.is_ok(),
        };
        let mut round = read_all(context, call, &request, limits).await;
        if round.bytes >= enough || round.urgent || Instant::now() >= deadline {
            round.hold(memory.unwrap_or_default());
            round.report(&context.metrics);
            return FetchResponse {
                throttle_time_ms: meter.map_or(0, |meter| meter.spend(round.bytes)),
                responses: round.responses,
                ..Default::default()
            };
        }
        drop(memory);
        // Either something new came or the time is over; the next round tells.
        drop(timeout_at(deadline, any_beyond(round.awaited)).await);
    }
}

async fn read_all(context: &Context, call: &Call, request: &FetchRequest, limits: ReadLimits) -> Round {
    let mut round = Round::default();
    for asked in &request.topics {
        let mut response = FetchableTopicResponse {
            topic: asked.topic.clone(),
            topic_id: asked.topic_id,
            partitions: Vec::new(),
        };
        for wanted in &asked.partitions {
            let data = read_partition(context, call, asked, wanted, limits, &mut round).await;
            round.bytes += data.records.as_ref().map_or(0, Records::len);
            round.urgent |= data.error_code != 0 || data.diverging_epoch != EpochEndOffset::default();
            response.partitions.push(data);
        }
        round.responses.push(response);
    }
    round
}

async fn read_partition(
    context: &Context,
    call: &Call,
    topic: &FetchTopic,
    wanted: &FetchPartition,
    limits: ReadLimits,
    round: &mut Round,
) -> PartitionData {
    let found = find_topic(context, call, Operation::Read, &topic.topic, topic.topic_id);
    let partition = match find_partition(&found, wanted.partition) {
        Ok(partition) => partition,
        Err(code) => return failed(wanted, code),
    };
    if call.version < ZSTD_SINCE && is_for_zstd(&found) {
        return failed(wanted, ErrorCode::UnsupportedCompressionType);
    }
    if let Err(code) = check_leader_epoch(partition, wanted.current_leader_epoch) {
        let mut data = failed(wanted, code);
        if call.version >= CURRENT_LEADER_SINCE {
            data.current_leader.leader_id = context.broker.node_id();
            data.current_leader.leader_epoch = partition.leader_epoch();
        }
        return data;
    }
    if let Some(diverging_epoch) = divergence(partition, wanted) {
        return PartitionData {
            partition_index: wanted.partition,
            high_watermark: partition.high_watermark(),
            last_stable_offset: partition.high_watermark(),
            log_start_offset: partition.log_start(),
            diverging_epoch,
            records: Some(Records::default()),
            ..Default::default()
        };
    }
    let own_limit = usize::try_from(wanted.partition_max_bytes).unwrap_or(0);
    let limits = ReadLimits {
        max_bytes: own_limit.min(limits.max_bytes.saturating_sub(round.bytes)),
        at_least_one: limits.at_least_one && round.bytes == 0,
    };
    let progress = partition.progress();
    let name = found.as_ref().map_or("", |topic| topic.meta.name.as_str());
    match partition.read(wanted.fetch_offset, limits).await {
        Ok(read) => {
            round.awaited.push(Awaited {
                progress,
                beyond: read.high_watermark,
            });
            round.count(name, &read);
            PartitionData {
                partition_index: wanted.partition,
                high_watermark: read.high_watermark,
                last_stable_offset: read.last_stable_offset,
                log_start_offset: read.log_start,
                records: Some(read.batches.into()),
                ..Default::default()
            }
        }
        Err(error) => {
            let code = error.code();
            if code == ErrorCode::KafkaStorageError {
                tracing::error!(partition = %partition.id(), %error, "cannot serve a fetch");
            }
            PartitionData {
                log_start_offset: partition.log_start(),
                ..failed(wanted, code)
            }
        }
    }
}

/// Whether the topic is set to zstd. Where only its producers chose it, a client is left to try (ADR 0010).
fn is_for_zstd(topic: &Result<Arc<Topic>, ErrorCode>) -> bool {
    let configs = topic.as_ref().map(|topic| &topic.meta.configs);
    configs.is_ok_and(|configs| configs.get("compression.type") == Some("zstd"))
}

fn failed(wanted: &FetchPartition, code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: wanted.partition,
        error_code: code.code(),
        high_watermark: -1,
        records: Some(Records::default()),
        ..Default::default()
    }
}

/// Where the client's history parts from ours, if the epoch of what it read last ended before its offset (KIP-595).
fn divergence(partition: &Partition, wanted: &FetchPartition) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let (epoch, end_offset) = partition.epoch_end(wanted.last_fetched_epoch).unwrap_or((-1, -1));
    let diverges = epoch < wanted.last_fetched_epoch || end_offset < wanted.fetch_offset;
    diverges.then_some(EpochEndOffset { epoch, end_offset })
}

/// The headers of the batches in stored bytes, one after another.
fn headers(mut rest: &[u8]) -> impl Iterator<Item = BatchHeader> {
    std::iter::from_fn(move || {
        let header = BatchHeader::decode(rest).ok()?;
        rest = rest.get(header.size_in_bytes()..).unwrap_or_default();
        Some(header)
    })
}
