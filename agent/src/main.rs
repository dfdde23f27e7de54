//! The `tailrace-agent` binary.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use tailrace_agent::config::AgentConfig;
use tailrace_agent::import::{self, Tool};
use tailrace_agent::inspect::{self, DryRun, Rates, Running};
use tailrace_agent::landlock::{self, Confined};
use tailrace_agent::pipeline::{self, Agent, Reloaded, Seams};
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::service::{self, Progress, explain};
use tailrace_shared::telemetry::logging;
use tailrace_shared::terminal::has_colour;

const EXAMPLES: &str = "\
Examples:
  tailrace-agent --config /etc/tailrace/agent.toml
  kill -HUP $(pidof tailrace-agent)           # read the configuration again
  tailrace-agent check --config agent.toml    # what is wrong with the file
  tailrace-agent test < app.log               # the records that it would send
  tailrace-agent explain /var/log/app.log     # what becomes of that file, and why
  tailrace-agent status                       # each file, and how far it was read
  tailrace-agent import filebeat filebeat.yml # a configuration like that of Filebeat, Fluent Bit, ...

The smallest configuration:
  [collector]
  bootstrap = [\"collector:9092\"]
  [[files]]
  topic = \"nginx\"
  include = [\"/var/log/nginx/*.log\"]";

const USAGE: &str = "\
tailrace-agent [--config <FILE>] [--watch-config]
       tailrace-agent check [--config <FILE>]
       tailrace-agent test [--config <FILE>] [--as <PATH> | --syslog <TOPIC> | --journald <TOPIC> | --command <TOPIC>] < SAMPLE
       tailrace-agent explain [--config <FILE>] <PATH>
       tailrace-agent status [--config <FILE>] [--watch]
       tailrace-agent import <TOOL> <FILE>
       tailrace-agent import-positions [--config <FILE>] <TOOL> <PATH>...";

/// Follows files and the journal, and delivers each line exactly once to Kafka topics; takes syslog too.
#[derive(Debug, Parser)]
#[command(version, override_usage = USAGE, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "/etc/tailrace/agent.toml"
    )]
    config: PathBuf,
    /// Read the configuration again when its file changes, and not only at SIGHUP.
    #[arg(long)]
    watch_config: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the configuration, say what is wrong with it and what its globs match, and start nothing.
    Check,
    /// Show the records that would be sent of the lines on standard input (64 MiB at most), as JSON, and send nothing.
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestArgs),
    /// Say which [[files]] takes a file, or why none does, and how far the running agent is with it.
    Explain(ExplainArgs),
    /// Make a configuration of another tool's; print it, and say line by line what did not come over.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Go on where another agent has stopped: take over how far it has read, before this one runs for the first time.
    #[command(after_help = IMPORT_EXAMPLES)]
    ImportPositions(ImportPositionsArgs),
    /// Show how far the running agent is with every file, those that are furthest behind first.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  tailrace-agent import filebeat /etc/filebeat/filebeat.yml > /etc/tailrace/agent.toml
  systemctl stop filebeat
  tailrace-agent import-positions filebeat /var/lib/filebeat/registry/filebeat
  systemctl enable --now tailrace-agent

  tailrace-agent import fluent-bit /etc/fluent-bit/fluent-bit.conf
  tailrace-agent import-positions fluent-bit /var/lib/fluent-bit/tail.db

  tailrace-agent import promtail /etc/promtail/config.yml
  tailrace-agent import-positions promtail /var/lib/promtail/positions.yaml

  tailrace-agent import rsyslog /etc/rsyslog.d/files.conf
  tailrace-agent import-positions rsyslog /var/spool/rsyslog

  tailrace-agent import vector /etc/vector/vector.yaml
  tailrace-agent import-positions vector /var/lib/vector/NAME-OF-THE-SOURCE/checkpoints.json";

#[derive(Debug, Args)]
struct ImportArgs {
    /// Whose configuration it is.
    tool: Tool,
    /// Its configuration file.
    file: PathBuf,
}

