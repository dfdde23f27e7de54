//! Where the threads meet: the spool's commit thread, the reading thread and the tasks of delivery all speak to the one
//! state machine, under one short lock. Batches that were just built are kept in memory up to a limit; others are read
//! again from the spool.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tailrace_shared::clock::Clock;
use tailrace_shared::record::restamp;
use tokio::sync::Notify;

use super::answer::Answer;
use super::brokers::Stamped;
use super::machine::{ClusterView, DeliverStats, Effect, Machine, Outgoing};
use super::queue::Findings;
use crate::spool::{BatchNumber, Binder, Committed, Control, Enough, NewBatch, Producer, ReadError, Spool};
use crate::stretch::{Route, Routes};

pub(super) struct Desk {
    machine: Mutex<Machine>,
    fresh: Mutex<Fresh>,
    clock: Arc<dyn Clock>,
    /// There while delivery runs.
    spool: Mutex<Option<Arc<Spool>>>,
    pub(super) changed: Notify,
    pub(super) refresh: Notify,
}

/// Batches in memory.
#[derive(Debug)]
struct Fresh {
    batches: HashMap<BatchNumber, Bytes>,
    bytes: u64,
    bytes_max: u64,
}

impl Desk {
    pub(super) fn new(machine: Machine, clock: Arc<dyn Clock>, memory_bytes: u64) -> Self {
        Self {
            machine: Mutex::new(machine),
            fresh: Mutex::new(Fresh {
                batches: HashMap::new(),
                bytes: 0,
                bytes_max: memory_bytes,
            }),
            clock,
            spool: Mutex::new(None),
            changed: Notify::new(),
            refresh: Notify::new(),
        }
    }

    pub(super) fn attach(&self, spool: Arc<Spool>) {
        *self.spool.lock() = Some(spool);
    }

    /// The spool holds the desk as its binder: so that both can go, the desk lets go first.
    pub(super) fn detach(&self) {
        *self.spool.lock() = None;
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn stats(&self) -> DeliverStats {
        self.machine.lock().stats(self.now())
    }

    pub(super) fn interest(&self) -> Vec<Arc<str>> {
        self.machine.lock().interest()
    }

    pub(super) fn stop_sending(&self) {
        self.machine.lock().stop_sending();
        self.changed.notify_one();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.machine.lock().is_idle()
    }

    /// What to do now, and how long until it is worth asking again.
    pub(super) fn poll(&self) -> (Vec<Effect>, Option<Duration>) {
        let now = self.now();
        let mut machine = self.machine.lock();
        let effects = machine.poll(now);
        let wake_in = machine.wake_at(now).map(|at| at.saturating_sub(now));
        (self.submitted(effects), wake_in)
    }

    pub(super) fn saw(&self, view: &ClusterView) {
        let mut machine = self.machine.lock();
        let effects = machine.saw(view);
        self.submitted(effects);
        self.changed.notify_one();
    }

    pub(super) fn unreachable(&self, reason: String) {
        self.machine.lock().unreachable(reason, self.now());
    }

    pub(super) fn got_producer(&self, producer: Result<Producer, String>) {
        self.machine.lock().got_producer(producer, self.now());
        self.changed.notify_one();
    }

    pub(super) fn answered(&self, answers: Vec<(BatchNumber, Answer)>) {
        let now = self.now();
        let mut machine = self.machine.lock();
        for (number, answer) in answers {
            let effects = machine.answered(number, answer, now);
            self.submitted(effects);
        }
        self.changed.notify_one();
    }

    pub(super) fn found_out(&self, topic: &Arc<str>, partition: i32, findings: Findings) {
        let mut machine = self.machine.lock();
        let effects = machine.found_out(topic, partition, findings, self.now());
        self.submitted(effects);
        self.changed.notify_one();
    }

    pub(super) fn cannot_split(&self, batch: BatchNumber, reason: String) {
        self.machine.lock().cannot_split(batch, reason);
        self.changed.notify_one();
    }

    pub(super) fn told_batch_bytes_max(&self, topic: &str, told: Option<u32>) {
        self.machine.lock().told_batch_bytes_max(topic, told);
    }

    /// Hands what is for the spool to it, in order because the machine is still locked; gives the rest back.
    fn submitted(&self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Submit { controls, urgent } => self.submit(controls, urgent),
                other => rest.push(other),
            }
        }
        rest
    }

    pub(super) fn submit(&self, controls: Vec<Control>, urgent: bool) {
        if let Some(spool) = &*self.spool.lock() {
            spool.submit(controls, urgent);
        }
    }

    /// The batch under its identity.
    pub(super) async fn stamped(&self, outgoing: Outgoing) -> Result<Stamped, ReadError> {
        let bytes = self.bytes_of(outgoing.number).await?;
        let mut bytes = BytesMut::from(&bytes[..]);
        let Producer { id, epoch } = outgoing.stamp.producer;
        restamp(&mut bytes, id, epoch, outgoing.stamp.base_sequence).map_err(|error| ReadError::Damaged {
            batch: outgoing.number,
            reason: error.to_string(),
        })?;
        Ok(Stamped {
            number: outgoing.number,
            topic: outgoing.topic,
            stamp: outgoing.stamp,
            bytes: bytes.freeze(),
        })
    }

    /// The batch as it was built.
    pub(super) async fn bytes_of(&self, number: BatchNumber) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.fresh.lock().batches.get(&number) {
            return Ok(bytes.clone());
        }
        let spool = self.spool.lock().clone().ok_or(ReadError::Gone(number))?;
        let read = tokio::task::spawn_blocking(move || spool.read(number)).await;
        read.unwrap_or(Err(ReadError::Gone(number)))
    }
}

