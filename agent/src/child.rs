//! Programs that the agent runs to read what they write.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long is waited for the rest of what it complains of once it has ended: what it has started may hold on to that.
const COMPLAINTS_WAIT: Duration = Duration::from_secs(1);
/// A line of that is so long at most.
const COMPLAINT_LEN_MAX: u64 = 4 << 10;

/// It cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}: {source}")]
pub(crate) struct CannotRun {
    program: String,
    source: io::Error,
}

/// How it has ended, and the last that it complained of.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) complaint: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has ended ({})", self.status)?;
        match &*self.complaint {
            "" => Ok(()),
            complaint => write!(f, ": {complaint}"),
        }
    }
}

/// One that runs, in a process group of its own: with all that it starts it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    complaints: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it, with nothing to read; `say` is given the lines that it complains of. What it writes is returned too.
    pub(crate) fn start(
        command: Command,
        say: impl Fn(&str) + Send + 'static,
    ) -> Result<(Self, ChildStdout), CannotRun> {
        let program = command.as_std().get_program().display().to_string();
        let failed = |source| CannotRun { program, source };
        let started = spawn(command).and_then(|mut child| {
            let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let complaints = child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, say)));
            Ok((Self { child, complaints }, stdout))
        });
        started.map_err(failed)
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(pid, signal)
        {
            tracing::debug!(%error, "cannot end a program");
        }
    }

    /// Once it writes no more.
    pub(crate) async fn ended(mut self) -> io::Result<Ended> {
        let status = self.child.wait().await?;
        let complaint = match self.complaints.take() {
            Some(complaints) => timeout(COMPLAINTS_WAIT, complaints)
                .await
                .map(Result::unwrap_or_default),
            None => Ok(String::new()),
        };
        let complaint = complaint.unwrap_or_default();
        Ok(Ended { status, complaint })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn spawn(mut command: Command) -> io::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn()
}

/// All that it writes before it ends.
pub(crate) async fn output(command: Command) -> Result<(Vec<u8>, Ended), CannotRun> {
    let program = command.as_std().get_program().display().to_string();
    let failed = |source| CannotRun { program, source };
    let output = async { spawn(command)?.wait_with_output().await };
    let output = output.await.map_err(failed)?;
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let status = output.status;
    Ok((output.stdout, Ended { status, complaint }))
}

/// Says what it complains of, and returns the last of it.
async fn listen(stderr: ChildStderr, say: impl Fn(&str)) -> String {
    let mut lines = BufReader::new(stderr);
    let (mut line, mut last) = (Vec::new(), String::new());
    while matches!(
        (&mut lines).take(COMPLAINT_LEN_MAX).read_until(b'\n', &mut line).await,
        Ok(1..)
    ) {
        last = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        if !last.is_empty() {
            say(&last);
        }
    }
    last
}
