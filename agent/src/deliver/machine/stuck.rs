//! Topics whose batches do not move. The batches wait in the spool, which they may fill for all others, so somebody has
//! to hear of it: once it has lasted a while, then now and then, and once more when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Key, Machine};
use crate::deliver::queue::Queue;
use crate::deliver::reason::Reason;
use tailrace_shared::kafka::ErrorCode;

/// A failover or a restart of a broker takes less.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);
const SAY_EVERY: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What of a topic waits in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WaitingTopic {
    /// Batches that are not acknowledged.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What of it does not move.
    pub stuck: Option<Stuck>,
}

/// Batches that do not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// How many.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the oldest of them has waited.
    pub age: Duration,
    /// What keeps them.
    pub reason: Reason,
}

/// Some batches with one fate.
struct Pile<'a> {
    topic: &'a Arc<str>,
    batches: u64,
    bytes: u64,
    oldest: Duration,
    /// When the last of them moved.
    moved_at: Duration,
    reason: Reason,
}

impl Stuck {
    fn join(&mut self, other: Self) {
        self.batches += other.batches;
        self.bytes += other.bytes;
        // The oldest tells what is wrong.
        if other.age > self.age {
            (self.age, self.reason) = (other.age, other.reason);
        }
    }
}

impl Machine {
    /// Every topic that lines were read for.
    pub(in crate::deliver) fn waiting_topics(&self, now: Duration) -> BTreeMap<Arc<str>, WaitingTopic> {
        let known = self
            .interest
            .iter()
            .map(|topic| (Arc::clone(topic), WaitingTopic::default()));
        let mut topics: BTreeMap<_, _> = known.collect();
        for pile in self.piles() {
            let topic = topics.entry(Arc::clone(pile.topic)).or_default();
            topic.batches += pile.batches;
            topic.bytes += pile.bytes;
            if pile.batches == 0 || now < pile.moved_at + STUCK_AFTER {
                continue;
            }
            let stuck = Stuck {
                batches: pile.batches,
                bytes: pile.bytes,
                age: now.saturating_sub(pile.oldest),
                reason: pile.reason,
            };
            match &mut topic.stuck {
                Some(so_far) => so_far.join(stuck),
                None => topic.stuck = Some(stuck),
            }
        }
        topics
    }

    fn piles(&self) -> impl Iterator<Item = Pile<'_>> {
        let queues = self.queues.iter().map(|(key, queue)| {
            let (batches, bytes) = queue.waiting();
            Pile {
                topic: &key.0,
                batches,
                bytes,
                oldest: queue.oldest().unwrap_or_default(),
                moved_at: queue.moved_at(),
                reason: self.what_keeps(key, queue),
            }
        });
        let unrouted = self.unrouted.iter().map(|(topic, items)| {
            let oldest = items.iter().map(|(_, item)| item.since).min().unwrap_or_default();
            Pile {
                topic,
                batches: items.len() as u64,
                bytes: items.iter().map(|(_, item)| u64::from(item.len)).sum(),
                oldest,
                moved_at: oldest,
                reason: self.what_is_wrong_with(topic).unwrap_or_else(no_answer),
            }
        });
        queues.chain(unrouted)
    }

    fn what_keeps(&self, key: &Key, queue: &Queue) -> Reason {
        let (topic, partition) = key;
        if let Some(reason) = self.what_is_wrong_with(topic) {
            return reason;
        }
        match self.topics.get(topic) {
            Some((_, partitions)) if partition >= partitions => Reason {
                code: Some(ErrorCode::LeaderNotAvailable),
                words: format!("the brokers list {partitions} partitions, and these are for partition {partition}"),
            },
            _ => queue.trouble().cloned().unwrap_or_else(no_answer),
        }
    }

    /// Whatever the partition.
    fn what_is_wrong_with(&self, topic: &Arc<str>) -> Option<Reason> {
        if let Some(unreachable) = &self.unreachable {
            return Some(unreachable.reason.clone());
        }
        if let Some(code) = self.refused.get(topic) {
            return Some(Reason::of(*code, None));
        }
        if !self.topics.contains_key(topic) {
            return Some(Reason::of(ErrorCode::UnknownTopicOrPartition, None));
        }
        self.producer_trouble.clone()
    }

    /// Says what is to be said by now.
    pub(super) fn tell_stuck(&mut self, now: Duration) {
        if now < self.told.look_at {
            return;
        }
        self.told.look_at = now + LOOK_EVERY;
        let topics = self.waiting_topics(now).into_iter();
        let stuck = topics.filter_map(|(topic, waiting)| Some((topic, waiting.stuck?)));
        for notice in self.told.look(stuck.collect(), self.unreachable.is_some(), now) {
            notice.log();
        }
    }
}

pub(super) fn no_answer() -> Reason {
    "the brokers have not answered".into()
}

