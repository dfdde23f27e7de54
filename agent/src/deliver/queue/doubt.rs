//! Batches that may be in the log or not: what is asked about them, and what the answers make of them.

use std::time::Duration;

use super::binding::Restamp;
use super::identity::Target;
use super::item::{Doubt, Item};
use super::{Act, Phase, Queue};
use crate::deliver::reason::Reason;
use crate::spool::{BatchNumber, Producer};

/// Which of the batches of one producer are in the log?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deliver) struct Question {
    pub(in crate::deliver) producer: Producer,
    /// Number, base sequence and last sequence.
    pub(in crate::deliver) batches: Vec<(BatchNumber, i32, i32)>,
    /// The log itself must be read: that the broker knows the producer is not enough.
    pub(in crate::deliver) read: bool,
    /// None of them lies below this offset, if it is known.
    pub(in crate::deliver) from: Option<i64>,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deliver) enum Findings {
    /// Nothing; to be asked again.
    Failed(Reason),
    Known {
        /// The producer's last sequence in the log, if the broker knows the producer.
        last_sequence: Option<i32>,
        /// Those that are in the log, with their base offsets; none if it may not be read, or was not.
        found: Option<Vec<(BatchNumber, i64)>>,
    },
}

impl Queue {
    /// The answer to [`Act::Ask`].
    pub(in crate::deliver) fn found_out(
        &mut self,
        findings: Findings,
        now: Duration,
        delay: Duration,
        acts: &mut Vec<Act>,
    ) {
        if self.phase != Phase::Asking {
            return;
        }
        self.phase = Phase::Halted;
        let (last_sequence, found) = match findings {
            Findings::Failed(reason) => {
                self.trouble = Some(reason);
                return self.halt(now, delay);
            }
            Findings::Known { last_sequence, found } => (last_sequence, found),
        };
        let before = acts.len();
        let (producer, read) = self.in_question();
        if last_sequence.is_some() {
            self.known = producer.map(|producer| (producer, now));
        }
        for place in 0..self.items.len() {
            let Some(item) = self.items.get_mut(place) else { break };
            if !item.is_unsettled() || item.doubt == Doubt::None || item.producer() != producer {
                continue;
            }
            match (&found, last_sequence) {
                (Some(found), _) => {
                    item.doubt = Doubt::None;
                    if let Some((_, offset)) = found.iter().find(|(number, _)| *number == item.number) {
                        self.settle(place, Some(*offset), acts);
                    }
                }
                (None, Some(_)) if !read => item.doubt = Doubt::Vouched,
                (None, Some(last_sequence)) => {
                    item.doubt = Doubt::None;
                    if is_up_to(item.last_sequence(), last_sequence) {
                        self.settle(place, None, acts);
                    }
                }
                (None, None) => {
                    if item.doubt == Doubt::Open {
                        acts.push(Act::PossiblyDoubled(item.records));
                    }
                    item.doubt = if read { Doubt::None } else { Doubt::Vouched };
                }
            }
        }
        if acts.iter().skip(before).any(|act| matches!(act, Act::Mark(..))) {
            self.moved_at = now;
        }
    }

    /// What was sent to another cluster is in no log of this one, where the same producer id may be somebody else's.
    pub(super) fn doubt_only_this_cluster(&mut self, target: &Target) {
        for item in &mut self.items {
            if item
                .stamp
                .as_ref()
                .is_some_and(|stamp| stamp.cluster_id != target.cluster_id)
            {
                item.doubt = Doubt::None;
            }
        }
    }

    /// Whose batches are open, and whether the log has to be read for it.
    pub(super) fn in_question(&self) -> (Option<Producer>, bool) {
        let read = self.restamp.is_some() || self.unsettled().any(|item| item.refused.is_some());
        let is_open = |item: &&Item| match item.doubt {
            Doubt::None => false,
            Doubt::Open => true,
            Doubt::Vouched => read,
        };
        let front = self.unsettled().next().and_then(Item::producer);
        let open = self.unsettled().find(is_open).and_then(Item::producer);
        // A later producer's turn comes when everything before it is settled.
        let open = open.filter(|open| Some(*open) == front || self.restamp == Some(Restamp::All));
        (open, read)
    }

    pub(super) fn question(&self, target: &Target) -> Option<Question> {
        let (producer, read) = self.in_question();
        let producer = producer?;
        let in_doubt = self
            .unsettled()
            .filter(|item| item.doubt != Doubt::None && item.producer() == Some(producer));
        let batches = in_doubt.filter_map(|item| {
            let stamp = item.stamp.as_ref()?;
            Some((item.number, stamp.base_sequence, item.last_sequence()))
        });
        let from = self
            .floor
            .filter(|(topic_id, _)| *topic_id == target.topic_id)
            .map(|(_, offset)| offset);
        Some(Question {
            producer,
            batches: batches.collect(),
            read,
            from,
        })
    }
}

/// Whether a sequence lies at or before another; sequences wrap.
fn is_up_to(sequence: i32, last: i32) -> bool {
    let ahead = (i64::from(last) - i64::from(sequence)).rem_euclid(1 << 31);
    ahead < 1 << 30
}
