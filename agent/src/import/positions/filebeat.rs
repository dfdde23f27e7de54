//! The registry: a directory with a log, and a checkpoint that is named in `active.dat`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::super::Tool;
use super::{PositionsError, Progress, Which, text_of, unknown};

/// A checkpoint, if there is one, and a log of what has changed since.
pub(super) fn read(directory: &Path) -> Result<Vec<Progress>, PositionsError> {
    let mut states = BTreeMap::new();
    let active = directory.join("active.dat");
    if active.exists() {
        // It holds the checkpoint's path, of which the directory may have moved.
        let name = text_of(&active)?;
        let checkpoint = Path::new(name.trim()).file_name().map(|name| directory.join(name));
        if let Some(checkpoint) = checkpoint {
            let entries: Vec<Value> = parsed(&checkpoint, &text_of(&checkpoint)?)?;
            for entry in entries {
                if let Some(key) = entry.get("_key").and_then(Value::as_str) {
                    states.insert(key.to_owned(), entry.clone());
                }
            }
        }
    }
    let log = directory.join("log.json");
    let text = text_of(&log)?;
    let mut lines = text.lines();
    while let (Some(operation), Some(entry)) = (lines.next(), lines.next()) {
        let (operation, entry) = match (parsed::<Operation>(&log, operation), parsed::<Entry>(&log, entry)) {
            (Ok(operation), Ok(entry)) => (operation, entry),
            (Err(error), _) | (_, Err(error)) => match lines.next() {
                Some(_) => return Err(error),
                // The last entry may be torn: its file was not synced.
                None => break,
            },
        };
        match &*operation.op {
            "remove" => states.remove(&entry.k),
            _ => states.insert(entry.k, entry.v),
        };
    }
    Ok(states
        .iter()
        .filter_map(|(key, state)| progress_of(key, state))
        .collect())
}

#[derive(Deserialize)]
struct Operation {
    op: String,
}

#[derive(Deserialize)]
struct Entry {
    k: String,
    #[serde(default)]
    v: Value,
}

fn parsed<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> Result<T, PositionsError> {
    serde_json::from_str(text).map_err(|error| unknown(path, Tool::Filebeat, error.to_string()))
}

/// Of the input `log`, `filestream` or `journald`.
fn progress_of(key: &str, state: &Value) -> Option<Progress> {
    if let Some(rest) = key.strip_prefix("journald::") {
        return Some(Progress::Journal {
            name: rest.rsplit_once("::").map_or("journald", |(id, _)| id).to_owned(),
            cursor: state.pointer("/cursor/position")?.as_str()?.to_owned(),
        });
    }
    let path = state
        .get("source")
        .or_else(|| state.pointer("/meta/source"))?
        .as_str()?;
    let offset = state
        .get("offset")
        .or_else(|| state.pointer("/cursor/offset"))?
        .as_u64()?;
    // The input filestream has inode and device in the key, unless it knows files by their first bytes.
    let in_key = || key.split_once("::native::")?.1.split('-').next()?.parse().ok();
    let inode = state
        .pointer("/FileStateOS/inode")
        .and_then(Value::as_u64)
        .or_else(in_key);
    let path = PathBuf::from(path);
    let which = Which::Named { path, inode };
    Some(Progress::File { which, offset })
}
