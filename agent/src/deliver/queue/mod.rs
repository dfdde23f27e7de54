//! What may be sent to one partition, and what has to be settled first: a pure state machine.
//!
//! Batches stand in the order in which they were spooled and leave when their mark is durable. While all goes well the
//! queue *flows*. At the first failure it *halts* until everything in flight has come back; then, if batches may be in
//! the log or not, it *asks* the broker; and if they cannot go out under the identity they have, it waits for a
//! *producer*, stamps them anew, and flows again once that is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use self::binding::Restamp;
use self::identity::Writer;
use self::item::{Doubt, Refusal, State};
use super::answer::Answer;
use super::reason::Reason;
use crate::spool::{BatchNumber, Bind, Producer, Stamp};

mod binding;
mod doubt;
mod identity;
mod item;
mod leave;
mod leave_out;
mod refused;

pub(super) use doubt::{Findings, Question};
pub(super) use identity::{NeedsProducer, Origin, Target};
pub(super) use item::Item;

/// A broker remembers five batches per producer and partition.
pub(super) const WINDOW: usize = 5;
/// For this long after an acknowledgement a broker is trusted to know the producer. Brokers forget after a day, or
/// hours at least.
const KNOWN_FOR: Duration = Duration::from_secs(600);
const CORRUPT_TRIES: u8 = 3;

/// What the queue wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Send(BatchNumber, Stamp),
    /// Number, records, and base offset if it is known.
    Mark(BatchNumber, u32, Option<i64>),
    DeadLetter {
        number: BatchNumber,
        records: u32,
        stamp: Stamp,
        reason: String,
    },
    /// To be replaced by smaller batches of the same records.
    Split {
        number: BatchNumber,
        records: u32,
        len: u32,
    },
    Bind(Bind),
    Ask(Question),
    PossiblyDoubled(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Flowing,
    Halted,
    Asking,
    NeedsProducer,
    /// The batch at the front is being split.
    Splitting,
}

/// Bytes that may still be sent, over all queues.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: u64,
    pub(super) nothing_in_flight: bool,
    /// Whether the queue that is polled may split a batch.
    pub(super) may_split: bool,
}

