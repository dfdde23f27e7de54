//! Opens the WAL after whatever ended the last process: what is committed is replayed, what a crash may have left in a
//! cache only is written again, and damage is told from a torn end.
//!
//! A commit is written after the one before it was synced, so only the last commit of the newest incarnation may be
//! torn, or be in the page cache and not on the disk. It is read past the cache, and its good frames become part of the
//! first commit of the new incarnation, whose file header seals the old one before them. All of that is synced before
//! anything is served: a crash at any point leaves either the old state or the new.
//!
//! | what is found | what is done | test (in `tests.rs`) |
//! |---|---|---|
//! | an empty directory, no checkpoint | a new WAL | `empty_directory` |
//! | the last commit's last frame is torn | its frames before are kept, the rest was never acknowledged | `torn_last_frame` |
//! | a frame in the middle of the last commit is missing | as above: nothing after it is believed | `missing_frame_of_the_last_commit` |
//! | a bit flip in the last commit | cannot be told from a torn write: as above | `bit_flip_in_the_last_commit` |
//! | a bit flip before a later commit | refused: acknowledged data is damaged | `bit_flip_before_committed_data` |
//! | a bit flip in the header of a file in the middle | refused | `bit_flip_in_a_file_header` |
//! | a bit flip in a sealed incarnation, even in its last commit | refused: the seal says that it was whole | `bit_flip_in_a_sealed_incarnation` |
//! | a file in the middle is missing | refused | `missing_file_in_the_middle` |
//! | the first file, or a sealed incarnation, is missing | refused | `missing_first_file`, `missing_incarnation` |
//! | a file was cut, acknowledged data follows in the next | refused | `file_cut_in_the_middle` |
//! | a frame of a later version | refused: the later release reads it | `unknown_version` |
//! | blocks of the file that this one was recycled from | do not parse here: the end | `stale_recycled_block` |
//! | the last file holds nothing (made ready, not used) | the end is in the file before | `empty_preallocated_file` |
//! | the last file has no length | as above | `zero_length_file` |
//! | the checkpoint points beyond the WAL | refused: they are not from the same time | `checkpoint_newer_than_the_wal` |
//! | the checkpoint points before what was released, or is gone | refused | `checkpoint_older_than_the_wal` |
//! | released files that came back | removed | `released_file_came_back` |
//! | an incarnation's first commit is torn | void; the one before it is still the newest | `first_commit_torn` |
//! | an incarnation's first commit is damaged, others follow | refused | `first_commit_damaged` |
//! | an incarnation that the newest does not list | void, and removed | `superseded_incarnation` |
//! | two crashes in a row, the second while recovering | the frames of the last commit survive both | `two_crashes_in_a_row` |
//! | bytes beyond a seal, whole commits even | void: they were dropped once and stay dropped | `commit_beyond_a_seal_stays_dropped` |
//! | a preallocation that was interrupted | removed | `leftover_spare` |
//! | names that the WAL does not make | left alone, with a warning | `unknown_names` |
//! | files of this or a later incarnation | refused: the catalog is older than the WAL | `incarnation_used_before` |
//! | the disk has no room for a whole first file | a small one, for what frees space; or refused | `full_disk_at_start` |

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::disk::{Disk, DiskFile, OpenMode};

use super::codec::{FrameFault, Kind, round_up};
use super::commit::{Encoded, Pending, Place, cost, encode};
use super::commit_buffer::{CommitBuffer, FullBlocks};
use super::error::{ReplayError, WalOpenError};
use super::file_header::{FileHeader, Seal, Sealed};
use super::files::LiveFile;
use super::frame::{CommittedFrame, Frame, FrameLocation};
use super::header_room;
use super::options::WalOptions;
use super::position::WalPosition;
use super::space::{FileError, Room, allocate, remove_spare};
use super::writer::Writer;

use self::follow::{FoundCommit, Incarnation};
use self::survey::{Newest, Survey};

mod follow;
mod image;
mod survey;
#[cfg(test)]
mod tests;

/// A committed frame and its payload.
#[derive(Debug, Clone)]
pub struct ReplayedFrame {
    /// The frame, and where it lies now.
    pub frame: CommittedFrame,
    /// A slice of a whole file's content: copy what is to be kept.
    pub payload: Bytes,
}

