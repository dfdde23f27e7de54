//! What the operator sees: metrics and the state of each file.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::watch::Signal;

tailrace_shared::metrics! {
    /// What the reading side counts.
    pub struct ReadMetrics {
        read_bytes: Counter["topic"] = "tailrace_agent_read_bytes_total", "Bytes read from files, line ends included.";
        read_lines: Counter["topic"] = "tailrace_agent_read_lines_total", "Records made of what was read.";
        lines_split: Counter["topic"] = "tailrace_agent_lines_split_total", "Records that end because a line is longer than max_line_bytes; the rest of the line follows.";
        lines_unfinished: Counter["topic"] = "tailrace_agent_lines_unfinished_total", "Records that end because a line was not finished in time; the rest, if any comes, follows.";
        unread_bytes: Gauge["topic"] = "tailrace_agent_unread_bytes", "Bytes known to be in followed files that were not read yet.";
        lost_bytes: Counter["topic"] = "tailrace_agent_lost_bytes_total", "Bytes known to have been in files that were deleted or cut before they were read.";
        files_followed: Gauge["topic"] = "tailrace_agent_files_followed", "Files that are followed.";
        rotations: Counter["topic"] = "tailrace_agent_rotations_total", "Followed files that were renamed or deleted.";
        truncations: Counter["topic"] = "tailrace_agent_truncations_total", "Followed files that were cut or written over, and read again from their start.";
        torn_files: Counter["topic"] = "tailrace_agent_torn_files_total", "Files that lost bytes already read, as in a power failure, and were followed on from where they end.";
        read_errors: Counter["topic"] = "tailrace_agent_read_errors_total", "Failed attempts to open or read a file.";
        scans: Counter[] = "tailrace_agent_scans_total", "Walks through all directories.";
        stretches: Counter[] = "tailrace_agent_stretches_total", "Stretches handed to the spool.";
        blocked: Gauge[] = "tailrace_agent_reading_blocked", "1 while reading waits for the spool to take more.";
    }
}

/// What `/files` shows of a followed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// Its name now.
    pub path: PathBuf,
    /// Where its lines go.
    pub topic: String,
    /// The lane of the topic.
    pub lane: u16,
    /// Everything before this byte was read.
    pub position: u64,
    /// Its length, as far as is known.
    pub size: u64,
    /// Bytes that were not read yet.
    pub lag: u64,
    /// Whether it has no name any more and is being read to its end.
    pub deleted: bool,
    /// What went wrong last, if it still does.
    pub last_error: Option<String>,
}

/// One question for the state of all files, to be answered by the reading thread.
pub type FilesRequest = oneshot::Sender<Vec<FileStatus>>;

/// How many such questions may wait.
const FILES_REQUESTS_MAX: usize = 4;

/// Asks the reading thread for the state of all files.
#[derive(Debug, Clone)]
pub struct FilesQuery {
    requests: mpsc::Sender<FilesRequest>,
    signal: Signal,
}

impl FilesQuery {
    /// The asking end, and the end that the reading thread answers from.
    #[must_use]
    pub fn channel(signal: Signal) -> (Self, mpsc::Receiver<FilesRequest>) {
        let (requests, receiver) = mpsc::channel(FILES_REQUESTS_MAX);
        (Self { requests, signal }, receiver)
    }

    /// All files, by name; `None` if nobody reads any more.
    pub async fn ask(&self) -> Option<Vec<FileStatus>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.ok()?;
        self.signal.wake();
        answer.await.ok()
    }
}

/// `GET /files`: the state of each file, as JSON.
pub fn router(query: FilesQuery) -> Router {
    async fn files(State(query): State<FilesQuery>) -> Result<Json<Vec<FileStatus>>, StatusCode> {
        query.ask().await.map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }
    Router::new().route("/files", get(files)).with_state(query)
}