#[derive(Debug, Args)]
struct ImportPositionsArgs {
    /// Whose positions they are. It should have stopped.
    tool: Tool,
    /// Filebeat's directory registry/filebeat, the DB of an input of Fluent Bit, Promtail's file of positions, rsyslog's work
    /// directory, or checkpoints.json (of journald: checkpoint.txt) of a source of Vector; several, where the other agent
    /// keeps several.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  tailrace-agent status                # once
  tailrace-agent status --watch        # again every second, with rates
  tailrace-agent status --json | jq '.[] | select(.lag > 0)'";

#[derive(Debug, Args)]
struct StatusArgs {
    /// Show it again every second, until Ctrl-C.
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,
    /// Print what the agent answers, as JSON.
    #[arg(long)]
    json: bool,
    /// Show so many files.
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    rows: usize,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// The file.
    path: PathBuf,
}

const TEST_EXAMPLES: &str = "\
Examples:
  tailrace-agent test --config agent.toml --as /var/log/nginx/access.log < sample.log
  tailrace-agent test --config agent-syslog.toml --syslog firewall < messages
  journalctl --output=export --lines=20 | tailrace-agent test --config agent-journald.toml
  head -100 app.log | tailrace-agent test --config agent.toml | jq -r .value";

#[derive(Debug, Args)]
struct TestArgs {
    /// The path that the lines are taken to come from, which says which [[files]] they belong to. Default: the first.
    #[arg(long = "as", value_name = "PATH", conflicts_with = "syslog")]
    path: Option<PathBuf>,
    /// Take the lines as messages that are sent to the [[syslog]] with this topic.
    #[arg(long, value_name = "TOPIC")]
    syslog: Option<String>,
    /// Take what `journalctl --output=export` writes as entries of the [[journald]] with this topic.
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["path", "syslog"])]
    journald: Option<String>,
    /// Take the lines as what the [[command]] with this topic writes.
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["path", "syslog", "journald"])]
    command: Option<String>,
}

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let file = &*cli.config;
    let result = match cli.command {
        Some(Command::Check) => check(file),
        Some(Command::Test(args)) => test(file, &args),
        Some(Command::Explain(args)) => explain_file(file, &args),
        Some(Command::Import(args)) => import(&args),
        Some(Command::ImportPositions(args)) => import_positions(file, &args),
        Some(Command::Status(args)) => status(file, &args),
        None => run(file, cli.watch_config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads any more, as in `| head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tailrace-agent: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn check(file: &Path) -> anyhow::Result<()> {
    let config = AgentConfig::load(file)?;
    let inputs = pipeline::inputs(&config)?;
    pipeline::syslog_inputs(&config)?;
    config.collector.security()?;
    let mut doubts = pipeline::doubts(&config);
    let (matched, unreadable) = inspect::matched(&config, inputs);
    for (index, matched) in matched.iter().enumerate() {
        writeln!(io::stdout(), "[[files]] {}: {matched}", index + 1)?;
    }
    doubts.extend(unreadable.iter().map(|(path, error)| {
        format!(
            "cannot read {}: {error}; give the agent's user the right to, or run it with CAP_DAC_READ_SEARCH as its unit does",
            path.display()
        )
    }));
    for (index, syslog) in config.syslog.iter().enumerate() {
        writeln!(io::stdout(), "[[syslog]] {}: {syslog}", index + 1)?;
    }
    for (index, command) in config.command.iter().enumerate() {
        writeln!(io::stdout(), "[[command]] {}: {command}", index + 1)?;
    }
    if let Some(stdin) = &config.stdin {
        writeln!(io::stdout(), "[stdin]: {stdin}")?;
    }
    let journals = pipeline::journald_inputs(&config);
    for (index, (journald, input)) in config.journald.iter().zip(journals).enumerate() {
        input.check_program()?;
        let (last, said) = runtime()?
            .block_on(input.glance())
            .unwrap_or_else(|error| (None, error));
        let last = last.map_or("no entry".to_owned(), |message| {
            format!("the last entry: {}", shortened(&message))
        });
        writeln!(io::stdout(), "[[journald]] {}: {journald}; {last}", index + 1)?;
        if !said.is_empty() {
            doubts.push(format!(
                "journald {}: {said}; if it may not read the journal, put the agent's user into the group systemd-journal, or run it \
                 with CAP_DAC_READ_SEARCH as its unit does",
                journald.name
            ));
        }
    }
    if !doubts.is_empty() {
        bail!("{}: {}", file.display(), doubts.join("\n"));
    }
    Ok(writeln!(io::stdout(), "{}: ok", file.display())?)
}

/// For what is asked of others.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Its first line, or the beginning of that.
fn shortened(message: &str) -> String {
    const SHOWN: usize = 100;
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    }
}

fn test(file: &Path, args: &TestArgs) -> anyhow::Result<()> {
    let config = AgentConfig::load(file)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let run = DryRun {
        host: &config.host,
        now_ms: SystemClock::new().now_ms(),
        out: &mut out,
    };
    let sample = io::stdin().lock();
    let none_of = |table: &str, topic: &Option<String>| {
        let topic = topic.as_deref().unwrap_or_default();
        anyhow!("no [[{table}]] of {} has the topic {topic}", file.display())
    };
    let is_it = |wanted: &Option<String>, topic: &str| wanted.as_ref().is_none_or(|wanted| wanted == topic);
    // The first of the first table there is, unless another is asked for.
    let is_asked = [&args.syslog, &args.journald, &args.command].map(Option::is_some);
    let nothing_asked = args.path.is_none() && is_asked == [false; 3] && config.files.is_empty();
    let (no_syslog, no_journald) = (config.syslog.is_empty(), config.journald.is_empty());
    if args.command.is_some() || (nothing_asked && no_syslog && no_journald) {
        let inputs = pipeline::command_inputs(&config);
        let input = inputs.iter().find(|input| is_it(&args.command, &input.records.topic));
        run.of_command(input.ok_or_else(|| none_of("command", &args.command))?, sample)?;
    } else if args.journald.is_some() || (nothing_asked && no_syslog) {
        let inputs = pipeline::journald_inputs(&config);
        let input = inputs.iter().find(|input| is_it(&args.journald, &input.records.topic));
        run.of_journal(input.ok_or_else(|| none_of("journald", &args.journald))?, sample)?;
    } else if args.syslog.is_some() || nothing_asked {
        let input = config
            .syslog
            .iter()
            .find(|input| is_it(&args.syslog, input.topic.as_str()));
        let input = input.ok_or_else(|| none_of("syslog", &args.syslog))?;
        let max_len = input.max_message_bytes.as_usize();
        run.of_syslog(&pipeline::template_of(input), max_len, "(standard input)", sample)?;
    } else {
        let inputs = pipeline::inputs(&config)?;
        let path = args.path.as_ref().map(std::path::absolute).transpose()?;
        let input = match &path {
            Some(path) => inputs.iter().find(|input| input.selection.selects(path)),
            None => inputs.first(),
        };
        let Some(input) = input else {
            let path = path.unwrap_or_default();
            bail!("no [[files]] of {} selects {}", file.display(), path.display());
        };
        let path = path.unwrap_or_else(|| PathBuf::from("(standard input)"));
        run.of_file(input, &path, sample)?;
    }
    out.flush().context("cannot write the records")
}

fn explain_file(file: &Path, args: &ExplainArgs) -> anyhow::Result<()> {
    let config = AgentConfig::load(file)?;
    let path = std::path::absolute(&args.path)?;
    let base = std::env::current_dir()?;
    let explained = inspect::explain(&config, &path, &base)?;
    Ok(write!(io::stdout(), "{explained}")?)
}

fn status(file: &Path, args: &StatusArgs) -> anyhow::Result<()> {
    const INTERVAL: Duration = Duration::from_secs(1);
    const CLEAR: &str = "\x1b[H\x1b[2J";
    let config = AgentConfig::load(file)?;
    let running = Running::at(&config.http.listen);
    if args.json {
        let files = serde_json::to_string_pretty(&running.files()?)?;
        return Ok(writeln!(io::stdout(), "{files}")?);
    }
    let mut rates = Rates::default();
    let mut looked_at = Instant::now();
    loop {
        let files = running.files()?;
        rates.note(&files, looked_at.elapsed());
        looked_at = Instant::now();
        let table = inspect::table(files, &rates, args.rows, has_colour());
        let clear = if args.watch { CLEAR } else { "" };
        write!(io::stdout(), "{clear}{table}")?;
        io::stdout().flush()?;
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
}

fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {name}"))?;
    let imported = import::import(args.tool, &text).with_context(|| name.to_string())?;
    for note in &imported.notes {
        match note.line {
            0 => eprintln!("{name}: {}", note.text),
            line => eprintln!("{name}:{line}: {}", note.text),
        }
    }
    write!(io::stdout(), "{}", imported.toml)?;
    Ok(())
}

fn import_positions(file: &Path, args: &ImportPositionsArgs) -> anyhow::Result<()> {
    let config = AgentConfig::load(file)?;
    let inputs: Vec<_> = pipeline::inputs(&config)?
        .into_iter()
        .map(|input| (input.records.topic, input.selection))
        .collect();
    let mut progress = Vec::new();
    for path in &args.paths {
        progress.extend(import::read(args.tool, path)?);
    }
    let runtime = runtime()?;
    let taken = runtime.block_on(import::take_over(&config, inputs, progress))?;
    for (which, why) in &taken.left {
        eprintln!("{which}: not taken over: {why}");
    }
    let journals = match taken.journals {
        0 => String::new(),
        count => format!(" and {count} journals"),
    };
    Ok(writeln!(
        io::stdout(),
        "{}: {} files{journals} go on where they were, {} do not",
        config.data_dir.display(),
        taken.files,
        taken.left.len()
    )?)
}

fn run(file: &Path, watch_config: bool) -> anyhow::Result<()> {
    let config = AgentConfig::load(file)?;
    logging::init(&config.log)?;
    // Before there is another thread.
    match landlock::confine(&config, file).context("cannot confine the agent to read.roots")? {
        Confined::ByTheKernel => tracing::info!("confined to read.roots by the kernel (Landlock)"),
        Confined::ByItself => tracing::info!("confined to read.roots; this kernel has no Landlock to make sure of it"),
        Confined::No => {}
    }
    let runtime = runtime().context("cannot start threads")?;
    let ended = runtime.block_on(async {
        let asked_to_stop = service::asked_to_stop()?;
        tokio::pin!(asked_to_stop);
        let mut asked_to_reload = service::asked_to_reload()?;
        let mut changes = Changes::of(file, watch_config);
        let mut agent = tokio::select! {
            started = Agent::start(&config, Seams::default()) => started?,
            () = &mut asked_to_stop => return Ok(()),
        };
        service::tell_systemd(Progress::Ready);
        let failure = loop {
            tokio::select! {
                () = &mut asked_to_stop => break None,
                failure = agent.failed() => break Some(failure),
                collected = agent.collected() => match collected {
                    Ok(()) => return finish(agent, asked_to_stop).await,
                    Err(failure) => break Some(failure),
                },
                _ = asked_to_reload.recv() => reload(&mut agent, file).await,
                () = changes.next() => reload(&mut agent, file).await,
                () = well(&agent) => service::tell_systemd(Progress::Alive),
            }
        };
        service::tell_systemd(Progress::Stopping);
        agent.stop().await;
        match failure {
            Some(failure) => Err(failure.into()),
            None if config.collects_only_stdin() => bail!("stopped before standard input has ended"),
            None => Ok(()),
        }
    });
    // Whoever has the other end of standard input may keep it open.
    runtime.shutdown_background();
    ended
}

/// Standard input has ended, and there is nothing else to wait for.
async fn finish(agent: Agent, asked_to_stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let finished = agent.finish(asked_to_stop);
    tokio::pin!(finished);
    let finished = loop {
        tokio::select! {
            finished = &mut finished => break finished,
            () = pause_of_watchdog() => service::tell_systemd(Progress::Alive),
        }
    };
    service::tell_systemd(Progress::Stopping);
    Ok(finished?)
}

/// Never if nobody wants to hear that the agent is well.
async fn pause_of_watchdog() {
    match service::watchdog_interval() {
        None => std::future::pending().await,
        Some(interval) => tokio::time::sleep(interval).await,
    }
}

/// Completes when systemd should hear that the agent is well; never if nobody asks, or it is not.
async fn well(agent: &Agent) {
    pause_of_watchdog().await;
    agent.alive().await;
}

/// Whatever is wrong with the file, the agent goes on as it was.
async fn reload(agent: &mut Agent, file: &Path) {
    service::tell_systemd(Progress::Reloading);
    let reloaded = async { Ok(agent.reload(AgentConfig::load(file)?).await?) }.await;
    service::tell_systemd(Progress::Ready);
    let reloaded: anyhow::Result<Reloaded> = reloaded;
    match reloaded {
        Ok(Reloaded { holds, needs_restart }) => {
            if holds {
                tracing::info!(file = %file.display(), "took on the configuration");
            } else {
                tracing::warn!("the configuration is taken on once the spool takes what was read before");
            }
            if !needs_restart.is_empty() {
                tracing::warn!(
                    waiting = needs_restart.join(", "),
                    "a part of the configuration needs a restart"
                );
            }
        }
        Err(error) => {
            let reason = explain(error.as_ref());
            tracing::error!(%reason, "cannot take on the configuration; the one of before holds");
        }
    }
}

/// Notices that a file is another than it was.
struct Changes {
    file: Option<PathBuf>,
    last: Option<(SystemTime, u64, u64)>,
}

impl Changes {
    const LOOK_EVERY: Duration = Duration::from_secs(1);

    fn of(file: &Path, wanted: bool) -> Self {
        let file = wanted.then(|| file.to_owned());
        let last = file.as_deref().and_then(Self::look);
        Self { file, last }
    }

    fn look(file: &Path) -> Option<(SystemTime, u64, u64)> {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    }

    /// Completes after the file has changed, and then not for a moment: who writes it may not be done.
    async fn next(&mut self) {
        let Some(file) = &self.file else {
            return std::future::pending().await;
        };
        let mut changed = false;
        loop {
            tokio::time::sleep(Self::LOOK_EVERY).await;
            let now = Self::look(file);
            if now.is_some() && now != self.last {
                (self.last, changed) = (now, true);
            } else if changed {
                return;
            }
        }
    }
}
