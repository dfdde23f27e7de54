//! What the spool says: batches that are about to be written get a place and an identity, and what is on stable storage
//! may go on.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Key, Machine};
use crate::deliver::queue::{Item, NeedsProducer};
use crate::spool::{BatchNumber, Committed, Control, NewBatch, Part};

impl Machine {
    /// Batches are about to be written: where they go, and who they are, as far as that is known now.
    pub(in crate::deliver) fn bind(&mut self, batches: &[NewBatch], now: Duration) -> Vec<Control> {
        let mut controls = Vec::new();
        for batch in batches {
            let len = u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX);
            let item = Item::new(batch.number, batch.records, len, now);
            self.place(&batch.topic, batch.route, item, &mut controls);
        }
        let concerned: BTreeSet<Key> = batches
            .iter()
            .filter_map(|batch| self.home.get(&batch.number).cloned())
            .collect();
        for key in concerned {
            controls.extend(self.bind_queue(&key));
        }
        controls
    }

    pub(super) fn bind_queue(&mut self, key: &Key) -> Option<Control> {
        let target = self.target(key)?;
        let producer = self.producer;
        match self.queues.get_mut(key)?.bind_new(&target, producer) {
            Ok(bind) => bind.map(Control::Bind),
            Err(NeedsProducer) => {
                self.want_producer();
                None
            }
        }
    }

    /// These are on stable storage.
    pub(in crate::deliver) fn committed(&mut self, committed: &Committed) {
        for number in &committed.appended {
            let placed = self.with_queue_of(*number, |queue| queue.written([*number].into_iter()));
            if placed.is_none() {
                self.written_unrouted(*number);
            }
        }
        for control in &committed.controls {
            match control {
                Control::Bind(bind) => {
                    let numbers = bind.batches.iter().map(|(number, _)| *number);
                    // All of them are of one queue; some may be acknowledged already.
                    if let Some(here) = numbers.clone().find(|number| self.home.contains_key(number)) {
                        self.with_queue_of(here, |queue| queue.written(numbers));
                    }
                }
                Control::Mark(marks) => {
                    for (number, _) in marks {
                        self.gone(*number);
                    }
                }
                Control::DeadLetter { batch, .. } => self.gone(*batch),
                Control::LaneBound { .. } => {}
                Control::Split { batch, parts } => self.split(*batch, parts),
                Control::Moved { topic, from, to } => self.left(topic, *from, *to, &committed.renumbered),
            }
        }
    }

    fn written_unrouted(&mut self, number: BatchNumber) {
        let unrouted = self.unrouted.values_mut().flatten();
        for (_, item) in unrouted.filter(|(_, item)| item.number == number) {
            item.written();
        }
    }

    fn gone(&mut self, number: BatchNumber) {
        self.with_queue_of(number, |queue| queue.gone(number));
        self.home.remove(&number);
    }

    fn split(&mut self, batch: BatchNumber, parts: &[Part]) {
        let Some(key) = self.home.get(&batch).cloned() else {
            return;
        };
        let numbered = Part::numbered(parts, batch);
        let numbered: Vec<_> = numbered
            .map(|(number, part)| (number, part.records, part.len()))
            .collect();
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.split(batch, &numbered);
        }
        self.home
            .extend(numbered.iter().map(|(number, ..)| (*number, key.clone())));
        self.stats.batches_split += 1;
    }

    /// [`Effect::Split`] failed, and will fail again.
    pub(in crate::deliver) fn cannot_split(&mut self, batch: BatchNumber, reason: String) {
        self.with_queue_of(batch, |queue| queue.cannot_split(batch, reason));
    }
}
