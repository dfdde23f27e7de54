//! What counts as a partition's history behind the WAL: where it starts, and which runs of which segments hold it.
//!
//! A manifest is immutable; a [`ManifestChange`] makes the next version of it. Changes travel through the WAL like
//! batches do and count from their commit on, so that a crash leaves either version and never a mixture. Everything here
//! is pure; the bytes are described in `docs/FORMATS.md`, "Checkpoint and manifest".

use bytes::{Buf, BufMut, TryGetError};
use uuid::Uuid;

use crate::segment::run::Run;

/// The bytes of one encoded [`Run`].
pub(super) const RUN_LEN: usize = 64;

/// A leader epoch and the first offset written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The leader epoch.
    pub epoch: i32,
    /// The first offset of the epoch.
    pub start: i64,
}

/// One version of a partition's history behind the WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// How many changes made it.
    pub version: i64,
    /// The first offset that may be read.
    pub log_start: i64,
    /// The runs, in offset order and without a gap; the first holds `log_start`, if there is one.
    pub segments: Vec<Run>,
    /// The leader epochs, oldest first; never empty.
    pub epochs: Vec<EpochStart>,
}

/// A step from one version of a manifest to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestChange {
    /// New runs took the place of old ones, or of frames in the WAL. Runs that lie below the log start by now are left
    /// out silently.
    SegmentsReplaced {
        /// Runs of objects that are on stable storage.
        add: Vec<Run>,
        /// Runs as they stand in the manifest.
        remove: Vec<Run>,
    },
    /// Everything below an offset is gone. An offset below the log start changes nothing.
    LogStartAdvanced {
        /// The first offset that may still be read.
        to: i64,
    },
}

/// Why a change does not fit a manifest. Met on recovery it is damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A run to be removed is not there.
    #[error("the run {start}..{end} of segment {object} is to be removed but is not in the manifest")]
    NoSuchRun {
        /// The segment object.
        object: Uuid,
        /// First offset of the run.
        start: i64,
        /// One past its last offset.
        end: i64,
    },
    /// The runs would not be contiguous.
    #[error("the segments would leave the offsets {expected} to {start} uncovered, or cover them twice")]
    NotContiguous {
        /// Where the run before ends.
        expected: i64,
        /// Where the next run starts.
        start: i64,
    },
    /// A run without offsets.
    #[error("a run of segment {object} would cover {start}..{end}")]
    EmptyRun {
        /// The segment object.
        object: Uuid,
        /// First offset of the run.
        start: i64,
        /// One past its last offset.
        end: i64,
    },
}

/// Why bytes are not a manifest or a change of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("{needed} more bytes were expected where {available} are left")]
    Truncated {
        /// Bytes of the next field.
        needed: usize,
        /// Bytes that are left.
        available: usize,
    },
    /// A kind of change that this version does not know.
    #[error("a manifest change of kind {0} is unknown to this version")]
    UnknownChange(u8),
    /// The bytes say something that cannot be.
    #[error("{0}")]
    Inconsistent(&'static str),
}

impl From<TryGetError> for DecodeError {
    fn from(error: TryGetError) -> Self {
        Self::Truncated {
            needed: error.requested,
            available: error.available,
        }
    }
}

impl Default for Manifest {
    /// The manifest of a partition that nothing was written to.
    fn default() -> Self {
        Self {
            version: 0,
            log_start: 0,
            segments: Vec::new(),
            epochs: vec![EpochStart { epoch: 0, start: 0 }],
        }
    }
}

impl Manifest {
    /// Everything below this offset is in segments, or gone: the WAL is needed only from here on.
    #[must_use]
    pub fn covered_to(&self) -> i64 {
        self.segments
            .last()
            .map_or(self.log_start, |run| run.end.max(self.log_start))
    }