/// What recovery met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Frames replayed.
    pub frames: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Frames of the last commit, which were written again.
    pub rewritten_frames: usize,
    /// Where the log of the newest incarnation ended; `None` if there was none.
    pub end: Option<LogEnd>,
    /// Files of incarnations that never got as far as their first commit; removed.
    pub void_files: Vec<WalPosition>,
}

/// Where a log ended, by a clean stop or by a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// The last file with a commit.
    pub path: PathBuf,
    /// Where its last good frame, or the commit of it, ends.
    pub offset: u64,
    /// What stands there: nothing, the old bytes of a recycled file, or a torn frame.
    pub found: FrameFault,
}

/// What the running WAL starts from.
pub(super) struct Recovered {
    /// At the end of the new incarnation's first commit.
    pub(super) first: Writer,
    pub(super) first_commit: Bytes,
    pub(super) file_header: Bytes,
    /// Files of earlier incarnations.
    pub(super) files: BTreeMap<WalPosition, LiveFile>,
}

/// Recovers what is there and begins the new incarnation.
pub(super) fn recover(
    options: &WalOptions,
    incarnation: u64,
    from: Option<WalPosition>,
    replay: &mut dyn FnMut(ReplayedFrame) -> Result<(), ReplayError>,
) -> Result<(Recovered, RecoveryReport), WalOpenError> {
    let (disk, dir) = (&*options.disk, &options.dir);
    disk.create_dir_all(dir).map_err(FileError::at("create", dir))?;
    remove_spare(disk, dir)?;
    let mut survey = Survey::take(disk, dir, from)?;
    if let Some(found) = survey.latest().filter(|latest| latest.incarnation >= incarnation) {
        return Err(WalOpenError::IncarnationUsed {
            dir: dir.clone(),
            incarnation,
            found,
        });
    }
    let (newest, void_files) = survey.judge(disk, dir)?;
    remove_all(disk, options, &void_files)?;

    let mut recovery = Recovery {
        options,
        from,
        replay,
        ends: BTreeMap::new(),
        report: RecoveryReport {
            void_files,
            ..RecoveryReport::default()
        },
    };
    let (header, tail) = recovery.replay_all(&survey, newest)?;
    let file_header = header.encode();
    let (first, encoded) = recovery.begin(incarnation, &file_header, &tail)?;
    for (frame, pending) in encoded.frames.iter().zip(&tail) {
        let payload = pending.frame.payload.first().cloned().unwrap_or_default();
        recovery.deliver(frame.clone(), payload)?;
    }
    let files = recovery.tidy(&survey)?;
    let recovered = Recovered {
        first,
        first_commit: encoded.bytes,
        file_header,
        files,
    };
    Ok((recovered, recovery.report))
}

struct Recovery<'a> {
    options: &'a WalOptions,
    from: Option<WalPosition>,
    replay: &'a mut dyn FnMut(ReplayedFrame) -> Result<(), ReplayError>,
    /// Where the valid commits of each file end.
    ends: BTreeMap<WalPosition, u64>,
    report: RecoveryReport,
}

/// The latest commit met, kept back because it may turn out to be the last.
struct Held {
    frames: Vec<(CommittedFrame, Bytes)>,
    seal: Seal,
}

impl<'a> Recovery<'a> {
    /// Replays all but the last commit. Returns what the next incarnation is to say of the earlier ones, and the
    /// frames of the last commit.
    fn replay_all(
        &mut self,
        survey: &Survey,
        newest: Option<Newest>,
    ) -> Result<(FileHeader, Vec<Pending>), WalOpenError> {
        let mut header = FileHeader {
            floor: self.from,
            sealed: Vec::new(),
        };
        let Some(newest) = newest else {
            return match self.from {
                Some(from) => Err(self.checkpoint_newer(from)),
                None => Ok((header, Vec::new())),
            };
        };
        self.check_checkpoint(&newest)?;
        for mut sealed in newest.header.sealed {
            sealed.first_file = self.first_needed(sealed.incarnation, sealed.first_file);
            if sealed.first_file <= sealed.seal.file && self.is_needed(sealed.incarnation) {
                self.replay_sealed(survey, sealed)?;
                header.sealed.push(sealed);
            }
        }
        let (seal, tail) = self.replay_newest(survey, newest.incarnation)?;
        header.sealed.extend(seal.map(|seal| Sealed {
            incarnation: newest.incarnation,
            first_file: self.first_needed(newest.incarnation, 0),
            seal,
        }));
        Ok((header, tail))
    }

