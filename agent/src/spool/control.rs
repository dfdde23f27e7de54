//! What becomes of batches that are in the spool already: their identity, their acknowledgement, their end. The bytes are
//! in `docs/FORMATS.md`, "Spool".

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::codec::{DecodeError, Reader, Writer};
use super::record::kind;

/// Numbers batches in the order in which they go out, over the whole life of a spool: a batch has the number of its first
/// record.
pub type BatchNumber = u64;

/// Who a broker takes the sender of a batch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// As the broker gave it out.
    pub id: i64,
    /// As the broker gave it out.
    pub epoch: i16,
}

/// The identity under which a batch is sent, and sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The cluster that gave out the producer id.
    pub cluster_id: Arc<str>,
    /// Nil where the cluster has no topic ids.
    pub topic_id: Uuid,
    /// The partition's index.
    pub partition: i32,
    /// Producer id and epoch.
    pub producer: Producer,
    /// Sequence of the batch's first record.
    pub base_sequence: i32,
}

/// Gives batches their identity. The last Bind of a batch counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// See [`Stamp`].
    pub cluster_id: Arc<str>,
    /// See [`Stamp`].
    pub topic_id: Uuid,
    /// See [`Stamp`].
    pub partition: i32,
    /// See [`Stamp`].
    pub producer: Producer,
    /// Each batch with its base sequence.
    pub batches: Vec<(BatchNumber, i32)>,
}

/// What becomes of batches that are in the spool already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Their identity.
    Bind(Bind),
    /// A lane's partition, for ever.
    LaneBound {
        /// The topic's name.
        topic: Arc<str>,
        /// The lane.
        lane: u16,
        /// Its partition.
        partition: i32,
    },
    /// Acknowledged, at the base offset that the broker told, if it did.
    Mark(Vec<(BatchNumber, Option<i64>)>),
    /// Refused for good; the bytes are in the dead-letter directory.
    DeadLetter {
        /// Which batch.
        batch: BatchNumber,
        /// Why, for people.
        reason: String,
    },
    /// The topic was made anew without this partition. Its batches go to another one, without an identity and behind
    /// all that there are, so they get new numbers, in order; its lanes go there too.
    Moved {
        /// The topic's name.
        topic: Arc<str>,
        /// The partition that is no more.
        from: i32,
        /// The one that takes over.
        to: i32,
    },
    /// Too large for its topic, and so nothing of it is in a log: its records again, in smaller batches that stand in
    /// its place and have no identity yet.
    Split {
        /// Which batch; its first part keeps the number.
        batch: BatchNumber,
        /// All of its records, in order.
        parts: Vec<Part>,
    },
}

/// A part of a batch that was split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How many records it holds.
    pub records: u32,
    /// A RecordBatch of its own, without identity.
    pub bytes: Bytes,
}

impl Control {
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Bind(_) => kind::BIND,
            Self::LaneBound { .. } => kind::LANE_BOUND,
            Self::Mark(_) => kind::MARK,
            Self::DeadLetter { .. } => kind::DEAD_LETTER,
            Self::Moved { .. } => kind::MOVED,
            Self::Split { .. } => kind::SPLIT,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            Self::Bind(bind) => {
                to.string(&bind.cluster_id);
                to.uuid(bind.topic_id);
                to.i32(bind.partition);
                to.i64(bind.producer.id);
                to.i16(bind.producer.epoch);
                to.list(&bind.batches, |to, (number, base_sequence)| {
                    to.u64(*number);
                    to.i32(*base_sequence);
                });
            }
            Self::LaneBound { topic, lane, partition } => {
                to.string(topic);
                to.u16(*lane);
                to.i32(*partition);
            }
            Self::Mark(marks) => to.list(marks, |to, (number, offset)| {
                to.u64(*number);
                to.i64(offset.unwrap_or(-1));
            }),
            Self::DeadLetter { batch, reason } => {
                to.u64(*batch);
                to.string(reason);
            }
            Self::Moved { topic, from, to: next } => {
                to.string(topic);
                to.i32(*from);
                to.i32(*next);
            }
            Self::Split { batch, parts } => {
                to.u64(*batch);
                to.list(parts, |to, part| {
                    to.u32(part.records);
                    to.u32(part.len());
                });
                for part in parts {
                    to.raw(&part.bytes);
                }
            }
        }
        to.finish()
    }

    pub(super) fn decode(kind: u8, from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            kind::BIND => Self::Bind(Bind {
                cluster_id: from.string()?,
                topic_id: from.uuid()?,
                partition: from.i32()?,
                producer: Producer {
                    id: from.i64()?,
                    epoch: from.i16()?,
                },
                batches: from.list(|from| Ok((from.u64()?, from.i32()?)))?,
            }),
            kind::LANE_BOUND => Self::LaneBound {
                topic: from.string()?,
                lane: from.u16()?,
                partition: from.i32()?,
            },
            kind::MARK => {
                Self::Mark(from.list(|from| Ok((from.u64()?, Some(from.i64()?).filter(|offset| *offset >= 0))))?)
            }
            kind::DEAD_LETTER => Self::DeadLetter {
                batch: from.u64()?,
                reason: from.string()?.as_ref().to_owned(),
            },
            kind::MOVED => Self::Moved {
                topic: from.string()?,
                from: from.i32()?,
                to: from.i32()?,
            },
            kind::SPLIT => {
                let batch = from.u64()?;
                let heads = from.list(|from| Ok((from.u32()?, from.u32()?)))?;
                let parts = heads.into_iter().map(|(records, len)| {
                    let bytes = Bytes::copy_from_slice(from.raw(len)?);
                    Ok(Part { records, bytes })
                });
                Self::Split {
                    batch,
                    parts: parts.collect::<Result<_, DecodeError>>()?,
                }
            }
            unknown => return Err(DecodeError::UnknownKind(unknown)),
        })
    }

    /// Where in the payload the bytes of batches lie.
    pub(super) fn bodies(&self) -> Vec<Range<usize>> {
        let Self::Split { parts, .. } = self else {
            return Vec::new();
        };
        let mut end = 12 + 8 * parts.len();
        let bodies = parts.iter().map(|part| {
            let start = end;
            end += part.bytes.len();
            start..end
        });
        bodies.collect()
    }
}

impl Part {
    /// In bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Never: a batch has a header at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Each part with its number.
    pub fn numbered(parts: &[Self], batch: BatchNumber) -> impl Iterator<Item = (BatchNumber, &Self)> {
        parts.iter().scan(batch, |next, part| {
            let number = *next;
            *next += u64::from(part.records);
            Some((number, part))
        })
    }
}