    /// The epoch that is written now.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.epochs.last().map_or(0, |last| last.epoch)
    }

    /// The epoch that an offset was written in.
    #[must_use]
    pub fn epoch_of(&self, offset: i64) -> i32 {
        let newer = self.epochs.partition_point(|epoch| epoch.start <= offset);
        let epoch = self.epochs.get(newer.saturating_sub(1));
        epoch.map_or(0, |epoch| epoch.epoch)
    }

    /// Where an epoch ends, as `OffsetForLeaderEpoch` answers it: the newest epoch not above the one asked for, and the
    /// offset at which the next one starts; for the current epoch `log_end`. An epoch older than all known ones ends
    /// where the oldest starts; none for an epoch that is yet to come.
    #[must_use]
    pub fn epoch_end(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        if epoch == self.leader_epoch() {
            return Some((epoch, log_end));
        }
        let newer = self.epochs.partition_point(|known| known.epoch <= epoch);
        let end = self.epochs.get(newer)?.start;
        let floor = newer.checked_sub(1).and_then(|at| self.epochs.get(at));
        Some((floor.map_or(epoch, |floor| floor.epoch), end))
    }

    /// The run that holds an offset.
    #[must_use]
    pub fn run_of(&self, offset: i64) -> Option<&Run> {
        let after = self.segments.partition_point(|run| run.end <= offset);
        self.segments.get(after).filter(|run| run.start <= offset)
    }

    /// The next version.
    pub fn apply(&self, change: &ManifestChange) -> Result<Self, ChangeError> {
        let mut next = self.clone();
        next.version += 1;
        match change {
            ManifestChange::SegmentsReplaced { add, remove } => next.replace(add, remove)?,
            ManifestChange::LogStartAdvanced { to } => next.log_start = next.log_start.max(*to),
        }
        let gone = next.segments.partition_point(|run| run.end <= next.log_start);
        next.segments.drain(..gone);
        next.check()?;
        Ok(next)
    }

    fn replace(&mut self, add: &[Run], remove: &[Run]) -> Result<(), ChangeError> {
        for gone in remove.iter().filter(|run| run.end > self.log_start) {
            let at = self.segments.iter().position(|run| run == gone);
            let at = at.ok_or(ChangeError::NoSuchRun {
                object: gone.object,
                start: gone.start,
                end: gone.end,
            })?;
            self.segments.remove(at);
        }
        self.segments
            .extend(add.iter().filter(|run| run.end > self.log_start).cloned());
        self.segments.sort_by_key(|run| run.start);
        Ok(())
    }

    /// No gap between the log start and the end of the segments, and nothing twice.
    fn check(&self) -> Result<(), ChangeError> {
        let mut expected = None;
        for run in &self.segments {
            if run.end <= run.start {
                return Err(ChangeError::EmptyRun {
                    object: run.object,
                    start: run.start,
                    end: run.end,
                });
            }
            let fits = match expected {
                None => run.start <= self.log_start,
                Some(end) => run.start == end,
            };
            if !fits {
                return Err(ChangeError::NotContiguous {
                    expected: expected.unwrap_or(self.log_start),
                    start: run.start,
                });
            }
            expected = Some(run.end);
        }
        Ok(())
    }

    /// Appends the encoded manifest.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_i64_le(self.version);
        out.put_i64_le(self.log_start);
        out.put_u32_le(count(self.epochs.len()));
        for EpochStart { epoch, start } in &self.epochs {
            out.put_i32_le(*epoch);
            out.put_i64_le(*start);
        }
        encode_runs(&self.segments, out);
    }

    /// Decodes and checks a manifest; takes its bytes off `from`.
    pub fn decode(from: &mut impl Buf) -> Result<Self, DecodeError> {
        let version = from.try_get_i64_le()?;
        let log_start = from.try_get_i64_le()?;
        let mut epochs = Vec::new();
        for _ in 0..bounded_count(from, 12)? {
            let (epoch, start) = (from.try_get_i32_le()?, from.try_get_i64_le()?);
            epochs.push(EpochStart { epoch, start });
        }
        let manifest = Self {
            version,
            log_start,
            epochs,
            segments: decode_runs(from)?,
        };
        if manifest.version < 0 || manifest.log_start < 0 || manifest.epochs.is_empty() {
            return Err(DecodeError::Inconsistent(
                "a manifest has a negative number or no epoch",
            ));
        }
        if !manifest
            .epochs
            .is_sorted_by(|a, b| a.epoch < b.epoch && a.start <= b.start)
        {
            return Err(DecodeError::Inconsistent("the epochs of a manifest are not in order"));
        }
        if manifest.check().is_err() {
            return Err(DecodeError::Inconsistent(
                "the segments of a manifest are not contiguous",
            ));
        }
        Ok(manifest)
    }
}

