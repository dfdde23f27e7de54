//! The database of an input of the type `tail` (`DB`): SQLite, a row for each file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::super::Tool;
use super::{PositionsError, Progress, Which, unknown};

pub(super) fn read(path: &Path) -> Result<Vec<Progress>, PositionsError> {
    let failed = |error: rusqlite::Error| unknown(path, Tool::FluentBit, error.to_string());
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let query = "SELECT name, offset, inode FROM in_tail_files ORDER BY id";
    let mut statement = database.prepare(query).map_err(failed)?;
    let rows = statement.query_map((), |row| {
        let number = |column| {
            row.get::<_, i64>(column)
                .map(|number| u64::try_from(number).unwrap_or(0))
        };
        Ok(Progress {
            which: Which::Named {
                path: PathBuf::from(row.get::<_, String>(0)?),
                inode: Some(number(2)?),
            },
            offset: number(1)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(failed)
}
