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
    /// Nothing more can be read of standard input.
    #[error("cannot read standard input: {0}; what came before is sent")]
    StandardInput(Arc<io::Error>),
    /// It was stopped before.
    #[error("stopped before everything was acknowledged; the next start sends what is in the spool")]
    Unacknowledged,
    /// Some records are in no topic.
    #[error(
        "{0} lines were not delivered: no broker takes them, and they are in the dead-letter directory, or the spool was full and gave them up"
    )]
    Undelivered(u64),
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
