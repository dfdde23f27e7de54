//! A process as its supervisor sees it: asked to stop by a signal, and telling systemd how far it is.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What systemd is told of a unit with `Type=notify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It does its work.
    Ready,
    /// It is well.
    Alive,
    /// It takes on a new configuration; [`Progress::Ready`] follows.
    Reloading,
    /// It finishes what is begun.
    Stopping,
}

/// Tells systemd. Without systemd there is nobody to tell, and that is fine.
pub fn tell_systemd(progress: Progress) {
    let state = match progress {
        Progress::Ready => vec![NotifyState::Ready],
        Progress::Alive => vec![NotifyState::Watchdog],
        Progress::Reloading => {
            let since_boot = NotifyState::monotonic_usec_now().ok();
            [NotifyState::Reloading].into_iter().chain(since_boot).collect()
        }
        Progress::Stopping => vec![NotifyState::Stopping],
    };
    if let Err(error) = sd_notify::notify(&state) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

/// How often systemd wants to hear that the process is well, if it has `WatchdogSec`: three times within that.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 3)
}

/// Counts up at every SIGHUP, which by then no longer ends the process.
///
/// # Errors
/// When the handler cannot be installed.
pub fn asked_to_reload() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Completes when SIGTERM or SIGINT comes; from the call on, neither ends the process by itself.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// An error and its causes in one line, without those that the text before has said already.
#[must_use]
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| match cause.to_string() {
        cause if said.contains(&cause) => said,
        cause => format!("{said}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("cannot listen ({0}); stop what uses the port")]
        Said(#[source] io::Error),
        #[error("cannot listen")]
        Unsaid(#[source] io::Error),
    }

    #[test]
    fn a_cause_is_told_once() {
        let in_use = || io::Error::other("address in use");
        let said = explain(&Failure::Said(in_use()));
        assert_eq!(said, "cannot listen (address in use); stop what uses the port");
        assert_eq!(explain(&Failure::Unsaid(in_use())), "cannot listen: address in use");
    }
}
