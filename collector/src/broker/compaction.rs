//! Compacts the partitions whose topics ask for it, one after another, the most uncompacted first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Broker;
use crate::partition::{ChangeManifestError, ManifestChange, Partition};
use crate::segment::compaction::{self, Compacted, CompactionError, CompactionLimits, Pass, Plan};
use crate::topic_partition::TopicPartition;

/// Why a partition was not compacted to the end. What was replaced until then stays so, and the next pass goes on.
#[derive(Debug, thiserror::Error)]
enum CompactError {
    #[error(transparent)]
    Pass(#[from] CompactionError),
    #[error(transparent)]
    Manifest(#[from] ChangeManifestError),
}

/// A partition that could not be compacted is left alone for so long.
const RETRY_AFTER: Duration = Duration::from_secs(600);

/// What compaction has done since the broker started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactionStats {
    /// Bytes of the runs that were replaced.
    pub replaced_bytes: u64,
    /// Bytes of the runs that took their place.
    pub written_bytes: u64,
    /// Partitions that could not be compacted when it was last tried.
    pub failing_partitions: usize,
}

/// Limits, counters, and what failed.
#[derive(Debug)]
pub(super) struct Compactor {
    limits: CompactionLimits,
    replaced_bytes: AtomicU64,
    written_bytes: AtomicU64,
    /// And when, by the monotonic clock.
    failed: Mutex<HashMap<TopicPartition, Duration>>,
}

impl Compactor {
    pub(super) fn new(limits: CompactionLimits) -> Self {
        Self {
            limits,
            replaced_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    pub(super) fn stats(&self) -> CompactionStats {
        CompactionStats {
            replaced_bytes: self.replaced_bytes.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            failing_partitions: self.failed.lock().len(),
        }
    }

    fn count(&self, compacted: &Compacted) {
        let replaced = compacted.remove.iter().map(|run| run.bytes).sum();
        self.replaced_bytes.fetch_add(replaced, Relaxed);
        self.written_bytes.fetch_add(compacted.add.bytes, Relaxed);
    }
}

impl Broker {
    /// Compacts what is worth it now, each partition once. Says whether one of them has more keys than fit into memory, so
    /// that it should go on. A partition that cannot be compacted is told of, and left alone for a while.
    pub async fn compact(&self) -> bool {
        let now = self.engine.clock.monotonic();
        let partitions = self.partitions();
        self.compactor
            .failed
            .lock()
            .retain(|id, _| partitions.iter().any(|partition| partition.id() == *id));
        let rests = |partition: &Arc<Partition>| {
            let failed = self.compactor.failed.lock().get(&partition.id()).copied();
            failed.is_some_and(|at| now.saturating_sub(at) < RETRY_AFTER)
        };
        let mut worth_it: Vec<_> = partitions
            .iter()
            .filter(|partition| !rests(partition))
            .filter_map(|partition| Some((self.plan_compaction(partition)?.dirty_ratio, partition)))
            .collect();
        worth_it.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let mut goes_on = false;
        for (_, partition) in worth_it {
            let (id, log_start) = (partition.id(), partition.log_start());
            match self.compact_partition(partition).await {
                Ok(is_whole) => {
                    goes_on |= !is_whole;
                    self.compactor.failed.lock().remove(&id);
                }
                // What it was about to read or replace may be gone since it began.
                Err(error) if self.partition(id).is_none() || partition.log_start() > log_start => {
                    tracing::debug!(partition = %id, %error, "compaction was overtaken: trying again");
                }
                Err(error) => {
                    self.compactor.failed.lock().insert(id, now);
                    tracing::error!(partition = %id, %error, "cannot compact: trying again in ten minutes");
                }
            }
        }
        goes_on
    }

    fn plan_compaction(&self, partition: &Partition) -> Option<Plan> {
        let policy = partition.settings().compaction?;
        let manifest = partition.manifest();
        let now = self.engine.clock.now_ms();
        compaction::plan(manifest.compacted_and_not(), manifest.compacted_to, policy, now)
    }

    /// Says whether all of the plan was compacted.
    async fn compact_partition(&self, partition: &Arc<Partition>) -> Result<bool, CompactError> {
        // From here on nobody else replaces runs of this partition; the plan is made after that.
        let mut rng = {
            let mut flusher = self.flusher.lock().await;
            flusher.compacting = Some(partition.id());
            StdRng::from_rng(&mut flusher.rng)
        };
        let compacted = match self.plan_compaction(partition) {
            Some(plan) => self.replace_runs(partition, plan, &mut rng).await,
            None => Ok(true),
        };
        self.flusher.lock().await.compacting = None;
        compacted
    }

    async fn replace_runs(
        &self,
        partition: &Arc<Partition>,
        plan: Plan,
        rng: &mut StdRng,
    ) -> Result<bool, CompactError> {
        let end = plan.runs.last().map_or(0, |run| run.end);
        let reader = self.engine.segments.clone();
        let mut pass = Pass::begin(partition.id(), plan, self.compactor.limits, reader).await?;
        let (mut before, mut after) = (0, 0);
        while let Some(compacted) = pass
            .next(self.output(), self.engine.clock.now_ms(), &self.pending_objects, rng)
            .await?
        {
            before += compacted.remove.iter().map(|run| run.bytes).sum::<u64>();
            after += compacted.add.bytes;
            self.compactor.count(&compacted);
            let (add, remove) = (vec![compacted.add], compacted.remove);
            partition
                .change_manifest(ManifestChange::SegmentsReplaced { add, remove })
                .await?;
        }
        let to = pass.upto();
        partition.change_manifest(ManifestChange::CompactedTo { to }).await?;
        tracing::info!(partition = %partition.id(), to, before, after, "compacted");
        Ok(to == end)
    }
}
