//! How far another agent has read, taken over as our positions: the files go on where that agent left them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tailrace_shared::disk::{Disk, DiskFile, FileKind, OpenMode, RealDisk};

use super::Tool;
use super::settings::Settings;
use crate::config::AgentConfig;
use crate::discover::Selection;
use crate::position::{FileKey, FilePosition, Fingerprint};
use crate::spool::{Binder, Committed, Control, NewBatch, OpenError, Spool, Stopped};
use crate::stretch::{Stretch, lane_of};
use crate::tail::{Mark, read_head};

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Its name then.
    pub path: PathBuf,
    /// Its inode, if the other agent knows it.
    pub inode: Option<u64>,
    /// So many bytes.
    pub offset: u64,
}

/// What became of the positions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Files that go on where they were.
    pub files: usize,
    /// Files that do not, and why.
    pub left: Vec<(PathBuf, String)>,
}

/// Why no position was taken over.
#[derive(Debug, thiserror::Error)]
pub enum PositionsError {
    /// The other agent's file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{} is not what {tool:?} keeps its positions in: {reason}", path.display())]
    Unknown {
        /// Which.
        path: PathBuf,
        /// Whose it should be.
        tool: Tool,
        /// What is wrong.
        reason: String,
    },
    /// Ours are newer.
    #[error(
        "the agent has run already and has positions of its own in {}; move that directory away to begin with those of the other",
        .0.display()
    )]
    NotNew(PathBuf),
    /// Our spool.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Our spool.
    #[error("cannot write the positions: {0}")]
    Write(io::Error),
    /// Our spool.
    #[error("cannot write the positions: {0}")]
    Stopped(#[from] Stopped),
}

/// What another agent knows. `path` is Filebeat's registry directory, or Promtail's file of positions.
pub fn read(tool: Tool, path: &Path) -> Result<Vec<Progress>, PositionsError> {
    match tool {
        Tool::Filebeat => filebeat(path),
        Tool::Promtail => promtail(path),
    }
}

fn text_of(path: &Path) -> Result<String, PositionsError> {
    fs::read_to_string(path).map_err(|source| PositionsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn promtail(path: &Path) -> Result<Vec<Progress>, PositionsError> {
    let unknown = |reason| PositionsError::Unknown {
        path: path.to_owned(),
        tool: Tool::Promtail,
        reason,
    };
    let settings = Settings::parse(&text_of(path)?).map_err(unknown)?;
    if !settings.has("positions") {
        return Err(unknown("there is no `positions` in it".to_owned()));
    }
    let files = settings.below("positions.").into_iter().filter_map(|(path, offset)| {
        // What is no path is the cursor of something else.
        let offset = offset.text.parse().ok().filter(|_| path.starts_with('/'))?;
        let (path, inode) = (PathBuf::from(path), None);
        Some(Progress { path, inode, offset })
    });
    Ok(files.collect())
}

/// A checkpoint, if there is one, and a log of what has changed since.
fn filebeat(directory: &Path) -> Result<Vec<Progress>, PositionsError> {
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
        // The last entry may be torn: its file was not synced.
        let (Ok(operation), Ok(entry)) = (parsed::<Operation>(&log, operation), parsed::<Entry>(&log, entry)) else {
            break;
        };
        match &*operation.op {
            "remove" => states.remove(&entry.k),
            _ => states.insert(entry.k, entry.v),
        };
    }
    Ok(states.values().filter_map(filebeat_state).collect())
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
    serde_json::from_str(text).map_err(|error| PositionsError::Unknown {
        path: path.to_owned(),
        tool: Tool::Filebeat,
        reason: error.to_string(),
    })
}

/// Of the input `log`, or of the input `filestream`.
fn filebeat_state(state: &Value) -> Option<Progress> {
    let path = state
        .get("source")
        .or_else(|| state.pointer("/meta/source"))?
        .as_str()?;
    let offset = state
        .get("offset")
        .or_else(|| state.pointer("/cursor/offset"))?
        .as_u64()?;
    let inode = state.pointer("/FileStateOS/inode").and_then(Value::as_u64);
    let path = PathBuf::from(path);
    Some(Progress { path, inode, offset })
}

/// Makes these positions ours, before the agent runs for the first time.
pub async fn take_over(
    config: &AgentConfig,
    inputs: &[(Arc<str>, Selection)],
    progress: Vec<Progress>,
) -> Result<TakenOver, PositionsError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (opened, recovered) = Spool::open(Arc::clone(&disk), &config.data_dir, &config.spool.options())?;
    if !recovered.positions.is_empty() {
        return Err(PositionsError::NotNew(config.data_dir.clone()));
    }
    let (mut taken, mut positions) = (TakenOver::default(), Vec::new());
    for progress in progress {
        match position(&*disk, config, inputs, &progress) {
            Ok(position) => positions.push(position),
            Err(why) => taken.left.push((progress.path, why)),
        }
    }
    taken.files = positions.len();
    let failed = Arc::new(parking_lot::Mutex::new(None));
    let on_fatal = {
        let failed = Arc::clone(&failed);
        Box::new(move |error| *failed.lock() = Some(error))
    };
    let spool = opened
        .start(Arc::new(NothingToSend), on_fatal)
        .map_err(PositionsError::Write)?;
    let appended = spool
        .append(Stretch {
            batches: Vec::new(),
            positions,
            gone: Vec::new(),
        })
        .await;
    spool.stop();
    if let Some(error) = failed.lock().take() {
        return Err(PositionsError::Write(error));
    }
    appended?;
    give_to_owner(&config.data_dir).map_err(PositionsError::Write)?;
    Ok(taken)
}

