//! Carries out what the state machine wants done: sends, asks, fetches producer ids, keeps dead letters.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::client::Backoff;
use tailrace_shared::disk::Disk;
use tailrace_shared::record::BatchHeader;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::brokers::{Brokers, Search, Unknown};
use super::desk::Desk;
use super::machine::{Effect, Outgoing};
use super::queue::{Findings, Question};
use super::sender::Sender;
use super::split::split;
use crate::spool::set_aside::SetAside;
use crate::spool::{BatchNumber, Control, ReadError};

/// How often the topics are looked at though nothing failed: they may have been deleted and made anew.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// Between two looks at the topics, whatever fails.
const REFRESH_PAUSE: Duration = Duration::from_millis(200);
/// By how much the clocks of agent and brokers may differ, where the brokers stamp what they append.
const CLOCK_SKEW_MS: i64 = 600_000;
const IDLE_POLL: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) desk: Arc<Desk>,
    pub(super) brokers: Arc<dyn Brokers>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dead_letters: PathBuf,
    pub(super) senders: HashMap<String, Sender>,
    /// Ends with the driver.
    pub(super) tasks: JoinSet<()>,
}

impl Driver {
    pub(super) async fn run(mut self) {
        self.tasks
            .spawn(keep_metadata(Arc::clone(&self.desk), Arc::clone(&self.brokers)));
        loop {
            let (effects, wake_in) = self.desk.poll();
            self.carry_out(effects);
            tokio::select! {
                () = self.desk.changed.notified() => {}
                Some(ended) = self.tasks.join_next() => if let Err(error) = ended {
                    tracing::error!("a task of delivery failed: {error}");
                },
                () = tokio::time::sleep(wake_in.unwrap_or(IDLE_POLL)) => {}
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut sends: BTreeMap<String, Vec<Outgoing>> = BTreeMap::new();
        let mut leaderless = Vec::new();
        for effect in effects {
            let (desk, brokers) = (Arc::clone(&self.desk), Arc::clone(&self.brokers));
            match effect {
                Effect::Send(outgoing) => match self.brokers.leader(&outgoing.topic, outgoing.stamp.partition) {
                    Some(leader) => sends.entry(leader).or_default().push(outgoing),
                    None => leaderless.push(outgoing),
                },
                Effect::Submit { controls, urgent } => self.desk.submit(controls, urgent),
                Effect::DeadLetter { batch, reason } => {
                    let kept = DeadLetter {
                        disk: Arc::clone(&self.disk),
                        dir: self.dead_letters.clone(),
                        batch,
                        reason,
                    };
                    self.tasks.spawn(kept.keep(desk));
                }
                Effect::Split { batch, parts } => {
                    self.tasks.spawn(split_batch(desk, batch, parts));
                }
                Effect::AskBatchBytesMax(topic) => {
                    self.tasks.spawn(async move {
                        let told = brokers.batch_bytes_max(Arc::clone(&topic)).await;
                        desk.told_batch_bytes_max(&topic, told.ok());
                    });
                }
                Effect::Ask {
                    topic,
                    partition,
                    question,
                } => {
                    self.tasks.spawn(async move {
                        let findings = ask(&desk, &*brokers, &topic, partition, question).await;
                        desk.found_out(&topic, partition, findings);
                    });
                }
                Effect::InitProducer => {
                    self.tasks
                        .spawn(async move { desk.got_producer(brokers.init_producer().await) });
                }
                Effect::Refresh => self.desk.refresh.notify_one(),
            }
        }
        self.fail(leaderless, "it has no leader at the moment");
        for (leader, batches) in sends {
            self.send(leader, batches);
        }
    }

    fn send(&mut self, leader: String, batches: Vec<Outgoing>) {
        let Err(batches) = self
            .senders
            .get(&leader)
            .map_or(Err(batches.clone()), |sender| sender.send(batches))
        else {
            return;
        };
        let (sender, task) = Sender::new(leader.clone(), Arc::clone(&self.desk), Arc::clone(&self.brokers));
        self.tasks.spawn(task);
        let unsent = sender.send(batches).err();
        self.senders.insert(leader, sender);
        self.fail(unsent.unwrap_or_default(), "too much waits to be sent");
    }

    fn fail(&self, batches: Vec<Outgoing>, reason: &str) {
        if !batches.is_empty() {
            let answers = batches
                .into_iter()
                .map(|batch| (batch.number, Answer::NotNow(reason.into())));
            self.desk.answered(answers.collect());
        }
    }
}

async fn keep_metadata(desk: Arc<Desk>, brokers: Arc<dyn Brokers>) {
    let mut backoff = Backoff::default();
    let mut away_since = None;
    loop {
        let topics = desk.interest();
        let asked = topics.len();
        match brokers.view(topics).await {
            Ok(view) => {
                if let Some(since) = away_since.take() {
                    let away = desk.now().saturating_sub(since);
                    tracing::info!("the collector answers, after {:.1} s without it", away.as_secs_f64());
                }
                desk.saw(&view);
                if view.topics.len() < asked {
                    // A topic that is being created just now, or will be.
                    backoff.wait().await;
                    continue;
                }
                backoff.reset();
                tokio::time::sleep(REFRESH_PAUSE).await;
            }
            Err(reason) => {
                if away_since.is_none() {
                    away_since = Some(desk.now());
                    tracing::warn!("cannot reach the collector: {reason}; lines are kept in the spool meanwhile");
                }
                desk.unreachable(reason);
                backoff.wait().await;
                continue;
            }
        }
        tokio::select! {
            () = desk.refresh.notified() => {}
            () = tokio::time::sleep(REFRESH_EVERY) => {}
        }
    }
}

/// First whether the broker knows the producer: then sending again is safe. Otherwise, or if that is not enough, the
/// log itself.
async fn ask(desk: &Desk, brokers: &dyn Brokers, topic: &Arc<str>, partition: i32, question: Question) -> Findings {
    let last_sequence = match brokers
        .last_sequence(Arc::clone(topic), partition, question.producer)
        .await
    {
        Ok(last_sequence) => last_sequence,
        Err(Unknown::NotAllowed) => None,
        Err(Unknown::Failed(reason)) => return Findings::Failed(reason),
    };
    if last_sequence.is_some() && !question.read {
        return Findings::Known {
            last_sequence,
            found: None,
        };
    }
    let oldest_ms = match question.from {
        Some(_) => 0,
        None => match oldest_timestamp(desk, &question).await {
            Ok(oldest_ms) => oldest_ms,
            Err(error) => return Findings::Failed(error.to_string().into()),
        },
    };
    let search = Search {
        topic: Arc::clone(topic),
        partition,
        producer: question.producer,
        base_sequences: question
            .batches
            .iter()
            .map(|(_, base_sequence, _)| *base_sequence)
            .collect(),
        from: question.from,
        oldest_ms,
    };
    let found = match brokers.find(search).await {
        Ok(found) => Some(found),
        Err(Unknown::NotAllowed) => None,
        Err(Unknown::Failed(reason)) => return Findings::Failed(reason),
    };
    let number_of = |(sequence, offset): (i32, i64)| {
        let mut batches = question.batches.iter();
        batches
            .find(|(_, base, _)| *base == sequence)
            .map(|(number, ..)| (*number, offset))
    };
    Findings::Known {
        last_sequence,
        found: found.map(|found| found.into_iter().filter_map(number_of).collect()),
    }
}

/// The first record with this timestamp or a later one lies at or before each batch: a batch's `max_timestamp` is that
/// of one of its records.
async fn oldest_timestamp(desk: &Desk, question: &Question) -> Result<i64, ReadError> {
    let mut oldest = i64::MAX;
    for (number, ..) in &question.batches {
        let bytes = desk.bytes_of(*number).await?;
        let header = BatchHeader::decode(&bytes);
        oldest = oldest.min(header.map_or(0, |header| header.max_timestamp));
    }
    Ok(oldest.saturating_sub(CLOCK_SKEW_MS))
}

/// The spool gets the batch's records in smaller batches; what cannot be split goes the way of what no broker takes.
async fn split_batch(desk: Arc<Desk>, batch: BatchNumber, parts: usize) {
    let mut backoff = Backoff::default();
    let bytes = loop {
        match desk.bytes_of(batch).await {
            Ok(bytes) => break bytes,
            Err(ReadError::Gone(_)) => return,
            Err(error @ ReadError::Damaged { .. }) => return desk.cannot_split(batch, error.to_string()),
            Err(error) => tracing::error!("cannot split a batch: {error}"),
        }
        backoff.wait().await;
    };
    let built = tokio::task::spawn_blocking(move || split(&bytes, parts)).await;
    match built {
        Ok(Ok(parts)) => desk.submit(vec![Control::Split { batch, parts }], true),
        Ok(Err(error)) => desk.cannot_split(batch, format!("it is too large, and {error}")),
        Err(error) => desk.cannot_split(batch, format!("it is too large, and splitting it failed: {error}")),
    }
}

struct DeadLetter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    batch: Outgoing,
    reason: String,
}

impl DeadLetter {
    /// The bytes are on stable storage before the spool forgets them.
    async fn keep(self, desk: Arc<Desk>) {
        let number = self.batch.number;
        let name = format!("{}-{}-{number}", self.batch.topic, self.batch.stamp.partition);
        let mut backoff = Backoff::default();
        loop {
            let bytes = match desk.stamped(self.batch.clone()).await {
                Ok(stamped) => stamped.bytes,
                Err(ReadError::Gone(_)) => return,
                // The reason says so already.
                Err(_) => bytes::Bytes::new(),
            };
            let mut dir = SetAside::new(Arc::clone(&self.disk), self.dir.clone());
            let (name, reason) = (name.clone(), self.reason.clone());
            let kept = tokio::task::spawn_blocking(move || dir.bytes(&name, &bytes, &reason)).await;
            match kept {
                Ok(Ok(())) => break,
                Ok(Err(error)) => tracing::error!("cannot write a dead letter to {}: {error}", self.dir.display()),
                Err(error) => tracing::error!("cannot write a dead letter: {error}"),
            }
            backoff.wait().await;
        }
        let control = Control::DeadLetter {
            batch: number,
            reason: self.reason,
        };
        desk.submit(vec![control], true);
    }
}
