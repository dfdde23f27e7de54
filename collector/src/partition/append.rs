//! Append: room in the WAL first, then a place in the log, then the wait for stable storage.

use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchHeader, BatchView, HEADER_LEN, set_log_append_time};
use tokio::sync::oneshot;

use super::Partition;
use super::log::{InFlight, Life, State};
use super::producers::{ProducerStamp, SequenceError, SequencedBatch};
use super::sequencer::{Incoming, Sequenced};
use crate::segment::compaction::{KeyError, check_keys};
use crate::wal::frame::{Frame, FrameKind};
use crate::wal::{Class, Reservation, ReserveError};

/// Where batches landed; all of it is on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The time that the broker stamped the batches with, where the topic has `LogAppendTime`.
    pub log_append_time: Option<TimestampMs>,
    /// The first offset that may be read.
    pub log_start: i64,
    /// The batch was appended before, and this is where it landed then.
    pub duplicate: bool,
}

/// Why batches were not appended. Nothing of them was, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// `INVALID_RECORD`: nothing to append.
    #[error("there is no record batch to append")]
    Empty,
    /// `INVALID_RECORD`: Kafka allows one batch per partition and request; here only producers with an id are held to it.
    #[error("{batches} batches came at once, and one of them has a producer id")]
    SeveralWithProducer {
        /// How many.
        batches: usize,
    },
    /// `INVALID_RECORD`: the header cannot be stamped with the append time.
    #[error("the batch cannot be stamped")]
    Unstampable(#[from] BatchError),
    /// `INVALID_RECORD`, or what is wrong with the batch: the topic is compacted, and it cannot be.
    #[error(transparent)]
    Uncompactable(#[from] KeyError),
    /// As [`SequenceError`] says.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// `KAFKA_STORAGE_ERROR` where space may come back, `MESSAGE_TOO_LARGE` where it never fits: as [`ReserveError`] says.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// `NOT_LEADER_OR_FOLLOWER`: the partition was deleted, or the broker stops.
    #[error("the partition takes no more batches: its topic was deleted, or the broker stops")]
    Closed,
    /// `NOT_LEADER_OR_FOLLOWER`: the broker stopped before it knew; the batches may have been appended.
    #[error("the broker stopped before the batches were known to be on stable storage")]
    Unknown,
}

/// Batches that have their place in the log and are on their way to stable storage.
#[derive(Debug)]
#[must_use = "batches count only once they are durable"]
pub struct Appending {
    partition: Arc<Partition>,
    answer: Appended,
    /// None if they are committed already.
    committed: Option<oneshot::Receiver<()>>,
}

impl Appending {
    /// Resolves when the batches are on stable storage.
    pub async fn durable(self) -> Result<Appended, AppendError> {
        if let Some(committed) = self.committed {
            committed.await.map_err(|_| AppendError::Unknown)?;
        }
        Ok(Appended {
            log_start: self.partition.log_start(),
            ..self.answer
        })
    }
}

impl Partition {
    /// Appends batches, to all intents as one: all of them or none, one behind the other. Resolves when they are on
    /// stable storage; a caller that goes away meanwhile changes nothing about it. A batch of an idempotent producer
    /// comes alone, and if it was appended before, this resolves once the original is committed.
    pub async fn append(self: &Arc<Self>, batches: Vec<BatchView>) -> Result<Appended, AppendError> {
        self.begin_append(batches).await?.durable().await
    }

    /// The first half of [`Self::append`]: on return the batches have their place in the log, so that what is begun
    /// afterwards comes behind them.
    pub async fn begin_append(self: &Arc<Self>, batches: Vec<BatchView>) -> Result<Appending, AppendError> {
        let now = self.engine.clock.now_ms();
        let incoming = incoming(&batches)?;
        if self.settings().compaction.is_some() {
            batches.iter().try_for_each(check_keys)?;
        }
        let batches = self.stamp_append_time(batches, now)?;
        let bytes = batches.iter().map(|batch| batch.bytes.len()).sum();
        let reservation = self.engine.wal.reserve(bytes, Class::Client).await?;
        self.submit(reservation, &incoming, &batches, now)
    }

    fn submit(
        self: &Arc<Self>,
        reservation: Reservation,
        incoming: &[Incoming],
        batches: &[BatchView],
        now: TimestampMs,
    ) -> Result<Appending, AppendError> {
        let log_append_time = self.settings().log_append_time.then_some(now);
        let mut state = self.state.lock();
        if state.life != Life::Open {
            return Err(AppendError::Closed);
        }
        let partition = Arc::clone(self);
        let (start, end) = match state.sequencer.sequence(incoming, now)? {
            Sequenced::Assigned { start, end } => (start, end),
            Sequenced::Duplicate(original) => {
                let committed = state.await_original(&original);
                let answer = Appended {
                    base_offset: original.base_offset,
                    last_offset: original.last_offset,
                    log_append_time: log_append_time.map(|_| original.appended_at),
                    log_start: 0,
                    duplicate: true,
                };
                return Ok(Appending {
                    partition,
                    answer,
                    committed,
                });
            }
        };
        let frame = Frame {
            kind: FrameKind::Batches,
            partition: self.id(),
            start,
            end,
            appended_at: now,
            payload: placed(batches, start, state.manifest.leader_epoch()),
        };
        let (done, committed) = oneshot::channel();
        state.in_flight.push_back(InFlight {
            end,
            max_timestamp: batches.iter().map(|b| b.header.max_timestamp).max().unwrap_or(i64::MIN),
            producer_id: incoming.iter().find_map(|one| one.stamp).map(|stamp| stamp.producer_id),
            done: vec![done],
        });
        // Under the lock, for the order of calls is the order of the log.
        self.engine.wal.submit(reservation, frame, self.clone());
        let answer = Appended {
            base_offset: start,
            last_offset: end - 1,
            log_append_time,
            log_start: 0,
            duplicate: false,
        };
        Ok(Appending {
            partition,
            answer,
            committed: Some(committed),
        })
    }

    fn stamp_append_time(&self, batches: Vec<BatchView>, now: TimestampMs) -> Result<Vec<BatchView>, BatchError> {
        if !self.settings().log_append_time {
            return Ok(batches);
        }
        batches
            .into_iter()
            .map(|batch| {
                let mut bytes = batch.bytes.to_vec();
                set_log_append_time(&mut bytes, now)?;
                let header = BatchHeader::decode(&bytes)?;
                Ok(BatchView {
                    header,
                    bytes: bytes.into(),
                })
            })
            .collect()
    }
}

impl State {
    /// The signal that a batch which was sent again is committed; none if it is already.
    fn await_original(&mut self, original: &SequencedBatch) -> Option<oneshot::Receiver<()>> {
        if original.last_offset < self.sequencer.high_watermark() {
            return None;
        }
        let holder = self.in_flight.partition_point(|one| one.end <= original.last_offset);
        let holder = self.in_flight.get_mut(holder)?;
        let (done, committed) = oneshot::channel();
        holder.done.push(done);
        Some(committed)
    }
}

/// What the sequencer must know, taken from the batches as the producer sent them.
fn incoming(batches: &[BatchView]) -> Result<Vec<Incoming>, AppendError> {
    let incoming: Vec<_> = batches
        .iter()
        .map(|batch| Incoming {
            offsets: i64::from(batch.header.last_offset_delta) + 1,
            stamp: ProducerStamp::of(&batch.header),
        })
        .collect();
    match incoming.len() {
        0 => Err(AppendError::Empty),
        1 => Ok(incoming),
        batches if incoming.iter().any(|one| one.stamp.is_some()) => Err(AppendError::SeveralWithProducer { batches }),
        _ => Ok(incoming),
    }
}

/// The bytes of the batches at their place: a new header before the records as they are.
fn placed(batches: &[BatchView], start: i64, leader_epoch: i32) -> Vec<Bytes> {
    let mut next = start;
    let mut pieces = Vec::with_capacity(batches.len() * 2);
    for batch in batches {
        let mut header = batch.header.clone();
        header.base_offset = next;
        header.partition_leader_epoch = leader_epoch;
        next = header.next_offset();
        pieces.push(Bytes::copy_from_slice(&header.encode()));
        pieces.push(batch.bytes.slice(HEADER_LEN.min(batch.bytes.len())..));
    }
    pieces
}