    fn check_checkpoint(&self, newest: &Newest) -> Result<(), WalOpenError> {
        if let Some(floor) = newest.header.floor.filter(|floor| self.from < Some(*floor)) {
            return Err(WalOpenError::CheckpointOlder {
                dir: self.options.dir.clone(),
                from: self.from,
                floor,
            });
        }
        match self.from.filter(|from| from.incarnation > newest.incarnation) {
            Some(from) => Err(self.checkpoint_newer(from)),
            None => Ok(()),
        }
    }

    fn checkpoint_newer(&self, from: WalPosition) -> WalOpenError {
        WalOpenError::CheckpointNewer {
            dir: self.options.dir.clone(),
            from,
        }
    }

    fn is_needed(&self, incarnation: u64) -> bool {
        self.from.is_none_or(|from| from.incarnation <= incarnation)
    }

    fn first_needed(&self, incarnation: u64, first_file: u64) -> u64 {
        match self.from {
            Some(from) if from.incarnation == incarnation => from.file.max(first_file),
            _ => first_file,
        }
    }

    fn replay_sealed(&mut self, survey: &Survey, sealed: Sealed) -> Result<(), WalOpenError> {
        let incarnation = self.incarnation(survey, sealed.incarnation, sealed.first_file, Some(sealed.seal.file))?;
        incarnation.follow_to(sealed.seal, &mut |commit| {
            self.ends.insert(commit.image.position, commit.end);
            for (frame, payload) in commit.content() {
                self.deliver(frame, payload)?;
            }
            Ok(())
        })
    }

    /// Replays all but the last commit, whose frames are returned; and where the incarnation ends before it.
    fn replay_newest(&mut self, survey: &Survey, number: u64) -> Result<(Option<Seal>, Vec<Pending>), WalOpenError> {
        let incarnation = self.incarnation(survey, number, self.first_needed(number, 0), None)?;
        let mut seal = None;
        let mut held: Option<Held> = None;
        let end = incarnation.follow(&mut |commit| {
            let next = Held {
                frames: commit.content().collect(),
                seal: Seal {
                    file: commit.image.position.file,
                    offset: commit.end,
                    commit: commit.number,
                },
            };
            if let Some(synced) = held.replace(next) {
                seal = Some(synced.seal);
                let position = WalPosition {
                    incarnation: number,
                    file: synced.seal.file,
                };
                self.ends.insert(position, synced.seal.offset);
                for (frame, payload) in synced.frames {
                    self.deliver(frame, payload)?;
                }
            }
            Ok(())
        })?;
        self.report.end = Some(end);
        let tail = held.map(|held| held.frames).unwrap_or_default();
        Ok((seal, tail.into_iter().map(as_pending).collect()))
    }

