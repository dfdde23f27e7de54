//! What systemd is told: that the agent is ready, well, taking on a configuration, and stopping.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

mod support;

use support::{Running, agent};

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
    let mut command = agent(&dir.path().join("agent.toml"));
    command
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "300000");
    let agent = Running::start(&mut command);
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
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    agent.signal("-HUP");
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    agent.signal("-TERM");
    hear("STOPPING=1");
}
