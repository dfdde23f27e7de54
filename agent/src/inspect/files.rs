//! What the globs of a configuration match at this moment, and what of that cannot be read.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;
use tailrace_shared::disk::{OpenMode, RealDisk};

use crate::config::AgentConfig;
use crate::discover::Walker;
use crate::reader::Input;
use crate::roots::Within;

/// Names that are shown of an input.
const SHOWN: usize = 3;

/// What an input matches.
#[derive(Debug)]
pub struct Matched {
    /// Its topic.
    pub topic: String,
    /// The files, the largest first.
    pub files: Vec<(PathBuf, u64)>,
}

/// What every input matches, and what this user cannot look at.
#[must_use]
pub fn matched(config: &AgentConfig, inputs: Vec<Input>) -> (Vec<Matched>, Vec<(PathBuf, io::Error)>) {
    let topics = inputs.iter().map(|input| input.records.topic.to_string());
    let mut matched: Vec<_> = topics
        .map(|topic| Matched {
            topic,
            files: Vec::new(),
        })
        .collect();
    let disk = Within::some(Arc::new(RealDisk), &config.read.roots);
    let selections = inputs.into_iter().map(|input| input.selection).collect();
    let scan = Walker::new(Arc::clone(&disk), selections, vec![config.data_dir.clone()]).scan_all();
    let mut unreadable = scan.unreadable;
    for found in scan.files {
        if let Err(error) = disk.open(&found.path, OpenMode::Read)
            && error.kind() != io::ErrorKind::NotFound
        {
            unreadable.push((found.path.clone(), error));
        }
        if let Some(matched) = matched.get_mut(found.input) {
            matched.files.push((found.path, found.metadata.len));
        }
    }
    for one in &mut matched {
        one.files
            .sort_by(|(path, len), (other, other_len)| other_len.cmp(len).then_with(|| path.cmp(other)));
    }
    (matched, unreadable)
}

impl fmt::Display for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.files.iter().map(|(_, len)| len).sum();
        match self.files.len() {
            0 => return write!(f, "topic {}: no file matches yet", self.topic),
            1 => write!(f, "topic {}: 1 file, {}", self.topic, ByteSize(bytes))?,
            count => write!(f, "topic {}: {count} files, {}", self.topic, ByteSize(bytes))?,
        }
        for (path, len) in self.files.iter().take(SHOWN) {
            write!(f, "\n    {} ({})", path.display(), ByteSize(*len))?;
        }
        match self.files.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n    and {more} more"),
        }
    }
}
