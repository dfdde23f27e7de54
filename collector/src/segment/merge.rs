//! Makes few large runs out of many small ones, so that neither manifests nor the number of objects grow with age.
//!
//! [`plan`] is pure and looks at one manifest. A stretch of small neighbours is merged when it is worth it: the
//! result is large enough to be left alone, or there are enough runs and none is more than half of the whole; so each
//! byte is rewritten only a logarithmic number of times. A merged run spans a limited time, because retention drops a run as a whole. [`merge`]
//! then rewrites the stretches of many partitions as a [`flush`](super::flush) does.

use async_trait::async_trait;
use rand::RngCore;

use super::error::SegmentError;
use super::flush::{FlushError, FlushLimits, Flushed, PartitionPieces, Piece, PieceSource, PushError, flush};
use super::pending::PendingObjects;
use super::reader::SegmentReader;
use super::run::Run;
use super::writer::{Output, SegmentWriter};
use crate::topic_partition::TopicPartition;

/// What is worth merging.
#[derive(Debug, Clone, Copy)]
pub struct MergeLimits {
    /// Runs of at least this much are left alone.
    pub small_bytes: u64,
    /// So many neighbours are merged even if they stay small.
    pub runs_min: usize,
    /// No merged run becomes larger.
    pub merged_bytes_max: u64,
    /// No merged run holds batches appended further apart than this.
    pub span_ms_max: i64,
    /// What is left in an object is moved once so much of it, and at least half, is not wanted any more.
    pub wasted_bytes_max: u64,
}

impl MergeLimits {
    /// Whether too much of an object is not wanted any more.
    #[must_use]
    pub fn is_wasteful(&self, wanted_bytes: u64, object_bytes: u64) -> bool {
        let wasted = object_bytes.saturating_sub(wanted_bytes);
        wasted >= self.wasted_bytes_max && wasted >= object_bytes / 2
    }
}

impl Default for MergeLimits {
    fn default() -> Self {
        Self {
            small_bytes: 8 << 20,
            runs_min: 8,
            merged_bytes_max: 64 << 20,
            span_ms_max: 24 * 60 * 60 * 1000,
            wasted_bytes_max: 8 << 20,
        }
    }
}

/// A stretch of neighbours in one manifest, to be replaced by one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Whose they are.
    pub partition: TopicPartition,
    /// As they stand in the manifest, in order.
    pub runs: Vec<Run>,
}

/// The first stretch of a manifest that is worth merging.
#[must_use]
pub fn plan(partition: TopicPartition, segments: &[Run], limits: MergeLimits) -> Option<Stretch> {
    (0..segments.len()).find_map(|from| {
        let stretch = longest_from(segments.get(from..)?, limits);
        is_worth_it(stretch, limits).then(|| Stretch {
            partition,
            runs: stretch.to_vec(),
        })
    })
}

fn longest_from(segments: &[Run], limits: MergeLimits) -> &[Run] {
    let since = segments.first().map_or(0, |run| run.appended_at);
    let mut bytes = 0;
    let end = segments.iter().position(|run| {
        bytes += run.bytes;
        run.bytes >= limits.small_bytes
            || bytes > limits.merged_bytes_max
            || run.appended_at.saturating_sub(since) > limits.span_ms_max
    });
    segments.get(..end.unwrap_or(segments.len())).unwrap_or_default()
}

fn is_worth_it(stretch: &[Run], limits: MergeLimits) -> bool {
    let total: u64 = stretch.iter().map(|run| run.bytes).sum();
    let largest = stretch.iter().map(|run| run.bytes).max().unwrap_or_default();
    let outgrows_merging = stretch.len() >= 2 && total >= limits.small_bytes;
    outgrows_merging || (stretch.len() >= limits.runs_min && largest <= total / 2)
}

/// Rewrites the stretches; on return the new runs are durable. Each partition of the result has one run, which replaces
/// all of its stretch.
pub async fn merge(
    output: Output<'_>,
    reader: &SegmentReader,
    stretches: &[Stretch],
    limits: FlushLimits,
    pending: &PendingObjects,
    rng: &mut (dyn RngCore + Send),
) -> Result<Flushed, FlushError<SegmentError>> {
    // A run of its own is never cut, or one stretch would become several runs.
    let limits = FlushLimits {
        own_object_bytes: u64::MAX,
        ..limits
    };
    let partitions = stretches.iter().map(Stretch::pieces).collect();
    let source = RunSource { reader: reader.clone() };
    flush(output, partitions, &source, limits, pending, rng).await
}

impl Stretch {
    fn pieces(&self) -> PartitionPieces<Run> {
        let piece = |run: &Run| Piece {
            start: run.start,
            end: run.end,
            bytes: run.bytes,
            appended_at: run.appended_at,
            location: run.clone(),
        };
        PartitionPieces {
            partition: self.partition,
            pieces: self.runs.iter().map(piece).collect(),
        }
    }
}

