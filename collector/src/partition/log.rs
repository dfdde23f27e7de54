//! A partition: what it knows under one short lock, and how commits change it.
//!
//! Each operation has a file of its own (`append`, `reader`, `offsets`, …). All of them look at [`State`] briefly and
//! never hold its lock while they wait for anything.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tailrace_shared::clock::{Clock, TimestampMs};
use tokio::sync::{Semaphore, oneshot, watch};

use super::checkpoint::Snapshot;
use super::manifest::Manifest;
use super::producers::ActiveProducer;
use super::recovery::Recovered;
use super::retention::{RetentionPolicy, size_in_bytes};
use super::sequencer::Sequencer;
use super::tail::{Tail, TailEntry};
use super::waiters::Progress;
use crate::segment::SegmentReader;
use crate::segment::compaction::CompactionPolicy;
use crate::topic_partition::TopicPartition;
use crate::wal::Wal;
use crate::wal::frame::{CommittedFrame, FrameKind, FrameSink};

/// What all partitions of a broker share.
pub struct Engine {
    /// Where partitions commit.
    pub wal: Arc<Wal>,
    /// Reads what lies behind the WAL.
    pub segments: SegmentReader,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many reads may wait for the disk at once.
    pub disk_reads: Semaphore,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// What of a topic's configs concerns its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PartitionSettings {
    /// What may be deleted.
    pub retention: RetentionPolicy,
    /// Whether and how it is compacted.
    pub compaction: Option<CompactionPolicy>,
    /// Whether the broker stamps batches with its own time.
    pub log_append_time: bool,
}

/// The ends of a partition and what it takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStats {
    /// The first offset that may be read.
    pub log_start: i64,
    /// One past the last committed offset.
    pub high_watermark: i64,
    /// Bytes in segments and in the WAL.
    pub bytes: u64,
    /// Runs in segments.
    pub segments: usize,
}

/// One partition of a topic.
#[derive(Debug)]
pub struct Partition {
    id: TopicPartition,
    pub(super) engine: Arc<Engine>,
    settings: RwLock<PartitionSettings>,
    pub(super) state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) sequencer: Sequencer,
    pub(super) manifest: Arc<Manifest>,
    pub(super) tail: Tail,
    /// Submitted and not committed yet, in offset order.
    pub(super) in_flight: VecDeque<InFlight>,
    /// Changes of the manifest that are submitted and not committed yet, in version order.
    pub(super) changes: VecDeque<ChangeInFlight>,
    pub(super) life: Life,
}

/// What may still be done to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    /// The broker stops: no more batches, but what there is is still flushed.
    Closed,
    /// The topic is gone, and the segments with it.
    Deleted,
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) end: i64,
    pub(super) max_timestamp: TimestampMs,
    pub(super) producer_id: Option<i64>,
    pub(super) done: Vec<oneshot::Sender<()>>,
}

#[derive(Debug)]
pub(super) struct ChangeInFlight {
    /// What the manifest is once the change is committed.
    pub(super) next: Arc<Manifest>,
    pub(super) done: oneshot::Sender<()>,
}

impl Partition {
    /// Opens a partition that was rebuilt, or a new one.
    #[must_use]
    pub fn open(
        id: TopicPartition,
        recovered: Recovered,
        settings: PartitionSettings,
        engine: Arc<Engine>,
    ) -> Arc<Self> {
        let progress = watch::Sender::new(Progress {
            high_watermark: recovered.sequencer.high_watermark(),
            log_start: recovered.manifest.log_start,
            closed: false,
        });
        Arc::new(Self {
            id,
            engine,
            settings: RwLock::new(settings),
            state: Mutex::new(State {
                sequencer: recovered.sequencer,
                manifest: Arc::new(recovered.manifest),
                tail: recovered.tail,
                in_flight: VecDeque::new(),
                changes: VecDeque::new(),
                life: Life::Open,
            }),
            progress,
        })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> TopicPartition {
        self.id
    }

    /// What the topic's configs say now.
    #[must_use]
    pub fn settings(&self) -> PartitionSettings {
        *self.settings.read()
    }

    /// Takes over changed configs.
    pub fn set_settings(&self, settings: PartitionSettings) {
        *self.settings.write() = settings;
    }

    /// One past the last committed offset: what `Latest` means, and how far may be read.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.progress.borrow().high_watermark
    }

