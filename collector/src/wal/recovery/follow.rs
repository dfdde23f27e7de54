//! Follows the commits of one incarnation to its end, and tells a torn end from damage.

use std::ops::RangeInclusive;
use std::path::Path;

use tailrace_shared::disk::Disk;

use super::super::codec::FrameFault;
use super::super::error::WalOpenError;
use super::super::file_header::Seal;
use super::super::position::WalPosition;
use super::LogEnd;
use super::image::{BrokenCommit, Extent, FileImage, FoundFrame};

/// A commit, or what is left of the last one.
pub(super) struct FoundCommit<'a> {
    pub(super) image: &'a FileImage,
    pub(super) number: u64,
    pub(super) frames: Vec<FoundFrame>,
    /// Where the next may start in the file.
    pub(super) end: u64,
}

/// What to do with each commit.
pub(super) type OnCommit<'a> = dyn FnMut(FoundCommit<'_>) -> Result<(), WalOpenError> + 'a;

/// One incarnation's files.
pub(super) struct Incarnation<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    pub(super) number: u64,
    pub(super) files: RangeInclusive<u64>,
}

/// Where the commits of a file stop.
struct Stop {
    image: FileImage,
    /// The commit that is not there.
    expected: u64,
    broken: BrokenCommit,
}

impl Incarnation<'_> {
    /// Follows an earlier incarnation up to its seal: every commit before it must be there.
    pub(super) fn follow_to(&self, seal: Seal, on_commit: &mut OnCommit<'_>) -> Result<(), WalOpenError> {
        let mut expected = None;
        for file in self.files.clone() {
            let is_last = file == seal.file;
            let extent = if is_last {
                Extent::Start(seal.offset)
            } else {
                Extent::Whole
            };
            let image = self.load(file, extent)?;
            let stop = follow_file(image, expected, on_commit)?;
            let reached_seal = is_last && stop.is_at(seal);
            let goes_on = !is_last && stop.is_between_commits();
            if !reached_seal && !goes_on {
                let evidence = format!("commit {} of this incarnation, by its seal", seal.commit);
                return Err(stop.damaged(evidence));
            }
            expected = Some(stop.expected);
        }
        Ok(())
    }

    /// Follows the newest incarnation to the last commit that is there. Only that one may be torn: `on_commit` gets
    /// its good frames.
    pub(super) fn follow(&self, on_commit: &mut OnCommit<'_>) -> Result<LogEnd, WalOpenError> {
        let mut expected = None;
        let mut stopped: Option<Stop> = None;
        let mut unused = None;
        for file in self.files.clone() {
            // The file made ready ahead may be the last, and then the one before it takes the commits.
            let extent = if file + 1 >= *self.files.end() {
                Extent::Stable
            } else {
                Extent::Whole
            };
            let image = self.load(file, extent)?;
            let goes_on = expected.is_none_or(|expected| image.first_commit() == Ok(expected));
            if !goes_on {
                unused = Some(image);
                break;
            }
            let stop = follow_file(image, expected, on_commit)?;
            expected = Some(stop.expected);
            let ended = !stop.is_between_commits();
            stopped = Some(stop);
            if ended {
                break;
            }
        }
        let Some(stop) = stopped else {
            return Err(WalOpenError::MissingFile {
                path: self.position(*self.files.start()).path(self.dir),
            });
        };
        self.check_nothing_follows(&stop, unused)?;
        stop.end(on_commit)
    }

    /// `unused` is the file after the end, if it was read.
    fn check_nothing_follows(&self, stop: &Stop, mut unused: Option<FileImage>) -> Result<(), WalOpenError> {
        if let Some((offset, commit)) = stop.image.later_commit(stop.broken.offset, stop.expected) {
            return Err(stop.damaged(format!("commit {commit} at byte {offset}")));
        }
        for file in stop.image.position.file + 1..=*self.files.end() {
            let later = match unused.take() {
                Some(unused) => unused,
                None => self.load(file, Extent::Whole)?,
            };
            let first = later.first_commit();
            if let Err(fault) = first
                && let Some(error) = later.unknown_format(0, fault)
            {
                return Err(error);
            }
            if let Some((offset, commit)) = later.later_commit(0, stop.expected) {
                let evidence = format!("commit {commit} at byte {offset} of {}", later.path.display());
                return Err(match first {
                    Err(fault) if stop.is_between_commits() => later.bad_start(stop.expected, fault, evidence),
                    _ => stop.damaged(evidence),
                });
            }
        }
        Ok(())
    }

    fn position(&self, file: u64) -> WalPosition {
        WalPosition {
            incarnation: self.number,
            file,
        }
    }

    fn load(&self, file: u64, extent: Extent) -> Result<FileImage, WalOpenError> {
        Ok(FileImage::load(self.disk, self.dir, self.position(file), extent)?)
    }
}

