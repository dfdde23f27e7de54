//! All queues of the agent: where each lane goes, who is asked for what, and what the spool is told. Pure: events and
//! the time go in, effects come out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailrace_shared::kafka::ErrorCode;
use uuid::Uuid;

use self::effect::submit;
use self::sizes::{Size, Splitting};
use self::stuck::{Told, no_answer};
use self::view::Unreachable;
use super::answer::Answer;
use super::queue::{Budget, Findings, Item, Queue};
use super::reason::Reason;
use crate::spool::{BatchNumber, Producer, Recovered};
use crate::stretch::Route;

mod effect;
mod lanes;
mod make_room;
mod moves;
mod sizes;
mod spooled;
mod stats;
mod stuck;
mod view;

pub(super) use effect::{Effect, Outgoing};
pub use stats::{DeliverStats, Outage};
pub use stuck::{STUCK_AFTER, Stuck, WaitingTopic};
pub use view::ClusterView;

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How often to try what a person has to put right.
const HELD_FOR: Duration = Duration::from_secs(30);

type Key = (Arc<str>, i32);

pub(super) struct Machine {
    lane_seed: u64,
    in_flight_bytes_max: u64,
    cluster_id: Option<Arc<str>>,
    producer: Option<Producer>,
    /// Asked for, and not answered.
    producer_asked: bool,
    producer_not_before: Duration,
    /// Why there is no producer id.
    producer_trouble: Option<Reason>,
    /// While no broker can be reached; from the start on, until the first has answered.
    unreachable: Option<Unreachable>,
    refused: BTreeMap<Arc<str>, ErrorCode>,
    topics: BTreeMap<Arc<str>, (Uuid, i32)>,
    /// Topics to ask about.
    interest: BTreeSet<Arc<str>>,
    lanes: BTreeMap<(Arc<str>, u16), i32>,
    /// Batches whose lane has no partition yet.
    unrouted: BTreeMap<Arc<str>, Vec<(u16, Item)>>,
    queues: BTreeMap<Key, Queue>,
    floors: BTreeMap<Key, (Uuid, i64)>,
    home: HashMap<BatchNumber, Key>,
    /// Partitions that their topic does not have, and since when.
    missing: BTreeMap<Key, Duration>,
    /// Those that another one takes over from, as soon as the spool knows; and those that one has taken over from.
    moving: BTreeMap<Key, i32>,
    moved: BTreeMap<Key, i32>,
    /// Of the topics that have refused a batch for its size.
    sizes: BTreeMap<Arc<str>, Size>,
    splitting: Option<Splitting>,
    /// The queue that is served first, so that none starves.
    turn: usize,
    refresh_wanted: bool,
    stopping: bool,
    told: Told,
    rng: StdRng,
    stats: DeliverStats,
}

impl Machine {
    pub(super) fn new(recovered: &Recovered, lane_seed: u64, in_flight_bytes_max: u64, now: Duration) -> Self {
        let lanes = recovered
            .lanes
            .iter()
            .map(|(topic, lane, partition)| ((topic.clone(), *lane), *partition));
        let floors = recovered.floors.iter();
        let mut machine = Self {
            lane_seed,
            in_flight_bytes_max,
            cluster_id: None,
            producer: None,
            producer_asked: false,
            producer_not_before: Duration::ZERO,
            producer_trouble: None,
            unreachable: Some(Unreachable {
                since: now,
                reason: no_answer(),
            }),
            refused: BTreeMap::new(),
            topics: BTreeMap::new(),
            interest: BTreeSet::new(),
            lanes: lanes.collect(),
            unrouted: BTreeMap::new(),
            queues: BTreeMap::new(),
            floors: floors
                .map(|(topic, partition, id, offset)| ((topic.clone(), *partition), (*id, *offset)))
                .collect(),
            home: HashMap::new(),
            missing: BTreeMap::new(),
            moving: BTreeMap::new(),
            moved: BTreeMap::new(),
            sizes: BTreeMap::new(),
            splitting: None,
            turn: 0,
            refresh_wanted: true,
            stopping: false,
            told: Told::default(),
            rng: StdRng::seed_from_u64(lane_seed),
            stats: DeliverStats::default(),
        };
        for batch in &recovered.batches {
            let item = Item::recovered(batch, now);
            let partition = batch.stamp.as_ref().map(|stamp| Route::Partition(stamp.partition));
            machine.place(&batch.topic, partition.unwrap_or(batch.route), item, &mut Vec::new());
        }
        machine.queues.values_mut().for_each(Queue::doubt_first);
        machine
    }

    /// The topics whose partitions have to be known.
    pub(super) fn interest(&self) -> Vec<Arc<str>> {
        self.interest.iter().cloned().collect()
    }

    pub(super) fn stop_sending(&mut self) {
        self.stopping = true;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queues.values().all(|queue| queue.in_flight().next().is_none())
    }

    fn want_producer(&mut self) {
        self.producer = None;
    }

    fn with_queue_of<T>(&mut self, number: BatchNumber, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let key = self.home.get(&number)?;
        self.queues.get_mut(key).map(change)
    }

    // What brokers say.

    /// A producer id, or why there is none.
    pub(super) fn got_producer(&mut self, producer: Result<Producer, String>, now: Duration) {
        self.producer_asked = false;
        match producer {
            Ok(producer) => {
                self.producer = Some(producer);
                self.producer_trouble = None;
            }
            Err(reason) => {
                if self.producer_trouble.is_none() {
                    tracing::warn!("no producer id: {reason}; asking again");
                }
                self.producer_trouble = Some(format!("no producer id: {reason}").into());
                self.producer_not_before = now + self.delay(3);
            }
        }
    }

