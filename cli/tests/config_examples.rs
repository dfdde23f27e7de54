//! Every file in `config-examples/` is read by the binary that it is for, and the full ones leave no key out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tailrace_agent::config::AgentConfig;
use tailrace_agent::pipeline;
use tailrace_collector::config::CollectorConfig;
use tailrace_collector::server;

fn examples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config-examples");
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_example_is_valid() {
    let (mut agents, mut collectors) = (0, 0);
    for path in examples() {
        if path.file_name().unwrap().to_string_lossy().starts_with("collector") {
            let config: CollectorConfig =
                tailrace_shared::config::load(&path).unwrap_or_else(|error| panic!("{error}"));
            server::check(&config).unwrap();
            collectors += 1;
        } else {
            let config = AgentConfig::load(&path).unwrap_or_else(|error| panic!("{error}"));
            pipeline::inputs(&config).unwrap();
            agents += 1;
        }
    }
    assert!(
        agents >= 5 && collectors >= 2,
        "{agents} agents, {collectors} collectors"
    );
}

/// What serde says it would take in the place of a key that does not exist.
fn known_keys<T: DeserializeOwned>(text: &str) -> Vec<String> {
    let error = toml::from_str::<T>(text).err().unwrap().to_string();
    let (_, expected) = error
        .split_once("expected")
        .unwrap_or_else(|| panic!("{text}: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn full_example_has_every_key<T: DeserializeOwned>(example: &str, required: &str, tables: &[&str]) {
    let example: toml::Table = example.parse().unwrap();
    for key in known_keys::<T>(&format!("{required}no_such_key = 1")) {
        assert!(example.contains_key(&key), "{key}");
    }
    for table in tables {
        let keys = known_keys::<T>(&format!("{required}[{table}]\nno_such_key = 1"));
        let written = match &example[table.trim_matches(['[', ']'])] {
            toml::Value::Array(tables) => tables[0].as_table().unwrap().clone(),
            written => written.as_table().unwrap().clone(),
        };
        for key in keys {
            assert!(written.contains_key(&key), "[{table}] {key}");
        }
    }
}

#[test]
fn full_example_of_a_collector_has_every_key() {
    full_example_has_every_key::<CollectorConfig>(
        include_str!("../../config-examples/collector.toml"),
        "data_dir = \"/x\"\n",
        &["kafka", "http", "topics", "groups", "wal", "log"],
    );
}

#[test]
fn full_example_of_an_agent_has_every_key() {
    full_example_has_every_key::<AgentConfig>(
        include_str!("../../config-examples/agent-full.toml"),
        "",
        &["collector", "http", "log", "read", "spool", "[files]", "[syslog]"],
    );
}
