//! All queues of the agent: where each lane goes, who is asked for what, and what the spool is told. Pure: events and
//! the time go in, effects come out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailrace_shared::kafka::ErrorCode;
use uuid::Uuid;

use super::answer::Answer;
use super::queue::{Act, Budget, Findings, Item, Question, Queue};
use super::reason::Reason;
use crate::spool::{BatchNumber, Committed, Control, NewBatch, Part, Producer, Recovered, Stamp};
use crate::stretch::Route;

mod lanes;
mod moves;
mod sizes;
mod stats;
mod stuck;

use sizes::{Size, Splitting};
pub use stats::DeliverStats;
use stuck::Told;
pub use stuck::{Stuck, WaitingTopic};

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How often to try what a person has to put right.
const HELD_FOR: Duration = Duration::from_secs(30);

type Key = (Arc<str>, i32);

/// What delivery does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// To the leader of the partition, after what was sent there before.
    Send(Outgoing),
    /// To the spool; at once, if something waits for it.
    Submit { controls: Vec<Control>, urgent: bool },
    /// Keep the batch's bytes for a person, and then tell the spool.
    DeadLetter { batch: Outgoing, reason: String },
    /// Give the spool the batch's records in so many smaller batches.
    Split { batch: BatchNumber, parts: usize },
    /// Ask any broker for the topic's `max.message.bytes`.
    AskBatchBytesMax(Arc<str>),
    /// Ask the leader of the partition.
    Ask {
        topic: Arc<str>,
        partition: i32,
        question: Question,
    },
    /// Ask any broker for a fresh producer id.
    InitProducer,
    /// Ask any broker for the topics' partitions.
    Refresh,
}

/// A batch under its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) number: BatchNumber,
    pub(super) topic: Arc<str>,
    pub(super) stamp: Stamp,
}

