//! Why an agent does not start, stops by itself, or does not take on a configuration.

use std::io;
use std::sync::Arc;

use tailrace_shared::telemetry::http::BindError;
use tailrace_shared::tls::TlsError;

use crate::batch::StretchError;
use crate::discover::PatternError;
use crate::journald::NoJournalctl;
use crate::receive::ListenError;
use crate::spool::OpenError;

/// Why the agent did not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A glob.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The current directory, which relative globs are taken from.
    #[error("cannot tell the current directory: {0}; use absolute patterns, or start the agent elsewhere")]
    CurrentDir(io::Error),
    /// The operator's port.
    #[error(transparent)]
    Http(#[from] BindError),
    /// A port for what others send.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What senders of syslog are met with.
    #[error("[syslog.tls]: {0}")]
    SyslogTls(TlsError),
    /// What connections to the collector need.
    #[error("[collector.tls]: {0}")]
    Tls(#[from] TlsError),
    /// What an earlier process left.
    #[error(transparent)]
    Spool(#[from] OpenError),
    /// What reads journals.
    #[error(transparent)]
    Journalctl(#[from] NoJournalctl),
    /// No thread could be had.
    #[error("cannot start a thread: {0}; raise the limit on threads (TasksMax in systemd)")]
    Thread(io::Error),
    /// The metrics' own declarations disagree.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why an agent has stopped by itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// Nothing can be made durable any more.
    #[error("the disk of the spool failed: {0}; check the disk, then start the agent again: nothing was lost")]
    Disk(Arc<io::Error>),
    /// The reading thread ended.
    #[error("reading stopped: {0}")]
    Reader(Arc<StretchError>),
    /// The receiving thread ended.
    #[error("receiving stopped: {0}")]
    Receiver(Arc<StretchError>),
    /// The thread that makes records of what commands write ended.
    #[error("reading what commands write stopped: {0}")]
    Commands(Arc<StretchError>),
    /// A thread that makes records of a journal ended.
    #[error("reading the journal stopped: {0}")]
    Journal(Arc<StretchError>),
    /// A defect.
    #[error("a thread panicked; the log says where")]
    Panic,
}

/// Why a new configuration was not taken on. The old one holds.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It would not have started either.
    #[error(transparent)]
    Config(#[from] StartError),
    /// Another reload still waits.
    #[error("the last reload still waits for the spool, which takes no more")]
    Busy,
}
