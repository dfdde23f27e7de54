//! Which parts of a new configuration a running agent can take on, and which only a restart can.

use crate::config::AgentConfig;

/// The tables and keys of a new configuration that wait for a restart, and the configuration that can be run now.
#[must_use]
pub fn apart(running: &AgentConfig, new: AgentConfig) -> (AgentConfig, Vec<&'static str>) {
    let pairs = || running.syslog.iter().zip(&new.syslog);
    let journals = || running.journald.iter().zip(&new.journald);
    let reads_alike = running.journald.len() == new.journald.len() && journals().all(|(old, new)| old.reads_as(new));
    let commands = || running.command.iter().zip(&new.command);
    let runs_alike = running.command.len() == new.command.len() && commands().all(|(old, new)| old.runs_as(new));
    let stdin_alike = match (&running.stdin, &new.stdin) {
        (Some(old), Some(new)) => old.reads_as(new),
        (None, None) => true,
        _ => false,
    };
    let listens_alike = running.syslog.len() == new.syslog.len() && pairs().all(|(old, new)| old.listens_as(new));
    let differs = [
        ("data_dir", running.data_dir != new.data_dir),
        ("host", running.host != new.host),
        ("[collector]", running.collector != new.collector),
        ("[http]", running.http != new.http),
        ("[log]", running.log != new.log),
        ("[spool]", running.spool != new.spool),
        ("read.watch", running.read.watch != new.read.watch),
        ("read.roots", running.read.roots != new.read.roots),
        ("[[syslog]]", !listens_alike),
        ("[[journald]]", !reads_alike),
        ("[[command]]", !runs_alike),
        ("[stdin]", !stdin_alike),
    ];
    let waiting = differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect();
    let mut now = AgentConfig {
        files: new.files,
        read: new.read,
        ..running.clone()
    };
    if listens_alike {
        now.syslog = new.syslog;
    }
    if runs_alike {
        now.command = new.command;
    }
    if stdin_alike {
        now.stdin = new.stdin;
    }
    if reads_alike {
        now.journald = new.journald;
    }
    now.read.watch = running.read.watch;
    now.read.roots.clone_from(&running.read.roots);
    (now, waiting)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(more: &str) -> AgentConfig {
        let text = format!("{more}\n[[files]]\ntopic = \"t\"\ninclude = [\"/a\"]\n");
        tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None).unwrap()
    }

    #[test]
    fn what_becomes_of_messages_changes_at_once_and_where_they_arrive_does_not() {
        let with = |syslog: &str| {
            config(&format!(
                "[collector]\nbootstrap = [\"a:1\"]\n[[syslog]]\ntopic = \"a\"\n{syslog}"
            ))
        };
        let running = with("udp = \"[::]:1\"");
        let (now, waiting) = apart(&running, with("udp = \"[::]:1\"\nformat = \"json\""));
        assert!(waiting.is_empty() && now.syslog[0].format == crate::batch::Format::Json);
        for other in [
            "udp = \"[::]:2\"",
            "udp = \"[::]:1\"\n[[syslog]]\ntopic = \"b\"\ntcp = \"[::]:1\"",
        ] {
            let (now, waiting) = apart(&running, with(other));
            assert_eq!((waiting, now.syslog.len()), (vec!["[[syslog]]"], 1));
            assert!(now.syslog[0].listens_as(&running.syslog[0]));
        }
    }

    #[test]
    fn what_needs_a_restart_is_named_and_stays_as_it_is() {
        let collector = "[collector]\nbootstrap = [\"a:1\"]";
        let running = config(&format!("host = \"h\"\n{collector}"));
        let (now, waiting) = apart(
            &running,
            config(&format!("host = \"h\"\n{collector}\n[read]\nlinger = \"1s\"")),
        );
        assert!(waiting.is_empty() && now.read.linger.0.as_secs() == 1);
        let other = "host = \"g\"\ndata_dir = \"/d\"\n[collector]\nbootstrap = [\"b:1\"]\n[http]\nlisten = \"127.0.0.1:1\"\n\
                     [log]\nlevel = \"debug\"\n[read]\nwatch = \"poll\"\n[spool]\nmax_bytes = \"1GiB\"";
        let (now, waiting) = apart(&running, config(other));
        assert_eq!(
            waiting,
            [
                "data_dir",
                "host",
                "[collector]",
                "[http]",
                "[log]",
                "[spool]",
                "read.watch"
            ]
        );
        assert_eq!((now.host.as_str(), &now.collector), ("h", &running.collector));
        let with = |password: &str| {
            config(&format!(
                "host = \"h\"\n{collector}\n[collector.sasl]\nuser = \"u\"\npassword = \"{password}\""
            ))
        };
        assert_eq!(apart(&with("a"), with("b")).1, ["[collector]"]);
    }
}
