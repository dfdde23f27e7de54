//! A collector in this process, and the real `tailrace` binary against it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tailrace_collector::config::CollectorConfig;
use tailrace_collector::server::Collector;
use tailrace_shared::config::{HumanDuration, ListenAddr};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Far more than anything here takes; only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A collector on a directory of its own.
pub(crate) struct Broker {
    runtime: Runtime,
    collector: Option<Collector>,
    address: String,
    _dir: TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// With other settings than the usual ones.
    pub(crate) fn start_with(change: impl FnOnce(&mut CollectorConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let dir = TempDir::new().unwrap();
        let mut config = CollectorConfig::new(dir.path().join("data"));
        config.kafka.listen = ListenAddr::loopback(0);
        config.http.listen = ListenAddr::loopback(0);
        config.groups.initial_rebalance_delay = HumanDuration(Duration::ZERO);
        change(&mut config);
        let collector = runtime.block_on(Collector::start(&config)).unwrap();
        let address = collector.kafka_addrs()[0].to_string();
        Self {
            runtime,
            collector: Some(collector),
            address,
            _dir: dir,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The binary, told where this broker is.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tailrace(args);
        command.env("TAILRACE_BOOTSTRAP", &self.address);
        command
    }

    /// Runs it to a good end and gives its stdout.
    pub(crate) fn run(&self, args: &[&str]) -> Vec<u8> {
        succeeded(args, self.command(args).output().unwrap())
    }

    /// The same as text.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args)).unwrap()
    }

    /// The same as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&self.run(args)).unwrap()
    }

    /// The same as a JSON document a line.
    pub(crate) fn json_lines(&self, args: &[&str]) -> Vec<serde_json::Value> {
        self.text(args)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs it to a bad end and gives its stderr.
    pub(crate) fn failure(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?} should have failed: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs `produce` with this on stdin and gives its stderr.
    pub(crate) fn produce(&self, args: &[&str], input: &[u8]) -> String {
        let args = [&["produce"], args].concat();
        let output = with_input(&mut self.command(&args), input);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(collector) = self.collector.take() {
            self.runtime.block_on(collector.stop());
        }
    }
}

/// The binary.
pub(crate) fn tailrace(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
    command
        .args(args)
        .env_remove("TAILRACE_BOOTSTRAP")
        .env_remove("TAILRACE_LOG");
    command
}

pub(crate) fn succeeded(args: &[&str], output: Output) -> Vec<u8> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {:?} {stderr}", output.status);
    output.stdout
}

pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

/// A process that goes on until it is told to stop, with its stdout in a file.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn start(command: &mut Command, stdout: &Path, stderr: &Path) -> Self {
        let file = |path| std::fs::File::create(path).unwrap();
        let child = command.stdout(file(stdout)).stderr(file(stderr)).spawn().unwrap();
        Self { child }
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    /// Ctrl-C, and the exit code after it.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.interrupt();
        self.exit_code()
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait_until("it ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of one that has ended this says so, and that is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a file has this content.
pub(crate) fn wait_for_content(path: &Path, expected: &[u8]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let content = std::fs::read(path).unwrap();
        if content == expected {
            return;
        }
        let shown = (String::from_utf8_lossy(&content), String::from_utf8_lossy(expected));
        assert!(
            Instant::now() < deadline,
            "{} has {:?}, not {:?}",
            path.display(),
            shown.0,
            shown.1
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
