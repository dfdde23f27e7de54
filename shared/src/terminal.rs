//! What a person sees in a terminal: tables, and colour only where it is welcome.

use std::io::{self, IsTerminal};

/// Whether stdout is a terminal whose owner does not mind colour (<https://no-color.org>).
#[must_use]
pub fn has_colour() -> bool {
    let declined = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !declined("NO_COLOR") && !dumb
}

/// Rows under headings; columns of numbers are aligned to the right.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet.
    #[must_use]
    pub fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// One more row, with a cell for each heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// As text, with the headings in bold if there is colour.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
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
        let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{bold}{headings}{plain}\n");
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
}