const SEGMENTS_REPLACED: u8 = 1;
const LOG_START_ADVANCED: u8 = 2;

impl ManifestChange {
    /// Appends the encoded change. Changes may stand one behind the other.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::SegmentsReplaced { add, remove } => {
                out.put_u8(SEGMENTS_REPLACED);
                encode_runs(add, out);
                encode_runs(remove, out);
            }
            Self::LogStartAdvanced { to } => {
                out.put_u8(LOG_START_ADVANCED);
                out.put_i64_le(*to);
            }
        }
    }

    /// Decodes one change; takes its bytes off `from`.
    pub fn decode(from: &mut impl Buf) -> Result<Self, DecodeError> {
        match from.try_get_u8()? {
            SEGMENTS_REPLACED => Ok(Self::SegmentsReplaced {
                add: decode_runs(from)?,
                remove: decode_runs(from)?,
            }),
            LOG_START_ADVANCED => Ok(Self::LogStartAdvanced {
                to: from.try_get_i64_le()?,
            }),
            unknown => Err(DecodeError::UnknownChange(unknown)),
        }
    }
}

fn encode_runs(runs: &[Run], out: &mut impl BufMut) {
    out.put_u32_le(count(runs.len()));
    for run in runs {
        out.put_slice(run.object.as_bytes());
        out.put_u64_le(run.position);
        out.put_u64_le(run.bytes);
        out.put_i64_le(run.start);
        out.put_i64_le(run.end);
        out.put_i64_le(run.max_timestamp);
        out.put_i64_le(run.appended_at);
    }
}

fn decode_runs(from: &mut impl Buf) -> Result<Vec<Run>, DecodeError> {
    let runs = bounded_count(from, RUN_LEN)?;
    let mut out = Vec::with_capacity(runs);
    for _ in 0..runs {
        let mut object = [0; 16];
        from.try_copy_to_slice(&mut object)?;
        out.push(Run {
            object: Uuid::from_bytes(object),
            position: from.try_get_u64_le()?,
            bytes: from.try_get_u64_le()?,
            start: from.try_get_i64_le()?,
            end: from.try_get_i64_le()?,
            max_timestamp: from.try_get_i64_le()?,
            appended_at: from.try_get_i64_le()?,
        });
    }
    Ok(out)
}

/// A count of things that each take at least `each` bytes, refused if they cannot all be there.
pub(super) fn bounded_count(from: &mut impl Buf, each: usize) -> Result<usize, DecodeError> {
    let count = usize::try_from(from.try_get_u32_le()?).unwrap_or(usize::MAX);
    let needed = count.saturating_mul(each);
    if needed > from.remaining() {
        return Err(DecodeError::Truncated {
            needed,
            available: from.remaining(),
        });
    }
    Ok(count)
}

