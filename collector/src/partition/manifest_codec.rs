//! The bytes of manifests and of their changes, as `docs/FORMATS.md` describes them under "Checkpoint and manifest".

use bytes::{Buf, BufMut, TryGetError};
use uuid::Uuid;

use super::manifest::{EpochStart, Manifest, ManifestChange};
use crate::segment::run::Run;

/// The bytes of one encoded [`Run`].
const RUN_LEN: usize = 64;

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

impl Manifest {
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
        out.put_i64_le(self.compacted_to);
    }

    /// Decodes and checks a manifest of this version of the checkpoint; takes its bytes off `from`.
    pub fn decode(from: &mut impl Buf, version_of_checkpoint: u16) -> Result<Self, DecodeError> {
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
            compacted_to: match version_of_checkpoint {
                1 => 0,
                _ => from.try_get_i64_le()?,
            },
        };
        if manifest.version < 0 || manifest.log_start < 0 || manifest.compacted_to < 0 || manifest.epochs.is_empty() {
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
const COMPACTED_TO: u8 = 3;

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
            Self::CompactedTo { to } => {
                out.put_u8(COMPACTED_TO);
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
            COMPACTED_TO => Ok(Self::CompactedTo {
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