struct NothingToSend;

impl Binder for NothingToSend {
    fn bind(&self, _batches: Vec<NewBatch>) -> Vec<Control> {
        Vec::new()
    }

    fn committed(&self, _committed: Committed) {}
}

/// The position, or why there is none.
fn position(
    disk: &dyn Disk,
    config: &AgentConfig,
    inputs: &[(Arc<str>, Selection)],
    progress: &Progress,
) -> Result<FilePosition, String> {
    let selected = inputs.iter().find(|(_, selection)| selection.selects(&progress.path));
    let (topic, _) = selected.ok_or("no [[files]] selects it")?;
    let (handle, path) = open(disk, progress).map_err(|error| error.to_string())?;
    let metadata = handle.metadata().map_err(|error| error.to_string())?;
    if metadata.len < progress.offset {
        return Err(format!(
            "it has {} bytes, and {} were read of it: it was cut since, and is read from its start",
            metadata.len, progress.offset
        ));
    }
    let mark = Mark::place(&*handle, progress.offset).map_err(|error| error.to_string())?;
    let head = read_head(&*handle).map_err(|error| error.to_string())?;
    tracing::debug!(path = %path.display(), offset = progress.offset, "taken over");
    Ok(FilePosition {
        key: FileKey {
            id: metadata.id,
            fingerprint: Fingerprint::of(&head),
        },
        path: progress.path.clone(),
        topic: topic.to_string(),
        lane: lane_of(&config.host, &progress.path),
        offset: mark.offset,
        tail_checksum: mark.checksum,
        tail_checksum_len: mark.checksum_len,
        mid_line: mark.mid_line,
        modified_ms: metadata.modified_ms,
    })
}

/// The file, which may have been renamed since within its directory.
fn open(disk: &dyn Disk, progress: &Progress) -> io::Result<(Arc<dyn DiskFile>, PathBuf)> {
    let is_it = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        let same = progress.inode.is_none_or(|inode| metadata.ino() == inode);
        (metadata.is_file() && same).then(|| path.to_owned())
    };
    let beside = || {
        let entries = fs::read_dir(progress.path.parent()?).ok()?;
        entries.flatten().find_map(|entry| is_it(&entry.path()))
    };
    let found = is_it(&progress.path).or_else(|| progress.inode.and_then(|_| beside()));
    let path = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not there any more"))?;
    let handle = disk.open(&path, OpenMode::Read)?;
    match handle.metadata()?.kind {
        FileKind::File => Ok((handle, path)),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

/// Root imports, since it may read everything; the agent is another user, who owns the directory.
fn give_to_owner(directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.uid() != owner.uid() {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        if metadata.is_dir() {
            give_to_owner(&path)?;
        }
    }
    Ok(())
}
