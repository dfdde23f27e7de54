//! What the spool's journal says: the records, and their bytes as `docs/FORMATS.md`, "Spool", describes them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use tailrace_shared::disk::FileId;
use uuid::Uuid;

use super::codec::{DecodeError, Reader, Writer};
use super::control::{BatchNumber, Control, Producer, Stamp};
use super::format::FileNumber;
use crate::position::{FileKey, FilePosition, Fingerprint, JournalCursor};
use crate::stretch::Route;

/// A batch as an entry announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchHead {
    pub(super) number: BatchNumber,
    pub(super) topic: Arc<str>,
    pub(super) route: Route,
    pub(super) records: u32,
    pub(super) len: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) batches: Vec<BatchHead>,
    pub(super) positions: Vec<FilePosition>,
    pub(super) gone: Vec<FileId>,
    pub(super) cursors: Vec<JournalCursor>,
}

/// Where a batch's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: FileNumber,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// A batch that is neither marked nor dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveBatch {
    pub(super) topic: Arc<str>,
    pub(super) route: Route,
    pub(super) records: u32,
    pub(super) place: Place,
    pub(super) stamp: Option<Stamp>,
}

/// An offset below which no live batch of the partition can lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) topic_id: Uuid,
    pub(super) offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Snapshot {
    pub(super) next_batch: BatchNumber,
    pub(super) positions: Vec<FilePosition>,
    pub(super) lanes: Vec<(Arc<str>, u16, i32)>,
    pub(super) floors: Vec<Floor>,
    pub(super) live: Vec<(BatchNumber, LiveBatch)>,
    pub(super) cursors: Vec<JournalCursor>,
}

/// A decoded payload. Batch bytes are given as where they lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Snapshot(Snapshot),
    Entry(Entry, Vec<Range<usize>>),
    Control(Control),
    Copy(Vec<(BatchNumber, Range<usize>)>),
}

pub(super) mod kind {
    pub(in crate::spool) const SNAPSHOT: u8 = 1;
    pub(in crate::spool) const ENTRY: u8 = 2;
    pub(in crate::spool) const BIND: u8 = 3;
    pub(in crate::spool) const LANE_BOUND: u8 = 4;
    pub(in crate::spool) const MARK: u8 = 5;
    pub(in crate::spool) const DEAD_LETTER: u8 = 6;
    pub(in crate::spool) const COPY: u8 = 7;
    pub(in crate::spool) const MOVED: u8 = 8;
    pub(in crate::spool) const SPLIT: u8 = 9;
}

impl Record {
    pub(super) fn decode(kind: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader::new(payload);
        let record = match kind {
            kind::SNAPSHOT => Self::Snapshot(Snapshot::decode(&mut from)?),
            kind::ENTRY => return decode_entry(from, payload.len()),
            kind::COPY => return decode_copy(from, payload.len()),
            other => Self::Control(Control::decode(other, &mut from)?),
        };
        from.end()?;
        Ok(record)
    }
}

impl Entry {
    /// The payload up to where the bytes of the batches follow.
    pub(super) fn encode_head(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.list(&self.batches, |to, batch| {
            to.u64(batch.number);
            to.string(&batch.topic);
            put_route(to, batch.route);
            to.u32(batch.records);
            to.u32(batch.len);
        });
        to.list(&self.positions, put_position);
        to.list(&self.gone, |to, id| {
            to.u64(id.device);
            to.u64(id.inode);
        });
        to.list(&self.cursors, put_cursor);
        to.finish()
    }
}

fn decode_entry(mut from: Reader<'_>, payload_len: usize) -> Result<Record, DecodeError> {
    let entry = Entry {
        batches: from.list(|from| {
            Ok(BatchHead {
                number: from.u64()?,
                topic: from.string()?,
                route: take_route(from)?,
                records: from.u32()?,
                len: from.u32()?,
            })
        })?,
        positions: from.list(take_position)?,
        gone: from.list(|from| {
            Ok(FileId {
                device: from.u64()?,
                inode: from.u64()?,
            })
        })?,
        cursors: from.list(take_cursor)?,
    };
    let ranges = take_bodies(&mut from, payload_len, entry.batches.iter().map(|batch| batch.len))?;
    from.end()?;
    Ok(Record::Entry(entry, ranges))
}

pub(super) fn encode_copy_head(batches: &[(BatchNumber, u32)]) -> Vec<u8> {
    let mut to = Writer::default();
    to.list(batches, |to, (number, len)| {
        to.u64(*number);
        to.u32(*len);
    });
    to.finish()
}

fn decode_copy(mut from: Reader<'_>, payload_len: usize) -> Result<Record, DecodeError> {
    let heads = from.list(|from| Ok((from.u64()?, from.u32()?)))?;
    let ranges = take_bodies(&mut from, payload_len, heads.iter().map(|(_, len)| *len))?;
    from.end()?;
    Ok(Record::Copy(
        heads.into_iter().map(|(number, _)| number).zip(ranges).collect(),
    ))
}