/// Follows the commits of one file, from `expected` or whatever its header says, until one is not whole.
fn follow_file(image: FileImage, expected: Option<u64>, on_commit: &mut OnCommit<'_>) -> Result<Stop, WalOpenError> {
    let mut expected = match expected {
        Some(expected) => expected,
        None => image.first_commit().map_err(|fault| image.bad_header(fault))?,
    };
    let mut start = 0;
    loop {
        let whole = match image.commit_at(start, expected) {
            Ok(whole) => whole,
            Err(broken) => {
                if let Some(error) = image.unknown_format(broken.offset, broken.fault) {
                    return Err(error);
                }
                return Ok(Stop {
                    image,
                    expected,
                    broken,
                });
            }
        };
        start = whole.end;
        on_commit(FoundCommit {
            image: &image,
            number: expected,
            frames: whole.frames,
            end: whole.end,
        })?;
        expected += 1;
    }
}

impl Stop {
    fn is_at(&self, seal: Seal) -> bool {
        self.is_between_commits() && self.broken.offset == seal.offset && self.expected == seal.commit + 1
    }

    /// Whether the next commit is missing as a whole, so that it may be in the next file.
    fn is_between_commits(&self) -> bool {
        self.broken.frames_before.is_empty() && self.broken.offset > 0
    }

    fn damaged(&self, evidence: String) -> WalOpenError {
        self.image.damaged(&self.broken, self.expected, evidence)
    }

    fn end(self, on_commit: &mut OnCommit<'_>) -> Result<LogEnd, WalOpenError> {
        let end = LogEnd {
            path: self.image.path.clone(),
            offset: self.broken.offset,
            found: self.broken.fault,
        };
        if !self.broken.frames_before.is_empty() {
            on_commit(FoundCommit {
                image: &self.image,
                number: self.expected,
                frames: self.broken.frames_before,
                end: self.broken.offset,
            })?;
        }
        Ok(end)
    }
}

impl FileImage {
    pub(super) fn damaged(&self, broken: &BrokenCommit, expected: u64, evidence: String) -> WalOpenError {
        WalOpenError::Damaged {
            path: self.path.clone(),
            offset: broken.offset,
            expected: format!("commit {expected}"),
            fault: broken.fault,
            evidence,
        }
    }

    /// For a file whose first commit cannot be read.
    fn bad_start(&self, expected: u64, fault: FrameFault, evidence: String) -> WalOpenError {
        let broken = BrokenCommit {
            frames_before: Vec::new(),
            offset: 0,
            fault,
        };
        self.damaged(&broken, expected, evidence)
    }

    /// For a file that must have one.
    pub(super) fn bad_header(&self, fault: FrameFault) -> WalOpenError {
        self.unknown_format(0, fault).unwrap_or_else(|| WalOpenError::Damaged {
            path: self.path.clone(),
            offset: 0,
            expected: "the file header".to_owned(),
            fault,
            evidence: "no file is in use without one".to_owned(),
        })
    }

    pub(super) fn unknown_format(&self, offset: u64, fault: FrameFault) -> Option<WalOpenError> {
        let is_unknown = matches!(fault, FrameFault::UnknownVersion(_) | FrameFault::UnknownKind(_));
        is_unknown.then(|| WalOpenError::UnknownFormat {
            path: self.path.clone(),
            offset,
            fault,
        })
    }
}