/// A length as it is stored. Nothing that is kept in memory comes near the limit.
pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::partition) fn run(start: i64, end: i64) -> Run {
        Run {
            object: Uuid::from_u128(u128::from(start.cast_unsigned()) << 64 | u128::from(end.cast_unsigned())),
            position: 64,
            bytes: (end - start).cast_unsigned() * 10,
            start,
            end,
            max_timestamp: end * 100,
            appended_at: end * 1000,
        }
    }

    pub(in crate::partition) fn add(runs: &[Run]) -> ManifestChange {
        ManifestChange::SegmentsReplaced {
            add: runs.to_vec(),
            remove: Vec::new(),
        }
    }

    /// A manifest as it may grow: runs of arbitrary length, and a log start somewhere below their end.
    pub(in crate::partition) fn manifests() -> impl Strategy<Value = Manifest> {
        (proptest::collection::vec(1i64..50, 0..20), 0i64..1200).prop_map(|(lengths, log_start)| {
            let mut manifest = Manifest::default();
            let mut end = 0;
            for length in lengths {
                manifest = manifest.apply(&add(&[run(end, end + length)])).unwrap();
                end += length;
            }
            let to = log_start.min(end);
            manifest.apply(&ManifestChange::LogStartAdvanced { to }).unwrap()
        })
    }

    #[test]
    fn a_gap_and_an_overlap_are_refused() {
        let manifest = Manifest::default().apply(&add(&[run(0, 10)])).unwrap();
        for wrong in [run(11, 20), run(9, 20)] {
            assert!(matches!(
                manifest.apply(&add(&[wrong])),
                Err(ChangeError::NotContiguous { expected: 10, .. })
            ));
        }
        assert!(matches!(
            Manifest::default().apply(&add(&[run(5, 6)])),
            Err(ChangeError::NotContiguous { expected: 0, start: 5 })
        ));
    }

    #[test]
    fn runs_merge_into_one() {
        let parts = [run(0, 10), run(10, 25)];
        let manifest = Manifest::default().apply(&add(&parts)).unwrap();
        let merge = ManifestChange::SegmentsReplaced {
            add: vec![run(0, 25)],
            remove: parts.to_vec(),
        };
        assert_eq!(manifest.apply(&merge).unwrap().segments, [run(0, 25)]);
        let again = manifest.apply(&merge).unwrap().apply(&merge);
        assert!(matches!(again, Err(ChangeError::NoSuchRun { start: 0, end: 10, .. })));
    }

    #[test]
    fn the_log_start_drops_whole_runs_and_outruns_a_flush() {
        let manifest = Manifest::default().apply(&add(&[run(0, 10), run(10, 20)])).unwrap();
        let manifest = manifest.apply(&ManifestChange::LogStartAdvanced { to: 15 }).unwrap();
        assert_eq!((manifest.log_start, &manifest.segments[..]), (15, &[run(10, 20)][..]));
        let manifest = manifest.apply(&ManifestChange::LogStartAdvanced { to: 40 }).unwrap();
        assert_eq!((manifest.covered_to(), manifest.segments.len()), (40, 0));
        let late = manifest.apply(&add(&[run(20, 30), run(30, 50)])).unwrap();
        assert_eq!(
            late.segments,
            [run(30, 50)],
            "what lies below the log start is left out"
        );
        assert_eq!(late.covered_to(), 50);
    }

    #[test]
    fn epochs_end_where_kafka_says() {
        let epochs = [(2, 0), (5, 10), (7, 30)].map(|(epoch, start)| EpochStart { epoch, start });
        let manifest = Manifest {
            epochs: epochs.to_vec(),
            ..Manifest::default()
        };
        let cases = [
            (7, Some((7, 100))),
            (8, None),
            (6, Some((5, 30))),
            (5, Some((5, 30))),
            (2, Some((2, 10))),
            (0, Some((0, 0))),
        ];
        for (asked, expected) in cases {
            assert_eq!(manifest.epoch_end(asked, 100), expected, "epoch {asked}");
        }
        assert_eq!([0, 9, 10, 99].map(|offset| manifest.epoch_of(offset)), [2, 2, 5, 7]);
    }

    proptest! {
        #[test]
        fn a_manifest_comes_back_as_it_was(manifest in manifests()) {
            let mut bytes = Vec::new();
            manifest.encode(&mut bytes);
            prop_assert_eq!(Manifest::decode(&mut &bytes[..]).unwrap(), manifest);
            for len in 0..bytes.len() {
                prop_assert!(Manifest::decode(&mut &bytes[..len]).is_err());
            }
        }

        #[test]
        fn each_offset_is_in_the_run_that_holds_it(manifest in manifests(), offset in 0i64..1200) {
            let found = manifest.run_of(offset);
            let expected = manifest.segments.iter().find(|run| run.start <= offset && offset < run.end);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn outside_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Manifest::decode(&mut &bytes[..]).ok();
            if let Ok(change) = ManifestChange::decode(&mut &bytes[..]) {
                let mut again = Vec::new();
                change.encode(&mut again);
                prop_assert!(bytes.starts_with(&again));
            }
        }
    }
}