fn take_bodies(
    from: &mut Reader<'_>,
    payload_len: usize,
    lens: impl Iterator<Item = u32>,
) -> Result<Vec<Range<usize>>, DecodeError> {
    lens.map(|len| {
        let start = payload_len - from.left();
        from.skip(len)?;
        Ok(start..payload_len - from.left())
    })
    .collect()
}

impl Snapshot {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u64(self.next_batch);
        to.list(&self.positions, put_position);
        to.list(&self.lanes, |to, (topic, lane, partition)| {
            to.string(topic);
            to.u16(*lane);
            to.i32(*partition);
        });
        to.list(&self.floors, |to, floor| {
            to.string(&floor.topic);
            to.i32(floor.partition);
            to.uuid(floor.topic_id);
            to.i64(floor.offset);
        });
        to.list(&self.live, |to, (number, batch)| put_live(to, *number, batch));
        to.list(&self.cursors, put_cursor);
        to.finish()
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            next_batch: from.u64()?,
            positions: from.list(take_position)?,
            lanes: from.list(|from| Ok((from.string()?, from.u16()?, from.i32()?)))?,
            floors: from.list(|from| {
                Ok(Floor {
                    topic: from.string()?,
                    partition: from.i32()?,
                    topic_id: from.uuid()?,
                    offset: from.i64()?,
                })
            })?,
            live: from.list(take_live)?,
            cursors: from.list(take_cursor)?,
        })
    }
}

fn put_live(to: &mut Writer, number: BatchNumber, batch: &LiveBatch) {
    to.u64(number);
    to.string(&batch.topic);
    put_route(to, batch.route);
    to.u32(batch.records);
    to.u64(batch.place.file);
    to.u64(batch.place.offset);
    to.u32(batch.place.len);
    to.u8(batch.stamp.is_some().into());
    if let Some(stamp) = &batch.stamp {
        to.string(&stamp.cluster_id);
        to.uuid(stamp.topic_id);
        to.i32(stamp.partition);
        to.i64(stamp.producer.id);
        to.i16(stamp.producer.epoch);
        to.i32(stamp.base_sequence);
    }
}

fn take_live(from: &mut Reader<'_>) -> Result<(BatchNumber, LiveBatch), DecodeError> {
    let number = from.u64()?;
    let batch = LiveBatch {
        topic: from.string()?,
        route: take_route(from)?,
        records: from.u32()?,
        place: Place {
            file: from.u64()?,
            offset: from.u64()?,
            len: from.u32()?,
        },
        stamp: match from.u8()? {
            0 => None,
            _ => Some(Stamp {
                cluster_id: from.string()?,
                topic_id: from.uuid()?,
                partition: from.i32()?,
                producer: Producer {
                    id: from.i64()?,
                    epoch: from.i16()?,
                },
                base_sequence: from.i32()?,
            }),
        },
    };
    Ok((number, batch))
}

fn put_route(to: &mut Writer, route: Route) {
    match route {
        Route::Lane(lane) => {
            to.u8(0);
            to.i32(lane.into());
        }
        Route::Partition(partition) => {
            to.u8(1);
            to.i32(partition);
        }
    }
}

fn take_route(from: &mut Reader<'_>) -> Result<Route, DecodeError> {
    match (from.u8()?, from.i32()?) {
        (0, lane) => u16::try_from(lane).map(Route::Lane).map_err(|_| DecodeError::BadRoute),
        (1, partition) => Ok(Route::Partition(partition)),
        _ => Err(DecodeError::BadRoute),
    }
}

fn put_position(to: &mut Writer, position: &FilePosition) {
    to.u64(position.key.id.device);
    to.u64(position.key.id.inode);
    to.u32(position.key.fingerprint.len);
    for crc in position.key.fingerprint.crcs {
        to.u32(crc);
    }
    to.path(&position.path);
    to.string(&position.topic);
    to.u16(position.lane);
    to.u64(position.offset);
    to.u32(position.tail_checksum);
    to.u32(position.tail_checksum_len);
    to.u8(position.mid_line.into());
    to.i64(position.modified_ms);
}

fn take_position(from: &mut Reader<'_>) -> Result<FilePosition, DecodeError> {
    Ok(FilePosition {
        key: FileKey {
            id: FileId {
                device: from.u64()?,
                inode: from.u64()?,
            },
            fingerprint: Fingerprint {
                len: from.u32()?,
                crcs: [from.u32()?, from.u32()?, from.u32()?, from.u32()?],
            },
        },
        path: PathBuf::from(from.path()?),
        topic: from.string()?.as_ref().to_owned(),
        lane: from.u16()?,
        offset: from.u64()?,
        tail_checksum: from.u32()?,
        tail_checksum_len: from.u32()?,
        mid_line: from.u8()? != 0,
        modified_ms: from.i64()?,
    })
}

fn put_cursor(to: &mut Writer, cursor: &JournalCursor) {
    to.string(&cursor.input);
    to.string(&cursor.cursor);
}