    /// The answer to [`Effect::Send`].
    pub(super) fn answered(&mut self, number: BatchNumber, answer: Answer, now: Duration) -> Vec<Effect> {
        let Some(key) = self.home.get(&number).cloned() else {
            return Vec::new();
        };
        let failures = self.queues.get(&key).map_or(0, |queue| queue.failures);
        let delay = match answer {
            Answer::Held(_) => HELD_FOR,
            _ => self.delay(failures),
        };
        self.note(&key, number, &answer, failures);
        let mut effects = Vec::from_iter(self.note_size(&key, number, &answer, now));
        let mut acts = Vec::new();
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.answered(number, answer, now, delay, &mut acts);
        }
        effects.extend(self.effects_of(&key, acts, now));
        effects
    }

    fn note_size(&mut self, key: &Key, number: BatchNumber, answer: &Answer, now: Duration) -> Option<Effect> {
        let is_too_large = matches!(answer, Answer::TooLarge(_));
        let is_acked = matches!(answer, Answer::Acked(_)) && self.sizes.contains_key(&key.0);
        if !is_too_large && !is_acked {
            return None;
        }
        let len = self.queues.get(key)?.len_of(number)?;
        if is_too_large {
            return self.too_large(&key.0, len, now);
        }
        self.accepted(&key.0, len);
        None
    }

    fn note(&mut self, (topic, partition): &Key, number: BatchNumber, answer: &Answer, failures: u32) {
        if matches!(answer, Answer::Acked(_)) {
            return;
        }
        self.stats.retries += 1;
        self.refresh_wanted = true;
        match answer {
            Answer::Refused(reason) => {
                tracing::error!("batch {number} for {topic}/{partition} is refused for good: {reason}");
            }
            Answer::Held(reason) if failures == 0 => tracing::error!(
                "{topic}/{partition} takes nothing from this agent: {reason}; its batches wait in the spool until that is put right"
            ),
            Answer::NotNow(reason) | Answer::InDoubt(reason) if failures == 0 => {
                tracing::warn!("sending to {topic}/{partition} failed: {reason}; trying again");
            }
            other => tracing::debug!("sending batch {number} to {topic}/{partition} failed: {other:?}"),
        }
    }

    /// The answer to [`Effect::Ask`].
    pub(super) fn found_out(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
        findings: Findings,
        now: Duration,
    ) -> Vec<Effect> {
        let key = (Arc::clone(topic), partition);
        let failures = self.queues.get(&key).map_or(0, |queue| queue.failures);
        let delay = self.delay(failures);
        if let Findings::Failed(reason) = &findings {
            tracing::debug!("cannot find out what {topic}/{partition} has: {reason}");
            self.refresh_wanted = true;
        }
        let mut acts = Vec::new();
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.found_out(findings, now, delay, &mut acts);
        }
        self.effects_of(&key, acts, now)
    }

    // What to do.

    /// Everything that can be done now.
    pub(super) fn poll(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.stopping {
            return effects;
        }
        self.tell_stuck(now);
        if std::mem::take(&mut self.refresh_wanted) {
            effects.push(Effect::Refresh);
        }
        let mut budget = self.budget();
        let keys: Vec<Key> = self.queues.keys().cloned().collect();
        self.turn = (self.turn + 1) % keys.len().max(1);
        let (before, after) = keys.split_at(self.turn.min(keys.len()));
        for key in after.iter().chain(before) {
            effects.extend(self.poll_queue(key, now, &mut budget));
        }
        let wants_producer = self.producer.is_none() && self.cluster_id.is_some() && now >= self.producer_not_before;
        if wants_producer && !self.producer_asked {
            self.producer_asked = true;
            effects.push(Effect::InitProducer);
        }
        effects
    }

    fn budget(&self) -> Budget {
        let in_flight = self
            .queues
            .values()
            .flat_map(Queue::in_flight)
            .map(|item| u64::from(item.len))
            .sum();
        Budget {
            bytes: self.in_flight_bytes_max.saturating_sub(in_flight),
            nothing_in_flight: in_flight == 0,
            may_split: false,
        }
    }

    fn poll_queue(&mut self, key: &Key, now: Duration, budget: &mut Budget) -> Vec<Effect> {
        let Some(target) = self.target(key) else {
            let left = self.leave_missing(key, now);
            return submit(left.into_iter().collect(), true);
        };
        self.missing.remove(key);
        let bind = self.bind_queue(key).map(|control| vec![control]);
        let mut effects = submit(bind.unwrap_or_default(), true);
        let producer = self.producer;
        let may_split = self.may_split(key, now);
        let Some(queue) = self.queues.get_mut(key) else {
            return effects;
        };
        budget.may_split = may_split;
        let mut acts = Vec::new();
        queue.poll(&target, now, budget, &mut acts);
        let needs_producer = queue.restamp(&target, producer, &mut acts).is_err();
        if needs_producer {
            self.want_producer();
        }
        effects.extend(self.effects_of(key, acts, now));
        effects
    }

    /// When to poll again although nothing happened.
    pub(super) fn wake_at(&self, now: Duration) -> Option<Duration> {
        let queues = self.queues.values().map(|queue| queue.not_before);
        queues.chain([self.producer_not_before]).filter(|at| *at > now).min()
    }

    fn delay(&mut self, failures: u32) -> Duration {
        let step = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
        step + step.mul_f64(self.rng.random_range(0.0..0.5))
    }
}
