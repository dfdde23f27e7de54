//! What files there are, and which incarnation is the newest that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tailrace_shared::disk::{Disk, FileKind};

use super::super::error::WalOpenError;
use super::super::file_header::FileHeader;
use super::super::position::WalPosition;
use super::super::space::FileError;
use super::image::{Extent, FileImage};

/// The files of the WAL.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// At or after the position from which to replay; by incarnation.
    pub(super) needed: BTreeMap<u64, BTreeSet<u64>>,
    /// Before it: released, whether or not they were removed.
    pub(super) obsolete: Vec<WalPosition>,
}

/// The newest incarnation that counts.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) incarnation: u64,
    pub(super) header: FileHeader,
}

impl Survey {
    pub(super) fn take(disk: &dyn Disk, dir: &Path, from: Option<WalPosition>) -> Result<Self, FileError> {
        let mut survey = Self::default();
        for entry in disk.list(dir).map_err(FileError::at("list", dir))? {
            let name = entry.name.to_string_lossy();
            match WalPosition::of_name(&name) {
                Some(position) if entry.kind == FileKind::File => survey.add(position, from),
                _ => tracing::warn!(dir = %dir.display(), %name, "this is no file of the WAL: left alone"),
            }
        }
        survey.obsolete.sort_unstable();
        Ok(survey)
    }

    fn add(&mut self, position: WalPosition, from: Option<WalPosition>) {
        if Some(position) < from {
            self.obsolete.push(position);
        } else {
            self.needed
                .entry(position.incarnation)
                .or_default()
                .insert(position.file);
        }
    }

    pub(super) fn latest(&self) -> Option<WalPosition> {
        self.needed().last().or(self.obsolete.last().copied())
    }

    pub(super) fn needed(&self) -> impl Iterator<Item = WalPosition> {
        self.needed.iter().flat_map(|(incarnation, files)| {
            files.iter().map(|file| WalPosition {
                incarnation: *incarnation,
                file: *file,
            })
        })
    }

    /// Finds the newest incarnation whose first commit is whole. Takes out those after it, which are void.
    pub(super) fn judge(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
    ) -> Result<(Option<Newest>, Vec<WalPosition>), WalOpenError> {
        let mut void = Vec::new();
        while let Some((incarnation, files)) = self.needed.pop_last() {
            let header = header_of(disk, dir, incarnation, &files)?;
            let positions = files.iter().map(|file| WalPosition {
                incarnation,
                file: *file,
            });
            match header {
                Some(header) => {
                    self.needed.insert(incarnation, files);
                    return Ok((Some(Newest { incarnation, header }), void));
                }
                None => void.extend(positions),
            }
        }
        Ok((None, void))
    }
}

/// What an incarnation's first commit says; `None` if it never was whole, and nothing was written after it.
fn header_of(
    disk: &dyn Disk,
    dir: &Path,
    incarnation: u64,
    files: &BTreeSet<u64>,
) -> Result<Option<FileHeader>, WalOpenError> {
    let Some(lowest) = files.first().copied() else {
        return Ok(None);
    };
    let load = |file, extent| FileImage::load(disk, dir, WalPosition { incarnation, file }, extent);
    let image = load(lowest, Extent::Stable)?;
    if lowest > 0 {
        // This file was current before the earlier ones were released, so its header is on the disk or damaged.
        image.first_commit().map_err(|fault| image.bad_header(fault))?;
        return header(&image).map(Some);
    }
    let Err(broken) = image.commit_at(0, 1) else {
        return header(&image).map(Some);
    };
    if let Some((offset, commit)) = image.later_commit(0, 1) {
        return Err(image.damaged(&broken, 1, format!("commit {commit} at byte {offset}")));
    }
    for file in files.range(1..) {
        let later = load(*file, Extent::Whole)?;
        if let Some((offset, commit)) = later.later_commit(0, 1) {
            let evidence = format!("commit {commit} at byte {offset} of {}", later.path.display());
            return Err(image.damaged(&broken, 1, evidence));
        }
    }
    match image.unknown_format(broken.offset, broken.fault) {
        Some(error) => Err(error),
        None => Ok(None),
    }
}

fn header(image: &FileImage) -> Result<FileHeader, WalOpenError> {
    image
        .file_header()
        .ok_or_else(|| image.bad_header(super::FrameFault::NoFrame))
}
