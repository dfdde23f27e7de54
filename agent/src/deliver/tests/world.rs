//! One agent, one broker and the wire between them, moved on step by step under a test's control.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tailrace_shared::disk::sim::SimDisk;
use tailrace_shared::record::{Batches, restamp};

use super::broker::{Broker, Kind, Partition, Topic, lines_of};
use crate::deliver::answer::Answer;
use crate::deliver::machine::{DeliverStats, Effect, Machine, Outgoing};
use crate::deliver::queue::{Findings, Question};
use crate::deliver::split::split;
use crate::spool::testing::{Stepper, batch, position};
use crate::spool::{
    BatchNumber, Binder, Committed, Control, Enough, NewBatch, Producer, Recovered, Spool, SpoolOptions, Stamp,
};
use crate::stretch::{Route, Stretch};

pub(super) const TOPIC: &str = "logs";

/// The machine, as the commit thread reaches it.
pub(super) struct Desk {
    pub(super) machine: Mutex<Machine>,
    now: Mutex<Duration>,
}

impl Binder for Desk {
    fn bind(&self, batches: Vec<NewBatch>) -> Vec<Control> {
        self.machine.lock().bind(&batches, *self.now.lock())
    }

    fn committed(&self, committed: Committed) {
        self.machine.lock().committed(&committed);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) number: BatchNumber,
    pub(super) stamp: Stamp,
    pub(super) bytes: Bytes,
}

/// A running agent.
pub(super) struct Agent {
    stepper: Stepper,
    pub(super) desk: Arc<Desk>,
    pub(super) recovered: Recovered,
    /// How far each file was spooled.
    positions: BTreeMap<u64, u64>,
    pub(super) controls: Vec<Control>,
    pub(super) wire: VecDeque<Request>,
    replies: VecDeque<(BatchNumber, Answer)>,
    questions: Vec<(Arc<str>, i32, Question)>,
    wants_producer: bool,
    wants_refresh: bool,
}

pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) broker: Broker,
    pub(super) now: Duration,
    pub(super) agent: Option<Agent>,
    /// Lines that each file has; its lane is its number.
    pub(super) files: BTreeMap<u64, u64>,
    pub(super) poison: Vec<(u64, u64)>,
    pub(super) dead: Vec<String>,
    /// Given up for newer ones, if the write of that was durable.
    pub(super) dropped: BTreeSet<String>,
}

impl World {
    pub(super) fn new(seed: u64, kind: Kind) -> Self {
        Self {
            disk: SimDisk::new(seed),
            broker: Broker::new(kind),
            now: Duration::ZERO,
            agent: None,
            files: BTreeMap::new(),
            poison: Vec::new(),
            dead: Vec::new(),
            dropped: BTreeSet::new(),
        }
    }

