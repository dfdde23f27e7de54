//! Reads partitions of one topic from given offsets on, for ever. Leaders are asked side by side with long polls; a
//! partition whose leader fails rests while the others go on; and a position moves only with what was handed out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::cluster::{check, refusal};
use super::{Backoff, ClientError, Cluster, FetchedBatch, Lane};
use crate::kafka::messages::fetch::{FetchPartition, FetchTopic};
use crate::kafka::messages::{FetchRequest, FetchResponse};
use crate::record::{BatchError, Batches};

/// What to wait for and how much to take.
#[derive(Debug, Clone, Copy)]
pub struct FetchOptions {
    /// How long the broker may wait for `bytes_min`.
    pub max_wait: Duration,
    /// Less than this is worth waiting for.
    pub bytes_min: i32,
    /// The most in one response; a single larger batch comes all the same.
    pub bytes_max: i32,
    /// The most of one partition in one response.
    pub partition_bytes_max: i32,
    /// The most that one batch may unfold to.
    pub uncompressed_max: usize,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            bytes_min: 1,
            bytes_max: 32 << 20,
            partition_bytes_max: 1 << 20,
            uncompressed_max: 256 << 20,
        }
    }
}

/// Time on top of `max_wait` for a broker to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How far one partition was handed out, and what is being done about the rest.
#[derive(Debug, Clone, Copy)]
struct Progress {
    next_offset: i64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// A fetch is on its way.
    Asked,
    /// Something failed that may pass.
    Paused(Instant),
}

/// What came of a fetch for these offsets.
struct Fetched {
    address: String,
    asked: BTreeMap<i32, i64>,
    answer: Result<FetchResponse, ClientError>,
}

/// Reads partitions of one topic.
pub struct Fetcher {
    cluster: Cluster,
    topic: ByteString,
    options: FetchOptions,
    partitions: BTreeMap<i32, Progress>,
    in_flight: FuturesUnordered<BoxFuture<'static, Fetched>>,
    backoff: Backoff,
    /// Partitions whose last fetch failed, and since when there are any.
    failing: BTreeSet<i32>,
    failing_since: Instant,
}

impl Fetcher {
    /// Reads from these offsets on, one per partition.
    #[must_use]
    pub fn new(cluster: Cluster, topic: ByteString, positions: BTreeMap<i32, i64>, options: FetchOptions) -> Self {
        let idle = |(index, next_offset)| {
            (
                index,
                Progress {
                    next_offset,
                    state: State::Idle,
                },
            )
        };
        let partitions = positions.into_iter().map(idle).collect();
        let in_flight = FuturesUnordered::new();
        Self {
            cluster,
            topic,
            options,
            partitions,
            in_flight,
            backoff: Backoff::default(),
            failing: BTreeSet::new(),
            failing_since: Instant::now(),
        }
    }