    /// An incarnation's files, from the first needed one to the last, none missing.
    fn incarnation(
        &self,
        survey: &Survey,
        number: u64,
        first_file: u64,
        last_file: Option<u64>,
    ) -> Result<Incarnation<'a>, WalOpenError> {
        let options = self.options;
        let found = survey.needed.get(&number);
        let last_file = last_file.or_else(|| found?.last().copied()).unwrap_or(first_file);
        let is_found = |file: &u64| found.is_some_and(|found| found.contains(file));
        if let Some(missing) = (first_file..=last_file).find(|file| !is_found(file)) {
            let missing = WalPosition {
                incarnation: number,
                file: missing,
            };
            return Err(WalOpenError::MissingFile {
                path: missing.path(&options.dir),
            });
        }
        Ok(Incarnation {
            disk: &*options.disk,
            dir: &options.dir,
            number,
            files: first_file..=last_file,
        })
    }

    fn deliver(&mut self, frame: CommittedFrame, payload: Bytes) -> Result<(), WalOpenError> {
        self.report.frames += 1;
        self.report.payload_bytes += payload.len() as u64;
        Ok((self.replay)(ReplayedFrame { frame, payload })?)
    }

    /// Writes the new incarnation's first commit and syncs it. From here on the old ones are sealed.
    fn begin(
        &mut self,
        incarnation: u64,
        file_header: &Bytes,
        tail: &[Pending],
    ) -> Result<(Writer, Encoded), WalOpenError> {
        let options = self.options;
        let least = header_room(file_header) + 3 * cost(options.max_frame_bytes) + options.reserve();
        if least > options.file_bytes {
            return Err(WalOpenError::Options(format!(
                "file_bytes is {}, and must be at least {least} to go on from this WAL",
                options.file_bytes
            )));
        }
        let place = Place {
            file: WalPosition { incarnation, file: 0 },
            offset: 0,
            commit: 1,
        };
        let mut buffer = CommitBuffer::default();
        let encoded = encode(place, Some(file_header), tail, &mut buffer, &FullBlocks::for_cache(0));
        let bytes = encoded.bytes.len() as u64;
        let (file, file_len) = self.allocate_first(place.file, bytes)?;
        let path = place.file.path(&options.dir);
        file.write_all_at(&encoded.bytes, 0)
            .and_then(|()| file.sync_data())
            .map_err(FileError::at("write", &path))?;
        self.report.rewritten_frames = tail.len();
        let first = Writer {
            file,
            file_len,
            place: Place {
                offset: bytes,
                commit: place.commit + 1,
                ..place
            },
            rolled_at: None,
            in_use: !tail.is_empty(),
            first_commit: place.commit,
            buffer,
        };
        Ok((first, encoded))
    }

    /// A small file, so that a start does not wait for a large one: that is made in the background. On a full disk a yet
    /// smaller one must do: enough for the changes that free space.
    fn allocate_first(&self, position: WalPosition, commit: u64) -> Result<(Arc<dyn DiskFile>, u64), WalOpenError> {
        let options = self.options;
        let least = round_up(commit) + options.reserve();
        for bytes in [least + options.reserve(), least] {
            match allocate(&*options.disk, &options.dir, position, bytes, Room::Written) {
                Ok(file) => return Ok((file, bytes)),
                Err(error) if error.source.kind() == io::ErrorKind::StorageFull => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WalOpenError::NoSpace {
            dir: options.dir.clone(),
            bytes: least,
        })
    }

    /// Removes what no longer counts, and cuts each earlier incarnation at its end, so that restarts do not eat disk.
    fn tidy(&self, survey: &Survey) -> Result<BTreeMap<WalPosition, LiveFile>, WalOpenError> {
        let (disk, dir) = (&*self.options.disk, &self.options.dir);
        let is_dead = |position: &WalPosition| !self.ends.contains_key(position);
        let dead: Vec<WalPosition> = survey.needed().filter(is_dead).collect();
        remove_all(disk, self.options, &survey.obsolete)?;
        remove_all(disk, self.options, &dead)?;
        let mut files = BTreeMap::new();
        let mut later = None;
        for (position, end) in self.ends.iter().rev() {
            let is_last = later != Some(position.incarnation);
            later = Some(position.incarnation);
            let path = position.path(dir);
            let open = || {
                let metadata = disk.metadata(&path)?;
                let mut len = metadata.len;
                // What has another name is not the WAL's alone.
                if is_last && len > *end && metadata.links == 1 {
                    disk.open(&path, OpenMode::ReadWrite)?.set_len(*end)?;
                    len = *end;
                }
                Ok(LiveFile {
                    handle: disk.open(&path, OpenMode::Read)?,
                    bytes: *end,
                    len,
                    has_footer: metadata.links > 1,
                })
            };
            files.insert(*position, open().map_err(FileError::at("open", &path))?);
        }
        disk.sync_dir(dir).map_err(FileError::at("sync", dir))?;
        Ok(files)
    }
}

impl FoundCommit<'_> {
    /// The frames as they were submitted, without the file header.
    fn content(&self) -> impl Iterator<Item = (CommittedFrame, Bytes)> {
        let WalPosition { incarnation, file } = self.image.position;
        self.frames.iter().filter_map(move |found| {
            let Kind::Content(kind) = found.header.kind else {
                return None;
            };
            let location = FrameLocation {
                incarnation,
                file,
                offset: found.payload.start as u64,
                len: found.header.payload_bytes,
            };
            let payload = self.image.bytes.slice(found.payload.clone());
            Some((found.header.committed(kind, location), payload))
        })
    }
}

fn as_pending((frame, payload): (CommittedFrame, Bytes)) -> Pending {
    let frame = Frame {
        kind: frame.kind,
        partition: frame.partition,
        start: frame.start,
        end: frame.end,
        appended_at: frame.appended_at,
        payload: vec![payload],
    };
    Pending::new(frame, None)
}

fn remove_all(disk: &dyn Disk, options: &WalOptions, files: &[WalPosition]) -> Result<(), WalOpenError> {
    for file in files {
        let path = file.path(&options.dir);
        disk.remove(&path).map_err(FileError::at("remove", &path))?;
    }
    Ok(())
}
