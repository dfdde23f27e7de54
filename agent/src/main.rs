//! The `tailrace-agent` binary.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use tailrace_agent::config::AgentConfig;
use tailrace_agent::dry_run::dry_run;
use tailrace_agent::pipeline::{self, Agent, Seams};
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::service::{self, Progress, explain};
use tailrace_shared::telemetry::logging;

const EXAMPLES: &str = "\
Examples:
  tailrace-agent --config /etc/tailrace/agent.toml
  tailrace-agent check --config agent.toml    # what is wrong with the file
  tailrace-agent test < app.log               # the records that it would send
  curl -s http://127.0.0.1:9601/files         # each file, and how far it was read

The smallest configuration:
  [collector]
  bootstrap = [\"collector:9092\"]
  [[files]]
  topic = \"nginx\"
  include = [\"/var/log/nginx/*.log\"]";

const USAGE: &str = "\
tailrace-agent [--config <FILE>]
       tailrace-agent check [--config <FILE>]
       tailrace-agent test [--config <FILE>] [--as <PATH>] < SAMPLE";

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
    /// Show the records that would be sent of the lines on standard input, as JSON, and send nothing.
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestArgs),
}

const TEST_EXAMPLES: &str = "\
Examples:
  tailrace-agent test --config agent.toml --as /var/log/nginx/access.log < sample.log
  head -100 app.log | tailrace-agent test --config agent.toml | jq -r .value";

#[derive(Debug, Args)]
struct TestArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The path that the lines are taken to come from, which says which [[files]] they belong to. Default: the first.
    #[arg(long = "as", value_name = "PATH")]
    path: Option<PathBuf>,
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
        Some(Command::Test(args)) => test(&args),
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

fn test(args: &TestArgs) -> anyhow::Result<()> {
    let config = AgentConfig::load(&args.file.config)?;
    let inputs = pipeline::inputs(&config)?;
    let path = args.path.as_ref().map(std::path::absolute).transpose()?;
    let input = match &path {
        Some(path) => inputs.iter().find(|input| input.selection.selects(path)),
        None => inputs.first(),
    };
    let Some(input) = input else {
        let path = path.unwrap_or_default();
        bail!(
            "no [[files]] of {} selects {}",
            args.file.config.display(),
            path.display()
        );
    };
    let path = path.unwrap_or_else(|| PathBuf::from("(standard input)"));
    let now_ms = SystemClock::new().now_ms();
    let mut out = io::BufWriter::new(io::stdout().lock());
    dry_run(input, &config.host, &path, io::stdin().lock(), now_ms, &mut out)?;
    out.flush().context("cannot write the records")
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
