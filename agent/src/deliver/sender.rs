//! One task for each leader: puts batches together into requests, keeps them in order, and several in flight.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::Answer;
use super::brokers::{Answers, Brokers, Stamped};
use super::desk::Desk;
use super::machine::Outgoing;
use crate::spool::{BatchNumber, ReadError};

/// A request takes no further batch beyond this.
const REQUEST_BYTES_MAX: usize = 4 << 20;
const JOBS_WAITING_MAX: usize = 64;
/// A leader that nothing was sent to for so long may be gone for good.
const IDLE_FOR: Duration = Duration::from_secs(300);

/// The way to one leader.
#[derive(Debug)]
pub(super) struct Sender {
    jobs: mpsc::Sender<Vec<Outgoing>>,
}

impl Sender {
    /// The sender, and its task.
    pub(super) fn new(
        leader: String,
        desk: Arc<Desk>,
        brokers: Arc<dyn Brokers>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, queue) = mpsc::channel(JOBS_WAITING_MAX);
        let task = Task {
            leader,
            desk,
            brokers,
            answers: FuturesUnordered::new(),
        };
        (Self { jobs }, task.run(queue))
    }

    /// The batches come back if the task has ended or cannot take more.
    pub(super) fn send(&self, batches: Vec<Outgoing>) -> Result<(), Vec<Outgoing>> {
        self.jobs
            .try_send(batches)
            .map_err(mpsc::error::TrySendError::into_inner)
    }
}

struct Task {
    leader: String,
    desk: Arc<Desk>,
    brokers: Arc<dyn Brokers>,
    answers: FuturesUnordered<Answers>,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Vec<Outgoing>>) {
        loop {
            tokio::select! {
                Some(answers) = self.answers.next(), if !self.answers.is_empty() => self.desk.answered(answers),
                job = timeout(IDLE_FOR, queue.recv()) => match job {
                    Ok(Some(batches)) => self.send(batches).await,
                    Ok(None) => break,
                    Err(_) if self.answers.is_empty() => {
                        // What was put in meanwhile is taken out before the door is shut.
                        queue.close();
                        while let Some(batches) = queue.recv().await {
                            self.send(batches).await;
                        }
                        break;
                    }
                    Err(_) => {}
                },
            }
        }
        while let Some(answers) = self.answers.next().await {
            self.desk.answered(answers);
        }
    }

    async fn send(&mut self, batches: Vec<Outgoing>) {
        let mut request = Request::default();
        for outgoing in batches {
            let number = outgoing.number;
            match self.desk.stamped(outgoing).await {
                Ok(batch) => {
                    if !request.fits(&batch) {
                        self.submit(std::mem::take(&mut request)).await;
                    }
                    request.push(batch);
                }
                Err(error) => self.desk.answered(vec![(number, unreadable(&error))]),
            }
        }
        self.submit(request).await;
    }

    async fn submit(&mut self, request: Request) {
        if request.batches.is_empty() {
            return;
        }
        let numbers: Vec<BatchNumber> = request.batches.iter().map(|batch| batch.number).collect();
        match self.brokers.produce(&self.leader, request.batches).await {
            Ok(answers) => self.answers.push(answers),
            Err(reason) => {
                let answers = numbers
                    .into_iter()
                    .map(|number| (number, Answer::NotNow(reason.as_str().into())));
                self.desk.answered(answers.collect());
            }
        }
    }
}

fn unreadable(error: &ReadError) -> Answer {
    match error {
        ReadError::Damaged { .. } => Answer::Refused(error.to_string().into()),
        ReadError::Gone(_) | ReadError::Io { .. } => Answer::NotNow(error.to_string().into()),
    }
}

/// At most one batch per partition.
#[derive(Default)]
struct Request {
    batches: Vec<Stamped>,
    partitions: BTreeSet<(Arc<str>, i32)>,
    bytes: usize,
}

impl Request {
    fn fits(&self, batch: &Stamped) -> bool {
        let key = (Arc::clone(&batch.topic), batch.stamp.partition);
        let has_room = self.batches.is_empty() || self.bytes + batch.bytes.len() <= REQUEST_BYTES_MAX;
        // One topic has one id in a request.
        let same_topic = |other: &Stamped| other.topic != batch.topic || other.stamp.topic_id == batch.stamp.topic_id;
        has_room && !self.partitions.contains(&key) && self.batches.iter().all(same_topic)
    }

    fn push(&mut self, batch: Stamped) {
        self.partitions
            .insert((Arc::clone(&batch.topic), batch.stamp.partition));
        self.bytes += batch.bytes.len();
        self.batches.push(batch);
    }
}
