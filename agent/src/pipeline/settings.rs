//! How fast and how much is read, by the configuration and what the system allows.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Seams;
use crate::batch::Size;
use crate::config::AgentConfig;
use crate::gather;
use crate::reader::Settings;
use crate::tail::Limits;

/// File descriptors for all but followed files and connected senders.
const OTHER_DESCRIPTORS: u64 = 256;

/// Of files.
pub(super) fn settings(config: &AgentConfig, seams: &Seams) -> Settings {
    let read = &config.read;
    let mut off_limits = seams.off_limits.clone();
    off_limits.push(config.data_dir.clone());
    Settings {
        host: config.host.as_str().into(),
        off_limits,
        scan_interval: read.scan_interval.0,
        linger: read.linger.0,
        tail: Limits {
            open_files: read.open_files.min(descriptors_for_files(config)),
            partial_line_timeout: read.partial_line_timeout.0,
            drain_for: read.drain_for.0,
            close_deleted_after: read.close_deleted_after.map(|after| after.0),
            poll_interval: poll_interval(read.linger.0),
            ..Limits::default()
        },
        size: size(config),
    }
}

/// Whoever wants lines sooner than usual wants them noticed sooner too.
fn poll_interval(linger: Duration) -> Duration {
    (linger / 2).clamp(Duration::from_millis(1), Limits::default().poll_interval)
}

/// Of what is received, and read of journals.
pub(super) fn of_gathering(config: &AgentConfig) -> gather::Settings {
    gather::Settings {
        host: config.host.as_str().into(),
        linger: config.read.linger.0,
        size: size(config),
    }
}

/// A stretch fits into a file of the spool even if nothing in it can be compressed.
fn size(config: &AgentConfig) -> Size {
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let default = Size::default();
    Size {
        batch_bytes: bytes(config.read.batch_bytes.0),
        stretch_bytes: default.stretch_bytes.min(bytes(config.spool.file_bytes.0 / 2)),
        ..default
    }
}

/// How many files may be open at once, after the process has allowed itself as many as it may.
fn descriptors_for_files(config: &AgentConfig) -> usize {
    let connected = config.syslog.iter().filter(|syslog| syslog.tcp.is_some());
    let senders = connected.map(|syslog| syslog.connections_max as u64);
    let others = senders.sum::<u64>() + OTHER_DESCRIPTORS;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit on open files");
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) => usize::try_from(limit.saturating_sub(others).max(16)).unwrap_or(usize::MAX),
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lingers_less_polls_more_often() {
        let polled = [0, 1, 4, 20, 60_000].map(|linger| poll_interval(Duration::from_millis(linger)).as_millis());
        assert_eq!(polled, [1, 1, 2, 10, 10]);
    }
}
