//! What runs to collect: threads, and the task that hands to the spool what they make.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::inputs::command_inputs;
use super::settings::of_gathering;
use super::{Failure, FailureSender, StartError};
use crate::batch::StretchError;
use crate::command::Commands;
use crate::config::AgentConfig;
use crate::gather::Seams;
use crate::journald::{self, Journal};
use crate::position::JournalCursor;
use crate::receive::{Bound, Receiver};
use crate::spool::Spool;
use crate::status::{CommandMetrics, JournaldMetrics};
use crate::stretch::Stretch;

/// Makes stretches durable, one after the other: the next ones gather meanwhile. None of what they come from keeps the others
/// waiting.
pub(super) async fn pump(sources: [mpsc::Receiver<Stretch>; 4], spool: Arc<Spool>) {
    let [mut read, mut received, mut journaled, mut written] = sources;
    loop {
        let stretch = tokio::select! {
            Some(stretch) = read.recv() => stretch,
            Some(stretch) = received.recv() => stretch,
            Some(stretch) = journaled.recv() => stretch,
            Some(stretch) = written.recv() => stretch,
            else => return,
        };
        if spool.append(stretch).await.is_err() {
            return;
        }
    }
}

/// Runs something for as long as the agent runs. Whatever ends it before ends the agent.
pub(super) fn start_thread(
    name: &str,
    failed: FailureSender,
    failure: fn(Arc<StretchError>) -> Failure,
    run: impl FnOnce() -> Result<(), StretchError> + Send + 'static,
) -> Result<(), StartError> {
    let run = move || {
        let failure = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => failure(Arc::new(error)),
            Err(_) => Failure::Panic,
        };
        failed.send_replace(Some(failure));
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(|_| ()).map_err(StartError::Thread)
}

pub(super) fn start_receiver(
    bound: Bound,
    config: &AgentConfig,
    seams: Seams,
    failed: FailureSender,
) -> Result<Option<Receiver>, StartError> {
    if bound.is_empty() {
        return Ok(None);
    }
    let (receiver, gather) = bound.start(&of_gathering(config), seams).map_err(StartError::Thread)?;
    start_thread("receiver", failed, Failure::Receiver, gather)?;
    tracing::info!(addresses = ?receiver.addresses(), "taking syslog");
    Ok(Some(receiver))
}

pub(super) fn start_journals(
    inputs: Vec<journald::Input>,
    cursors: &[JournalCursor],
    config: &AgentConfig,
    seams: Seams,
    metrics: &JournaldMetrics,
    failed: &FailureSender,
) -> Result<Vec<Journal>, StartError> {
    let start = |input: journald::Input| {
        let known = cursors.iter().find(|cursor| cursor.input == input.name);
        let known = known.map(|known| &*known.cursor);
        tracing::info!(input = %input.name, topic = %input.records.topic, cursor = known, "reading a journal");
        let (journal, gather) = input
            .start(known, &of_gathering(config), seams.clone(), metrics)
            .map_err(StartError::Thread)?;
        start_thread("journald", failed.clone(), Failure::Journal, gather)?;
        Ok(journal)
    };
    inputs.into_iter().map(start).collect()
}

pub(super) fn start_commands(
    config: &AgentConfig,
    seams: Seams,
    metrics: &CommandMetrics,
    failed: FailureSender,
) -> Result<Option<Commands>, StartError> {
    let inputs = command_inputs(config);
    if inputs.is_empty() {
        return Ok(None);
    }
    let started = Commands::start(inputs, &of_gathering(config), seams, metrics);
    let (commands, gather) = started.map_err(StartError::Thread)?;
    start_thread("commands", failed, Failure::Commands, gather)?;
    Ok(Some(commands))
}
