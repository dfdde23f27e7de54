//! One batch of a queue: what was written of it, what was sent of it, and whether it may be in the log.

use std::time::Duration;

use tailrace_shared::record::next_sequence;

use crate::spool::{BatchNumber, Producer, RecoveredBatch, Stamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Sent,
    /// Acknowledged or given up, and not durably so yet.
    Settled,
}

/// Whether the batch may be in the log although nobody acknowledged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    Open,
    /// It may be, and the broker knows its producer: sending it again is safe.
    Vouched,
}

/// Why no broker takes it.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) words: String,
    pub(super) too_large: bool,
}

#[derive(Debug)]
pub(in crate::deliver) struct Item {
    pub(in crate::deliver) number: BatchNumber,
    pub(in crate::deliver) records: u32,
    pub(in crate::deliver) len: u32,
    pub(in crate::deliver) since: Duration,
    pub(super) stamp: Option<Stamp>,
    /// Writes to the spool (the entry, and each binding) that are not durable yet.
    pub(super) writes_pending: u32,
    pub(super) state: State,
    pub(super) doubt: Doubt,
    pub(super) refused: Option<Refusal>,
    pub(super) corrupt: u8,
}

impl Item {
    /// A batch that is about to be written.
    pub(in crate::deliver) fn new(number: BatchNumber, records: u32, len: u32, since: Duration) -> Self {
        Self {
            number,
            records,
            len,
            since,
            stamp: None,
            writes_pending: 1,
            state: State::Waiting,
            doubt: Doubt::None,
            refused: None,
            corrupt: 0,
        }
    }

    /// A batch that the last process left; see [`Queue::doubt_first`].
    pub(in crate::deliver) fn recovered(batch: &RecoveredBatch, since: Duration) -> Self {
        Self {
            stamp: batch.stamp.clone(),
            writes_pending: 0,
            doubt: if batch.stamp.is_some() {
                Doubt::Open
            } else {
                Doubt::None
            },
            ..Self::new(batch.number, batch.records, batch.len, since)
        }
    }

    /// The same batch, to be sent for the first time.
    pub(super) fn unbound(self) -> Self {
        Self {
            stamp: None,
            doubt: Doubt::None,
            refused: None,
            corrupt: 0,
            ..self
        }
    }

    /// A part of it, which is in the spool.
    pub(super) fn part(&self, number: BatchNumber, records: u32, len: u32) -> Self {
        Self {
            writes_pending: 0,
            ..Self::new(number, records, len, self.since)
        }
    }

    /// One of the writes that were pending is durable.
    pub(in crate::deliver) fn written(&mut self) {
        self.writes_pending = self.writes_pending.saturating_sub(1);
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.state != State::Settled
    }

    pub(super) fn producer(&self) -> Option<Producer> {
        self.stamp.as_ref().map(|stamp| stamp.producer)
    }

    pub(super) fn last_sequence(&self) -> i32 {
        let records = i32::try_from(self.records).unwrap_or(i32::MAX);
        self.stamp
            .as_ref()
            .map_or(0, |stamp| next_sequence(stamp.base_sequence, records - 1))
    }
}
