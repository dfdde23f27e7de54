//! What may still enter the WAL: sequenced is only what the disk is sure to hold.
//!
//! A frame is admitted at its *cost*, the blocks that it takes as a commit of its own. The room for admitted frames is
//! what is left of the current file, and the file that stands ready after it. Frames that no longer fit in the current
//! file go to the next, so with one ready up to a frame's cost of the current file may stay unused, and is not counted.

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Clients' batches.
    Client,
    /// What lets space be given back (manifest changes): may use the reserve, on the disk and in the budget.
    Internal,
}

/// The answer to a request for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    /// Something that is under way will make room, or the budget must first be released.
    Wait,
    /// The file system is full.
    NoSpace,
}

/// Room, and who has been promised some of it. All in bytes.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) limits: Limits,
    /// Left in the current file.
    pub(super) room: u64,
    /// What the file that stands ready can hold.
    pub(super) next_file: Option<u64>,
    /// No file could be made ready, for lack of space.
    pub(super) disk_full: bool,
    /// Written and not yet released.
    pub(super) backlog: u64,
    /// Admitted and not yet written.
    pub(super) outstanding: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The cost of the largest frame.
    pub(super) max_cost: u64,
    /// What is left to [`Class::Internal`] of a file without a next.
    pub(super) reserve: u64,
    /// What may be unreleased.
    pub(super) budget: u64,
    /// By how much [`Class::Internal`] may exceed the budget.
    pub(super) budget_reserve: u64,
}

impl Admission {
    pub(super) fn admit(&mut self, cost: u64, class: Class) -> Verdict {
        let (reserve, budget) = match class {
            Class::Client => (self.limits.reserve, self.limits.budget),
            Class::Internal => (0, self.limits.budget + self.limits.budget_reserve),
        };
        let wanted = self.outstanding + cost;
        if wanted + reserve > self.capacity() {
            return if self.disk_full && self.next_file.is_none() {
                Verdict::NoSpace
            } else {
                Verdict::Wait
            };
        }
        if self.backlog + wanted > budget {
            return Verdict::Wait;
        }
        self.outstanding = wanted;
        Verdict::Admitted
    }

    fn capacity(&self) -> u64 {
        match self.next_file {
            Some(next) => self.room.saturating_sub(self.limits.max_cost) + next,
            None => self.room,
        }
    }

    /// The next file became the current one.
    pub(super) fn switch(&mut self) {
        self.room = self.next_file.take().unwrap_or_default();
    }

    pub(super) fn wrote(&mut self, bytes: u64, room: u64) {
        self.backlog += bytes;
        self.room = room;
    }

    pub(super) fn written_or_dropped(&mut self, cost: u64) {
        self.outstanding = self.outstanding.saturating_sub(cost);
    }

    pub(super) fn released(&mut self, bytes: u64) {
        self.backlog = self.backlog.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admission() -> Admission {
        Admission {
            limits: Limits {
                max_cost: 100,
                reserve: 50,
                budget: 10_000,
                budget_reserve: 1_000,
            },
            room: 400,
            next_file: None,
            disk_full: false,
            backlog: 0,
            outstanding: 0,
        }
    }

    #[test]
    fn without_a_next_file_clients_leave_the_reserve() {
        let mut admission = admission();
        assert_eq!(admission.admit(350, Class::Client), Verdict::Admitted);
        assert_eq!(admission.admit(1, Class::Client), Verdict::Wait);
        assert_eq!(admission.admit(50, Class::Internal), Verdict::Admitted);
        assert_eq!(admission.admit(1, Class::Internal), Verdict::Wait);
    }

    #[test]
    fn a_full_disk_is_told_and_space_heals_it() {
        let mut admission = admission();
        admission.disk_full = true;
        assert_eq!(admission.admit(351, Class::Client), Verdict::NoSpace);
        admission.next_file = Some(400);
        assert_eq!(admission.admit(351, Class::Client), Verdict::Admitted);
    }

    #[test]
    fn the_budget_makes_clients_wait_and_leaves_room_for_the_changes_that_release_it() {
        let mut admission = admission();
        admission.backlog = 9_990;
        assert_eq!(admission.admit(11, Class::Client), Verdict::Wait);
        assert_eq!(admission.admit(11, Class::Internal), Verdict::Admitted);
        admission.released(5_000);
        assert_eq!(admission.admit(11, Class::Client), Verdict::Admitted);
    }

    proptest! {
        /// Whatever was admitted fits: written in any order of sizes, first into the current file, then into the next.
        #[test]
        fn what_was_admitted_always_fits(
            room in 0_u64..500,
            next in proptest::option::of(400_u64..500),
            costs in proptest::collection::vec(1_u64..=100, 0..30),
        ) {
            let mut admission = admission();
            admission.room = room;
            admission.next_file = next;
            let admitted: Vec<u64> = costs
                .into_iter()
                .filter(|cost| admission.admit(*cost, Class::Internal) == Verdict::Admitted)
                .collect();
            let (mut left, mut next) = (room, next);
            for cost in admitted {
                if cost > left {
                    prop_assert!(next.is_some(), "a frame that fits nowhere");
                    left = next.take().unwrap_or_default();
                }
                prop_assert!(cost <= left, "a frame that does not fit in a fresh file");
                left -= cost;
            }
        }
    }
}