/// Reads runs as a whole, past the caches.
struct RunSource {
    reader: SegmentReader,
}

#[async_trait]
impl PieceSource<Run> for RunSource {
    type Error = SegmentError;

    async fn push(
        &self,
        pieces: Vec<Piece<Run>>,
        segment: &mut SegmentWriter<'_>,
    ) -> Result<(), PushError<SegmentError>> {
        for piece in pieces {
            let mut scan = self.reader.scan(&piece.location).await.map_err(PushError::Read)?;
            while let Some(batches) = scan.next().await.map_err(PushError::Read)? {
                segment.push(&batches).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const LIMITS: MergeLimits = MergeLimits {
        small_bytes: 1000,
        runs_min: 4,
        merged_bytes_max: 3000,
        span_ms_max: 100,
        wasted_bytes_max: 100,
    };

    fn partition() -> TopicPartition {
        TopicPartition {
            topic: Uuid::from_u128(1),
            partition: 0,
        }
    }

    fn manifest(sizes: &[u64]) -> Vec<Run> {
        (0..).zip(sizes).map(|(at, &bytes)| run(at, bytes, 0)).collect()
    }

    fn run(at: i64, bytes: u64, appended_at: i64) -> Run {
        Run {
            object: Uuid::from_u128(bytes.into()),
            position: 8,
            bytes,
            start: at,
            end: at + 1,
            max_timestamp: 0,
            appended_at,
        }
    }

    fn planned(sizes: &[u64]) -> Option<Vec<u64>> {
        let stretch = plan(partition(), &manifest(sizes), LIMITS)?;
        Some(stretch.runs.iter().map(|run| run.bytes).collect())
    }

    #[test]
    fn enough_small_neighbours_are_merged() {
        assert_eq!(planned(&[5, 5, 5]), None);
        assert_eq!(planned(&[5, 5, 5, 5]), Some(vec![5, 5, 5, 5]));
        assert_eq!(planned(&[600, 700]), Some(vec![600, 700]));
        assert_eq!(planned(&[5, 5, 1000, 5, 5]), None);
    }

    #[test]
    fn a_large_neighbour_waits_until_the_others_are_worth_rewriting_it() {
        assert_eq!(planned(&[600, 5, 5, 5]), None);
        assert_eq!(planned(&[600, 5, 5, 5, 5]), Some(vec![5, 5, 5, 5]));
        assert_eq!(planned(&[600, 300, 100, 200]), Some(vec![600, 300, 100, 200]));
        assert_eq!(planned(&[400, 300, 100, 100]), Some(vec![400, 300, 100, 100]));
    }

    #[test]
    fn an_object_is_wasteful_when_half_of_it_and_enough_is_not_wanted() {
        assert!(LIMITS.is_wasteful(100, 200));
        assert!(!LIMITS.is_wasteful(201, 400));
        assert!(!LIMITS.is_wasteful(99, 198), "too little to be worth it");
    }

    #[test]
    fn a_merged_run_spans_a_limited_time() {
        let segments: Vec<_> = (0..10).map(|at| run(at, 5, at * 40)).collect();
        assert_eq!(plan(partition(), &segments, LIMITS), None);
        let segments: Vec<_> = (0..10).map(|at| run(at, 5, at * 30)).collect();
        assert_eq!(
            plan(partition(), &segments, LIMITS).map(|stretch| stretch.runs.len()),
            Some(4)
        );
    }

    proptest! {
        #[test]
        fn merging_ends_with_few_runs_and_rewrites_each_byte_seldom(sizes in prop::collection::vec(1u64..400, 1..300)) {
            let mut segments = Vec::new();
            let (mut rewritten, mut written) = (0, 0);
            for (at, bytes) in (0..).zip(sizes) {
                segments.push(run(at, bytes, 0));
                written += bytes;
                while let Some(stretch) = plan(partition(), &segments, LIMITS) {
                    let total = stretch.runs.iter().map(|run| run.bytes).sum::<u64>();
                    prop_assert!(total <= LIMITS.merged_bytes_max && stretch.runs.len() >= 2);
                    rewritten += total;
                    let from = segments.iter().position(|run| *run == stretch.runs[0]).unwrap();
                    let mut merged = run(stretch.runs[0].start, total, 0);
                    merged.end = stretch.runs[stretch.runs.len() - 1].end;
                    segments.splice(from..from + stretch.runs.len(), [merged]);
                }
            }
            let small = segments.iter().filter(|run| run.bytes < LIMITS.small_bytes).count();
            prop_assert!(small <= 2 * (segments.len() - small + 1) * 12, "{small} of {}", segments.len());
            // log2(1000) doublings at most.
            prop_assert!(rewritten <= written * 10, "{rewritten} of {written}");
        }
    }
}
