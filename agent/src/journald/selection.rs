//! Which entries of which journal, as arguments of `journalctl`.

use std::path::PathBuf;

use tokio::process::Command;

/// What is asked of `journalctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The program.
    pub journalctl: PathBuf,
    /// Where the journal's files are, if not where the system has its own.
    pub directory: Option<PathBuf>,
    /// Of several journals of a system, the one with this name.
    pub namespace: Option<String>,
    /// Only what these units, or their processes, or systemd about them say.
    pub units: Vec<String>,
    /// Only what has one of these as its `SYSLOG_IDENTIFIER`.
    pub identifiers: Vec<String>,
    /// Only what is so important or more: a name of a severity.
    pub priority: Option<&'static str>,
    /// Only what has one of the values that are given for each field: `FIELD=value`.
    pub matches: Vec<String>,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin<'a> {
    /// With the oldest entry.
    Oldest,
    /// With this one, if it is still there, or else with the next.
    Cursor(&'a str),
}

impl Selection {
    /// What it does with any of them: entries in the export format, with no more than these fields.
    fn journal<S: std::borrow::Borrow<str>>(&self, fields: &[S]) -> Command {
        let mut command = Command::new(&self.journalctl);
        command
            .args(["--output=export", "--no-pager"])
            .arg(format!("--output-fields={}", fields.join(",")));
        if let Some(directory) = &self.directory {
            // What is there may be of other machines and their boots.
            command.arg("--merge").arg("--directory").arg(directory);
        }
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        command
    }

    fn select(&self, command: &mut Command) {
        command.args(self.units.iter().map(|unit| format!("--unit={unit}")));
        command.args(self.identifiers.iter().map(|name| format!("--identifier={name}")));
        command.args(self.priority.iter().map(|name| format!("--priority={name}")));
        command.arg("--").args(&self.matches);
    }

    /// All of them that are there.
    pub(super) fn all(&self, fields: &[String], from: Begin<'_>) -> Command {
        self.selected(fields, from, &[])
    }

    /// Those of this boot, and those that follow: that is what following means to it where the journal is the system's.
    pub(super) fn follow(&self, fields: &[String], from: Begin<'_>) -> Command {
        self.selected(fields, from, &["--follow", "--no-tail"])
    }

    fn selected(&self, fields: &[String], from: Begin<'_>, how: &[&str]) -> Command {
        let mut command = self.journal(&with_message(fields));
        command.arg("--quiet").args(how);
        if let Begin::Cursor(cursor) = from {
            command.arg(format!("--cursor={cursor}"));
        }
        self.select(&mut command);
        command
    }

    /// The last entry, whether it would be selected or not.
    pub(super) fn last_of_all(&self) -> Command {
        let mut command = self.journal(&["_BOOT_ID"]);
        command.args(["--quiet", "--lines=1"]);
        command
    }

    /// The last one of them, and what there is to be said of the journal.
    pub(super) fn last(&self, fields: &[String]) -> Command {
        let mut command = self.journal(&with_message(fields));
        command.arg("--lines=1");
        self.select(&mut command);
        command
    }
}

fn with_message(fields: &[String]) -> Vec<&str> {
    std::iter::once("MESSAGE")
        .chain(fields.iter().map(String::as_str))
        .collect()
}
