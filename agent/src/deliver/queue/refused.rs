//! Batches that no broker takes: one that is too large is replaced by its parts, another one is a dead letter.

use std::ops::Range;

use super::binding::Restamp;
use super::item::{Refusal, State};
use super::{Act, Budget, Phase, Queue};
use crate::spool::BatchNumber;

impl Queue {
    /// The batches at the front that no broker takes. The later ones of their producer would leave a gap in its
    /// sequences, so they need another. Tells whether one has to be split first.
    pub(super) fn give_up_refused(&mut self, budget: &mut Budget, acts: &mut Vec<Act>) -> bool {
        while let Some(item) = self.items.iter_mut().find(|item| item.is_unsettled()) {
            let (Some(refusal), Some(stamp)) = (&item.refused, &item.stamp) else {
                break;
            };
            if refusal.too_large && item.records > 1 {
                if std::mem::take(&mut budget.may_split) {
                    acts.push(Act::Split {
                        number: item.number,
                        records: item.records,
                        len: item.len,
                    });
                    self.phase = Phase::Splitting;
                }
                return true;
            }
            let (reason, stamp) = (refusal.words.clone(), stamp.clone());
            item.refused = None;
            item.state = State::Settled;
            self.restamp = self.restamp.or(Some(Restamp::Of(stamp.producer)));
            acts.push(Act::DeadLetter {
                number: item.number,
                records: item.records,
                stamp,
                reason,
            });
        }
        false
    }

    /// The parts of a batch are in the spool and stand in its place. With everything behind them they need an identity.
    pub(in crate::deliver) fn split(&mut self, number: BatchNumber, parts: &[(BatchNumber, u32, u32)]) {
        let place = self.items.iter().position(|item| item.number == number);
        let Some((place, whole)) = place.and_then(|place| Some((place, self.items.remove(place)?))) else {
            return;
        };
        for (next, (number, records, len)) in (place..).zip(parts) {
            self.items.insert(next, whole.part(*number, *records, *len));
        }
        self.restamp = Some(Restamp::All);
        self.phase = Phase::Halted;
    }

    /// It cannot be split, and so nothing can be done with it.
    pub(in crate::deliver) fn cannot_split(&mut self, number: BatchNumber, reason: String) {
        if let Some(item) = self.items.iter_mut().find(|item| item.number == number) {
            item.refused = Some(Refusal {
                words: reason,
                too_large: false,
            });
            self.phase = Phase::Halted;
        }
    }

    /// Whether batches of this range wait here.
    pub(in crate::deliver) fn holds(&self, numbers: &Range<BatchNumber>) -> bool {
        self.items.iter().any(|item| numbers.contains(&item.number))
    }

    pub(in crate::deliver) fn len_of(&self, number: BatchNumber) -> Option<u32> {
        let item = self.items.iter().find(|item| item.number == number)?;
        Some(item.len)
    }
}
