//! How far another agent has read, taken over as our positions: files and journals go on where that agent left them.

mod filebeat;
mod files;
mod fluent_bit;
mod promtail;
mod rsyslog;
mod vector;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::Files;
use tailrace_shared::disk::{Disk, DiskFile, RealDisk};

use super::Tool;
use crate::config::AgentConfig;
use crate::discover::Selection;
use crate::position::{FileKey, FilePosition, Fingerprint, JournalCursor};
use crate::spool::{Binder, Committed, Control, NewBatch, OpenError, Spool, Stopped};
use crate::stretch::{Stretch, lane_of};
use crate::tail::{Mark, read_head};

/// How far something was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A file.
    File {
        /// Which.
        which: Which,
        /// So many bytes.
        offset: u64,
    },
    /// A journal of systemd.
    Journal {
        /// What it is called when the other agent's configuration is imported.
        name: String,
        /// The last entry that was read.
        cursor: String,
    },
}

/// What the other agent knows a file by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Its name then, and its inode.
    Named {
        /// The name.
        path: PathBuf,
        /// If it is known.
        inode: Option<u64>,
    },
    /// Device and inode.
    Inode {
        /// The device.
        device: u64,
        /// The inode.
        inode: u64,
    },
    /// A checksum of its first line.
    FirstLine(u64),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { path, .. } => path.display().fmt(f),
            Self::Inode { device, inode } => write!(f, "inode {inode} of device {device}"),
            Self::FirstLine(checksum) => write!(f, "the file whose first line has the checksum {checksum}"),
        }
    }
}

/// What became of the positions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Files that go on where they were.
    pub files: usize,
    /// Journals that do.
    pub journals: usize,
    /// Those that do not, and why.
    pub left: Vec<(String, String)>,
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

/// What another agent knows. `path` is Filebeat's registry directory, the database of an input of Fluent Bit, Promtail's file of positions,
/// rsyslog's work directory, or the checkpoints.json of a file source or the checkpoint.txt of a journald source of Vector.
pub fn read(tool: Tool, path: &Path) -> Result<Vec<Progress>, PositionsError> {
    match tool {
        Tool::Filebeat => filebeat::read(path),
        Tool::FluentBit => fluent_bit::read(path),
        Tool::Promtail => promtail::read(path),
        Tool::Rsyslog => rsyslog::read(path),
        Tool::Vector => vector::read(path),
    }
}

fn unknown(path: &Path, tool: Tool, reason: String) -> PositionsError {
    let path = path.to_owned();
    PositionsError::Unknown { path, tool, reason }
}

fn text_of(path: &Path) -> Result<String, PositionsError> {
    fs::read_to_string(path).map_err(|source| PositionsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Makes these positions ours, before the agent runs for the first time.
pub async fn take_over(
    config: &AgentConfig,
    inputs: Vec<(Arc<str>, Selection)>,
    progress: Vec<Progress>,
) -> Result<TakenOver, PositionsError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (opened, recovered) = Spool::open(Arc::clone(&disk), &config.data_dir, &config.spool.options())?;
    if !recovered.positions.is_empty() || !recovered.cursors.is_empty() {
        return Err(PositionsError::NotNew(config.data_dir.clone()));
    }
    let (topics, selections): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
    let files = Files::new(Arc::clone(&disk), config, selections);
    let (mut positions, mut cursors, mut left) = (Vec::new(), Vec::new(), Vec::new());
    let is_journal = |progress: &&Progress| matches!(progress, Progress::Journal { .. });
    let only_journal = progress.iter().filter(is_journal).count() == 1;
    for progress in progress {
        match progress {
            Progress::File { which, offset } => {
                let place = files.find(&which);
                match place.and_then(|place| position(config, &topics, place, offset)) {
                    Ok(position) => positions.push(position),
                    Err(why) => left.push((which.to_string(), why)),
                }
            }
            Progress::Journal { name, cursor } => match journal(config, &name, only_journal) {
                Ok(input) => cursors.push(JournalCursor {
                    input,
                    cursor: cursor.into(),
                }),
                Err(why) => left.push((format!("the journal {name}"), why)),
            },
        }
    }
    let taken = TakenOver {
        files: positions.len(),
        journals: cursors.len(),
        left,
    };
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
            positions,
            cursors,
            ..Stretch::default()
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

/// The `[[journald]]` that goes on: the one of the same name, or the only one with the only cursor.
fn journal(config: &AgentConfig, name: &str, is_only: bool) -> Result<Arc<str>, String> {
    let mut names = config.journald.iter().map(|journald| &*journald.name);
    let found = match &*config.journald {
        [only] if is_only => Some(&*only.name),
        _ => names.find(|other| *other == name),
    };
    found
        .map(Arc::from)
        .ok_or_else(|| format!("no [[journald]] has the name \"{name}\": give it to the one that goes on with it"))
}

/// Where a file is, and what selects it.
struct Place {
    handle: Arc<dyn DiskFile>,
    /// The name that is selected, which it may not have any more.
    path: PathBuf,
    input: usize,
}

/// The position, or why there is none.
fn position(config: &AgentConfig, topics: &[Arc<str>], place: Place, offset: u64) -> Result<FilePosition, String> {
    let Place { handle, path, input } = place;
    let say = |error: io::Error| error.to_string();
    let metadata = handle.metadata().map_err(say)?;
    if metadata.len < offset {
        return Err(format!(
            "it has {} bytes, and {offset} were read of it: it was cut since, and is read from its start",
            metadata.len
        ));
    }
    let mark = Mark::place(&*handle, offset).map_err(say)?;
    // Every one of these agents stops behind a line.
    if mark.mid_line {
        return Err(format!(
            "no line ends at byte {offset}, to which it was read: another file has its name now, and is read from its start"
        ));
    }
    let head = read_head(&*handle).map_err(say)?;
    Ok(FilePosition {
        key: FileKey {
            id: metadata.id,
            fingerprint: Fingerprint::of(&head),
        },
        lane: lane_of(&config.host, &path),
        path,
        topic: topics.get(input).map(|topic| topic.to_string()).unwrap_or_default(),
        offset: mark.offset,
        tail_checksum: mark.checksum,
        tail_checksum_len: mark.checksum_len,
        mid_line: mark.mid_line,
        modified_ms: metadata.modified_ms,
    })
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
