//! What the journal's records add up to. The same code follows the records as they are written and when they are
//! replayed, so that a restart ends up where the last process stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tailrace_shared::disk::FileId;
use uuid::Uuid;

use super::control::{BatchNumber, Bind, Control, Part, Stamp};
use super::record::{Entry, Floor, LiveBatch, Place, Snapshot};
use crate::position::{FilePosition, JournalCursor};
use crate::stretch::Route;

type TopicPartition = (Arc<str>, i32);

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) next_batch: BatchNumber,
    positions: BTreeMap<FileId, FilePosition>,
    lanes: BTreeMap<(Arc<str>, u16), i32>,
    floors: BTreeMap<TopicPartition, (Uuid, i64)>,
    live: BTreeMap<BatchNumber, LiveBatch>,
    /// The live batches that have a stamp, by where they go.
    bound: BTreeMap<TopicPartition, BTreeSet<BatchNumber>>,
    /// By their inputs.
    cursors: BTreeMap<Arc<str>, Arc<str>>,
}

/// What a control did to the batches.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Those that are live no longer, and where they lay.
    pub(super) gone: Vec<(BatchNumber, Place)>,
    /// Those that have another number now.
    pub(super) renumbered: Vec<(BatchNumber, BatchNumber)>,
    /// Those that are new, and where they lie.
    pub(super) here: Vec<(BatchNumber, Place)>,
}

impl Ledger {
    pub(super) fn from_snapshot(snapshot: Snapshot) -> Self {
        let mut ledger = Self {
            next_batch: snapshot.next_batch,
            ..Self::default()
        };
        ledger.put_positions(snapshot.positions);
        ledger.put_cursors(snapshot.cursors);
        for (topic, lane, partition) in snapshot.lanes {
            ledger.lanes.insert((topic, lane), partition);
        }
        for floor in snapshot.floors {
            ledger
                .floors
                .insert((floor.topic, floor.partition), (floor.topic_id, floor.offset));
        }
        for (number, batch) in snapshot.live {
            if let Some(stamp) = &batch.stamp {
                ledger.note_bound(number, &batch.topic, stamp.partition);
            }
            ledger.live.insert(number, batch);
        }
        ledger
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            next_batch: self.next_batch,
            positions: self.positions.values().cloned().collect(),
            lanes: self
                .lanes
                .iter()
                .map(|((topic, lane), partition)| (topic.clone(), *lane, *partition))
                .collect(),
            floors: self
                .floors
                .iter()
                .map(|((topic, partition), (topic_id, offset))| Floor {
                    topic: topic.clone(),
                    partition: *partition,
                    topic_id: *topic_id,
                    offset: *offset,
                })
                .collect(),
            live: self
                .live
                .iter()
                .map(|(number, batch)| (*number, batch.clone()))
                .collect(),
            cursors: self
                .cursors
                .iter()
                .map(|(input, cursor)| JournalCursor {
                    input: Arc::clone(input),
                    cursor: Arc::clone(cursor),
                })
                .collect(),
        }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (BatchNumber, &LiveBatch)> {
        self.live.iter().map(|(number, batch)| (*number, batch))
    }

    pub(super) fn live_count(&self) -> usize {
        self.live.len()
    }

    pub(super) fn apply_entry(&mut self, entry: Entry, places: Vec<Place>) {
        for (batch, place) in entry.batches.into_iter().zip(places) {
            self.insert(
                batch.number,
                LiveBatch {
                    topic: batch.topic,
                    route: batch.route,
                    records: batch.records,
                    place,
                    stamp: None,
                },
            );
        }
        for id in entry.gone {
            self.positions.remove(&id);
        }
        self.put_positions(entry.positions);
        self.put_cursors(entry.cursors);
    }

    /// `places` are those of [`Control::bodies`].
    pub(super) fn apply_control(&mut self, control: &Control, places: &[Place]) -> Changed {
        let gone = match control {
            Control::Bind(bind) => {
                self.bind(bind);
                Vec::new()
            }
            Control::LaneBound { topic, lane, partition } => {
                self.lanes.insert((topic.clone(), *lane), *partition);
                Vec::new()
            }
            Control::Moved { topic, from, to } => {
                return Changed {
                    renumbered: self.move_partition(topic, *from, *to),
                    ..Changed::default()
                };
            }
            Control::Split { batch, parts } => return self.split(*batch, parts, places),
            Control::Mark(marks) => marks
                .iter()
                .filter_map(|(number, offset)| self.mark(*number, *offset))
                .collect(),
            Control::DeadLetter { batch, .. } => {
                let dead = self.remove(*batch).map(|dead| (*batch, dead.place));
                dead.into_iter().collect()
            }
        };
        Changed {
            gone,
            ..Changed::default()
        }
    }

