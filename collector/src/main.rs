//! The `tailrace-collector` binary.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use tailrace_collector::config::CollectorConfig;
use tailrace_collector::server::{self, Collector};
use tailrace_shared::config;
use tailrace_shared::service::{self, Progress, explain};
use tailrace_shared::telemetry::logging;

const EXAMPLES: &str = "\
Examples:
  tailrace-collector --config /etc/tailrace/collector.toml
  tailrace-collector check --config collector.toml    # what is wrong with the file
  kcat -b 127.0.0.1:9092 -L                           # ask it with any Kafka client

The smallest configuration is one line:
  data_dir = \"/var/lib/tailrace/collector\"";

const USAGE: &str = "\
tailrace-collector [--config <FILE>]
       tailrace-collector check [--config <FILE>]";

/// A durable, partitioned log broker that speaks the Kafka protocol.
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
    #[arg(long, short, value_name = "FILE", default_value = "/etc/tailrace/collector.toml")]
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
            eprintln!("tailrace-collector: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn check(file: &ConfigFile) -> anyhow::Result<()> {
    let config: CollectorConfig = config::load(&file.config)?;
    server::check(&config)?;
    println!("{}: ok", file.config.display());
    Ok(())
}

fn run(file: &ConfigFile) -> anyhow::Result<()> {
    let config: CollectorConfig = config::load(&file.config)?;
    logging::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let asked_to_stop = service::asked_to_stop()?;
        tokio::pin!(asked_to_stop);
        let collector = tokio::select! {
            started = Collector::start(&config) => started?,
            () = &mut asked_to_stop => return Ok(()),
        };
        service::tell_systemd(Progress::Ready);
        asked_to_stop.await;
        service::tell_systemd(Progress::Stopping);
        collector.stop().await;
        Ok(())
    })
}
