//! Lets `journalctl` follow a journal, and reads what it writes. Whenever it ends it is started again, behind the last entry
//! that it gave.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::clock::Clock;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::export::{Entries, ExportError, Parser};
use super::selection::{Begin, Selection};
use crate::child::{CannotRun, Ended, Running, output};
use crate::rate_limit::RateLimit;
use crate::status::JournaldMetrics;
use crate::tail::StartAt;

/// So much is read at once.
const READ_LEN: usize = 64 << 10;
/// How long it stays ended, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What is read at once.
#[derive(Debug)]
pub(super) enum Piece {
    /// Entries.
    Entries(Entries),
    /// None: what is before this cursor is not to be sent.
    Begin(String),
}

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Run(#[from] CannotRun),
    #[error("cannot read what journalctl writes: {0}")]
    Read(#[from] io::Error),
    #[error("journalctl does not write as expected: {0}")]
    Export(#[from] ExportError),
    #[error("journalctl {0}")]
    Ended(Ended),
}

/// The stretches are taken by nobody.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

pub(super) struct Follower {
    pub(super) input: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) selection: Selection,
    /// Which fields are read, by the journal's names.
    pub(super) fields: Vec<String>,
    pub(super) start_at: StartAt,
    /// Of the last entry that was read; empty if none was, and all are to be.
    pub(super) last: Option<String>,
    pub(super) pieces: mpsc::Sender<Piece>,
    pub(super) limit: Arc<RateLimit>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: JournaldMetrics,
}

impl Follower {
    /// Follows until `stop`, or until nobody takes what it reads.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut pause = PAUSE.0;
        loop {
            let before = self.last.clone();
            let error = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.follow() => match ended {
                    Ok(Closed) => return,
                    Err(error) => error,
                },
            };
            pause = if self.last == before { pause } else { PAUSE.0 };
            self.metrics.restarts.with([&self.topic]).inc();
            tracing::warn!(input = %self.input, topic = %self.topic, "{error}; starting it again in {} s", pause.as_secs());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Reads what is there, of all boots, and then what follows.
    async fn follow(&mut self) -> Result<Closed, FollowError> {
        let is_new = self.last.is_none();
        if is_new {
            let begin = match self.start_at {
                StartAt::Beginning => String::new(),
                StartAt::End => self.last_of_all().await?,
            };
            if self.pieces.send(Piece::Begin(begin.clone())).await.is_err() {
                return Ok(Closed);
            }
            self.last = Some(begin);
        }
        let all = self.selection.all(&self.fields, self.begin());
        // The last entry of all need not be one that is selected.
        match self.read(all, !is_new).await {
            Err(FollowError::Ended(ended)) if ended.status.success() => {}
            ended => return ended,
        }
        let follow = self.selection.follow(&self.fields, self.begin());
        self.read(follow, false).await
    }

    fn begin(&self) -> Begin<'_> {
        match &self.last {
            Some(cursor) if !cursor.is_empty() => Begin::Cursor(cursor),
            _ => Begin::Oldest,
        }
    }

    /// One life of `journalctl`. Where it begins with the entry that was read last, that is left out; where it has to and
    /// does not, that is said.
    async fn read(&mut self, command: Command, has_to: bool) -> Result<Closed, FollowError> {
        let mut known = self.last.clone().filter(|cursor| !cursor.is_empty());
        let input = Arc::clone(&self.input);
        let say = move |complaint: &str| tracing::warn!(%input, "journalctl: {complaint}");
        let (running, mut stdout) = Running::start(command, say)?;
        let mut parser = Parser::new(self.fields.clone());
        let mut bytes = Vec::with_capacity(READ_LEN);
        loop {
            bytes.clear();
            self.limit.ready(&*self.clock).await;
            if stdout.read_buf(&mut bytes).await? == 0 {
                break;
            }
            let mut entries = Entries::default();
            parser.feed(&bytes, &mut entries)?;
            let first = entries.iter_from(0).next().map(|first| first.cursor.to_owned());
            if let Some(first) = first
                && let Some(known) = known.take()
            {
                if is_same(&first, &known) {
                    entries.drop_first();
                } else if has_to {
                    self.say_gone(&known);
                }
            }
            let Some(last) = entries.last_cursor() else { continue };
            let last = last.to_owned();
            if self.pieces.send(Piece::Entries(entries)).await.is_err() {
                return Ok(Closed);
            }
            self.last = Some(last);
        }
        Err(FollowError::Ended(running.ended().await?))
    }

    fn say_gone(&self, cursor: &str) {
        tracing::warn!(
            input = %self.input,
            topic = %self.topic,
            cursor,
            "the entry behind which reading goes on is not in the journal any more, or not selected: what came after it and was \
             removed before it was read is lost"
        );
    }

    /// The cursor of the last entry; empty if there is none.
    async fn last_of_all(&self) -> Result<String, FollowError> {
        let entries = read_all(self.selection.last_of_all()).await?.0;
        let last = entries.last_cursor().unwrap_or_default().to_owned();
        if last.is_empty() {
            tracing::warn!(
                input = %self.input,
                topic = %self.topic,
                "there is no entry after which to begin, or none that may be read: whatever can be read later is read whole"
            );
        }
        Ok(last)
    }
}

/// Whether two cursors are of one entry, which may have moved to another file: then only its place there differs (`s`, `i`),
/// and not its boot, its times and its content.
fn is_same(one: &str, other: &str) -> bool {
    let is_place = |part: &&str| part.starts_with("s=") || part.starts_with("i=");
    let of_entry = |cursor: &str| {
        cursor
            .split(';')
            .filter(|part| !is_place(part))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    one == other || (of_entry(one) == of_entry(other) && of_entry(one).len() > 1)
}

/// All entries that it gives before it ends, and what it says beside them.
pub(super) async fn read_all(command: Command) -> Result<(Entries, String), FollowError> {
    let (export, ended) = output(command).await?;
    if !ended.status.success() {
        return Err(FollowError::Ended(ended));
    }
    let mut entries = Entries::default();
    Parser::new(Vec::new()).feed(&export, &mut entries)?;
    Ok((entries, ended.complaint))
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn an_entry_is_the_same_in_another_file() {
        let here = "s=1;i=7;b=b0;m=5;t=6;x=9";
        assert!(is_same(here, here) && is_same(here, "s=2;i=1;b=b0;m=5;t=6;x=9"));
        assert!(!is_same(here, "s=1;i=7;b=b0;m=5;t=6;x=8") && !is_same("s=1;i=1", "s=1;i=2"));
    }
}
