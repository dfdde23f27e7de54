//! What goes to stdout: tables or JSON, colour for a person only, and a quiet end when nobody reads any more.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
pub(crate) use tailrace_shared::terminal::{Table, has_colour};
use tokio::io::{AsyncWriteExt, Stdout};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person.
    Table,
    /// For a program.
    Json,
}

/// Nobody reads stdout any more, as in `| head`. It is no failure.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nobody reads stdout any more")
    }
}

impl std::error::Error for Closed {}

/// Writes to stdout, all of it.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(write_failed)
}

/// Writes to stdout without holding up what else there is to do.
pub(crate) async fn write(stdout: &mut Stdout, bytes: &[u8]) -> Result<()> {
    let written = async {
        stdout.write_all(bytes).await?;
        stdout.flush().await
    };
    written.await.map_err(write_failed)
}

/// Prints one JSON document.
pub(crate) fn print_json(document: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(document)?))
}

/// A number of records, in words.
pub(crate) fn records(count: impl Into<i128>) -> String {
    match count.into() {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    }
}

fn write_failed(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Closed.into()
    } else {
        anyhow::Error::new(error).context("cannot write to stdout")
    }
}

/// Waits until stdout is a pipe that nobody reads any more: who has nothing to write would never notice.
pub(crate) async fn closed() {
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let looked = poll(&mut polled, Some(&AT_ONCE));
        if looked.is_ok() && polled.iter().any(|stdout| stdout.revents().contains(PollFlags::ERR)) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A colour for a name, always the same one.
pub(crate) fn style_of(name: &[u8]) -> Style {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Green,
        AnsiColor::Yellow,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::BrightRed,
    ];
    let sum = name.iter().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let colour = COLOURS.get(sum % COLOURS.len()).copied();
    Style::new().fg_color(colour.map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(style_of(b"/var/log/a.log"), style_of(b"/var/log/a.log"));
        let some = ["a", "b", "c", "d"].map(|name| style_of(name.as_bytes()));
        assert!(some.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
