//! A process as its supervisor sees it: asked to stop by a signal, and telling systemd how far it is.

use std::io;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

/// What systemd is told of a unit with `Type=notify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It does its work.
    Ready,
    /// It finishes what is begun.
    Stopping,
}

/// Tells systemd. Without systemd there is nobody to tell, and that is fine.
pub fn tell_systemd(progress: Progress) {
    let state = match progress {
        Progress::Ready => NotifyState::Ready,
        Progress::Stopping => NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "cannot notify systemd");
    }
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
