//! The writer thread: everything that has gathered becomes one write and one sync, while the next commit gathers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tailrace_shared::disk::DiskFile;

use super::Shared;
use super::codec::BLOCK;
use super::commit::{Encoded, Pending, Place, encode, join};
use super::commit_buffer::CommitBuffer;
use super::error::{FatalError, RollError};
use super::files::LiveFile;
use super::options::CommitSummary;
use super::queue::{Entry, RollRequest, Work};
use super::space::{Patience, Room};

/// Where commits are at least so long on average, what it costs to write zeros beforehand is more than what they save.
const LONG_COMMIT_BYTES: u64 = 256 << 10;

/// Frames that are at least so long on average are likely to stay where they are, as are those of a log whose last file
/// stayed: they go past the page cache. Others are read from it when they move into segments.
const LONG_FRAME_BYTES: usize = 64 << 10;

/// Writes commits, one after the other, at the end of the current file.
pub(super) struct Writer {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) file_len: u64,
    /// Where the next commit goes.
    pub(super) place: Place,
    /// Bytes in the file before, until the first commit of the current one is durable.
    pub(super) rolled_at: Option<u64>,
    /// Whether the current file holds a frame beside its header, with which small frames share a block.
    pub(super) in_use: bool,
    /// The first commit of the current file.
    pub(super) first_commit: u64,
    pub(super) buffer: CommitBuffer,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, shared: &Shared) -> Result<(), FatalError> {
        loop {
            let room = self.file_len - self.place.offset;
            match shared.queue.gather(room, shared.fresh_file_room()) {
                None => {
                    self.cut_at_end(shared);
                    return Ok(());
                }
                Some(Work::Roll(request)) => self.roll(shared, request)?,
                Some(Work::Commit { entries, in_next_file }) => {
                    if in_next_file && !self.switch(shared, Patience::UntilThereIsSpace) {
                        return Ok(());
                    }
                    self.commit(shared, entries)?;
                }
            }
        }
    }

    /// Closes the current file, unless nothing but its header is in it.
    fn roll(&mut self, shared: &Shared, request: RollRequest) -> Result<(), FatalError> {
        let answer = if !self.in_use {
            Ok(self.place.file)
        } else if self.switch(shared, Patience::UnlessTheDiskIsFull) {
            self.commit(shared, Vec::new())?;
            Ok(self.place.file)
        } else {
            Err(RollError::NoSpace)
        };
        // Nobody minds if the one who asked has gone.
        request.reply.send(answer).ok();
        Ok(())
    }

    /// What lies beyond is void, and the next start need not read it.
    fn cut_at_end(&self, shared: &Shared) {
        if let Err(error) = self.file.set_len(self.place.offset) {
            let path = self.place.file.path(&shared.options.dir);
            tracing::warn!(path = %path.display(), %error, "the WAL cannot be cut at its end: the next start reads more");
        }
    }

    fn switch(&mut self, shared: &Shared, patience: Patience) -> bool {
        let commits = self.place.commit - self.first_commit;
        let room = if self.place.offset >= commits.saturating_mul(LONG_COMMIT_BYTES) {
            Room::Reserved
        } else {
            Room::Written
        };
        let Some(ready) = shared.space.take(&shared.queue, patience, room) else {
            return false;
        };
        self.first_commit = self.place.commit;
        self.rolled_at = Some(self.place.offset);
        self.in_use = false;
        self.file = ready.handle;
        self.file_len = shared.options.file_bytes;
        self.place = Place {
            file: ready.position,
            offset: 0,
            commit: self.place.commit,
        };
        true
    }

    fn commit(&mut self, shared: &Shared, entries: Vec<Entry>) -> Result<(), FatalError> {
        let (pending, reservations): (Vec<Pending>, Vec<_>) = entries
            .into_iter()
            .map(|entry| (entry.pending, entry.reservation))
            .unzip();
        let frames = join(pending, shared.options.max_frame_bytes);
        let file_header = (self.place.offset == 0).then_some(&shared.file_header);
        let encoded = encode(self.place, file_header, &frames, &mut self.buffer, &shared.full_blocks);
        self.write(shared, &encoded, frames.len())?;
        self.in_use |= !frames.is_empty();
        self.publish(shared, &encoded.bytes);
        for (frame, committed) in frames.iter().zip(&encoded.frames) {
            if let Some(sink) = &frame.sink {
                sink.committed(committed);
            }
        }
        drop(reservations);
        Ok(())
    }

    /// Makes a commit durable.
    fn write(&self, shared: &Shared, encoded: &Encoded, frames: usize) -> Result<(), FatalError> {
        let clock = &shared.options.clock;
        let started = clock.monotonic();
        let failed = |action| {
            let path = self.place.file.path(&shared.options.dir);
            move |source| FatalError::Io { action, path, source }
        };
        let (bytes, offset) = (&encoded.bytes, self.place.offset);
        let are_long = bytes.len() >= frames.saturating_mul(LONG_FRAME_BYTES);
        let written = if are_long || shared.files_stay.load(Ordering::Relaxed) {
            self.file.write_direct_at(bytes, offset)
        } else {
            self.file.write_all_at(bytes, offset)
        };
        written.map_err(failed("write"))?;
        self.file.sync_data().map_err(failed("sync"))?;
        let summary = CommitSummary {
            frames,
            bytes: encoded.bytes.len() as u64,
            took: clock.monotonic().saturating_sub(started),
        };
        shared.counters.count(summary);
        (shared.options.on_commit)(summary);
        Ok(())
    }

    /// Lets readers find a commit that is durable.
    fn publish(&mut self, shared: &Shared, bytes: &Bytes) {
        debug_assert!((bytes.len() as u64).is_multiple_of(u64::from(BLOCK)));
        let place = self.place;
        shared.recent.lock().push(place.file.file, place.offset, bytes.clone());
        self.place.offset += bytes.len() as u64;
        self.place.commit += 1;
        let room = self.file_len - self.place.offset;
        let written = bytes.len() as u64;
        shared.queue.change_room(|admission| admission.wrote(written, room));
        if let Some(closed_at) = self.rolled_at.take() {
            let current = LiveFile {
                handle: Arc::clone(&self.file),
                bytes: 0,
                len: self.file_len,
                has_footer: false,
            };
            shared.files.roll(closed_at, place.file, current);
            shared.rolled.send_replace(place.file);
        }
    }
}
