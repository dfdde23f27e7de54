//! What is given up when the spool is full and newer lines are worth more (`spool.when_full = "drop_oldest"`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Machine};
use crate::deliver::queue::Item;
use crate::spool::{BatchNumber, Control, Enough};

const REASON: &str = "the spool is full, and spool.when_full is drop_oldest";

impl Machine {
    /// Gives up the oldest batches, until that is enough or there are no more. None of them is on its way, or may be in a log
    /// already.
    pub(in crate::deliver) fn drop_oldest(&mut self, enough: Enough) -> Vec<Control> {
        let given_up = self.oldest(enough);
        if given_up.is_empty() {
            return Vec::new();
        }
        let numbers: BTreeSet<BatchNumber> = given_up.keys().copied().collect();
        let keys: BTreeSet<&Key> = given_up.values().filter_map(|(key, _)| key.as_ref()).collect();
        for key in keys {
            if let Some(queue) = self.queues.get_mut(key) {
                queue.leave_out(&numbers);
            }
        }
        for items in self.unrouted.values_mut() {
            items.retain(|(_, item)| !numbers.contains(&item.number));
        }
        let records = given_up.values().map(|(_, records)| u64::from(*records)).sum::<u64>();
        self.stats.records_dropped += records;
        let batches = numbers.len();
        tracing::warn!(
            batches,
            records,
            "the spool is full: the oldest lines in it were given up for newer ones"
        );
        let control = |batch| Control::DeadLetter {
            batch,
            reason: REASON.to_owned(),
        };
        numbers.into_iter().map(control).collect()
    }

    /// The oldest batches that may go: their queues, if they have one, and how many records they hold.
    fn oldest(&self, enough: Enough) -> BTreeMap<BatchNumber, (Option<Key>, u32)> {
        let mut oldest: BTreeMap<BatchNumber, (Option<&Key>, &Item)> = BTreeMap::new();
        for (key, queue) in self.queues.iter().filter(|(key, _)| !self.moving.contains_key(*key)) {
            oldest.extend(queue.never_sent().map(|item| (item.number, (Some(key), item))));
        }
        let unrouted = self.unrouted.values().flatten().map(|(_, item)| item);
        oldest.extend(
            unrouted
                .filter(|item| item.is_never_sent())
                .map(|item| (item.number, (None, item))),
        );
        let (mut batches, mut bytes) = (0, 0);
        let is_needed = |(_, (_, item)): &(BatchNumber, (Option<&Key>, &Item))| {
            let is_needed = match enough {
                Enough::Bytes(enough) => bytes < enough,
                Enough::Batches(enough) => batches < enough,
            };
            batches += 1;
            bytes += u64::from(item.len);
            is_needed
        };
        let needed = oldest.into_iter().take_while(is_needed);
        needed
            .map(|(number, (key, item))| (number, (key.cloned(), item.records)))
            .collect()
    }
}
