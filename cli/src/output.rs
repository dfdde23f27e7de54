//! What goes to stdout: tables or JSON, colour for a person only, and a quiet end when nobody reads any more.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
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

/// Whether stdout is a terminal whose owner does not mind colour (<https://no-color.org>).
pub(crate) fn has_colour() -> bool {
    let declined = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !declined("NO_COLOR") && !dumb
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

/// Rows under headings; columns of numbers are aligned to the right.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// One more row, with a cell for each heading.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// As text, with the headings in bold if there is colour.
    pub(crate) fn render(&self, colour: bool) -> String {
        let widths: Vec<usize> = self.columns(|column, heading| {
            let cells = column.iter().map(|cell| cell.chars().count());
            cells.chain([heading.len()]).max().unwrap_or(0)
        });
        let numeric: Vec<bool> = self.columns(|column, _| {
            let is_number = |cell: &&str| *cell == "-" || cell.parse::<i64>().is_ok();
            !column.is_empty() && column.iter().all(is_number)
        });
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells
                .zip(&widths)
                .zip(&numeric)
                .map(|((cell, width), numeric)| match numeric {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let headings = line(&mut self.headings.iter().copied());
        let bold = if colour { Style::new().bold() } else { Style::new() };
        let mut text = format!("{bold}{headings}{bold:#}\n");
        for row in &self.rows {
            text += &line(&mut row.iter().map(String::as_str));
            text.push('\n');
        }
        text
    }

    fn columns<T>(&self, measure: impl Fn(&[&str], &str) -> T) -> Vec<T> {
        let column = |index| -> Vec<&str> {
            self.rows
                .iter()
                .filter_map(|row| row.get(index))
                .map(String::as_str)
                .collect()
        };
        let headings = self.headings.iter().enumerate();
        headings
            .map(|(index, heading)| measure(&column(index), heading))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut table = Table::new(&["NAME", "COUNT"]);
        table.row(["a-long-name".into(), "7".into()]);
        table.row(["b".into(), "-".into()]);
        table.row(["é".into(), "12345678".into()]);
        let expected = "\
NAME            COUNT
a-long-name         7
b                   -
é            12345678
";
        assert_eq!(table.render(false), expected);
        assert!(table.render(true).starts_with("\u{1b}[1mNAME"));
    }

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(style_of(b"/var/log/a.log"), style_of(b"/var/log/a.log"));
        let some = ["a", "b", "c", "d"].map(|name| style_of(name.as_bytes()));
        assert!(some.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