    /// Tells where the batch lay before.
    pub(super) fn relocate(&mut self, number: BatchNumber, place: Place) -> Option<Place> {
        let batch = self.live.get_mut(&number)?;
        Some(std::mem::replace(&mut batch.place, place))
    }

    pub(super) fn remove(&mut self, number: BatchNumber) -> Option<LiveBatch> {
        let batch = self.live.remove(&number)?;
        if let Some(stamp) = &batch.stamp {
            let key = (batch.topic.clone(), stamp.partition);
            if let Some(bound) = self.bound.get_mut(&key) {
                bound.remove(&number);
                if bound.is_empty() {
                    self.bound.remove(&key);
                }
            }
        }
        Some(batch)
    }

    fn bind(&mut self, bind: &Bind) {
        for (number, base_sequence) in &bind.batches {
            let Some(mut batch) = self.remove(*number) else {
                continue;
            };
            batch.stamp = Some(Stamp {
                cluster_id: Arc::clone(&bind.cluster_id),
                topic_id: bind.topic_id,
                partition: bind.partition,
                producer: bind.producer,
                base_sequence: *base_sequence,
            });
            self.note_bound(*number, &batch.topic, bind.partition);
            self.live.insert(*number, batch);
        }
    }

    fn move_partition(&mut self, topic: &Arc<str>, from: i32, to: i32) -> Vec<(BatchNumber, BatchNumber)> {
        let goes = |batch: &LiveBatch| match (&batch.stamp, batch.route) {
            (Some(stamp), _) => stamp.partition == from,
            (None, Route::Partition(partition)) => partition == from,
            (None, Route::Lane(lane)) => self.lanes.get(&(Arc::clone(topic), lane)) == Some(&from),
        };
        let going = self.live().filter(|(_, batch)| batch.topic == *topic && goes(batch));
        let going: Vec<BatchNumber> = going.map(|(number, _)| number).collect();
        for ((lanes_topic, _), partition) in &mut self.lanes {
            if lanes_topic == topic && *partition == from {
                *partition = to;
            }
        }
        let mut renumbered = Vec::new();
        for number in going {
            let Some(batch) = self.remove(number) else { continue };
            let next = self.next_batch;
            self.insert(
                next,
                LiveBatch {
                    stamp: None,
                    route: Route::Partition(to),
                    ..batch
                },
            );
            renumbered.push((number, next));
        }
        renumbered
    }

    fn split(&mut self, batch: BatchNumber, parts: &[Part], places: &[Place]) -> Changed {
        let Some(whole) = self.remove(batch) else {
            return Changed::default();
        };
        let route = whole
            .stamp
            .map_or(whole.route, |stamp| Route::Partition(stamp.partition));
        let here = Part::numbered(parts, batch).zip(places);
        let here: Vec<_> = here
            .map(|((number, part), place)| (number, part.records, *place))
            .collect();
        for (number, records, place) in &here {
            let part = LiveBatch {
                topic: Arc::clone(&whole.topic),
                route,
                records: *records,
                place: *place,
                stamp: None,
            };
            self.insert(*number, part);
        }
        Changed {
            gone: vec![(batch, whole.place)],
            here: here.into_iter().map(|(number, _, place)| (number, place)).collect(),
            ..Changed::default()
        }
    }

    /// A batch without identity.
    fn insert(&mut self, number: BatchNumber, batch: LiveBatch) {
        let end = number.saturating_add(u64::from(batch.records.max(1)));
        self.next_batch = self.next_batch.max(end);
        self.live.insert(number, batch);
    }

    fn mark(&mut self, number: BatchNumber, offset: Option<i64>) -> Option<(BatchNumber, Place)> {
        let batch = self.remove(number)?;
        if let (Some(stamp), Some(offset)) = (&batch.stamp, offset) {
            let key = (batch.topic.clone(), stamp.partition);
            // A batch that was sent before this one may lie before it, so the floor has to wait for that one.
            let is_front = self
                .bound
                .get(&key)
                .and_then(BTreeSet::first)
                .is_none_or(|first| *first > number);
            if is_front {
                self.floors.insert(key, (stamp.topic_id, offset));
            }
        }
        Some((number, batch.place))
    }

    fn note_bound(&mut self, number: BatchNumber, topic: &Arc<str>, partition: i32) {
        self.bound
            .entry((Arc::clone(topic), partition))
            .or_default()
            .insert(number);
    }

    fn put_positions(&mut self, positions: Vec<FilePosition>) {
        for position in positions {
            self.positions.insert(position.key.id, position);
        }
    }

    fn put_cursors(&mut self, cursors: Vec<JournalCursor>) {
        for JournalCursor { input, cursor } in cursors {
            self.cursors.insert(input, cursor);
        }
    }
}