fn take_cursor(from: &mut Reader<'_>) -> Result<JournalCursor, DecodeError> {
    Ok(JournalCursor {
        input: from.string()?,
        cursor: from.string()?,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::spool::control::{Bind, Part};
    use crate::spool::testing::{cursor, position, topic};

    fn stamp() -> Stamp {
        Stamp {
            cluster_id: topic("cluster"),
            topic_id: Uuid::from_u128(7),
            partition: 2,
            producer: Producer { id: 1 << 40, epoch: 3 },
            base_sequence: i32::MAX,
        }
    }

    /// One payload of each kind, with the record it must decode to.
    fn samples() -> Vec<(u8, Vec<u8>, Record)> {
        let live = |stamp| LiveBatch {
            topic: topic("nginx"),
            route: Route::Lane(31),
            records: 4,
            place: Place {
                file: 9,
                offset: 1 << 33,
                len: 70,
            },
            stamp,
        };
        let snapshot = Snapshot {
            next_batch: 12,
            positions: vec![position(1, 2), position(3, 4)],
            lanes: vec![(topic("nginx"), 31, 2)],
            floors: vec![Floor {
                topic: topic("nginx"),
                partition: 2,
                topic_id: Uuid::from_u128(7),
                offset: 99,
            }],
            live: vec![(10, live(None)), (11, live(Some(stamp())))],
            cursors: vec![cursor("system", 1), cursor("user", 2)],
        };
        let head = |number, route, len| BatchHead {
            number,
            topic: topic("nginx"),
            route,
            records: 3,
            len,
        };
        let entry = Entry {
            batches: vec![head(5, Route::Partition(-1), 4), head(6, Route::Lane(0), 2)],
            positions: vec![position(8, 9)],
            gone: vec![position(7, 0).key.id],
            cursors: vec![cursor("system", 3)],
        };
        let controls = [
            Control::Bind(Bind {
                cluster_id: topic("cluster"),
                topic_id: Uuid::nil(),
                partition: 0,
                producer: Producer { id: 8, epoch: 0 },
                batches: vec![(1, 0), (2, 17)],
            }),
            Control::LaneBound {
                topic: topic("nginx"),
                lane: 4,
                partition: 1,
            },
            Control::Mark(vec![(1, Some(0)), (2, None)]),
            Control::DeadLetter {
                batch: 3,
                reason: "MESSAGE_TOO_LARGE".to_owned(),
            },
            Control::Moved {
                topic: topic("nginx"),
                from: 5,
                to: 1,
            },
            Control::Split {
                batch: 7,
                parts: vec![
                    Part {
                        records: 2,
                        bytes: Bytes::from_static(b"abc"),
                    },
                    Part {
                        records: 1,
                        bytes: Bytes::from_static(b"de"),
                    },
                ],
            },
        ];
        let mut entry_bytes = entry.encode_head();
        let at = entry_bytes.len();
        entry_bytes.extend(b"abcdef");
        let mut copy_bytes = encode_copy_head(&[(5, 3), (9, 0)]);
        let copied_at = copy_bytes.len();
        copy_bytes.extend(b"xyz");
        let mut samples = vec![
            (kind::SNAPSHOT, snapshot.encode(), Record::Snapshot(snapshot)),
            (
                kind::ENTRY,
                entry_bytes,
                Record::Entry(entry, vec![at..at + 4, at + 4..at + 6]),
            ),
            (
                kind::COPY,
                copy_bytes,
                Record::Copy(vec![(5, copied_at..copied_at + 3), (9, copied_at + 3..copied_at + 3)]),
            ),
        ];
        samples.extend(controls.map(|control| (control.kind(), control.encode(), Record::Control(control))));
        samples
    }

    #[test]
    fn records_come_back_as_they_were() {
        for (kind, payload, record) in samples() {
            assert_eq!(Record::decode(kind, &payload), Ok(record));
        }
    }

    #[test]
    fn a_record_cut_short_or_followed_by_bytes_is_refused() {
        for (kind, payload, _) in samples() {
            for len in 0..payload.len() {
                assert!(
                    Record::decode(kind, &payload[..len]).is_err(),
                    "kind {kind} cut at {len}"
                );
            }
            let longer = [payload.as_slice(), &[0]].concat();
            assert_eq!(Record::decode(kind, &longer), Err(DecodeError::TrailingBytes(1)));
        }
        assert_eq!(Record::decode(99, &[]), Err(DecodeError::UnknownKind(99)));
    }

    #[test]
    fn the_bodies_of_a_split_lie_where_it_says() {
        let (_, payload, record) = samples().pop().unwrap();
        let Record::Control(split) = record else { panic!() };
        let bodies = split.bodies().into_iter().map(|body| &payload[body]);
        assert_eq!(bodies.collect::<Vec<_>>(), [&b"abc"[..], b"de"]);
    }

    #[test]
    fn a_lying_count_ends_with_the_bytes() {
        let payload = u32::MAX.to_le_bytes();
        assert_eq!(Record::decode(kind::MARK, &payload), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn a_mutated_record_is_refused_or_decoded(
            which in 0..9usize,
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let (kind, mut payload, _) = samples().swap_remove(which);
            for (at, byte) in edits {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            if let Ok(Record::Entry(_, bodies)) = Record::decode(kind, &payload) {
                prop_assert!(bodies.iter().all(|body| body.end <= payload.len()));
            }
        }
    }
}
