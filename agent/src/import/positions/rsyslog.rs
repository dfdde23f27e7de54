//! The state files of imfile in rsyslog's work directory: one for each file, with its inode in its name. The one of imjournal: a
//! cursor.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::Tool;
use super::{PositionsError, Progress, Which, text_of, unknown};

#[derive(Deserialize)]
struct State {
    filename: PathBuf,
    curr_offs: u64,
    /// Where what was read and not handed on yet begins.
    strt_offs: Option<u64>,
}

pub(super) fn read(directory: &Path) -> Result<Vec<Progress>, PositionsError> {
    let failed = |source| PositionsError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut progress = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_prefix("imfile-state:")) else {
            progress.extend(journal(&entry.path()));
            continue;
        };
        let path = entry.path();
        let state: State =
            serde_json::from_str(&text_of(&path)?).map_err(|error| unknown(&path, Tool::Rsyslog, error.to_string()))?;
        let inode = id.split(':').next().and_then(|inode| inode.parse().ok());
        progress.push(Progress::File {
            which: Which::Named {
                path: state.filename,
                inode,
            },
            offset: state.strt_offs.unwrap_or(state.curr_offs),
        });
    }
    match progress.is_empty() {
        true => Err(unknown(
            directory,
            Tool::Rsyslog,
            "there is no imfile-state in it, nor a state file of imjournal".to_owned(),
        )),
        false => Ok(progress),
    }
}

/// Its name is in the configuration; what is in it is a cursor and nothing else.
fn journal(path: &Path) -> Option<Progress> {
    const LEN_MAX: u64 = 4096;
    let is_short = fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LEN_MAX);
    let text = fs::read_to_string(path).ok().filter(|_| is_short)?;
    let cursor = text.trim();
    (cursor.starts_with("s=") && cursor.contains(";i=")).then(|| Progress::Journal {
        name: "imjournal".to_owned(),
        cursor: cursor.to_owned(),
    })
}
