//! A running agent takes on a new configuration: when it is told to, or when the file changes.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

mod support;

use support::{Running, agent, free_port};

struct Agent {
    dir: tempfile::TempDir,
    port: u16,
    process: Option<Running>,
}

impl Agent {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut agent = Self {
            dir,
            port,
            process: None,
        };
        for name in ["a.log", "b.log"] {
            fs::write(agent.path(name), "one\n").unwrap();
        }
        agent.configure("a.log", "");
        let mut command = agent.agent();
        let log = File::create(agent.path("agent.out")).unwrap();
        command
            .args(args)
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(log);
        agent.process = Some(Running::start(&mut command));
        agent.wait_until("it follows a.log", |agent| agent.status().contains("a.log"));
        agent
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Follows this file; `more` stands before the first table.
    fn configure(&self, file: &str, more: &str) {
        let (dir, port) = (self.dir.path().display(), self.port);
        let text = format!(
            "{more}\ndata_dir = \"{dir}/data\"\n[collector]\nbootstrap = [\"127.0.0.1:1\"]\n[http]\nlisten = \"127.0.0.1:{port}\"\n\
             [[files]]\ntopic = \"t\"\ninclude = [\"{dir}/{file}\"]\n"
        );
        fs::write(self.path("agent.toml"), text).unwrap();
    }

    fn agent(&self) -> Command {
        agent(&self.path("agent.toml"))
    }

    fn status(&self) -> String {
        let output = self.agent().arg("status").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn hang_up(&self) {
        self.process.as_ref().unwrap().signal("-HUP");
    }

    fn said(&self, words: &str) -> bool {
        fs::read_to_string(self.path("agent.out")).unwrap().contains(words)
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let log = || fs::read_to_string(Path::new(&self.path("agent.out"))).unwrap();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{what}: {}\n{}",
                self.status(),
                log()
            );
            sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn told_to_it_takes_on_what_it_can_and_says_what_it_cannot() {
    let agent = Agent::start(&[]);
    agent.configure("?.log", "host = \"other\"");
    agent.hang_up();
    agent.wait_until("both files are followed", |agent| {
        agent.status().starts_with("2 files, 0 B not read yet")
    });
    agent.wait_until("what it cannot is said", |agent| agent.said("waiting=\"host\""));
    assert!(agent.said("took on the configuration"));

    fs::write(agent.path("agent.toml"), "nonsense").unwrap();
    agent.hang_up();
    agent.wait_until("the mistake is said", |agent| agent.said("the one of before holds"));
    agent.configure("?.log", "");
    assert!(agent.status().starts_with("2 files, "));
}

#[test]
fn it_takes_on_a_file_that_changed_if_it_should() {
    let agent = Agent::start(&["--watch-config"]);
    agent.configure("b.log", "");
    agent.wait_until("the other file is followed", |agent| {
        let status = agent.status();
        status.contains("b.log") && !status.contains("a.log")
    });
}
