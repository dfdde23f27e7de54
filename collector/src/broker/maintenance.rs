//! What happens from time to time: flush, rest, merge, retention, compaction, expiry of producers, deletion of segments;
//! and the end.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::{Broker, FlushError, MaintenanceIntervals};
use crate::segment::SegmentError;
use crate::segment::orphans::Swept;

/// A broker that writes no more than this between two looks is quiet.
const QUIET_BYTES: u64 = 1 << 20;

/// What may stay in the WAL of a quiet broker: moving less would make many small segments.
const QUIET_BACKLOG_BYTES: u64 = 8 << 20;

/// Starts the background tasks; they end with [`Broker::shut_down`], or when nobody else holds the broker any more.
pub(super) fn start(broker: &Arc<Broker>, intervals: MaintenanceIntervals) {
    let weak = || Arc::downgrade(broker);
    spawn(broker, flush_closed_files(weak(), intervals));
    spawn(broker, rest(weak(), intervals.quiet));
    spawn(broker, tidy(weak(), intervals.retention));
    spawn(broker, compact(weak(), intervals.compaction));
}

fn spawn(broker: &Broker, task: impl Future<Output = ()> + Send + 'static) {
    let until_stopped = broker.stopping.clone().run_until_cancelled_owned(task);
    broker.background.spawn(until_stopped);
}

/// Flushes whenever a WAL file was closed, those of earlier processes first, and closes one that has been open for long.
async fn flush_closed_files(broker: Weak<Broker>, intervals: MaintenanceIntervals) {
    let Some(mut rolled) = broker.upgrade().map(|broker| broker.engine.wal.rolled()) else {
        return;
    };
    // What was recovered may use up the budget, and then no file would ever be closed.
    rolled.mark_changed();
    let mut roll = every(intervals.roll);
    roll.reset();
    loop {
        tokio::select! {
            changed = rolled.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = roll.tick() => {
                let Some(broker) = broker.upgrade() else { return };
                broker.roll().await;
            }
        }
        loop {
            let Some(broker) = broker.upgrade() else { return };
            match broker.flush().await {
                Ok(()) => break,
                Err(error) => tracing::error!(%error, "cannot flush the WAL: it grows until this succeeds"),
            }
            drop(broker);
            sleep(intervals.retry).await;
        }
    }
}

/// Gives memory back: chunks that nobody reads any more, and when little was written for a while, the latest commits.
async fn rest(broker: Weak<Broker>, quiet: Duration) {
    let mut tick = every(quiet);
    let mut written = 0;
    loop {
        tick.tick().await;
        let Some(broker) = broker.upgrade() else { return };
        broker.engine.segments.drop_unused();
        let stats = broker.wal_stats();
        let before = std::mem::replace(&mut written, stats.written_bytes);
        if written - before <= QUIET_BYTES && stats.backlog_bytes >= QUIET_BACKLOG_BYTES {
            broker.roll().await;
        }
    }
}

/// Ticks at once, and then with at least `period` in between.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn tidy(broker: Weak<Broker>, period: Duration) {
    let mut tick = every(period);
    loop {
        tick.tick().await;
        let Some(broker) = broker.upgrade() else { return };
        broker.retain().await;
        broker.expire_producers();
        if let Err(error) = broker.rewrite_what_lies_badly().await {
            tracing::error!(%error, "cannot write segments anew: trying again later");
        }
        if let Err(error) = broker.sweep().await {
            tracing::error!(%error, "cannot delete segments that are no longer needed: trying again later");
        }
    }
}

async fn compact(broker: Weak<Broker>, period: Duration) {
    let mut tick = every(period);
    loop {
        tick.tick().await;
        let Some(broker) = broker.upgrade() else { return };
        if broker
            .partitions()
            .iter()
            .any(|partition| partition.waits_for_segments())
            && let Err(error) = broker.roll_and_flush().await
        {
            tracing::error!(%error, "cannot move the WAL into segments: trying again later");
        }
        while broker.compact().await {}
    }
}

impl Broker {
    async fn rewrite_what_lies_badly(&self) -> Result<(), FlushError> {
        while self.merge().await? || self.reclaim().await? {}
        Ok(())
    }

    /// Closes the current WAL file; whoever flushes is woken by that.
    async fn roll(&self) {
        if let Err(error) = self.engine.wal.roll().await {
            tracing::error!(%error, "cannot close the current WAL file: trying again later");
        }
    }

    /// Advances the log start of every partition to what its topic's retention still covers.
    pub async fn retain(&self) {
        for partition in self.partitions() {
            match partition.retain().await {
                Ok(None) => {}
                Ok(Some(log_start)) => {
                    tracing::info!(partition = %partition.id(), log_start, "retention moved the log start");
                }
                Err(error) => tracing::error!(partition = %partition.id(), %error, "cannot apply retention"),
            }
        }
    }

    /// Forgets the producers that have been silent for too long.
    pub fn expire_producers(&self) {
        let now = self.engine.clock.now_ms();
        for partition in self.partitions() {
            partition.expire_producers(now);
        }
    }

    /// Deletes the segments that no manifest has referred to for the grace period.
    pub async fn sweep(&self) -> Result<Swept, SegmentError> {
        let mut orphans = self.orphans.lock().await;
        let referenced = async || {
            let manifests = self.partitions().into_iter().map(|partition| partition.manifest());
            let runs =
                manifests.flat_map(|manifest| manifest.segments.iter().map(|run| run.object).collect::<Vec<_>>());
            runs.collect::<HashSet<_>>()
        };
        let now = self.engine.clock.monotonic();
        orphans
            .sweep(&self.store, &self.pending_objects, referenced, now, self.object_grace)
            .await
    }

    /// Ends in good order: no more batches, everything that was acknowledged in segments, and a checkpoint that leaves
    /// nothing to recover. After an error there is something to recover, and nothing lost.
    pub async fn shut_down(&self) -> Result<(), FlushError> {
        self.stopping.cancel();
        self.background.close();
        self.background.wait().await;
        for partition in self.partitions() {
            partition.close();
        }
        let flushed = self.roll_and_flush().await;
        // What flushing wrote into the WAL is in the checkpoint by now, as nothing else is written any more.
        let checkpointed = match flushed {
            Ok(()) => self.roll_and_flush().await,
            failed => failed,
        };
        Arc::clone(&self.engine.wal).close().await;
        checkpointed
    }
}