impl Budget {
    /// A batch that is larger than the whole budget goes alone.
    fn take(&mut self, len: u32) -> bool {
        let len = u64::from(len);
        if len > self.bytes && !self.nothing_in_flight {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(len);
        self.nothing_in_flight = false;
        true
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    writer: Option<Writer>,
    /// The producer that stamped here last. None stamps from sequence 0 twice: its second batches would be dropped.
    last_used: Option<Producer>,
    phase: Phase,
    restamp: Option<Restamp>,
    /// The last producer that was acknowledged, and when: the broker knows it.
    known: Option<(Producer, Duration)>,
    /// No unmarked batch lies below this offset of the topic with this id.
    floor: Option<(Uuid, i64)>,
    /// Failures in a row.
    pub(super) failures: u32,
    pub(super) not_before: Duration,
    /// When it last began to wait for something, or got on with it.
    moved_at: Duration,
    /// What went wrong last, if nothing has gone well since.
    trouble: Option<Reason>,
}

impl Queue {
    /// Halted, so that what the last process left is settled before anything is sent.
    pub(super) fn new(floor: Option<(Uuid, i64)>) -> Self {
        Self {
            items: VecDeque::new(),
            writer: None,
            last_used: None,
            phase: Phase::Halted,
            restamp: None,
            known: None,
            floor,
            failures: 0,
            not_before: Duration::ZERO,
            moved_at: Duration::ZERO,
            trouble: None,
        }
    }

    /// In the order of the numbers, which a restart goes by: a batch whose lane had no partition comes late.
    pub(super) fn push(&mut self, item: Item) {
        if self.unsettled().next().is_none() {
            self.moved_at = self.moved_at.max(item.since);
        }
        let before = self.items.iter().rposition(|other| other.number < item.number);
        self.items.insert(before.map_or(0, |place| place + 1), item);
    }

    /// Of the batches that the last process left, only the first few of each producer can have been sent.
    pub(super) fn doubt_first(&mut self) {
        let mut seen: BTreeMap<Producer, usize> = BTreeMap::new();
        for item in &mut self.items {
            let Some(producer) = item.producer() else { continue };
            let before = seen.entry(producer).or_default();
            item.doubt = if *before < WINDOW { Doubt::Open } else { Doubt::None };
            *before += 1;
        }
    }

    pub(super) fn oldest(&self) -> Option<Duration> {
        self.unsettled().map(|item| item.since).min()
    }

    /// How many batches wait, and their bytes.
    pub(super) fn waiting(&self) -> (u64, u64) {
        self.unsettled().fold((0, 0), |(batches, bytes), item| {
            (batches + 1, bytes + u64::from(item.len))
        })
    }

    pub(super) fn moved_at(&self) -> Duration {
        self.moved_at
    }

    pub(super) fn trouble(&self) -> Option<&Reason> {
        self.trouble.as_ref()
    }

    /// Only the first few are ever sent.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().take(WINDOW).filter(|item| item.state == State::Sent)
    }

    /// The clusters that batches are bound to, with how many.
    pub(super) fn clusters(&self) -> impl Iterator<Item = (Arc<str>, usize)> {
        let stamps = self.items.iter().filter_map(|item| item.stamp.as_ref());
        stamps.map(|stamp| (Arc::clone(&stamp.cluster_id), 1))
    }

    /// Whether something waits for marks to be durable.
    pub(super) fn waits_for_marks(&self) -> bool {
        let first = self.items.front().and_then(Item::producer);
        let others = self
            .items
            .iter()
            .take(WINDOW)
            .any(|item| item.stamp.is_some() && item.producer() != first);
        self.items.len() >= WINDOW || others
    }

    // What the disk says.

    /// These batches, or bindings of them, are in the spool. They stand in the order of the queue, and most often at its
    /// end, so they are looked for from there.
    pub(super) fn written(&mut self, numbers: impl DoubleEndedIterator<Item = BatchNumber>) {
        let mut end = self.items.len();
        for number in numbers.rev() {
            let place = self.items.iter().take(end).rposition(|item| item.number == number);
            if let Some(item) = place.and_then(|place| self.items.get_mut(place)) {
                item.written();
            }
            end = place.unwrap_or(end);
        }
    }

    /// The batch's mark or dead letter is in the spool.
    pub(super) fn gone(&mut self, number: BatchNumber) {
        if let Some(place) = self.items.iter().position(|item| item.number == number) {
            self.items.remove(place);
        }
    }

    // What brokers say.

    /// The partition stands for something else now, or a refused batch has come to the front.
    pub(super) fn check_target(&mut self, target: &Target) {
        let is_elsewhere = |item: &Item| item.stamp.as_ref().is_some_and(|stamp| !target.is_of(stamp));
        if self.phase == Phase::Flowing && self.unsettled().any(is_elsewhere) {
            self.phase = Phase::Halted;
        }
    }

    /// The answer to a batch that was sent. `delay` is what to wait for if it failed.
    pub(super) fn answered(
        &mut self,
        number: BatchNumber,
        answer: Answer,
        now: Duration,
        delay: Duration,
        acts: &mut Vec<Act>,
    ) {
        let Some(place) = self
            .items
            .iter()
            .position(|item| item.number == number && item.state == State::Sent)
        else {
            return;
        };
        let is_front = !self.items.iter().take(place).any(Item::is_unsettled);
        let Some(item) = self.items.get_mut(place) else { return };
        item.state = State::Waiting;
        self.trouble = answer.trouble();
        match answer {
            Answer::Acked(offset) => {
                self.moved_at = now;
                self.known = item.producer().map(|producer| (producer, now));
                self.failures = 0;
                self.settle(place, offset, acts);
            }
            Answer::NotNow(_) | Answer::Held(_) => self.halt(now, delay),
            Answer::InDoubt(_) => {
                item.doubt = Doubt::Open;
                self.halt(now, delay);
            }
            Answer::OutOfOrder if !is_front => self.halt(now, Duration::ZERO),
            Answer::OutOfOrder | Answer::Fenced => {
                self.restamp = self.restamp.or(item.producer().map(Restamp::Of));
                self.halt(now, Duration::ZERO);
            }
            Answer::Corrupt => {
                item.corrupt += 1;
                if item.corrupt >= CORRUPT_TRIES {
                    item.refused = Some(Refusal {
                        words: "the broker finds its checksum wrong each time".to_owned(),
                        too_large: false,
                    });
                }
                self.halt(now, delay);
            }
            Answer::Refused(Reason { words, .. }) => {
                item.refused = Some(Refusal {
                    words,
                    too_large: false,
                });
                self.halt(now, Duration::ZERO);
            }
            Answer::TooLarge(Reason { words, .. }) => {
                item.refused = Some(Refusal { words, too_large: true });
                self.halt(now, Duration::ZERO);
            }
        }
        if self.unsettled().next().is_some_and(|item| item.refused.is_some()) && self.phase == Phase::Flowing {
            self.phase = Phase::Halted;
        }
    }

    /// Does what can be done now.
    pub(super) fn poll(&mut self, target: &Target, now: Duration, budget: &mut Budget, acts: &mut Vec<Act>) {
        if now < self.not_before {
            return;
        }
        let before = acts.len();
        if self.phase == Phase::Halted && self.in_flight().next().is_none() {
            self.resume(target, budget, acts);
        }
        if self.phase == Phase::Flowing {
            self.send(now, budget, acts);
        }
        // What is sent next may have been left in doubt by the last process.
        if self.phase == Phase::Halted && self.in_flight().next().is_none() {
            self.resume(target, budget, acts);
        }
        let gets_on = |act: &Act| matches!(act, Act::DeadLetter { .. } | Act::Split { .. });
        if acts.iter().skip(before).any(gets_on) {
            self.moved_at = now;
        }
    }

    /// Nothing is in flight: settles what is open, one question at a time.
    fn resume(&mut self, target: &Target, budget: &mut Budget, acts: &mut Vec<Act>) {
        let is_elsewhere = |item: &Item| item.stamp.as_ref().is_some_and(|stamp| !target.is_of(stamp));
        if self.unsettled().any(is_elsewhere) {
            self.restamp = Some(Restamp::All);
            self.doubt_only_this_cluster(target);
        }
        if self.has_unbound_before_bound() {
            self.restamp = Some(Restamp::All);
        }
        if let Some(question) = self.question(target) {
            self.phase = Phase::Asking;
            acts.push(Act::Ask(question));
            return;
        }
        if self.give_up_refused(budget, acts) {
            return;
        }
        let restamp = self.restamp;
        if self
            .unsettled()
            .any(|item| restamp.is_some_and(|restamp| restamp.concerns(item)))
        {
            self.phase = Phase::NeedsProducer;
        } else {
            self.drop_spent_writer();
            self.restamp = None;
            self.phase = Phase::Flowing;
        }
    }

    fn send(&mut self, now: Duration, budget: &mut Budget, acts: &mut Vec<Act>) {
        let Some(front) = self.items.front().and_then(Item::producer) else {
            return;
        };
        let is_known = self
            .known
            .is_some_and(|(producer, at)| producer == front && now < at + KNOWN_FOR);
        // A broker that does not know the producer may take any sequence for its first.
        let mut in_flight = self.in_flight().count();
        let window = if is_known { WINDOW } else { 1 };
        for item in self.items.iter_mut().take(WINDOW) {
            let Some(stamp) = item.stamp.as_ref().filter(|stamp| stamp.producer == front) else {
                break;
            };
            if item.state != State::Waiting {
                continue;
            }
            if item.writes_pending > 0 || item.refused.is_some() || in_flight >= window {
                break;
            }
            if item.doubt == Doubt::Open {
                self.phase = Phase::Halted;
                break;
            }
            if !budget.take(item.len) {
                break;
            }
            acts.push(Act::Send(item.number, stamp.clone()));
            item.state = State::Sent;
            in_flight += 1;
        }
    }

    fn settle(&mut self, place: usize, offset: Option<i64>, acts: &mut Vec<Act>) {
        let is_front = !self.items.iter().take(place).any(Item::is_unsettled);
        let Some(item) = self.items.get_mut(place) else { return };
        item.state = State::Settled;
        item.doubt = Doubt::None;
        acts.push(Act::Mark(item.number, item.records, offset));
        if let (true, Some(stamp), Some(offset)) = (is_front, &item.stamp, offset) {
            self.floor = Some((stamp.topic_id, offset));
        }
    }

    fn halt(&mut self, now: Duration, delay: Duration) {
        if self.phase == Phase::Flowing {
            self.phase = Phase::Halted;
        }
        self.failures = self.failures.saturating_add(1);
        self.not_before = self.not_before.max(now + delay);
    }

    fn unsettled(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_unsettled())
    }
}
