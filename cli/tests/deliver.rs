//! An agent and a collector in one process: what a topic does not take as it is still arrives, once and in order.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, its helpers too"
)]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use support::{Broker, wait_until};
use tailrace_agent::config::AgentConfig;
use tailrace_agent::deliver::{Brokers, KafkaBrokers};
use tailrace_agent::pipeline::{Agent, Seams};
use tailrace_shared::client::{Cluster, ClusterOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// An agent that follows `*.log` in a directory of its own.
struct Site {
    runtime: Runtime,
    dir: TempDir,
    config: AgentConfig,
}

impl Site {
    fn new(broker: &Broker, topic: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let text = format!(
            "data_dir = \"{root}/data\"\n\
             [collector]\nbootstrap = [\"{}\"]\n\
             [read]\nscan_interval = \"100ms\"\n\
             [[files]]\ntopic = \"{topic}\"\ninclude = [\"{root}/*.log\"]\n",
            broker.address(),
            root = root.display()
        );
        let config = tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None).unwrap();
        Self {
            runtime: Runtime::new().unwrap(),
            dir,
            config,
        }
    }

    fn start(&self) -> Agent {
        let seams = Seams {
            http: false,
            ..Seams::default()
        };
        self.runtime.block_on(Agent::start(&self.config, seams)).unwrap()
    }

    fn stop(&self, agent: Agent) {
        self.runtime.block_on(agent.stop());
    }

    fn append(&self, name: &str, lines: &[String]) {
        let path = self.dir.path().join(name);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    }

    fn dead_letters(&self) -> Vec<PathBuf> {
        let dir = fs::read_dir(self.dir.path().join("data/dead-letter"));
        let paths = dir.into_iter().flatten().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_none()).collect()
    }
}

/// What a topic holds of a file, by partition and in order.
fn arrived(broker: &Broker, topic: &str, file: &str) -> Vec<(i64, String)> {
    let args = ["tail", topic, "--from", "beginning", "--no-follow", "--output", "json"];
    let records = broker.json_lines(&args).into_iter();
    let of_file = records.filter(|record| record["headers"]["path"].as_str().unwrap().ends_with(file));
    of_file
        .map(|record| {
            let value = record["value"].as_str().unwrap().to_owned();
            (record["partition"].as_i64().unwrap(), value)
        })
        .collect()
}

fn values(arrived: &[(i64, String)]) -> Vec<&str> {
    arrived.iter().map(|(_, value)| value.as_str()).collect()
}

/// Hexadecimal noise, which zstd makes half as long and no shorter.
fn noise(len: usize, seed: u64) -> String {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from_digit(u32::try_from(state >> 60).unwrap(), 16).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn batches_too_large_for_a_topic_arrive_in_parts_and_only_a_line_too_large_is_a_dead_letter() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "narrow", "-p", "2", "-c", "max.message.bytes=3000"]);
    let site = Site::new(&broker, "narrow");
    let mut lines: Vec<String> = (0..2000).map(|line| format!("{line} {}", noise(90, line))).collect();
    site.append("a.log", &lines);
    site.append("a.log", &[format!("too long {}", noise(20_000, 1))]);
    let rest: Vec<String> = (2000..2500).map(|line| format!("{line} {}", noise(90, line))).collect();
    site.append("a.log", &rest);
    lines.extend(rest);

    let agent = site.start();
    let brokers = KafkaBrokers::new(Cluster::new(ClusterOptions {
        bootstrap: vec![broker.address().to_owned()],
        ..ClusterOptions::default()
    }));
    let told = site.runtime.block_on(brokers.batch_bytes_max("narrow".into()));
    assert_eq!(told, Ok(3000), "as the agent asks when a batch is refused");
    let all = wait_until("all lines but one arrive", || {
        Some(arrived(&broker, "narrow", "a.log")).filter(|arrived| arrived.len() >= lines.len())
    });
    assert_eq!(values(&all), lines);
    let dead = wait_until("the long line is kept", || {
        Some(site.dead_letters()).filter(|dead| !dead.is_empty())
    });
    assert_eq!(dead.len(), 1);
    let reason = fs::read_to_string(dead[0].with_extension("reason")).unwrap();
    assert!(reason.contains("MESSAGE_TOO_LARGE"), "{reason}");
    site.stop(agent);
    // The next process has nothing to send again.
    let agent = site.start();
    site.append("a.log", &["last".to_owned()]);
    lines.push("last".to_owned());
    let all = wait_until("the last line arrives", || {
        Some(arrived(&broker, "narrow", "a.log")).filter(|arrived| arrived.len() >= lines.len())
    });
    assert_eq!(values(&all), lines);
    site.stop(agent);
}

#[test]
fn a_topic_made_anew_with_fewer_partitions_gets_what_comes_next() {
    let broker = Broker::start_with(|config| config.topics.auto_create = false);
    broker.run(&["topics", "create", "anew", "-p", "8"]);
    let site = Site::new(&broker, "anew");
    let names: Vec<String> = (0..6).map(|file| format!("{file}.log")).collect();
    let agent = site.start();
    let numbered = |from: u32, to: u32| (from..to).map(|line| line.to_string()).collect::<Vec<_>>();
    let wait_for = |name: &str, expected: &[String]| {
        let arrived = wait_until("the lines arrive", || {
            Some(arrived(&broker, "anew", name)).filter(|arrived| arrived.len() >= expected.len())
        });
        assert_eq!(values(&arrived), expected, "{name}");
        arrived.first().map(|(partition, _)| *partition)
    };
    for name in &names {
        site.append(name, &numbered(0, 100));
    }
    let partitions: Vec<_> = names.iter().map(|name| wait_for(name, &numbered(0, 100))).collect();
    assert!(
        partitions.iter().any(|partition| *partition > Some(1)),
        "{partitions:?}"
    );

    broker.run(&["topics", "delete", "anew", "--yes"]);
    broker.run(&["topics", "create", "anew", "-p", "2"]);
    for name in &names {
        site.append(name, &numbered(100, 200));
    }
    for name in &names {
        wait_for(name, &numbered(100, 200));
    }
    site.stop(agent);
}
