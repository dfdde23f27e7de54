//! Writes anew what lies in segments already: small runs that are many, and what is left in objects that are mostly gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::Broker;
use super::flush::{FlushError, Flusher};
use crate::partition::{ManifestChange, Partition};
use crate::segment::merge::{self, MergeLimits, Stretch};
use crate::segment::{Run, list};
use crate::topic_partition::TopicPartition;

/// No more stretches are taken on once there is this much to rewrite, so that a flush need not wait for long.
const BYTES_AT_ONCE: u64 = 128 << 20;

impl Broker {
    /// Merges neighbouring small runs, a limited number of them. Says whether there may be more.
    pub async fn merge(&self) -> Result<bool, FlushError> {
        let mut flusher = self.flusher.lock().await;
        let limits = flusher.merge_limits;
        self.rewrite(&mut flusher, |partition| plan_merge(partition, limits))
            .await
    }

    /// Moves what is left in objects of which most is not wanted any more, a limited amount of it, so that they can be
    /// deleted: partitions that share an object keep it for different times. Says whether there may be more.
    pub async fn reclaim(&self) -> Result<bool, FlushError> {
        let mut flusher = self.flusher.lock().await;
        let listed = list(&*self.store).await.map_err(FlushError::List)?;
        let mut wanted: HashMap<Uuid, u64> = HashMap::new();
        for partition in self.partitions() {
            for run in &partition.manifest().segments {
                *wanted.entry(run.object).or_default() += run.bytes;
            }
        }
        let limits = flusher.merge_limits;
        let is_wasteful = |(object, size): &(Uuid, u64)| {
            let wanted = wanted.get(object);
            wanted.is_some_and(|wanted| limits.is_wasteful(*wanted, *size))
        };
        let wasteful: HashSet<Uuid> = listed
            .into_iter()
            .filter(is_wasteful)
            .map(|(object, _)| object)
            .collect();
        let plan = |partition: &Arc<Partition>| {
            let manifest = partition.manifest();
            let run = manifest.segments.iter().find(|run| wasteful.contains(&run.object))?;
            Some(Stretch {
                partition: partition.id(),
                runs: vec![run.clone()],
            })
        };
        self.rewrite(&mut flusher, plan).await
    }

    async fn rewrite(
        &self,
        flusher: &mut Flusher,
        plan: impl Fn(&Arc<Partition>) -> Option<Stretch>,
    ) -> Result<bool, FlushError> {
        let mut bytes = 0;
        let partitions = self.partitions();
        let free = partitions.iter().filter(|one| flusher.compacting != Some(one.id()));
        let stretches: Vec<Stretch> = free
            .filter_map(plan)
            .take_while(|stretch| {
                let room = bytes < BYTES_AT_ONCE;
                bytes += stretch.runs.iter().map(|run| run.bytes).sum::<u64>();
                room
            })
            .collect();
        let Flusher {
            limits, pending, rng, ..
        } = flusher;
        let merged = merge::merge(self.output(), &self.engine.segments, &stretches, *limits, pending, rng).await?;
        let replaced = |partition: TopicPartition, add: Vec<Run>| {
            let stretch = stretches.iter().find(|stretch| stretch.partition == partition);
            let remove = stretch.map(|stretch| stretch.runs.clone()).unwrap_or_default();
            (partition, ManifestChange::SegmentsReplaced { add, remove })
        };
        let changes = merged.runs.into_iter().map(|(partition, add)| replaced(partition, add));
        self.change_manifests(changes.collect()).await?;
        Ok(!stretches.is_empty())
    }
}

/// What was compacted and what was not are not mixed again.
fn plan_merge(partition: &Partition, limits: MergeLimits) -> Option<Stretch> {
    let manifest = partition.manifest();
    let (compacted, others) = manifest.compacted_and_not();
    let plan = |runs| merge::plan(partition.id(), runs, limits);
    plan(compacted).or_else(|| plan(others))
}