    /// The first offset that may be read.
    #[must_use]
    pub fn log_start(&self) -> i64 {
        self.progress.borrow().log_start
    }

    /// The epoch that is written now.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.manifest().leader_epoch()
    }

    /// Where an epoch ends; see [`Manifest::epoch_end`].
    #[must_use]
    pub fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let state = self.state.lock();
        state.manifest.epoch_end(epoch, state.sequencer.high_watermark())
    }

    /// Follows the high watermark and the log start; see [`super::waiters`].
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The history behind the WAL, as it is committed.
    #[must_use]
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.state.lock().manifest)
    }

    /// The committed frames that are not in segments yet, oldest first.
    #[must_use]
    pub fn unflushed(&self) -> Vec<TailEntry> {
        self.state.lock().tail.iter().copied().collect()
    }

    /// The idempotent producers that are remembered.
    #[must_use]
    pub fn producers(&self) -> Vec<ActiveProducer> {
        self.state.lock().sequencer.producers.describe().collect()
    }

    /// Forgets the producers that have been silent for too long.
    pub fn expire_producers(&self, now: TimestampMs) {
        let mut state = self.state.lock();
        let high_watermark = state.sequencer.high_watermark();
        state.sequencer.producers.expire(now, high_watermark);
    }

    /// The ends of the partition and what it takes up.
    #[must_use]
    pub fn stats(&self) -> PartitionStats {
        let state = self.state.lock();
        PartitionStats {
            log_start: state.manifest.log_start,
            high_watermark: state.sequencer.high_watermark(),
            bytes: size_in_bytes(&state.manifest, &state.tail),
            segments: state.manifest.segments.len(),
        }
    }

    /// The committed state, for a checkpoint.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.lock();
        let end = state.sequencer.high_watermark();
        Snapshot {
            partition: self.id,
            end,
            manifest: Manifest::clone(&state.manifest),
            producers: state.sequencer.producers.committed(end).collect(),
        }
    }

    /// Takes no more batches, because the broker stops, and wakes all who wait. What was submitted is still committed.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if state.life == Life::Open {
            state.life = Life::Closed;
        }
        drop(state);
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// As [`Self::close`], and takes no changes of the manifest either, because the topic was deleted.
    pub fn delete(&self) {
        self.state.lock().life = Life::Deleted;
        self.progress.send_modify(|progress| progress.closed = true);
    }

    fn batches_committed(&self, frame: &CommittedFrame) {
        let mut waiting = Vec::new();
        {
            let state = &mut *self.state.lock();
            let mut max_timestamp = i64::MIN;
            let mut producers = Vec::new();
            let landed = state.in_flight.partition_point(|one| one.end <= frame.end);
            for landed in state.in_flight.drain(..landed) {
                max_timestamp = max_timestamp.max(landed.max_timestamp);
                producers.extend(landed.producer_id);
                waiting.extend(landed.done);
            }
            state.sequencer.commit(frame.end, producers);
            state.tail.push(TailEntry {
                start: frame.start,
                end: frame.end,
                location: frame.location,
                max_timestamp,
                appended_at: frame.appended_at,
            });
        }
        self.progress
            .send_modify(|progress| progress.high_watermark = frame.end);
        answer(waiting);
    }

    fn change_committed(&self, frame: &CommittedFrame) {
        let mut waiting = Vec::new();
        let log_start = {
            let state = &mut *self.state.lock();
            let landed = state.changes.partition_point(|change| change.next.version < frame.end);
            for landed in state.changes.drain(..landed) {
                state.manifest = landed.next;
                waiting.push(landed.done);
            }
            state.tail.drop_below(state.manifest.covered_to());
            state.manifest.log_start
        };
        self.progress.send_modify(|progress| progress.log_start = log_start);
        answer(waiting);
    }
}

impl FrameSink for Partition {
    fn committed(&self, frame: &CommittedFrame) {
        match frame.kind {
            FrameKind::Batches => self.batches_committed(frame),
            FrameKind::ManifestChange => self.change_committed(frame),
        }
    }
}

/// Whoever no longer waits needs no answer.
fn answer(waiting: Vec<oneshot::Sender<()>>) {
    for done in waiting {
        done.send(()).ok();
    }
}
