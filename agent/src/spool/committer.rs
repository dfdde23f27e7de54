//! Turns what has gathered into one commit: assigns batch numbers, has the entries' batches bound, and tells afterwards
//! what is durable.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::WhenFull;
use super::control::{BatchNumber, Control};
use super::format::FRAME_HEADER;
use super::journal::{FullReason, Journal, Pending};
use super::record::{BatchHead, Entry};
use crate::stretch::{Route, Stretch};

/// A commit takes no further entry beyond this.
const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Room kept for the binding of one batch.
const BIND_BYTES: usize = 256;
const FRAME_BYTES: usize = FRAME_HEADER + 8;

/// A batch that is about to be written.
#[derive(Debug, Clone)]
pub struct NewBatch {
    /// Its number, for ever.
    pub number: BatchNumber,
    /// The topic's name.
    pub topic: Arc<str>,
    /// Where it goes.
    pub route: Route,
    /// How many records it holds.
    pub records: u32,
    /// As built, without identity.
    pub bytes: Bytes,
}

/// What one commit made durable.
#[derive(Debug, Default)]
pub struct Committed {
    /// Batches that are in the spool now.
    pub appended: Vec<BatchNumber>,
    /// Controls that were written, in their order.
    pub controls: Vec<Control>,
    /// Batches that have another number since.
    pub renumbered: Vec<(BatchNumber, BatchNumber)>,
}

/// How much is given up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// Of all batches together.
    Bytes(u64),
    /// So many.
    Batches(u64),
}

/// The other side of the spool: gives batches their identity, and hears what is durable. Called on the commit thread,
/// one commit after the other; must not block.
pub trait Binder: Send + Sync {
    /// The batches are about to be written, in this order. What is returned goes into the same commit if it fits, and
    /// into the next one otherwise.
    fn bind(&self, batches: Vec<NewBatch>) -> Vec<Control>;

    /// There is no room, and newer lines are worth more: what is given up of the oldest, until it is so much, or all that may
    /// go.
    fn drop_oldest(&self, _enough: Enough) -> Vec<Control> {
        Vec::new()
    }

    /// The commit is on stable storage.
    fn committed(&self, committed: Committed);
}

/// What a step did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// How many of the waiting stretches are in the spool now.
    pub(super) taken: usize,
    /// Why the next one is not.
    pub(super) full: Option<FullReason>,
}

pub(super) struct Committer {
    pub(super) journal: Journal,
    binder: Arc<dyn Binder>,
    when_full: WhenFull,
    /// Bindings that found no room in the commit of their batches.
    deferred: Vec<Control>,
    /// Batches in parts that wait for room. Unlike other controls they take about as much of it as the batch.
    splits: VecDeque<Control>,
    /// Partitions that are no more, and those that took over. What was read before still names them; a restart begins
    /// with the lanes as they are then.
    moved: BTreeMap<(Arc<str>, i32), i32>,
}

impl Committer {
    pub(super) fn new(journal: Journal, binder: Arc<dyn Binder>, when_full: WhenFull) -> Self {
        Self {
            journal,
            binder,
            when_full,
            deferred: Vec::new(),
            splits: VecDeque::new(),
            moved: BTreeMap::new(),
        }
    }

