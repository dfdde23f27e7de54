//! Runs a command, reads the lines that it writes, and runs it again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tailrace_shared::clock::Clock;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Input, Source, StdinEnd};
use crate::child::{CannotRun, Ended, Running};
use crate::status::CommandMetrics;

/// So much is read at once.
const READ_LEN: usize = 64 << 10;
/// How long a command that should not end stays ended, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// One that has run for so long is started again as at first.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// How long a command that is told to end may take to write what it still has.
const DRAIN_FOR: Duration = Duration::from_millis(500);

/// Some of what a command has written: whole lines, but for the last where it was too long or unfinished for too long.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) input: usize,
    pub(super) bytes: Bytes,
    /// Whether it goes on in the middle of a line.
    pub(super) mid_line: bool,
}

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Run(#[from] CannotRun),
    #[error("cannot read what it writes: {0}")]
    Read(#[from] io::Error),
}

/// The stretches are taken by nobody.
struct Closed;

pub(super) struct Runner {
    pub(super) number: usize,
    pub(super) input: Input,
    pub(super) pieces: mpsc::Sender<Piece>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: CommandMetrics,
}

impl Runner {
    /// Runs it again and again, until `stop`, or until nobody takes what it writes.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Source::Program { words, every } = &self.input.source else {
            return;
        };
        let mut pause = PAUSE.0;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let ended = self.run_once(words, &stop).await;
            if self.pieces.is_closed() || stop.is_cancelled() {
                return;
            }
            let wait = match every {
                Some(every) => every.saturating_sub(begun.elapsed()),
                None => {
                    let wait = if begun.elapsed() > STEADY_AFTER { PAUSE.0 } else { pause };
                    pause = (wait * 2).min(PAUSE.1);
                    wait
                }
            };
            self.tell(ended, every.is_some(), wait);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// What is wrong with how it has ended, if anything is: one that is run at intervals should end.
    fn tell(&self, ended: Result<Ended, RunError>, should_end: bool, wait: Duration) {
        let why = match ended {
            Ok(ended) if ended.status.success() && should_end => return,
            Ok(ended) => format!("it {ended}"),
            Err(error) => error.to_string(),
        };
        self.metrics.failures.with([&self.input.records.topic]).inc();
        let (command, topic) = (&self.input.name, &self.input.records.topic);
        tracing::warn!(%command, %topic, "{why}; running it again in {} s", wait.as_secs());
    }

    async fn run_once(&self, words: &[String], stop: &CancellationToken) -> Result<Ended, RunError> {
        let mut words = words.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words);
        let name = self.input.name.clone();
        let say = move |complaint: &str| tracing::warn!(command = %name, "{complaint}");
        let (running, mut stdout) = Running::start(command, say)?;
        let reading = self.read(&mut stdout);
        tokio::pin!(reading);
        let read = tokio::select! {
            read = &mut reading => Some(read),
            () = stop.cancelled() => None,
        };
        let read = match read {
            Some(read) => read,
            None => {
                running.ask_to_end();
                timeout(DRAIN_FOR, reading).await.unwrap_or(Ok(Err(Closed)))
            }
        };
        match read? {
            // It may go on without writing.
            Ok(()) => tokio::select! {
                ended = running.ended() => Ok(ended?),
                () = after(stop) => Ok(Ended::default()),
            },
            // It is killed with that.
            Err(Closed) => Ok(Ended::default()),
        }
    }

    /// Reads standard input until `stop`, and then what is there already; if it ends before, `ended` is told how.
    pub(super) async fn read_standard_input(self, stop: CancellationToken, ended: watch::Sender<Option<StdinEnd>>) {
        let mut stdin = tokio::io::stdin();
        let reading = self.read(&mut stdin);
        tokio::pin!(reading);
        let read = tokio::select! {
            read = &mut reading => Some(read),
            () = after(&stop) => None,
        };
        match read {
            Some(Ok(_)) => {
                tracing::info!("standard input has ended");
                ended.send_replace(Some(Ok(())));
            }
            Some(Err(error)) => {
                tracing::error!(%error, "cannot read standard input; nothing more is read of it");
                ended.send_replace(Some(Err(Arc::new(error))));
            }
            None => {}
        }
    }

    /// Reads to the end of what it writes.
    async fn read(&self, stdout: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<(), Closed>> {
        let mut buffer = BytesMut::new();
        let mut mid_line = false;
        loop {
            buffer.reserve(READ_LEN);
            self.input.records.limit.ready(&*self.clock).await;
            let wait = match buffer.is_empty() {
                true => Duration::MAX,
                false => self.input.partial_line_timeout,
            };
            let read = timeout(wait, stdout.read_buf(&mut buffer)).await;
            let is_end = matches!(read, Ok(Ok(0)));
            let is_late = read.is_err();
            if let Ok(read) = read {
                read?;
            }
            let whole = memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1);
            let is_unfinished = is_end || is_late || buffer.len() - whole >= self.input.max_len;
            let len = if is_unfinished { buffer.len() } else { whole };
            if len > 0 {
                let piece = Piece {
                    input: self.number,
                    bytes: buffer.split_to(len).freeze(),
                    mid_line: std::mem::replace(&mut mid_line, len > whole),
                };
                if self.pieces.send(piece).await.is_err() {
                    return Ok(Err(Closed));
                }
            }
            if is_end {
                return Ok(Ok(()));
            }
        }
    }
}

/// When a command has had its time to end.
async fn after(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(DRAIN_FOR).await;
}