    /// The next offset to be handed out, by partition.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        self.partitions
            .iter()
            .map(|(index, progress)| (*index, progress.next_offset))
            .collect()
    }

    /// Moves one partition, for example after an offset was out of range.
    pub fn seek(&mut self, partition: i32, offset: i64) {
        if let Some(progress) = self.partitions.get_mut(&partition) {
            progress.next_offset = offset;
        }
    }

    /// The next batches, in offset order per partition; empty if nothing came within the wait. What may pass is waited
    /// out, partition by partition. Any other error is given back, and the next call goes on where this one ended.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Vec<FetchedBatch>, ClientError> {
        loop {
            self.ask_leaders().await?;
            let pauses = self.partitions.values().filter_map(|progress| match progress.state {
                State::Paused(until) => Some(until),
                State::Idle | State::Asked => None,
            });
            let first_pause = pauses.min();
            tokio::select! {
                Some(fetched) = self.in_flight.next() => return self.take_answer(fetched),
                () = sleep_until(first_pause.unwrap_or_else(Instant::now)), if first_pause.is_some() => {}
                // There is no partition to read.
                else => return Ok(Vec::new()),
            }
        }
    }

    /// Starts a fetch at each leader for those of its partitions that none is on its way for.
    async fn ask_leaders(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        let is_due = |progress: &Progress| match progress.state {
            State::Idle => true,
            State::Asked => false,
            State::Paused(until) => until <= now,
        };
        let due: Vec<i32> = self
            .partitions
            .iter()
            .filter(|(_, it)| is_due(it))
            .map(|(index, _)| *index)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let metadata = match self.cluster.metadata_of(&self.topic, &due).await {
            Ok(metadata) => metadata,
            Err(error) => return self.pause(due, error),
        };
        let topic_id = metadata.topics.get(&self.topic).map_or(Uuid::nil(), |topic| topic.id);
        let mut leaders: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
        for index in due {
            let Some(progress) = self.partitions.get_mut(&index) else {
                continue;
            };
            let Some(address) = metadata.leader_address(&self.topic, index) else {
                let topic = self.topic.to_string();
                self.pause(
                    [index],
                    ClientError::NoLeader {
                        topic,
                        partition: index,
                    },
                )?;
                continue;
            };
            progress.state = State::Asked;
            leaders.entry(address).or_default().insert(index, progress.next_offset);
        }
        for (address, asked) in leaders {
            self.ask(address.to_owned(), topic_id, asked);
        }
        Ok(())
    }

    fn ask(&mut self, address: String, topic_id: Uuid, asked: BTreeMap<i32, i64>) {
        let request = self.request(topic_id, &asked);
        let timeout = self.options.max_wait + ANSWER_TIMEOUT;
        let cluster = self.cluster.clone();
        self.in_flight.push(Box::pin(async move {
            let answer = match cluster.connect(&address, Lane::LongPoll).await {
                Ok(leader) => leader.send_within(&request, timeout).await,
                Err(error) => Err(error),
            };
            Fetched { address, asked, answer }
        }));
    }

    fn request(&self, topic_id: Uuid, asked: &BTreeMap<i32, i64>) -> FetchRequest {
        let partitions = asked.iter().map(|(index, offset)| FetchPartition {
            partition: *index,
            fetch_offset: *offset,
            partition_max_bytes: self.options.partition_bytes_max,
            ..Default::default()
        });
        FetchRequest {
            max_wait_ms: i32::try_from(self.options.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.options.bytes_min,
            max_bytes: self.options.bytes_max,
            topics: vec![FetchTopic {
                topic: self.topic.clone(),
                topic_id,
                partitions: partitions.collect(),
            }],
            ..Default::default()
        }
    }

    /// Lets partitions rest after a failure that may pass; any other is given back at once.
    fn pause(&mut self, partitions: impl IntoIterator<Item = i32>, error: ClientError) -> Result<(), ClientError> {
        let retriable = error.is_retriable();
        let state = if retriable {
            State::Paused(Instant::now() + self.backoff.next_delay())
        } else {
            State::Idle
        };
        for index in partitions {
            if let Some(progress) = self.partitions.get_mut(&index) {
                progress.state = state;
            }
            if retriable {
                if self.failing.is_empty() {
                    self.failing_since = Instant::now();
                }
                self.failing.insert(index);
            }
        }
        if !retriable {
            return Err(error);
        }
        tracing::warn!(topic = %self.topic, %error, "fetching failed, trying again");
        self.cluster.forget(&self.topic);
        Ok(())
    }

    fn take_answer(&mut self, fetched: Fetched) -> Result<Vec<FetchedBatch>, ClientError> {
        let Fetched { address, asked, answer } = fetched;
        let refused = |subject, code| refusal::<FetchRequest>(&address, subject, code, None);
        let answer = answer.and_then(|answer| {
            check(answer.error_code, |code| refused(format!("topic {}", self.topic), code))?;
            Ok(answer)
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.pause(asked.into_keys(), error).map(|()| Vec::new()),
        };
        for index in asked.keys() {
            if let Some(progress) = self.partitions.get_mut(index) {
                progress.state = State::Idle;
            }
        }

        let mut batches = Vec::new();
        let mut failure = None;
        for partition in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let index = partition.partition_index;
            let from_offset = match (asked.get(&index), self.partitions.get(&index)) {
                (Some(asked), Some(progress)) if *asked == progress.next_offset => *asked,
                // Moved by a seek meanwhile, or never asked for.
                _ => continue,
            };
            let subject = || format!("partition {index} of topic {} at offset {from_offset}", self.topic);
            let taken = check(partition.error_code, |code| refused(subject(), code)).and_then(|()| {
                let records = partition.records.unwrap_or_default().into_bytes();
                self.take_batches(index, from_offset, partition.high_watermark, records, &mut batches)
            });
            match taken {
                Ok(()) => self.succeeded(index),
                Err(error) => failure = self.pause([index], error).err().or(failure),
            }
        }
        match failure {
            // What came is handed out first: a failure that lasts comes again.
            Some(error) if batches.is_empty() => Err(error),
            _ => Ok(batches),
        }
    }

    fn succeeded(&mut self, partition: i32) {
        self.backoff.reset();
        if self.failing.remove(&partition) && self.failing.is_empty() {
            let after = self.failing_since.elapsed();
            tracing::info!(topic = %self.topic, "fetching again, after {:.1} s without", after.as_secs_f64());
        }
    }

    fn take_batches(
        &mut self,
        partition: i32,
        from_offset: i64,
        high_watermark: i64,
        records: Bytes,
        batches: &mut Vec<FetchedBatch>,
    ) -> Result<(), ClientError> {
        for batch in Batches::split(records, usize::MAX) {
            let batch = match batch {
                Ok(batch) => batch,
                // The response was cut at its size limit.
                Err(BatchError::Truncated { .. }) => break,
                Err(reason) => {
                    let topic = self.topic.to_string();
                    return Err(ClientError::Batch {
                        topic,
                        partition,
                        offset: from_offset,
                        reason,
                    });
                }
            };
            let next_offset = batch.header.next_offset();
            if next_offset <= from_offset {
                continue;
            }
            if let Some(progress) = self.partitions.get_mut(&partition) {
                progress.next_offset = next_offset;
            }
            let uncompressed_max = self.options.uncompressed_max;
            batches.push(FetchedBatch {
                partition,
                high_watermark,
                batch,
                from_offset,
                uncompressed_max,
            });
        }
        Ok(())
    }
}