    /// Whether there is something to write although nothing came in.
    pub(super) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Whether something waits for room although nothing came in.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.splits.is_empty()
    }

    /// Commits the controls, and as many of the stretches as there is room for. After an error nothing may be committed
    /// any more.
    pub(super) fn step<'a>(
        &mut self,
        controls: Vec<Control>,
        stretches: impl IntoIterator<Item = &'a Stretch>,
    ) -> io::Result<Step> {
        let is_split = |control: &Control| matches!(control, Control::Split { .. });
        let (splits, controls): (Vec<_>, Vec<_>) = controls.into_iter().partition(is_split);
        self.splits.extend(splits);
        self.commit_splits()?;
        let mut pending = Pending {
            controls: std::mem::take(&mut self.deferred),
            ..Pending::default()
        };
        pending.controls.extend(controls);
        let controls_size = size_of_controls(&pending.controls);
        let mut stretches: VecDeque<_> = stretches.into_iter().collect();
        if self.follow_moves(&pending.controls) {
            // The other side has to know where batches go before it is given more of them.
            stretches.clear();
        }
        let (mut entries, mut full) = self.admit(controls_size, stretches.clone())?;
        while let Some(reason) = full
            && self.give_up_oldest(reason)?
        {
            (entries, full) = self.admit(controls_size, stretches.clone())?;
        }
        if entries.is_empty() {
            self.journal.make_room(controls_size)?;
        }
        let taken = entries.len();
        let entries_size: usize = entries.iter().map(|sized| sized.bytes).sum();
        self.number(entries, &mut pending);
        self.bind(controls_size + entries_size, &mut pending);

        self.commit(pending)?;
        Ok(Step { taken, full })
    }

    /// Gives up the oldest batches if that is wanted, in a commit of their own. Whether there were any.
    fn give_up_oldest(&mut self, reason: FullReason) -> io::Result<bool> {
        let enough = match (self.when_full, reason) {
            (WhenFull::DropOldest, FullReason::Limit) => Enough::Bytes(self.journal.file_bytes()),
            (WhenFull::DropOldest, FullReason::Batches) => {
                Enough::Batches(self.journal.ledger.live_count() as u64 / 8 + 1)
            }
            (WhenFull::Wait, _) | (_, FullReason::DiskFull) => return Ok(false),
        };
        let controls = self.binder.drop_oldest(enough);
        if controls.is_empty() {
            return Ok(false);
        }
        self.journal.make_room(size_of_controls(&controls))?;
        self.commit(Pending {
            controls,
            ..Pending::default()
        })?;
        Ok(true)
    }

    fn commit(&mut self, pending: Pending) -> io::Result<()> {
        let done = self.journal.commit(pending)?;
        self.binder.committed(Committed {
            appended: done.appended,
            controls: done.controls,
            renumbered: done.renumbered,
        });
        Ok(())
    }

    /// In commits of their own: nothing else is said of such a batch until it is split.
    fn commit_splits(&mut self) -> io::Result<()> {
        while let Some(split) = self.splits.front() {
            let size = size_of_controls(std::slice::from_ref(split));
            if !self.journal.make_room_for_parts(size)? {
                break;
            }
            let controls = self.splits.pop_front().into_iter().collect();
            self.commit(Pending {
                controls,
                ..Pending::default()
            })?;
        }
        Ok(())
    }

    fn admit<'a>(
        &mut self,
        controls_size: usize,
        stretches: VecDeque<&'a Stretch>,
    ) -> io::Result<(Vec<Sized<'a>>, Option<FullReason>)> {
        let mut entries = Vec::new();
        let mut size = controls_size;
        for stretch in stretches {
            let bytes = size_of_entry(stretch);
            let room = size + bytes + stretch.batches.len() * BIND_BYTES;
            if entries.is_empty() {
                if let Err(reason) = self.journal.make_room_for_entry(room)? {
                    return Ok((entries, Some(reason)));
                }
            } else if room > COMMIT_BYTES_MAX || !self.journal.fits(room) {
                break;
            }
            size = room;
            entries.push(Sized { stretch, bytes });
        }
        Ok((entries, None))
    }

    /// Tells whether there are any.
    fn follow_moves(&mut self, controls: &[Control]) -> bool {
        let mut any = false;
        for control in controls {
            if let Control::Moved { topic, from, to } = control {
                for partition in self.moved.values_mut().filter(|partition| *partition == from) {
                    *partition = *to;
                }
                self.moved.insert((Arc::clone(topic), *from), *to);
                any = true;
            }
        }
        any
    }

    fn route_now(&self, topic: &Arc<str>, route: Route) -> Route {
        let Route::Partition(partition) = route else {
            return route;
        };
        let moved = self.moved.get(&(Arc::clone(topic), partition));
        Route::Partition(moved.copied().unwrap_or(partition))
    }

    fn number(&self, entries: Vec<Sized<'_>>, pending: &mut Pending) {
        let mut next = self.journal.ledger.next_batch;
        for Sized { stretch, .. } in entries {
            let batches = stretch.batches.iter().map(|batch| {
                let topic: Arc<str> = Arc::from(batch.topic.as_str());
                let number = next;
                next += u64::from(batch.records.max(1));
                BatchHead {
                    number,
                    route: self.route_now(&topic, batch.route),
                    topic,
                    records: batch.records,
                    len: u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX),
                }
            });
            let entry = Entry {
                batches: batches.collect(),
                positions: stretch.positions.clone(),
                gone: stretch.gone.clone(),
                cursors: stretch.cursors.clone(),
            };
            pending
                .entries
                .push((entry, stretch.batches.iter().map(|batch| batch.bytes.clone()).collect()));
        }
    }

    fn bind(&mut self, size: usize, pending: &mut Pending) {
        let entries = pending.entries.iter();
        let new = entries
            .flat_map(|(entry, bodies)| entry.batches.iter().zip(bodies))
            .map(|(batch, bytes)| NewBatch {
                number: batch.number,
                topic: Arc::clone(&batch.topic),
                route: batch.route,
                records: batch.records,
                bytes: bytes.clone(),
            });
        let new: Vec<NewBatch> = new.collect();
        if new.is_empty() {
            return;
        }
        let binds = self.binder.bind(new);
        if self.journal.fits(size + size_of_controls(&binds)) {
            pending.binds = binds;
        } else {
            self.deferred = binds;
        }
    }
}