/// What a broker said of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The cluster's id; empty where it has none.
    pub cluster_id: Arc<str>,
    /// Each topic that exists, with its id (nil where it has none) and its number of partitions.
    pub topics: Vec<(Arc<str>, Uuid, i32)>,
    /// What the brokers said of those that were asked for and are not to be had.
    pub refused: Vec<(Arc<str>, ErrorCode)>,
}

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
    /// Why no broker can be reached.
    unreachable: Option<Reason>,
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
            unreachable: None,
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

    // What the spool says.

    /// Batches are about to be written: where they go, and who they are, as far as that is known now.
    pub(super) fn bind(&mut self, batches: &[NewBatch], now: Duration) -> Vec<Control> {
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

    fn bind_queue(&mut self, key: &Key) -> Option<Control> {
        let target = self.target(key)?;
        let producer = self.producer;
        match self.queues.get_mut(key)?.bind_new(&target, producer) {
            Ok(bind) => bind.map(Control::Bind),
            Err(super::queue::NeedsProducer) => {
                self.want_producer();
                None
            }
        }
    }

    fn want_producer(&mut self) {
        self.producer = None;
    }

    /// These are on stable storage.
    pub(super) fn committed(&mut self, committed: &Committed) {
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
    pub(super) fn cannot_split(&mut self, batch: BatchNumber, reason: String) {
        self.with_queue_of(batch, |queue| queue.cannot_split(batch, reason));
    }

    fn with_queue_of<T>(&mut self, number: BatchNumber, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let key = self.home.get(&number)?;
        self.queues.get_mut(key).map(change)
    }

    // What brokers say.

    /// The cluster and its topics. A topic that is missing stays as it was known: it may come back.
    pub(super) fn saw(&mut self, view: &ClusterView) -> Vec<Effect> {
        if self.cluster_id.as_ref().is_some_and(|known| *known != view.cluster_id) {
            self.producer = None;
            self.topics.clear();
        }
        if self.cluster_id.as_ref() != Some(&view.cluster_id) {
            self.warn_of_other_cluster(&view.cluster_id);
        }
        self.cluster_id = Some(Arc::clone(&view.cluster_id));
        self.unreachable = None;
        self.note_refused(&view.refused);
        for (topic, id, partitions) in &view.topics {
            self.topics.insert(Arc::clone(topic), (*id, *partitions));
        }
        let mut controls = Vec::new();
        for topic in view.topics.iter().map(|(topic, ..)| topic) {
            for (lane, item) in self.unrouted.remove(topic).unwrap_or_default() {
                self.place(topic, Route::Lane(lane), item, &mut controls);
            }
        }
        let keys: Vec<Key> = self.queues.keys().cloned().collect();
        for key in &keys {
            if let (Some(target), Some(queue)) = (self.target(key), self.queues.get_mut(key)) {
                queue.check_target(&target);
            }
        }
        submit(controls, false)
    }

    /// No broker told anything of the cluster.
    pub(super) fn unreachable(&mut self, reason: String) {
        self.unreachable = Some(reason.into());
    }

    /// What may pass by itself, as while a topic is being created, is not worth a line yet.
    fn note_refused(&mut self, refused: &[(Arc<str>, ErrorCode)]) {
        let before = std::mem::take(&mut self.refused);
        for (topic, code) in refused {
            if !code.is_retriable() && before.get(topic) != Some(code) {
                let reason = Reason::of(*code, None);
                let remedy = reason.remedy();
                tracing::warn!("topic {topic} cannot be had: {reason}; its lines wait in the spool: {remedy}");
            }
            self.refused.insert(Arc::clone(topic), *code);
        }
    }

    fn warn_of_other_cluster(&self, cluster_id: &str) {
        let mut others: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut batches = 0;
        for (other, count) in self.queues.values().flat_map(Queue::clusters) {
            if *other != *cluster_id {
                others.insert(other);
                batches += count;
            }
        }
        for other in others {
            tracing::warn!(
                "the spool holds batches ({batches} in all) for cluster {other:?}, and collector.bootstrap leads to cluster \
                 {cluster_id:?}: they go to the latter now. If that is not meant, stop the agent and set \
                 collector.bootstrap back"
            );
        }
    }

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

    fn effects_of(&mut self, key: &Key, acts: Vec<Act>, now: Duration) -> Vec<Effect> {
        let urgent = self.queues.get(key).is_some_and(Queue::waits_for_marks);
        let (topic, partition) = key;
        let mut effects = Vec::new();
        for act in acts {
            match act {
                Act::Send(number, stamp) => effects.push(Effect::Send(Outgoing {
                    number,
                    topic: Arc::clone(topic),
                    stamp,
                })),
                Act::Mark(number, records, offset) => {
                    self.stats.records_acked += u64::from(records);
                    effects.extend(submit(vec![Control::Mark(vec![(number, offset)])], urgent));
                }
                Act::DeadLetter {
                    number,
                    records,
                    stamp,
                    reason,
                } => {
                    self.stats.batches_dead_lettered += 1;
                    self.stats.records_dead_lettered += u64::from(records);
                    let topic = Arc::clone(topic);
                    effects.push(Effect::DeadLetter {
                        batch: Outgoing { number, topic, stamp },
                        reason,
                    });
                }
                Act::Split { number, records, len } => {
                    self.begin_split(key, number, records, now);
                    effects.push(Effect::Split {
                        batch: number,
                        parts: self.parts_for(topic, len),
                    });
                }
                Act::Bind(bind) => effects.extend(submit(vec![Control::Bind(bind)], true)),
                Act::Ask(question) => effects.push(Effect::Ask {
                    topic: Arc::clone(topic),
                    partition: *partition,
                    question,
                }),
                Act::PossiblyDoubled(records) => {
                    self.stats.records_possibly_doubled += u64::from(records);
                    tracing::warn!(
                        "{records} lines for {topic}/{partition} are sent again, and the agent may neither describe producers \
                         nor read there: they may be doubled"
                    );
                }
            }
        }
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

fn submit(controls: Vec<Control>, urgent: bool) -> Vec<Effect> {
    if controls.is_empty() {
        return Vec::new();
    }
    vec![Effect::Submit { controls, urgent }]
}
