//! The two parts that run in this process: their configurations, and their starts with errors that speak of the options
//! of `up` rather than of configuration files that are not there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use tailrace_agent::config::{AgentConfig, FilesConfig, HttpConfig as AgentHttpConfig, TopicName};
use tailrace_agent::pipeline::{self, Agent, Seams};
use tailrace_agent::spool;
use tailrace_collector::broker::DataDirError;
use tailrace_collector::config::CollectorConfig;
use tailrace_collector::server::{self, Collector, ListenerError};
use tailrace_shared::config::ListenAddr;

use super::{UpArgs, globs};

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
    if !args.kafka.is_loopback() && !args.insecure {
        bail!(
            "--kafka {} is open to the network, and whoever reaches it may read, write and delete everything: say \
             --insecure where you trust everybody, or run tailrace-collector, which has TLS and logins",
            args.kafka
        );
    }
    let mut config = CollectorConfig::new(data_dir.join("collector"));
    config.kafka.listen = args.kafka.clone();
    config.kafka.advertised = args.advertised.clone();
    config.kafka.insecure = args.insecure;
    config.http.listen = args.http.clone();
    Ok(config)
}

/// The agent, in its part of the directory. Where it delivers to is known once the collector listens.
pub(super) fn agent_config(args: &UpArgs, data_dir: &Path) -> Result<AgentConfig> {
    let topic = TopicName::try_from(args.topic.clone()).map_err(|reason| anyhow!("--topic: {reason}"))?;
    let include = args.globs.iter().map(|glob| globs::parse(glob));
    let files = FilesConfig {
        start_at: args.from.into(),
        ..FilesConfig::new(topic, include.collect::<Result<_>>()?)
    };
    Ok(AgentConfig {
        http: AgentHttpConfig {
            listen: args.agent_http.clone(),
        },
        ..AgentConfig::new(data_dir.join("agent"), Vec::new(), vec![files])
    })
}

pub(super) async fn start_collector(config: &CollectorConfig) -> Result<Collector> {
    use server::StartError;
    let in_the_way = |error| match error {
        StartError::Listener(ListenerError::Bind { address, source, .. }) => {
            cannot_listen("Kafka", "--kafka", &address, &source)
        }
        StartError::Http(error) => cannot_listen("HTTP", "--http", &error.address, &error.source),
        StartError::DataDir(DataDirError::InUse { path }) => in_use(&path),
        error => anyhow!("{error} (--data-dir names another directory)"),
    };
    Collector::start(config).await.map_err(in_the_way)
}

pub(super) async fn start_agent(config: &AgentConfig, off_limits: Vec<PathBuf>) -> Result<Agent> {
    use pipeline::StartError;
    let seams = Seams {
        off_limits,
        ..Seams::default()
    };
    let in_the_way = |error| match error {
        StartError::Http(error) => cannot_listen("the agent's HTTP", "--agent-http", &error.address, &error.source),
        StartError::Spool(spool::OpenError::Locked { path }) => in_use(&path),
        StartError::Spool(error) => anyhow!("{error} (--data-dir names another directory)"),
        error => anyhow::Error::new(error).context("cannot start the agent"),
    };
    Agent::start(config, seams).await.map_err(in_the_way)
}

fn in_use(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is in use by another Tailrace: stop it, read what it collects with `tailrace tail`, or name another directory \
         with --data-dir",
        path.display()
    )
}

fn cannot_listen(what: &str, option: &str, address: &ListenAddr, source: &io::Error) -> anyhow::Error {
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "choose another port with {option} 127.0.0.1:0; if it is Tailrace that runs there already, read it with \
             `tailrace tail`"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 are for root; choose another with {option} 127.0.0.1:0")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{option} takes an address of this machine, and that is none")
        }
        _ => format!("{option} takes an address of this machine, or a name that resolves to one"),
    };
    anyhow!("cannot listen for {what} on {address}: {source} ({remedy})")
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