struct Sized<'a> {
    stretch: &'a Stretch,
    bytes: usize,
}

fn size_of_controls(controls: &[Control]) -> usize {
    controls
        .iter()
        .map(|control| FRAME_BYTES + control.encode().len())
        .sum()
}

/// As it will be written, give or take the width of the batch numbers, which is fixed.
fn size_of_entry(stretch: &Stretch) -> usize {
    let head: usize = stretch
        .batches
        .iter()
        .map(|batch| 23 + batch.topic.len() + batch.bytes.len())
        .sum();
    let positions = stretch.positions.iter();
    let positions: usize = positions
        .map(|position| 67 + position.path.as_os_str().len() + position.topic.len())
        .sum();
    let cursors = stretch.cursors.iter();
    let cursors: usize = cursors.map(|at| 4 + at.input.len() + at.cursor.len()).sum();
    FRAME_BYTES + 16 + head + positions + 16 * stretch.gone.len() + cursors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::{cursor, position, stretch};

    #[test]
    fn the_size_of_an_entry_is_what_it_takes() {
        let mut stretch = stretch(
            &[("nginx", Route::Lane(3), 2), ("app", Route::Partition(1), 1)],
            &[position(1, 7)],
        );
        stretch.gone.push(position(9, 0).key.id);
        stretch.cursors.push(cursor("system", 12));
        let batches = stretch.batches.iter().map(|batch| BatchHead {
            number: 1,
            topic: Arc::from(batch.topic.as_str()),
            route: batch.route,
            records: batch.records,
            len: u32::try_from(batch.bytes.len()).unwrap(),
        });
        let entry = Entry {
            batches: batches.collect(),
            positions: stretch.positions.clone(),
            gone: stretch.gone.clone(),
            cursors: stretch.cursors.clone(),
        };
        let bodies: usize = stretch.batches.iter().map(|batch| batch.bytes.len()).sum();
        assert_eq!(
            size_of_entry(&stretch),
            FRAME_BYTES + entry.encode_head().len() + bodies
        );
    }
}
