//! What is given up when the spool is full and newer lines are worth more (`spool.when_full = "drop_oldest"`).

use std::collections::BTreeMap;

use super::{Key, Machine};
use crate::deliver::queue::Item;
use crate::spool::{BatchNumber, Control};

const REASON: &str = "the spool is full, and spool.when_full is drop_oldest";

impl Machine {
    /// Gives up the oldest batches, of so many bytes together or of as many as there are. None of them is on its way, or may be
    /// in a log already.
    pub(in crate::deliver) fn drop_oldest(&mut self, bytes: u64) -> Vec<Control> {
        let mut oldest: BTreeMap<BatchNumber, (Option<Key>, u32, u32)> = BTreeMap::new();
        let entry = |key: Option<&Key>, item: &Item| (item.number, (key.cloned(), item.records, item.len));
        for (key, queue) in self.queues.iter().filter(|(key, _)| !self.moving.contains_key(*key)) {
            oldest.extend(queue.never_sent().map(|item| entry(Some(key), item)));
        }
        let unrouted = self.unrouted.values().flatten().map(|(_, item)| item);
        oldest.extend(
            unrouted
                .filter(|item| item.is_never_sent())
                .map(|item| entry(None, item)),
        );
        let mut controls = Vec::new();
        let (mut batches, mut records, mut left) = (0, 0, bytes);
        for (number, (key, count, len)) in oldest {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(u64::from(len));
            match key {
                Some(key) => {
                    if let Some(queue) = self.queues.get_mut(&key) {
                        queue.leave_out(number);
                    }
                }
                None => {
                    for items in self.unrouted.values_mut() {
                        items.retain(|(_, item)| item.number != number);
                    }
                }
            }
            batches += 1;
            records += u64::from(count);
            controls.push(Control::DeadLetter {
                batch: number,
                reason: REASON.to_owned(),
            });
        }
        if batches > 0 {
            self.stats.records_dropped += records;
            tracing::warn!(
                batches,
                records,
                "the spool is full: the oldest lines in it were given up for newer ones"
            );
        }
        controls
    }
}
