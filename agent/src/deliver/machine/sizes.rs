//! How large a batch a topic takes, as far as it is known, and whose batch is being split.
//!
//! Splitting writes a batch to the spool a second time, also when that is full, so there is one at a time: the next is
//! split when every part of the last one has been delivered.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Effect, Key, Machine};
use crate::deliver::split::parts_for;
use crate::spool::BatchNumber;

/// The parts of a batch whose partition is stuck keep others from being split no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the brokers are asked what a topic takes, if they refuse more.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// What is known of a topic that has refused a batch for its size.
#[derive(Debug)]
pub(super) struct Size {
    /// `max.message.bytes`, if the brokers told.
    told: Option<u32>,
    /// The smallest that was refused, in bytes.
    refused: u32,
    /// The largest below that which was accepted since.
    accepted: u32,
    ask_again_at: Duration,
}

impl Size {
    fn max(&self) -> u32 {
        let tried = self.accepted.max(self.refused / 2);
        self.told.filter(|told| *told < self.refused).unwrap_or(tried)
    }
}

/// A batch that is being split, until its parts are gone.
#[derive(Debug)]
pub(super) struct Splitting {
    key: Key,
    records: Range<BatchNumber>,
    since: Duration,
}

impl Machine {
    /// The largest batch that the topic takes, where that is less than is usual.
    pub(in crate::deliver) fn batch_bytes_max(&self, topic: &str) -> Option<u32> {
        self.sizes.get(topic).map(Size::max)
    }

    /// Tells whether the topic is to be asked about.
    pub(super) fn too_large(&mut self, topic: &Arc<str>, len: u32, now: Duration) -> Option<Effect> {
        let size = self.sizes.entry(Arc::clone(topic)).or_insert_with(|| {
            tracing::warn!(
                "topic {topic} does not take a batch of {len} bytes: such batches are sent in parts; raise its setting \
                 max.message.bytes to send fewer and larger ones"
            );
            Size {
                told: None,
                refused: len,
                accepted: 0,
                ask_again_at: Duration::ZERO,
            }
        });
        size.refused = size.refused.min(len);
        size.accepted = size.accepted.min(size.refused.saturating_sub(1));
        let is_due = now >= size.ask_again_at;
        is_due.then(|| {
            size.ask_again_at = now + ASK_EVERY;
            Effect::AskBatchBytesMax(Arc::clone(topic))
        })
    }

    pub(super) fn accepted(&mut self, topic: &str, len: u32) {
        if let Some(size) = self.sizes.get_mut(topic).filter(|size| len < size.refused) {
            size.accepted = size.accepted.max(len);
        }
    }

    /// The answer to [`Effect::AskBatchBytesMax`].
    pub(in crate::deliver) fn told_batch_bytes_max(&mut self, topic: &str, told: Option<u32>) {
        if let Some(size) = self.sizes.get_mut(topic) {
            size.told = told;
        }
    }

    pub(super) fn parts_for(&self, topic: &str, len: u32) -> usize {
        parts_for(len, self.batch_bytes_max(topic))
    }

    /// The parts of a batch may be split further.
    pub(super) fn may_split(&self, key: &Key, now: Duration) -> bool {
        self.splitting.as_ref().is_none_or(|splitting| {
            let queue = self.queues.get(&splitting.key);
            let lives = queue.is_some_and(|queue| queue.holds(&splitting.records));
            splitting.key == *key || !lives || now >= splitting.since + PATIENCE
        })
    }

    pub(super) fn begin_split(&mut self, key: &Key, batch: BatchNumber, records: u32, now: Duration) {
        let records = batch..batch + u64::from(records);
        let is_part = |whole: &Splitting| whole.key == *key && whole.records.contains(&batch);
        let whole = self.splitting.take().filter(is_part);
        self.splitting = Some(Splitting {
            key: key.clone(),
            records: whole.map_or(records, |whole| whole.records),
            since: now,
        });
    }
}
