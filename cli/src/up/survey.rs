//! What a person wants to know before the first line: what is followed, what cannot be, where everything is, and how to
//! read it.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tailrace_agent::config::AgentConfig;
use tailrace_agent::discover::{Pattern, Walker};
use tailrace_agent::pipeline;
use tailrace_shared::disk::RealDisk;

/// So many names are shown, and the number of the others.
const NAMES_SHOWN: usize = 3;

/// The files of this moment; the agent looks for itself, again and again.
#[derive(Debug)]
pub(super) struct Survey {
    /// Those that select no file yet.
    missing: Vec<String>,
    readable: Vec<PathBuf>,
    unreadable: Vec<(PathBuf, io::Error)>,
}

/// Where everything is.
pub(super) struct Listening<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) kafka: &'a str,
    pub(super) collector_http: SocketAddr,
    pub(super) agent_http: Option<SocketAddr>,
    pub(super) topic: &'a str,
}

/// Looks once at what the agent will follow; `given` is what a person wrote for each of its patterns.
pub(super) async fn take(config: &AgentConfig, given: Vec<String>, off_limits: Vec<PathBuf>) -> Result<Survey> {
    let selections = pipeline::inputs(config)?.into_iter().map(|input| input.selection);
    let patterns = pipeline::inputs(config)?
        .into_iter()
        .flat_map(|input| input.selection.include);
    let patterns: Vec<_> = given.into_iter().zip(patterns).collect();
    let selections = selections.collect();
    let look = move || {
        let scan = Walker::new(Arc::new(RealDisk), selections, off_limits).scan_all();
        let (mut readable, mut unreadable) = (Vec::new(), scan.unreadable);
        for found in scan.files {
            match File::open(&found.path) {
                Ok(_) => readable.push(found.path),
                Err(error) => unreadable.push((found.path, error)),
            }
        }
        let is_there = |pattern: &Pattern| {
            let failed = unreadable.iter().map(|(path, _)| path);
            readable.iter().chain(failed).any(|path| pattern.matches(path))
        };
        // One that is there and was not found has another name that was.
        let missing = patterns
            .into_iter()
            .filter(|(given, pattern)| !is_there(pattern) && !Path::new(given).exists())
            .map(|(given, _)| given);
        Survey {
            missing: missing.collect(),
            readable,
            unreadable,
        }
    };
    tokio::task::spawn_blocking(look).await.context("cannot look for files")
}

impl Listening<'_> {
    /// What is where, and how to read it.
    pub(super) fn describe(&self) -> String {
        let Self {
            data_dir,
            kafka,
            collector_http,
            topic,
            ..
        } = self;
        let agent_http = self
            .agent_http
            .map(|agent| format!(", http://{agent}/metrics, http://{agent}/files"));
        format!(
            "tailrace: collecting into topic {topic}; everything is in {}\n  \
             read it   tailrace tail {topic} --from beginning --bootstrap {kafka}\n            \
             kcat -b {kafka} -t {topic} -C\n  \
             metrics   http://{collector_http}/metrics{}\n",
            data_dir.display(),
            agent_http.unwrap_or_default(),
        )
    }
}

impl Survey {
    pub(super) fn describe(&self) -> String {
        let names = self.readable.iter().map(|path| path.display().to_string());
        let mut text = match self.readable.len() {
            0 => format!("  follows   no file yet; waiting for {}\n", self.missing.join(" ")),
            count => format!("  follows   {}: {}\n", counted(count, "file"), shortened(names)),
        };
        if !self.readable.is_empty() && !self.missing.is_empty() {
            let missing = shortened(self.missing.iter().cloned());
            text += &format!("  waits for {missing}: no file yet\n");
        }
        if !self.unreadable.is_empty() {
            let names = self
                .unreadable
                .iter()
                .map(|(path, error)| format!("{} ({error})", path.display()));
            text += &format!(
                "  no access {}: {}\n",
                counted(self.unreadable.len(), "place"),
                shortened(names)
            );
        }
        text
    }
}

fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}

fn shortened(names: impl ExactSizeIterator<Item = String>) -> String {
    let others = names.len().saturating_sub(NAMES_SHOWN);
    let shown = names.take(NAMES_SHOWN).collect::<Vec<_>>().join(", ");
    match others {
        0 => shown,
        others => format!("{shown} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(readable: &[&str], unreadable: &[&str], missing: &[&str]) -> String {
        let denied = |path| (PathBuf::from(path), io::Error::from(io::ErrorKind::PermissionDenied));
        let survey = Survey {
            missing: missing.iter().map(|text| (*text).to_owned()).collect(),
            readable: readable.iter().map(PathBuf::from).collect(),
            unreadable: unreadable.iter().copied().map(denied).collect(),
        };
        survey.describe()
    }

    #[test]
    fn it_says_where_everything_is_and_how_to_read_it() {
        let listening = Listening {
            data_dir: Path::new("/state/tailrace"),
            kafka: "127.0.0.1:9092",
            collector_http: ([127, 0, 0, 1], 9600).into(),
            agent_http: Some(([127, 0, 0, 1], 9601).into()),
            topic: "logs",
        };
        let text = listening.describe();
        for expected in [
            "/state/tailrace\n  read it   tailrace tail logs",
            "\n            kcat -b 127.0.0.1:9092 -t logs -C\n",
            "http://127.0.0.1:9600/metrics",
            "http://127.0.0.1:9601/files\n",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn many_names_are_shortened_and_none_are_waited_for() {
        assert_eq!(described(&["/log/a"], &[], &[]), "  follows   1 file: /log/a\n");
        let text = described(&["/log/a", "/log/b", "/log/c", "/log/d", "/log/e"], &["/log/x"], &[]);
        assert!(text.contains("5 files: /log/a, /log/b, /log/c and 2 more\n"), "{text}");
        assert!(text.contains("1 place: /log/x (permission denied)\n"), "{text}");
        assert!(described(&[], &[], &["/log/*"]).contains("no file yet; waiting for /log/*\n"));
        let text = described(&["/log/a"], &[], &["nope.log"]);
        assert!(text.ends_with("\n  waits for nope.log: no file yet\n"), "{text}");
    }
}