/// What was said of which topics.
#[derive(Debug, Default)]
pub(super) struct Told {
    look_at: Duration,
    topics: BTreeMap<Arc<str>, Since>,
    /// Of all of them at once, while no broker can be reached.
    all: Option<Since>,
}

#[derive(Debug, Clone, Copy)]
struct Since {
    first: Duration,
    again_at: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Notice {
    Stuck(Arc<str>, Stuck),
    AllStuck(usize, Stuck),
    GoesOn(Arc<str>, Duration),
}

impl Told {
    fn look(&mut self, stuck: BTreeMap<Arc<str>, Stuck>, is_unreachable: bool, now: Duration) -> Vec<Notice> {
        let mut notices = Vec::new();
        if is_unreachable {
            let topics = stuck.len();
            let all = stuck.into_values().reduce(|mut so_far, next| {
                so_far.join(next);
                so_far
            });
            if let Some(all) = all.filter(|_| is_due(&mut self.all, now)) {
                notices.push(Notice::AllStuck(topics, all));
            }
            return notices;
        }
        // That a broker answers again is said where it is asked.
        self.all = None;
        let over: BTreeSet<_> = self
            .topics
            .keys()
            .filter(|topic| !stuck.contains_key(*topic))
            .cloned()
            .collect();
        for topic in over {
            let since = self.topics.remove(&topic);
            notices.extend(since.map(|since| Notice::GoesOn(topic, now.saturating_sub(since.first))));
        }
        for (topic, stuck) in stuck {
            let mut since = self.topics.get(&topic).copied();
            if is_due(&mut since, now) {
                notices.push(Notice::Stuck(Arc::clone(&topic), stuck));
            }
            self.topics.extend(since.map(|since| (topic, since)));
        }
        notices
    }
}

fn is_due(since: &mut Option<Since>, now: Duration) -> bool {
    let first = since.map_or(now, |since| since.first);
    let is_due = since.is_none_or(|since| now >= since.again_at);
    if is_due {
        *since = Some(Since {
            first,
            again_at: now + SAY_EVERY,
        });
    }
    is_due
}

impl Notice {
    fn log(&self) {
        match self {
            Self::Stuck(topic, stuck) => tracing::warn!(
                "topic {topic} is stuck: {}; {}. When the spool is full of them, reading pauses for every topic",
                stuck.in_words(),
                stuck.reason.remedy()
            ),
            Self::AllStuck(topics, stuck) => tracing::warn!(
                "nothing can be delivered, {topics} topics are stuck: {}; {}",
                stuck.in_words(),
                stuck.reason.remedy()
            ),
            Self::GoesOn(topic, after) => {
                tracing::info!(
                    "topic {topic} goes on, {} s after it was said to be stuck",
                    after.as_secs()
                );
            }
        }
    }
}

impl Stuck {
    fn in_words(&self) -> String {
        format!(
            "{} batches with {} bytes wait in the spool, the oldest for {} s: {}",
            self.batches,
            self.bytes,
            self.age.as_secs(),
            self.reason
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuck(code: ErrorCode, age: u64) -> Stuck {
        Stuck {
            batches: 3,
            bytes: 2000,
            age: Duration::from_secs(age),
            reason: Reason::of(code, None),
        }
    }

    fn topic(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_topic_is_told_of_once_then_now_and_then_and_when_it_goes_on() {
        let mut told = Told::default();
        let one = || BTreeMap::from([(topic("a"), stuck(ErrorCode::TopicAuthorizationFailed, 31))]);
        let mut said = Vec::new();
        for second in 0..700 {
            let now = Duration::from_secs(second);
            said.extend(told.look(one(), false, now).into_iter().map(|notice| (second, notice)));
        }
        let warning = || Notice::Stuck(topic("a"), stuck(ErrorCode::TopicAuthorizationFailed, 31));
        assert_eq!(said, [(0, warning()), (300, warning()), (600, warning())]);
        let now = Duration::from_secs(700);
        assert_eq!(
            told.look(BTreeMap::new(), false, now),
            [Notice::GoesOn(topic("a"), now)]
        );
        assert_eq!(told.look(BTreeMap::new(), false, now), []);
    }

    #[test]
    fn while_no_broker_can_be_reached_one_line_stands_for_all_topics() {
        let mut told = Told::default();
        let two = || {
            let older = stuck(ErrorCode::NotLeaderOrFollower, 50);
            BTreeMap::from([(topic("a"), stuck(ErrorCode::None, 31)), (topic("b"), older)])
        };
        let now = Duration::from_secs(5);
        let all = Stuck {
            batches: 6,
            bytes: 4000,
            ..stuck(ErrorCode::NotLeaderOrFollower, 50)
        };
        assert_eq!(told.look(two(), true, now), [Notice::AllStuck(2, all)]);
        assert_eq!(told.look(two(), true, now + SAY_EVERY / 2), []);
        let later = now + SAY_EVERY;
        assert_eq!(told.look(BTreeMap::new(), false, later), []);
    }
}
