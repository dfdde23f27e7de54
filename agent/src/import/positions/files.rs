//! Finds the file that another agent means.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::{Disk, FileId, FileKind, OpenMode};

use super::vector::first_line_checksum;
use super::{Place, Which};
use crate::config::AgentConfig;
use crate::discover::{Found, Selection, Walker};

/// What the configuration selects at this moment.
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    walker: Walker,
    found: Vec<Found>,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, config: &AgentConfig, selections: Vec<Selection>) -> Self {
        let mut walker = Walker::new(Arc::clone(&disk), selections, vec![config.data_dir.clone()]);
        let found = walker.scan_all().files;
        Self { disk, walker, found }
    }

    /// The file, or why there is none.
    pub(super) fn find(&self, which: &Which) -> Result<Place, String> {
        match which {
            Which::Named { path, inode } => self.named(path, *inode),
            Which::Inode { device, inode } => {
                let id = FileId {
                    device: *device,
                    inode: *inode,
                };
                self.only(|found| found.metadata.id == id)
            }
            Which::FirstLine(checksum) => self.only(|found| {
                let first_line = File::open(&found.path).and_then(first_line_checksum);
                matches!(first_line, Ok(Some(of_file)) if of_file == *checksum)
            }),
        }
    }

    fn only(&self, is_it: impl Fn(&Found) -> bool) -> Result<Place, String> {
        let mut found = self.found.iter().filter(|found| is_it(found));
        match (found.next(), found.next()) {
            (Some(found), None) => self.open(&found.path, found.path.clone(), found.input),
            (None, _) => Err("it is none of the files that are selected now".to_owned()),
            (Some(one), Some(other)) => Err(format!(
                "{} and {} look the same to it; both are read from their start",
                one.path.display(),
                other.path.display()
            )),
        }
    }

    /// It may have been renamed since within its directory, or before: some agents keep the new name.
    fn named(&self, path: &Path, inode: Option<u64>) -> Result<Place, String> {
        let (selected, input) = self.selected(path, inode).ok_or("no [[files]] selects it")?;
        let is_it = |path: &Path| {
            let same = |metadata: fs::Metadata| metadata.is_file() && inode.is_none_or(|inode| metadata.ino() == inode);
            fs::metadata(path).is_ok_and(same)
        };
        let beside = || {
            let entries = fs::read_dir(path.parent()?).ok()?;
            entries.flatten().map(|entry| entry.path()).find(|path| is_it(path))
        };
        let now = match is_it(path) {
            true => Some(path.to_owned()),
            false => inode.and_then(|_| beside()),
        };
        let now = now.ok_or("it is not there any more")?;
        self.open(&now, selected, input)
    }

    /// The name itself, or that of which it is a rotated one: `app.log` of `app.log.1` and `app.log-20261124`.
    fn selected(&self, path: &Path, inode: Option<u64>) -> Option<(PathBuf, usize)> {
        let found = |path: PathBuf| Some((path.clone(), self.walker.input_of(&path)?));
        let name = path.file_name()?.to_str();
        let cuts = name
            .filter(|_| inode.is_some())
            .into_iter()
            .flat_map(|name| name.rmatch_indices(['.', '-']));
        let shorter = cuts.filter_map(|(at, _)| Some(path.with_file_name(name?.get(..at)?)));
        std::iter::once(path.to_owned()).chain(shorter).find_map(found)
    }

    fn open(&self, now: &Path, path: PathBuf, input: usize) -> Result<Place, String> {
        let say = |error: io::Error| error.to_string();
        let handle = self.disk.open(now, OpenMode::Read).map_err(say)?;
        match handle.metadata().map_err(say)?.kind {
            FileKind::File => Ok(Place { handle, path, input }),
            _ => Err("it is no regular file".to_owned()),
        }
    }
}
