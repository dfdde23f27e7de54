//! The database of an input of the type `tail` (`DB`), SQLite: a row for each file. Of one of the type `systemd`: one row, a cursor.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::super::Tool;
use super::{PositionsError, Progress, Which, unknown};

pub(super) fn read(path: &Path) -> Result<Vec<Progress>, PositionsError> {
    let failed = |error: rusqlite::Error| unknown(path, Tool::FluentBit, error.to_string());
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let has_journal = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'in_systemd_cursor'";
    if database
        .query_row(has_journal, (), |row| row.get::<_, i64>(0))
        .map_err(failed)?
        > 0
    {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        return journal(&database, &name).map_err(failed);
    }
    let query = "SELECT name, offset, inode FROM in_tail_files ORDER BY id";
    let mut statement = database.prepare(query).map_err(failed)?;
    let rows = statement.query_map((), |row| {
        let number = |column| {
            row.get::<_, i64>(column)
                .map(|number| u64::try_from(number).unwrap_or(0))
        };
        Ok(Progress::File {
            which: Which::Named {
                path: PathBuf::from(row.get::<_, String>(0)?),
                inode: Some(number(2)?),
            },
            offset: number(1)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(failed)
}

fn journal(database: &Connection, name: &str) -> rusqlite::Result<Vec<Progress>> {
    let mut statement = database.prepare("SELECT cursor FROM in_systemd_cursor ORDER BY rowid DESC LIMIT 1")?;
    let rows = statement.query_map((), |row| {
        Ok(Progress::Journal {
            name: name.to_owned(),
            cursor: row.get(0)?,
        })
    })?;
    rows.collect()
}
