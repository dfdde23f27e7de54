//! Batches that are given up although a broker might take them, because the spool has no room for newer ones.

use super::binding::Restamp;
use super::item::{Doubt, Item, State};
use super::{Phase, Queue};
use crate::spool::BatchNumber;

impl Queue {
    /// Those that are in the spool, and in no log for certain.
    pub(in crate::deliver) fn never_sent(&self) -> impl Iterator<Item = &Item> {
        let is_split = self.phase == Phase::Splitting;
        let rest = self.items.iter().skip(usize::from(is_split));
        rest.filter(|item| item.is_never_sent())
    }

    /// One of those is to go. The later ones of its producer would leave a gap in its sequences, so they need another.
    pub(in crate::deliver) fn leave_out(&mut self, number: BatchNumber) {
        let Some(item) = self.items.iter_mut().find(|item| item.number == number) else {
            return;
        };
        item.state = State::Settled;
        if let Some(producer) = item.producer() {
            self.restamp = self.restamp.or(Some(Restamp::Of(producer)));
            if self.phase == Phase::Flowing {
                self.phase = Phase::Halted;
            }
        }
    }
}

impl Item {
    pub(in crate::deliver) fn is_never_sent(&self) -> bool {
        self.state == State::Waiting && self.doubt == Doubt::None && self.writes_pending == 0
    }
}
