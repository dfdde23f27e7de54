//! `tailrace up`: a collector and an agent in this process, on a directory of their own, and what they collect on
//! stdout. Nothing to configure, nothing else to start.

mod follow;
mod globs;
mod parts;
mod place;
mod survey;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bytestring::ByteString;
use clap::{Args, ValueEnum};
use tailrace_agent::config::AgentConfig;
use tailrace_agent::pipeline::Agent;
use tailrace_agent::tail::StartAt;
use tailrace_collector::server::Collector;
use tailrace_shared::client::{OffsetSpec, list_offsets};
use tailrace_shared::config::ListenAddr;
use tokio::time::timeout;

use crate::connect::{self, Bootstrap, MissingTopic};
use crate::output;
use crate::stop::Stop;
use crate::tail::reading::Reading;

/// So long, the survey of what is followed comes before the first line.
const SURVEY_FIRST: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  tailrace up                                  whatever is /var/log/**/*.log
  tailrace up '/var/log/nginx/*.log' app.log   these, and what will match later
  tailrace up --from end '/srv/*/log/*.log'    what is written from now on
  tailrace up --data-dir /tmp/try --kafka 127.0.0.1:19092
  tailrace up --kafka 0.0.0.0:9092 --advertised logs.example.org:9092 --insecure

Quote the patterns, or the shell replaces them with the files of this moment.
Each line is kept once, whatever happens to the process or the machine. Then, in
another terminal:
  tailrace tail logs --from beginning --no-follow
  kcat -b 127.0.0.1:9092 -t logs -C

Never collected are its own data and the files that its output is redirected to.
Through a pipe that cannot be seen: do not `| tee` into a file that is followed.

Ctrl-C stops it in order, and the next `tailrace up` goes on where it stopped.
A second Ctrl-C stops it at once, and nothing is lost by that either.";

/// `tailrace up …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpArgs {
    /// What to follow: paths with *, ?, [...], {a,b}, and ** for any number of directories.
    #[arg(value_name = "GLOB", default_value = "/var/log/**/*.log")]
    globs: Vec<String>,
    /// Where to keep everything [default: $XDG_STATE_HOME/tailrace, or ~/.local/state/tailrace].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where Kafka clients connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    kafka: ListenAddr,
    /// What Kafka clients are told to connect to, if it is not the address above.
    #[arg(long, value_name = "ADDR")]
    advertised: Option<ListenAddr>,
    /// Whoever can reach that address may do everything: there are no logins here.
    #[arg(long)]
    insecure: bool,
    /// The collector's metrics and health.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9600")]
    http: ListenAddr,
    /// The agent's metrics, health and files.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9601")]
    agent_http: ListenAddr,
    /// The topic to collect into.
    #[arg(long, short, default_value = "logs")]
    topic: String,
    /// Where to begin in files that are there at the very first start.
    #[arg(long, short, value_enum, default_value_t = Begin::Beginning)]
    from: Begin,
}

/// Where to begin in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Begin {
    /// With its first line.
    Beginning,
    /// With what is written from now on.
    End,
}

impl From<Begin> for StartAt {
    fn from(begin: Begin) -> Self {
        match begin {
            Begin::Beginning => Self::Beginning,
            Begin::End => Self::End,
        }
    }
}

pub(crate) async fn run(args: UpArgs) -> Result<()> {
    let mut stop = Stop::on_signals()?;
    let data_dir = place::prepare(args.data_dir.as_deref())?;
    let agent_config = parts::agent_config(&args, &data_dir)?;
    let collector_config = parts::collector_config(&args, &data_dir)?;
    let collector = tokio::select! {
        started = parts::start_collector(&collector_config) => started?,
        () = stop.requested() => return Ok(()),
    };
    let ended = collect(agent_config, args.globs, &collector, &data_dir, stop).await;
    collector.stop().await;
    ended
}

/// Runs the agent against a collector that serves, and prints what arrives there.
async fn collect(
    mut config: AgentConfig,
    globs: Vec<String>,
    collector: &Collector,
    data_dir: &Path,
    mut stop: Stop,
) -> Result<()> {
    let addresses = collector.kafka_addrs();
    let listening = addresses.first().context("the collector has no Kafka port")?;
    let bootstrap = parts::local_address(*listening);
    config.collector.bootstrap = vec![bootstrap.clone()];
    let topic = config
        .files
        .first()
        .map_or_else(ByteString::new, |files| files.topic.as_str().into());
    let reading = read_from_end(bootstrap.clone(), topic.clone()).await?;

    let off_limits = place::off_limits(data_dir);
    let agent = parts::start_agent(&config, off_limits.clone()).await?;
    let listening = survey::Listening {
        data_dir,
        kafka: &bootstrap,
        collector_http: collector.http_addr(),
        agent_http: agent.http_addr(),
        topic: &topic,
    };
    eprint!("{}", listening.describe());
    let surveying = tokio::spawn(async move {
        let survey = survey::take(&config, globs, off_limits).await?;
        eprint!("{}", survey.describe());
        anyhow::Ok(())
    });
    // It takes a while where there are many directories; the agent does not wait for it, and nor does a person.
    if let Ok(surveyed) = timeout(SURVEY_FIRST, surveying).await {
        surveyed??;
    }
    let ended = print_until_stopped(reading, &agent, &mut stop).await;
    eprintln!("tailrace: stopping; Ctrl-C again to stop at once");
    agent.stop().await;
    ended
}

async fn read_from_end(bootstrap: String, topic: ByteString) -> Result<Reading> {
    let cluster = Bootstrap::at(vec![bootstrap]).connect(MissingTopic::Create).await?;
    let partitions = connect::topic(&cluster, &topic, MissingTopic::Create).await?.partitions;
    let indexes: Vec<i32> = partitions.iter().map(|partition| partition.index).collect();
    let ends = list_offsets(&cluster, &topic, &indexes, OffsetSpec::Latest).await?;
    Ok(Reading::new(cluster, topic, ends))
}

async fn print_until_stopped(reading: Reading, agent: &Agent, stop: &mut Stop) -> Result<()> {
    tokio::select! {
        printed = follow::print(reading) => printed,
        failure = agent.failed() => Err(failure).context("the agent stopped by itself"),
        () = stop.requested() => Ok(()),
        () = output::closed() => Ok(()),
    }
}