impl Binder for Desk {
    fn bind(&self, batches: Vec<NewBatch>) -> Vec<Control> {
        let controls = self.machine.lock().bind(&batches, self.now());
        self.fresh.lock().keep(batches);
        controls
    }

    fn drop_oldest(&self, enough: Enough) -> Vec<Control> {
        self.machine.lock().drop_oldest(enough)
    }

    fn committed(&self, committed: Committed) {
        // What is kept has the new numbers before anything is asked for by them.
        self.fresh.lock().follow(&committed);
        self.machine.lock().committed(&committed);
        self.changed.notify_one();
    }
}

impl Routes for Desk {
    fn route(&self, topic: &str, lane: u16) -> Route {
        let mut machine = self.machine.lock();
        let (route, control) = machine.route(topic, lane);
        // Under the lock: nobody may use the lane's partition before the spool was told of it.
        self.submit(control.into_iter().collect(), false);
        self.changed.notify_one();
        route
    }

    fn batch_bytes_max(&self, topic: &str) -> Option<usize> {
        let max = self.machine.lock().batch_bytes_max(topic)?;
        usize::try_from(max).ok()
    }
}

impl Fresh {
    /// The oldest are needed first, so what does not fit is left out.
    fn keep(&mut self, batches: Vec<NewBatch>) {
        for batch in batches {
            let len = batch.bytes.len() as u64;
            if self.bytes + len <= self.bytes_max {
                self.bytes += len;
                self.batches.insert(batch.number, batch.bytes);
            }
        }
    }

    fn follow(&mut self, committed: &Committed) {
        for (from, to) in &committed.renumbered {
            if let Some(bytes) = self.batches.remove(from) {
                self.batches.insert(*to, bytes);
            }
        }
        for control in &committed.controls {
            match control {
                Control::Mark(marks) => marks.iter().for_each(|(number, _)| self.drop_batch(*number)),
                // Its first part has its number.
                Control::DeadLetter { batch, .. } | Control::Split { batch, .. } => self.drop_batch(*batch),
                Control::Bind(_) | Control::LaneBound { .. } | Control::Moved { .. } => {}
            }
        }
    }

    fn drop_batch(&mut self, number: BatchNumber) {
        if let Some(bytes) = self.batches.remove(&number) {
            self.bytes -= bytes.len() as u64;
        }
    }
}
