//! Lets `journalctl` follow a journal, and reads what it writes. Whenever it ends it is started again, behind the last entry
//! that it gave.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::export::{Entries, ExportError, Parser};
use super::selection::{Begin, Selection};
use crate::status::JournaldMetrics;
use crate::tail::StartAt;

/// So much is read at once.
const READ_LEN: usize = 64 << 10;
/// How long it stays ended, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long is waited for the rest of that once it has ended.
const COMPLAINTS_WAIT: Duration = Duration::from_secs(1);
/// Of what it complains of, a line is so long at most.
const COMPLAINT_LEN_MAX: u64 = 4 << 10;

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
    #[error("cannot run {program}: {source}")]
    Run { program: String, source: io::Error },
    #[error("cannot read what journalctl writes: {0}")]
    Read(#[from] io::Error),
    #[error("journalctl does not write as expected: {0}")]
    Export(#[from] ExportError),
    #[error("journalctl has ended ({status}): {complaint}")]
    Ended { status: ExitStatus, complaint: String },
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
            Err(FollowError::Ended { status, .. }) if status.success() => {}
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
        let mut child = run(command)?;
        let input = Arc::clone(&self.input);
        let complaints = child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, input)));
        let mut stdout = child.stdout.take().ok_or(io::Error::from(io::ErrorKind::BrokenPipe))?;
        let mut parser = Parser::new(self.fields.clone());
        let mut bytes = Vec::with_capacity(READ_LEN);
        loop {
            bytes.clear();
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
        let status = child.wait().await?;
        // What it has started itself may hold on to this.
        let complaint = match complaints {
            Some(complaints) => timeout(COMPLAINTS_WAIT, complaints)
                .await
                .map(Result::unwrap_or_default),
            None => Ok(String::new()),
        };
        let complaint = complaint.unwrap_or_default();
        Err(FollowError::Ended { status, complaint })
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

/// Starts it, and lets it end when nobody waits for it any more.
fn run(mut command: Command) -> Result<Child, FollowError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().map_err(|source| FollowError::Run {
        program: command.as_std().get_program().display().to_string(),
        source,
    })
}

/// All that it writes before it ends, and what it says beside that.
pub(super) async fn read_all(command: Command) -> Result<(Entries, String), FollowError> {
    let output = run(command)?.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(FollowError::Ended {
            status: output.status,
            complaint: said,
        });
    }
    let mut entries = Entries::default();
    Parser::new(Vec::new()).feed(&output.stdout, &mut entries)?;
    Ok((entries, said))
}

/// Says what it complains of, and returns the last of it.
async fn listen(stderr: ChildStderr, input: Arc<str>) -> String {
    let mut lines = BufReader::new(stderr);
    let (mut line, mut last) = (Vec::new(), String::new());
    while matches!(
        (&mut lines).take(COMPLAINT_LEN_MAX).read_until(b'\n', &mut line).await,
        Ok(1..)
    ) {
        last = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        if !last.is_empty() {
            tracing::warn!(%input, "journalctl: {last}");
        }
    }
    last
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
