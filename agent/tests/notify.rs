//! What systemd is told: that the agent is ready, well, taking on a configuration, and stopping.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Duration;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn systemd_hears_of_every_change_and_that_the_agent_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let root = dir.path().display();
    let config = format!(
        "data_dir = \"{root}/data\"\n[collector]\nbootstrap = [\"127.0.0.1:1\"]\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [[files]]\ntopic = \"t\"\ninclude = [\"{root}/*.log\"]\n"
    );
    fs::write(dir.path().join("agent.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace-agent"));
    command.arg("--config").arg(dir.path().join("agent.toml"));
    command
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "300000");
    let agent = Killed(command.spawn().unwrap());
    let hear = |what: &str| {
        let mut buffer = [0; 1000];
        loop {
            let len = socket
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let text = String::from_utf8_lossy(buffer.get(..len).unwrap()).into_owned();
            if text.contains(what) {
                return text;
            }
        }
    };
    let tell = |signal: &str| {
        let id = agent.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    tell("-HUP");
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    tell("-TERM");
    hear("STOPPING=1");
}
