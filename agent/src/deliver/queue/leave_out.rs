//! Batches that are given up although a broker might take them, because the spool has no room for newer ones.

use std::collections::BTreeSet;

use super::binding::Restamp;
use super::item::{Doubt, Item, State};
use super::{Phase, Queue};
use crate::spool::BatchNumber;

impl Queue {
    /// Those that are in the spool, in no log for certain, and refused by nobody.
    pub(in crate::deliver) fn never_sent(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_never_sent())
    }

    /// Those of them with these numbers are to go. The later ones of their producers would leave a gap in its sequences, so they
    /// need another.
    pub(in crate::deliver) fn leave_out(&mut self, numbers: &BTreeSet<BatchNumber>) {
        for item in self.items.iter_mut().filter(|item| numbers.contains(&item.number)) {
            item.state = State::Settled;
            if let Some(producer) = item.producer() {
                self.restamp = self.restamp.or(Some(Restamp::Of(producer)));
                if self.phase == Phase::Flowing {
                    self.phase = Phase::Halted;
                }
            }
        }
    }
}

impl Item {
    pub(in crate::deliver) fn is_never_sent(&self) -> bool {
        let is_written = self.state == State::Waiting && self.writes_pending == 0;
        // What is refused for its size is being split, or will be.
        is_written && self.doubt == Doubt::None && self.refused.is_none()
    }
}
