//! What delivery does next, and how the acts of one queue become that.

use std::sync::Arc;
use std::time::Duration;

use super::{Key, Machine};
use crate::deliver::queue::{Act, Question, Queue};
use crate::spool::{BatchNumber, Control, Stamp};

/// What delivery does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deliver) enum Effect {
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
pub(in crate::deliver) struct Outgoing {
    pub(in crate::deliver) number: BatchNumber,
    pub(in crate::deliver) topic: Arc<str>,
    pub(in crate::deliver) stamp: Stamp,
}

impl Machine {
    pub(super) fn effects_of(&mut self, key: &Key, acts: Vec<Act>, now: Duration) -> Vec<Effect> {
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
}

pub(super) fn submit(controls: Vec<Control>, urgent: bool) -> Vec<Effect> {
    if controls.is_empty() {
        return Vec::new();
    }
    vec![Effect::Submit { controls, urgent }]
}
