//! What a person wants to know before the first line: what is followed, what cannot be, where everything is, and how to
//! read it.

use std::fmt::{self, Write};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tailrace_agent::config::AgentConfig;
use tailrace_agent::discover::Walker;
use tailrace_agent::pipeline;
use tailrace_shared::disk::RealDisk;

/// So many names are shown, and the number of the others.
const NAMES_SHOWN: usize = 3;

/// The files of this moment; the agent looks for itself, again and again.
#[derive(Debug)]
pub(super) struct Survey {
    patterns: Vec<String>,
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

/// Looks once at what the agent will follow.
pub(super) async fn take(config: &AgentConfig, off_limits: Vec<PathBuf>) -> Result<Survey> {
    let inputs = pipeline::inputs(config)?;
    let patterns = config.files.iter().flat_map(|files| &files.include);
    let patterns = patterns.map(|glob| glob.as_str().to_owned()).collect();
    let look = move || {
        let selections = inputs.into_iter().map(|input| input.selection).collect();
        let scan = Walker::new(Arc::new(RealDisk), selections, off_limits).scan_all();
        let (mut readable, mut unreadable) = (Vec::new(), scan.unreadable);
        for found in scan.files {
            match File::open(&found.path) {
                Ok(_) => readable.push(found.path),
                Err(error) => unreadable.push((found.path, error)),
            }
        }
        Survey {
            patterns,
            readable,
            unreadable,
        }
    };
    tokio::task::spawn_blocking(look).await.context("cannot look for files")
}

impl Survey {
    pub(super) fn describe(&self, listening: &Listening<'_>) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        self.write(&mut text, listening).ok();
        text
    }

    fn write(&self, text: &mut String, listening: &Listening<'_>) -> fmt::Result {
        let Listening { kafka, topic, .. } = listening;
        writeln!(
            text,
            "tailrace: collecting into topic {topic}; everything is in {}",
            listening.data_dir.display()
        )?;
        match self.readable.len() {
            0 => writeln!(text, "  follows   no file yet; waiting for {}", self.patterns.join(" "))?,
            count => {
                let names = self.readable.iter().map(|path| path.display().to_string());
                writeln!(text, "  follows   {count} files: {}", shortened(names))?;
            }
        }
        if !self.unreadable.is_empty() {
            let names = self
                .unreadable
                .iter()
                .map(|(path, error)| format!("{} ({error})", path.display()));
            writeln!(
                text,
                "  no access {} places: {}",
                self.unreadable.len(),
                shortened(names)
            )?;
        }
        write!(text, "  metrics   http://{}/metrics", listening.collector_http)?;
        match listening.agent_http {
            Some(agent) => writeln!(text, " http://{agent}/metrics, and http://{agent}/files")?,
            None => writeln!(text)?,
        }
        writeln!(
            text,
            "  read it   tailrace tail {topic} --from beginning --bootstrap {kafka}"
        )?;
        writeln!(text, "            kcat -b {kafka} -t {topic} -C")
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

    fn described(readable: &[&str], unreadable: &[&str]) -> String {
        let denied = |path| (PathBuf::from(path), io::Error::from(io::ErrorKind::PermissionDenied));
        let survey = Survey {
            patterns: vec!["/log/*".to_owned()],
            readable: readable.iter().map(PathBuf::from).collect(),
            unreadable: unreadable.iter().copied().map(denied).collect(),
        };
        survey.describe(&Listening {
            data_dir: Path::new("/state/tailrace"),
            kafka: "127.0.0.1:9092",
            collector_http: ([127, 0, 0, 1], 9600).into(),
            agent_http: Some(([127, 0, 0, 1], 9601).into()),
            topic: "logs",
        })
    }

    #[test]
    fn it_says_where_everything_is_and_how_to_read_it() {
        let text = described(&["/log/a"], &[]);
        for expected in [
            "/state/tailrace",
            "1 files: /log/a\n",
            "http://127.0.0.1:9600/metrics",
            "http://127.0.0.1:9601/files",
            "kcat -b 127.0.0.1:9092 -t logs -C",
            "tailrace tail logs",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("no access"));
    }

    #[test]
    fn many_names_are_shortened_and_none_are_waited_for() {
        let text = described(&["/log/a", "/log/b", "/log/c", "/log/d", "/log/e"], &["/log/x"]);
        assert!(text.contains("5 files: /log/a, /log/b, /log/c and 2 more\n"), "{text}");
        assert!(text.contains("1 places: /log/x (permission denied)\n"), "{text}");
        assert!(described(&[], &[]).contains("no file yet; waiting for /log/*\n"));
    }
}
