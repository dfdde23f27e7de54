//! What the tests with a real agent share.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};

/// A process that ends with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    #[allow(dead_code, reason = "not every test sends signals")]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A port that nobody listens on at this moment.
#[allow(dead_code, reason = "not every test asks the agent by HTTP")]
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The agent, with this configuration.
pub(crate) fn agent(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace-agent"));
    command.arg("--config").arg(config);
    // What is asked of this machine goes through no proxy.
    command
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9");
    command
}
