//! An agent that reaches no broker still reads, spools, and tells what it does.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tailrace_agent::config::{AgentConfig, WatchMode};
use tailrace_agent::pipeline::{Agent, Seams, StartError};
use tailrace_agent::status::{DeliveryMetrics, FileStatus, ReadMetrics};

/// Everything below `root` is followed; nobody listens on port 1.
fn config(root: &Path) -> AgentConfig {
    let text = format!(
        "data_dir = \"{root}/data\"\n\
         [collector]\nbootstrap = [\"127.0.0.1:1\"]\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\
         [spool]\nmax_bytes = \"1280KiB\"\nfile_bytes = \"256KiB\"\n\
         [[files]]\ntopic = \"t\"\ninclude = [\"{root}/**\"]\nexclude = [\"*.gz\"]\n",
        root = root.display()
    );
    tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None).unwrap()
}

async fn start(root: &Path) -> Agent {
    Agent::start(&config(root), Seams::default()).await.unwrap()
}

/// Waits until everything there is was read, and `size` bytes of it in all.
async fn read_up_to(agent: &Agent, size: u64) -> Vec<FileStatus> {
    loop {
        let files = agent.files().await;
        let position: u64 = files.iter().map(|file| file.position).sum();
        assert!(position <= size, "{files:?}");
        if position == size {
            return files;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn get(address: SocketAddr, path: &'static str) -> String {
    let request = move || {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    tokio::task::spawn_blocking(request).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_spooled_and_not_read_again_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let log = root.join("app.log");
    std::fs::write(&log, "one\ntwo\n").unwrap();
    let agent = start(&root).await;
    let files = read_up_to(&agent, 8).await;
    assert_eq!(files.len(), 1, "the agent's own data is not followed: {files:?}");
    agent.stop().await;

    std::fs::OpenOptions::new()
        .append(true)
        .open(&log)
        .unwrap()
        .write_all(b"three\n")
        .unwrap();
    let agent = start(&root).await;
    read_up_to(&agent, 14).await;
    let address = agent.http_addr().unwrap();
    let metrics = get(address, "/metrics").await;
    assert!(
        metrics.contains("tailrace_agent_read_lines_total{topic=\"t\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("tailrace_agent_spool_file_bytes "), "{metrics}");
    let files = get(address, "/files").await;
    assert!(files.contains("\"position\":14"), "{files}");
    let waits_for = get(address, "/readyz").await;
    assert!(
        waits_for.starts_with("HTTP/1.1 503") && waits_for.contains("\ncollector: cannot reach it"),
        "{waits_for}"
    );
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_before_anything_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let agent = start(&dir.path().canonicalize().unwrap()).await;
    let text = get(agent.http_addr().unwrap(), "/metrics").await;
    for metric in ReadMetrics::DEFINITIONS.iter().chain(DeliveryMetrics::DEFINITIONS) {
        let name = metric.name;
        let series = match metric.labels {
            [] => format!("\n{name} "),
            ["topic"] => format!("\n{name}{{topic=\"t\"}} "),
            ["topic", "reason"] => format!("\n{name}{{reason=\"drop\",topic=\"t\"}} "),
            labels => panic!("say here which values of {labels:?} {name} has at the start"),
        };
        assert!(text.contains(&series), "{series} in\n{text}");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_new_files_and_new_lines_are_found_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let mut config = config(&root);
    config.read.watch = WatchMode::Poll;
    let agent = Agent::start(&config, Seams::default()).await.unwrap();
    read_up_to(&agent, 0).await;
    std::fs::create_dir(root.join("new")).unwrap();
    std::fs::write(root.join("new/app.log"), "one\n").unwrap();
    read_up_to(&agent, 4).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let first = start(&root).await;
    let second = Agent::start(&config(&root), Seams::default()).await;
    assert!(matches!(second, Err(StartError::Spool(_))));
    first.stop().await;
    start(&root).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_spool_is_full_reading_waits_and_the_agent_still_stops() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let mut noise = 1_u64;
    let lines: String = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{noise:016x}{:016x}\n", noise.rotate_left(17) ^ 0x5bd1_e995)
    })
    .take(200_000)
    .collect();
    std::fs::write(root.join("app.log"), &lines).unwrap();
    let agent = start(&root).await;
    let address = agent.http_addr().unwrap();
    while !get(address, "/metrics").await.contains("tailrace_agent_spool_full 1\n") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while !get(address, "/readyz")
        .await
        .contains("\nreading: the spool takes no more: spool.max_bytes")
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lag = agent.files().await[0].lag;
    assert!(lag > 0);
    agent.stop().await;
}