    pub(super) fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().unwrap()
    }

    // The process.

    /// `false` if the machine died while it started.
    pub(super) fn start(&mut self) -> bool {
        let options = SpoolOptions {
            max_bytes: 8 * 65536,
            file_bytes: 65536,
            ..SpoolOptions::default()
        };
        let Ok((opened, recovered)) = Spool::open(Arc::new(self.disk.clone()), Path::new("/data"), &options) else {
            assert!(self.disk.is_dead());
            return false;
        };
        let desk = Arc::new(Desk {
            machine: Mutex::new(Machine::new(&recovered, 0, 1 << 20, self.now)),
            now: Mutex::new(self.now),
        });
        let positions = recovered
            .positions
            .iter()
            .map(|position| (position.key.id.inode, position.offset));
        self.agent = Some(Agent {
            stepper: Stepper::new(opened, desk.clone()),
            desk,
            positions: positions.collect(),
            recovered,
            controls: Vec::new(),
            wire: VecDeque::new(),
            replies: VecDeque::new(),
            questions: Vec::new(),
            wants_producer: false,
            wants_refresh: false,
        });
        true
    }

    /// The process is gone; the first `arrive` requests still reach the broker.
    pub(super) fn bury(&mut self, arrive: usize) {
        if let Some(agent) = self.agent.take() {
            for request in agent.wire.into_iter().take(arrive) {
                self.broker.produce(TOPIC, &request.stamp, request.bytes);
            }
        }
    }

    pub(super) fn kill(&mut self, arrive: usize) {
        self.bury(arrive);
        self.disk = self.disk.kill();
    }

    /// Metadata and a producer id are known, and nothing is to be asked.
    pub(super) fn settle(&mut self) {
        for _ in 0..5 {
            self.answer_questions();
            self.poll();
            assert!(self.commit());
        }
    }

    /// Appends one batch for each of `count` stretches of one line.
    pub(super) fn append_each(&mut self, file: u64, count: usize) {
        for _ in 0..count {
            assert!(self.append(&[file], 1));
        }
    }

    /// What is on the wire: number, partition, producer id, base sequence.
    pub(super) fn wire(&self) -> Vec<(BatchNumber, i32, i64, i32)> {
        let wire = self.agent.iter().flat_map(|agent| &agent.wire);
        wire.map(|request| {
            let stamp = &request.stamp;
            (request.number, stamp.partition, stamp.producer.id, stamp.base_sequence)
        })
        .collect()
    }

    pub(super) fn serve_all(&mut self) {
        while !self.agent().wire.is_empty() {
            self.serve();
            self.reply();
        }
    }

    pub(super) fn stats(&self) -> DeliverStats {
        self.agent.as_ref().unwrap().desk.machine.lock().stats(self.now)
    }

    pub(super) fn cannot_be_reached(&mut self) {
        let agent = self.agent.as_ref().unwrap();
        agent.desk.machine.lock().unreachable("refused".to_owned(), self.now);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
        if let Some(agent) = &self.agent {
            *agent.desk.now.lock() = self.now;
        }
    }

    // What the agent does. `false` means that the machine died over it.

    /// Reads up to `lines` of each of these files and appends them as one stretch.
    pub(super) fn append(&mut self, files: &[u64], lines: u64) -> bool {
        let agent = self.agent.as_mut().unwrap();
        let mut by_route: BTreeMap<Route, Vec<String>> = BTreeMap::new();
        let mut positions = Vec::new();
        for file in files {
            let start = agent.positions.get(file).copied().unwrap_or(0);
            let end = self.files[file].min(start + lines);
            if start == end {
                continue;
            }
            let (route, control) = agent.desk.machine.lock().route(TOPIC, u16::try_from(*file).unwrap());
            agent.controls.extend(control);
            let values = by_route.entry(route).or_default();
            values.extend((start..end).map(|line| {
                let poison = if self.poison.contains(&(*file, line)) {
                    super::broker::POISON
                } else {
                    ""
                };
                format!("{file}:{line}:{poison}")
            }));
            positions.push((*file, end));
        }
        let batches = by_route.iter().map(|(route, values)| batch(TOPIC, *route, values));
        let stretch = Stretch {
            batches: batches.collect(),
            positions: positions.iter().map(|(file, end)| position(*file, *end)).collect(),
            ..Stretch::default()
        };
        match agent.stepper.step(std::mem::take(&mut agent.controls), Some(&stretch)) {
            Ok(true) => agent.positions.extend(positions),
            Ok(false) => {}
            Err(_) => return false,
        }
        true
    }

    pub(super) fn commit(&mut self) -> bool {
        let agent = self.agent();
        let controls = std::mem::take(&mut agent.controls);
        agent.stepper.step(controls, None).is_ok()
    }

    /// Takes what the machine wants done to where it is done.
    pub(super) fn poll(&mut self) {
        let now = self.now;
        let effects = self.agent().desk.machine.lock().poll(now);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let agent = self.agent.as_mut().unwrap();
            match effect {
                Effect::Send(outgoing) => {
                    let request = agent.request(&outgoing);
                    agent.wire.push_back(request);
                }
                Effect::Submit { controls, .. } => agent.controls.extend(controls),
                Effect::DeadLetter { batch, reason } => {
                    let request = agent.request(&batch);
                    let view = Batches::split(request.bytes, usize::MAX).next().unwrap().unwrap();
                    for line in lines_of(&view) {
                        if !self.dead.contains(&line) {
                            self.dead.push(line);
                        }
                    }
                    agent.controls.push(Control::DeadLetter {
                        batch: batch.number,
                        reason,
                    });
                }
                Effect::Split { batch, parts } => {
                    let parts = split(&agent.stepper.read(batch), parts).unwrap();
                    agent.controls.push(Control::Split { batch, parts });
                }
                Effect::AskBatchBytesMax(topic) => {
                    let told = self.broker.tells_bytes_max;
                    agent.desk.machine.lock().told_batch_bytes_max(&topic, told);
                }
                Effect::Ask {
                    topic,
                    partition,
                    question,
                } => agent.questions.push((topic, partition, question)),
                Effect::InitProducer => agent.wants_producer = true,
                Effect::Refresh => agent.wants_refresh = true,
            }
        }
    }

    // What the broker does.

    /// The broker takes the next request; its reply is on its way.
    pub(super) fn serve(&mut self) {
        let agent = self.agent.as_mut().unwrap();
        if let Some(request) = agent.wire.pop_front() {
            let (code, offset) = self.broker.produce(TOPIC, &request.stamp, request.bytes);
            agent
                .replies
                .push_back((request.number, Answer::of(code, offset, None)));
        }
    }

    pub(super) fn reply(&mut self) {
        if let Some((number, answer)) = self.agent().replies.pop_front() {
            self.answered(number, answer);
        }
    }

    pub(super) fn answered(&mut self, number: BatchNumber, answer: Answer) {
        let now = self.now;
        let effects = self.agent().desk.machine.lock().answered(number, answer, now);
        self.take(effects);
    }

    /// The connection breaks: of what is on the wire, the first `arrive` requests reach the broker. No reply comes back.
    pub(super) fn break_connection(&mut self, arrive: usize) {
        let agent = self.agent.as_mut().unwrap();
        let mut lost: Vec<BatchNumber> = agent.replies.drain(..).map(|(number, _)| number).collect();
        for (place, request) in agent.wire.drain(..).enumerate() {
            lost.push(request.number);
            if place < arrive {
                self.broker.produce(TOPIC, &request.stamp, request.bytes);
            }
        }
        for number in lost {
            self.answered(number, Answer::InDoubt("lost".into()));
        }
    }

    /// Metadata, producer ids and questions are answered.
    pub(super) fn answer_questions(&mut self) {
        let now = self.now;
        let agent = self.agent.as_mut().unwrap();
        let mut effects = Vec::new();
        if std::mem::take(&mut agent.wants_refresh) {
            effects.extend(agent.desk.machine.lock().saw(&self.broker.view()));
        }
        if std::mem::take(&mut agent.wants_producer) {
            let producer: Producer = self.broker.init_producer();
            agent.desk.machine.lock().got_producer(Ok(producer), now);
        }
        for (topic, partition, question) in std::mem::take(&mut agent.questions) {
            let findings: Findings = self.broker.answer(&topic, partition, &question);
            effects.extend(agent.desk.machine.lock().found_out(&topic, partition, findings, now));
        }
        self.take(effects);
    }

    /// The spool is as good as full.
    pub(super) fn drop_oldest(&mut self, bytes: u64) {
        let agent = self.agent.as_mut().unwrap();
        let given_up = agent.desk.machine.lock().drop_oldest(Enough::Bytes(bytes));
        for control in &given_up {
            let Control::DeadLetter { batch, .. } = control else {
                panic!("{control:?}");
            };
            assert!(
                agent.wire.iter().all(|request| request.number != *batch),
                "it is on its way"
            );
            let view = Batches::split(agent.stepper.read(*batch), usize::MAX)
                .next()
                .unwrap()
                .unwrap();
            self.dropped.extend(lines_of(&view));
        }
        agent.controls.extend(given_up);
    }

    // Everything at once.

    /// One round of everything, without faults.
    pub(super) fn turn(&mut self) -> bool {
        // As once a minute.
        self.agent().wants_refresh = true;
        self.answer_questions();
        self.poll();
        if !self.commit() {
            return false;
        }
        while !self.agent().wire.is_empty() {
            self.serve();
        }
        while !self.agent().replies.is_empty() {
            self.reply();
        }
        self.advance(Duration::from_millis(50));
        true
    }

    /// Turns until every line of every file was taken and nothing waits.
    pub(super) fn finish(&mut self) {
        let files: Vec<u64> = self.files.keys().copied().collect();
        for _ in 0..3000 {
            assert!(self.append(&files, 7));
            assert!(self.turn());
            let agent = self.agent();
            let stats = agent.desk.machine.lock().stats(Duration::ZERO);
            let all_read = self
                .files
                .iter()
                .all(|(file, end)| self.agent.as_ref().unwrap().positions.get(file) == Some(end));
            if all_read && stats.batches_waiting == 0 {
                return;
            }
        }
        let agent = self.agent.as_ref().unwrap();
        panic!("delivery is stuck: {:#?}", agent.desk.machine.lock().stats(self.now));
    }

    /// Every line of every file exactly once, each file in one partition and in order; the poisoned ones aside. What a
    /// deleted topic had may be missing in the one that was made anew.
    pub(super) fn check(&self) {
        let seen = seen_in(&self.broker.topics[TOPIC]);
        if !self.broker.deleted.is_empty() {
            return self.check_what_is_left(&seen);
        }
        for (file, end) in &self.files {
            let here = seen.get(file).cloned().unwrap_or_default();
            let is = |line: &u64, other: &String| other.starts_with(&format!("{file}:{line}:"));
            let dead = |line: &u64| self.dead.iter().any(|dead| is(line, dead));
            let missing = |line: &u64| !here.contains(line) && self.dropped.iter().any(|dropped| is(line, dropped));
            let expected: Vec<u64> = (0..*end).filter(|line| !dead(line) && !missing(line)).collect();
            assert_eq!(here, expected, "file {file}");
        }
    }

    /// Each line once and in order, or lost with a topic or given up.
    fn check_what_is_left(&self, seen: &BTreeMap<u64, Vec<u64>>) {
        let mut lost = BTreeMap::<u64, BTreeSet<u64>>::new();
        for (file, lines) in self.broker.deleted.iter().flat_map(seen_in) {
            lost.entry(file).or_default().extend(lines);
        }
        for (file, end) in &self.files {
            let lines = seen.get(file).cloned().unwrap_or_default();
            let mut lost = lost.remove(file).unwrap_or_default();
            let dropped = self.dropped.iter().map(|line| number_of(line));
            lost.extend(dropped.filter(|(other, _)| other == file).map(|(_, line)| line));
            let left = (0..*end).filter(|line| lines.contains(line) || !lost.contains(line));
            assert_eq!(lines, left.collect::<Vec<_>>(), "file {file}");
        }
    }
}

/// The lines of each file.
fn seen_in(topic: &Topic) -> BTreeMap<u64, Vec<u64>> {
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in topic.partitions.iter().flat_map(Partition::lines) {
        let (file, number) = number_of(line);
        seen.entry(file).or_default().push(number);
    }
    seen
}

/// The file of a line, and which of its lines it is.
fn number_of(line: &str) -> (u64, u64) {
    let mut parts = line.split(':').map(|part| part.parse::<u64>());
    (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap())
}

impl Agent {
    fn request(&self, outgoing: &Outgoing) -> Request {
        let mut bytes = BytesMut::from(&self.stepper.read(outgoing.number)[..]);
        let Producer { id, epoch } = outgoing.stamp.producer;
        restamp(&mut bytes, id, epoch, outgoing.stamp.base_sequence).unwrap();
        Request {
            number: outgoing.number,
            stamp: outgoing.stamp.clone(),
            bytes: bytes.freeze(),
        }
    }
}
