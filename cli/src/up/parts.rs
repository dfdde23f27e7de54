//! The two parts that run in this process: their configurations, and their starts with errors that speak of the options
//! of `up` rather than of configuration files that are not there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use tailrace_agent::batch::Format;
use tailrace_agent::config::{
    AgentConfig, CollectorConfig as Destination, FilesConfig, Glob, HttpConfig as AgentHttpConfig, ReadConfig,
    SpoolConfig, TopicName, system_host_name,
};
use tailrace_agent::pipeline::{self, Agent, Seams};
use tailrace_collector::config::CollectorConfig;
use tailrace_collector::server::{self, Collector};
use tailrace_shared::config::ByteSize;
use tailrace_shared::telemetry::logging::LogConfig;

use super::UpArgs;

/// As the agent has it by default.
const MAX_LINE_BYTES: ByteSize = ByteSize(1_000_000);

/// The collector, in its part of the directory.
pub(super) fn collector_config(args: &UpArgs, data_dir: &Path) -> Result<CollectorConfig> {
    let anywhere = args.kafka.host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    if anywhere && args.advertised.is_none() {
        bail!(
            "--kafka {} listens on every address, and clients must be told one of them: say under which name they \
             reach this machine with --advertised HOST:PORT",
            args.kafka
        );
    }
    let mut config = CollectorConfig::new(data_dir.join("collector"));
    config.kafka.listen = args.kafka.clone();
    config.kafka.advertised = args.advertised.clone();
    config.http.listen = args.http.clone();
    Ok(config)
}

/// The agent, in its part of the directory. Where it delivers to is known once the collector listens.
pub(super) fn agent_config(args: &UpArgs, data_dir: &Path) -> Result<AgentConfig> {
    let topic = TopicName::try_from(args.topic.clone()).map_err(|reason| anyhow!("--topic: {reason}"))?;
    let files = FilesConfig {
        topic,
        include: args.globs.iter().map(|glob| parse_glob(glob)).collect::<Result<_>>()?,
        exclude: Vec::new(),
        labels: BTreeMap::new(),
        format: Format::Raw,
        max_line_bytes: MAX_LINE_BYTES,
        start_at: args.from.into(),
    };
    Ok(AgentConfig {
        data_dir: data_dir.join("agent"),
        host: system_host_name(),
        collector: Destination { bootstrap: Vec::new() },
        http: AgentHttpConfig {
            listen: args.agent_http.clone(),
        },
        log: LogConfig::default(),
        read: ReadConfig::default(),
        spool: SpoolConfig::default(),
        files: vec![files],
    })
}

fn parse_glob(glob: &str) -> Result<Glob> {
    if Path::new(glob).is_dir() {
        let all = Path::new(glob).join("**/*.log");
        bail!(
            "{glob} is a directory; say which files in it, for example '{}'",
            all.display()
        );
    }
    Glob::try_from(glob.to_owned()).map_err(|reason| anyhow!("{glob}: {reason}"))
}

pub(super) async fn start_collector(config: &CollectorConfig) -> Result<Collector> {
    let remedy = |error: &server::StartError| match error {
        server::StartError::Kafka { .. } => {
            "choose another port with --kafka 127.0.0.1:0; if it is Tailrace that runs there already, read it with `tailrace tail`"
        }
        server::StartError::Http(_) => "choose another port with --http 127.0.0.1:0",
        _ => "--data-dir names another directory",
    };
    let started = Collector::start(config).await;
    started.map_err(|error| anyhow!("{error} ({})", remedy(&error)))
}

pub(super) async fn start_agent(config: &AgentConfig, off_limits: Vec<PathBuf>) -> Result<Agent> {
    let seams = Seams {
        off_limits,
        ..Seams::default()
    };
    let started = Agent::start(config, seams).await;
    started
        .map_err(|error| match error {
            pipeline::StartError::Http(_) => anyhow!("{error} (choose another port with --agent-http 127.0.0.1:0)"),
            pipeline::StartError::Spool(_) => anyhow!("{error} (--data-dir names another directory)"),
            error => anyhow::Error::new(error),
        })
        .context("cannot start the agent")
}

/// Where this machine itself connects to what listens there.
pub(super) fn local_address(mut listening: SocketAddr) -> String {
    if listening.ip().is_unspecified() {
        listening.set_ip(match listening {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listening.to_string()
}
