//! Where to go on in a file that an earlier process read: a table, a row per thing that may have happened since.
//!
//! | first bytes | length | bytes before the position | what happened | goes on at |
//! |---|---|---|---|---|
//! | the same | enough | the same | nothing, or it grew | the position |
//! | the same | enough | others | a power failure took them, and more was written since | the position, counted |
//! | the same | too short | - | a power failure took its end | its end, counted |
//! | others | - | - | another file has the inode, or it was cut and written anew | the start |
//! | too few to tell | too short | - | it was cut and has barely been written since | the start |
//!
//! While the agent runs there is no power failure, so there every surprise is the fourth row.

use crate::position::FilePosition;

/// What is found where an earlier process left a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether the file starts as it did; `None` if it is too short to tell.
    pub same_start: Option<bool>,
    /// Its length now.
    pub len: u64,
    /// Whether the bytes before the position are those that were there.
    pub same_tail: bool,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// At the position.
    There,
    /// At this byte: what was behind it, or around it, is not what was read.
    Torn {
        /// Where to go on.
        at: u64,
    },
    /// It is a file of its own: from the start.
    Anew,
}

/// Looks the case up.
#[must_use]
pub fn resume(position: &FilePosition, look: Look) -> Resume {
    match look.same_start {
        Some(true) if look.len < position.offset => Resume::Torn { at: look.len },
        Some(true) if look.same_tail => Resume::There,
        Some(true) => Resume::Torn { at: position.offset },
        Some(false) | None => Resume::Anew,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tailrace_shared::disk::FileId;

    use super::*;
    use crate::position::{FileKey, Fingerprint};

    fn position(offset: u64) -> FilePosition {
        FilePosition {
            key: FileKey {
                id: FileId { device: 1, inode: 2 },
                fingerprint: Fingerprint::default(),
            },
            path: PathBuf::from("/log/a"),
            topic: "t".to_owned(),
            lane: 0,
            offset,
            tail_checksum: 0,
            tail_checksum_len: 0,
            mid_line: false,
            modified_ms: 0,
        }
    }

    #[test]
    fn each_row_of_the_table() {
        let look = |same_start, len, same_tail| Look {
            same_start,
            len,
            same_tail,
        };
        let rows = [
            (look(Some(true), 150, true), Resume::There),
            (look(Some(true), 100, true), Resume::There),
            (look(Some(true), 150, false), Resume::Torn { at: 100 }),
            (look(Some(true), 40, false), Resume::Torn { at: 40 }),
            (look(Some(false), 150, true), Resume::Anew),
            (look(Some(false), 40, false), Resume::Anew),
            (look(None, 4, false), Resume::Anew),
        ];
        for (look, expected) in rows {
            assert_eq!(resume(&position(100), look), expected, "{look:?}");
        }
    }
}
