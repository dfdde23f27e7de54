//! Names a file of the WAL: the unit in which it is replayed and released.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file of the WAL. Ordered as they were written; replay starts at the beginning of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalPosition {
    /// The broker incarnation that wrote it.
    pub incarnation: u64,
    /// The file within the incarnation, from 0.
    pub file: u64,
}

const DIGITS: usize = 20;
const EXTENSION: &str = ".wal";

impl WalPosition {
    /// Where the file lies.
    #[must_use]
    pub fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (incarnation, file) = name.strip_suffix(EXTENSION)?.split_once('-')?;
        let number = |digits: &str| {
            let all_digits = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
            all_digits.then(|| digits.parse().ok()).flatten()
        };
        Some(Self {
            incarnation: number(incarnation)?,
            file: number(file)?,
        })
    }
}

impl fmt::Display for WalPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:0DIGITS$}-{:0DIGITS$}{EXTENSION}",
            self.incarnation, self.file
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_the_position_it_was_made_of() {
        let position = WalPosition {
            incarnation: 3,
            file: u64::MAX,
        };
        assert_eq!(position.to_string(), "00000000000000000003-18446744073709551615.wal");
        assert_eq!(WalPosition::of_name(&position.to_string()), Some(position));
    }

    #[test]
    fn other_names_are_no_positions() {
        for name in [
            "",
            "spare.tmp",
            "3-4.wal",
            "00000000000000000003.wal",
            "0000000000000000000a-00000000000000000000.wal",
            "+0000000000000000003-00000000000000000000.wal",
            "99999999999999999999-00000000000000000000.wal",
            "00000000000000000003-00000000000000000000.wal.bak",
        ] {
            assert_eq!(WalPosition::of_name(name), None, "{name}");
        }
    }
}
