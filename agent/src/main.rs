//! The `tailrace-agent` binary.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use tailrace_agent::config::AgentConfig;
use tailrace_agent::pipeline::{self, Agent, Seams};
use tailrace_shared::service::{self, Progress, explain};
use tailrace_shared::telemetry::logging;

const EXAMPLES: &str = "\
Examples:
  tailrace-agent --config /etc/tailrace/agent.toml
  tailrace-agent check --config agent.toml    # what is wrong with the file
  curl -s http://127.0.0.1:9601/files         # each file, and how far it was read

The smallest configuration:
  [collector]
  bootstrap = [\"collector:9092\"]
  [[files]]
  topic = \"nginx\"
  include = [\"/var/log/nginx/*.log\"]";

const USAGE: &str = "\
tailrace-agent [--config <FILE>]
       tailrace-agent check [--config <FILE>]";

/// Follows files and delivers each line exactly once to Kafka topics.
#[derive(Debug, Parser)]
#[command(version, override_usage = USAGE, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: ConfigFile,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the configuration, say what is wrong with it, and start nothing.
    Check(ConfigFile),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/tailrace/agent.toml")]
    config: PathBuf,
}

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Check(file)) => check(&file),
        None => run(&cli.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tailrace-agent: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn check(file: &ConfigFile) -> anyhow::Result<()> {
    let config = AgentConfig::load(&file.config)?;
    pipeline::inputs(&config)?;
    config.collector.security()?;
    let doubts = pipeline::doubts(&config);
    if !doubts.is_empty() {
        bail!("{}: {}", file.config.display(), doubts.join("\n"));
    }
    println!("{}: ok", file.config.display());
    Ok(())
}

fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config = AgentConfig::load(&file.config)?;
    logging::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let asked_to_stop = service::asked_to_stop()?;
        tokio::pin!(asked_to_stop);
        let agent = tokio::select! {
            started = Agent::start(&config, Seams::default()) => started?,
            () = &mut asked_to_stop => return Ok(()),
        };
        service::tell_systemd(Progress::Ready);
        let failure = tokio::select! {
            () = asked_to_stop => None,
            failure = agent.failed() => Some(failure),
        };
        service::tell_systemd(Progress::Stopping);
        agent.stop().await;
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    })
}
