//! How far every file is, as a table.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use tailrace_shared::terminal::Table;

use crate::status::FileStatus;

/// How fast files are read, from one look to the next.
#[derive(Debug, Default)]
pub struct Rates {
    positions: HashMap<PathBuf, u64>,
    per_second: HashMap<PathBuf, u64>,
}

impl Rates {
    /// Notes where all files are, so much later than the last time.
    pub fn note(&mut self, files: &[FileStatus], after: Duration) {
        let rate = |file: &FileStatus| {
            let read = file.position.checked_sub(*self.positions.get(&file.path)?)?;
            let per_second = u128::from(read) * 1000 / after.as_millis().max(1);
            Some((file.path.clone(), u64::try_from(per_second).unwrap_or(u64::MAX)))
        };
        self.per_second = files.iter().filter_map(rate).collect();
        self.positions = files.iter().map(|file| (file.path.clone(), file.position)).collect();
    }
}

/// The files that are furthest behind first, at most `rows` of them.
#[must_use]
pub fn table(mut files: Vec<FileStatus>, rates: &Rates, rows: usize, colour: bool) -> String {
    let lag: u64 = files.iter().map(|file| file.lag).sum();
    let count = match files.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    let summary = format!("{count}, {} not read yet\n\n", ByteSize(lag));
    files.sort_by(|a, b| b.lag.cmp(&a.lag).then_with(|| a.path.cmp(&b.path)));
    let mut table = Table::new(&["FILE", "TOPIC", "READ", "OF", "BEHIND", "RATE", "ERROR"]);
    for file in files.iter().take(rows) {
        let rate = rates.per_second.get(&file.path);
        let mut name = file.path.display().to_string();
        if file.deleted {
            name += " (deleted)";
        }
        table.row([
            name,
            file.topic.clone(),
            ByteSize(file.position).to_string(),
            ByteSize(file.size).to_string(),
            ByteSize(file.lag).to_string(),
            rate.map_or_else(|| "-".to_owned(), |rate| format!("{}/s", ByteSize(*rate))),
            file.last_error.clone().unwrap_or_default(),
        ]);
    }
    let more = match files.len().saturating_sub(rows) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    summary + &table.render(colour) + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, position: u64, size: u64) -> FileStatus {
        FileStatus {
            path: path.into(),
            topic: "t".to_owned(),
            lane: 0,
            position,
            size,
            lag: size - position,
            deleted: false,
            last_error: None,
        }
    }

    #[test]
    fn what_is_furthest_behind_stands_first() {
        let mut rates = Rates::default();
        rates.note(&[file("/a", 0, 0), file("/b", 1000, 9000)], Duration::ZERO);
        let files = vec![file("/a", 10, 10), file("/b", 3000, 9000), file("/c", 5, 6)];
        rates.note(&files, Duration::from_secs(2));
        let expected = "\
3 files, 5.9 KiB not read yet

FILE  TOPIC  READ     OF       BEHIND   RATE      ERROR
/b    t      2.9 KiB  8.8 KiB  5.9 KiB  1000 B/s
/c    t      5 B      6 B      1 B      -
and 1 more
";
        assert_eq!(table(files, &rates, 2, false), expected);
    }
}
