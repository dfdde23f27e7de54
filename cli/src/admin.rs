//! What administrative commands share: whom to ask, and how a broker's "no" becomes a sentence with a remedy.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use tailrace_shared::client::{Cluster, Connection, Lane};
use tailrace_shared::kafka::ErrorCode;

use crate::connect::{Bootstrap, MissingTopic};
use crate::output::Format;

/// What every administrative command is told.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) bootstrap: Bootstrap,
    /// The form of the answer.
    #[arg(long, short, value_enum, default_value_t = Format::Table, global = true)]
    pub(crate) output: Format,
}

impl Common {
    /// The cluster, as it is: nothing is created.
    pub(crate) async fn connect(&self) -> Result<Cluster> {
        self.bootstrap.connect(MissingTopic::Fail).await
    }
}

/// The broker that changes topics; any one where the cluster names none.
pub(crate) async fn controller(cluster: &Cluster) -> Result<Arc<Connection>> {
    let metadata = cluster.refresh(&[]).await?;
    Ok(match metadata.brokers.get(&metadata.controller_id) {
        Some(address) => cluster.connect(address, Lane::Prompt).await?,
        None => cluster.any_broker().await?,
    })
}

/// Turns an error code into a sentence: `what` failed, why, and, if `remedy` knows the code, what to do.
pub(crate) fn check(
    code: i16,
    message: Option<&str>,
    what: &str,
    remedy: impl FnOnce(ErrorCode) -> Option<&'static str>,
) -> Result<()> {
    let code = ErrorCode::from_code(code);
    if !code.is_error() {
        return Ok(());
    }
    let message = message
        .filter(|message| !message.is_empty())
        .map(|message| format!(": {message}"));
    let remedy = remedy(code).map(|remedy| format!("; {remedy}"));
    bail!(
        "cannot {what}: {code}{}{}",
        message.unwrap_or_default(),
        remedy.unwrap_or_default()
    )
}

/// What to do where access is controlled and somebody may not change the cluster.
pub(crate) fn who_may_alter(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::ClusterAuthorizationFailed => {
            Some("a super user may, and whom `tailrace acls allow NAME alter,describe --cluster` lets")
        }
        _ => None,
    }
}

/// Asks the person at the terminal; where there is none, `--yes` must have said it.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("{question} There is no terminal to answer at: say --yes if it is meant");
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
