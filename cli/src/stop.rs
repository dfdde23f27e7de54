//! Ctrl-C: the first asks for an orderly end, the second ends the process where it stands.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What shells report of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Knows whether the person wants it to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Takes over Ctrl-C and SIGTERM for the whole process.
    pub(crate) fn on_signals() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let signals = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (asked, receiver) = watch::channel(false);
        tokio::spawn(listen_twice(signals, asked));
        Ok(Self(receiver))
    }

    /// Waits until somebody asks for the end.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Nobody listens for signals any more, so none comes.
            std::future::pending::<()>().await;
        }
    }
}

async fn listen_twice((mut interrupt, mut terminate): (Signal, Signal), asked: watch::Sender<bool>) {
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if asked.send_replace(true) {
            std::process::exit(INTERRUPTED);
        }
    }
}
