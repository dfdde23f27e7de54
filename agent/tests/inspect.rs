//! `check`, `explain` and `status` say what an operator asks, beside a real agent that reaches no collector.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

mod support;

use support::{Running, agent, free_port};

struct Agent {
    dir: tempfile::TempDir,
    running: Option<Running>,
}

impl Agent {
    /// A configuration with two inputs, and some files.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        for (name, text) in [
            ("a.log", "one\ntwo\n"),
            ("b.log", "x\n"),
            ("b.log.gz", "?"),
            ("note.txt", "n"),
        ] {
            fs::write(logs.join(name), text).unwrap();
        }
        let port = free_port();
        let (dir_name, logs) = (dir.path().display(), logs.display());
        let config = format!(
            "data_dir = \"{dir_name}/data\"\n[collector]\nbootstrap = [\"127.0.0.1:1\"]\n[http]\nlisten = \"127.0.0.1:{port}\"\n\
             [[files]]\ntopic = \"apps\"\ninclude = [\"{logs}/*.log*\"]\nexclude = [\"*.gz\"]\n\
             [[files]]\ntopic = \"rest\"\ninclude = [\"{logs}/b*\"]\n\
             [[files]]\ntopic = \"none\"\ninclude = [\"{logs}/*.none\"]\n"
        );
        fs::write(dir.path().join("agent.toml"), config).unwrap();
        Self { dir, running: None }
    }

    fn agent(&self) -> Command {
        agent(&self.dir.path().join("agent.toml"))
    }

    /// Whether it succeeded, and all that it said.
    fn ask(&self, args: &[&str]) -> (bool, String) {
        let output = self.agent().args(args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn explain(&self, name: &str) -> String {
        let (ok, said) = self.ask(&["explain", self.log(name).to_str().unwrap()]);
        assert!(ok, "{said}");
        said
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    /// Runs it until it follows so many files.
    fn run(&mut self, files: usize) {
        self.running = Some(Running::start(&mut self.agent()));
        let begun = Instant::now();
        while !self
            .ask(&["status"])
            .1
            .starts_with(&format!("{files} files, 0 B not read yet"))
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", self.ask(&["status"]));
            sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn check_shows_what_each_glob_matches() {
    let agent = Agent::new();
    let (ok, said) = agent.ask(&["check"]);
    assert!(ok && said.ends_with("agent.toml: ok\n"), "{said}");
    assert!(said.contains("[[files]] 1: topic apps: 2 files, 10 B\n"), "{said}");
    assert!(
        said.contains(&format!("\n    {} (8 B)\n", agent.log("a.log").display())),
        "{said}"
    );
    assert!(said.contains("[[files]] 2: topic rest: 1 file, 1 B\n"), "{said}");
    assert!(
        said.contains("[[files]] 3: topic none: no file matches yet\n"),
        "{said}"
    );
}

#[test]
fn explain_says_who_takes_a_file_or_why_nobody_does() {
    let mut agent = Agent::new();
    let said = agent.explain("a.log");
    assert!(said.contains("[[files]] 1 (topic apps) takes it, by"), "{said}");
    assert!(said.contains("no agent answers at http://127.0.0.1:"), "{said}");
    let said = agent.explain("b.log");
    assert!(said.contains("[[files]] 2 (topic rest) would take it too"), "{said}");
    let said = agent.explain("b.log.gz");
    assert!(
        said.contains("[[files]] 1 (topic apps) excludes it by \"*.gz\""),
        "{said}"
    );
    assert!(said.contains("[[files]] 2 (topic rest) takes it"), "{said}");
    let said = agent.explain("note.txt");
    assert!(
        said.contains("it has 1 bytes") && said.contains("no [[files]] takes it"),
        "{said}"
    );
    assert!(agent.explain("gone").contains("it is not there"));
    assert!(agent.explain("").contains("it is no regular file"));

    agent.run(3);
    let said = agent.explain("a.log");
    assert!(
        said.contains("has read 8 of 8 bytes, 0 are left, for topic apps"),
        "{said}"
    );
    assert!(
        agent
            .explain("note.txt")
            .contains("the agent that runs does not follow it")
    );
}

#[test]
fn status_shows_every_file_as_a_table_and_as_json() {
    let mut agent = Agent::new();
    let (ok, said) = agent.ask(&["status"]);
    assert!(
        !ok && said.contains("is it running, with the same http.listen?"),
        "{said}"
    );
    agent.run(3);
    let (ok, said) = agent.ask(&["status", "--rows", "1"]);
    assert!(ok && said.contains("a.log") && said.ends_with("and 2 more\n"), "{said}");
    let (ok, said) = agent.ask(&["status", "--json"]);
    let files: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
    assert!(
        ok && files.len() == 3 && files.iter().all(|file| file["lag"] == 0),
        "{said}"
    );
}
