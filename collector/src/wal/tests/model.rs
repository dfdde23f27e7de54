//! What the WAL must remember, whatever happens to its process and its machine.
//!
//! Each offset's bytes tell the partition, the offset and the *attempt*: the number of the process that submitted it. So
//! a frame that was lost in one recovery and comes back in a later one, where another holds its offsets, is noticed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

pub(super) const PARTITIONS: i32 = 3;

/// One partition's history.
#[derive(Debug, Default, Clone)]
struct History {
    /// Who submitted each offset, from 0.
    attempts: Vec<u64>,
    /// Before it all is in segments.
    flushed: i64,
    /// Before it all was acknowledged, or shown after a restart.
    durable: i64,
}

/// A machine, and what the log on its disk must hold.
pub(super) struct Model {
    pub(super) disk: SimDisk,
    process: Option<Process>,
    incarnation: u64,
    attempt: u64,
    checkpoint: Option<WalPosition>,
    histories: BTreeMap<i32, History>,
    /// Frames that are known to be durable, at or after the checkpoint.
    frames: Vec<CommittedFrame>,
}

struct Process {
    wal: Arc<Wal>,
    watch: Arc<Watch>,
}

/// Hears of durable frames and of the end.
#[derive(Default)]
pub(super) struct Watch {
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    committed: Vec<CommittedFrame>,
    fatal: bool,
}

impl Watch {
    fn tell_fatal(&self) {
        self.heard.lock().fatal = true;
        self.changed.notify_all();
    }

    fn take(&self) -> Vec<CommittedFrame> {
        std::mem::take(&mut self.heard.lock().committed)
    }
}

impl FrameSink for Watch {
    fn committed(&self, frame: &CommittedFrame) {
        let mut heard = self.heard.lock();
        assert!(!heard.fatal, "acknowledged after a fatal error: {frame:?}");
        heard.committed.push(frame.clone());
        drop(heard);
        self.changed.notify_all();
    }
}

impl Model {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self {
            disk,
            process: None,
            incarnation: 0,
            attempt: 0,
            checkpoint: None,
            histories: (0..PARTITIONS).map(|index| (index, History::default())).collect(),
            frames: Vec::new(),
        }
    }

    fn content(partition: i32, offset: i64, attempt: u64) -> Vec<u8> {
        let pattern = format!("<{partition}:{offset}#{attempt}>").into_bytes();
        let bytes = 40 + usize::try_from(offset.unsigned_abs() * 389 % 1200).unwrap();
        pattern.into_iter().cycle().take(bytes).collect()
    }

    fn payload(&self, partition: i32, offsets: Range<i64>) -> Vec<u8> {
        let history = &self.histories[&partition];
        let attempt = |offset: i64| history.attempts[usize::try_from(offset).unwrap()];
        offsets
            .flat_map(|offset| Self::content(partition, offset, attempt(offset)))
            .collect()
    }

    /// Opens the WAL, which may end in the death of the process, and checks what it replays.
    pub(super) fn open(&mut self) -> Result<(), WalOpenError> {
        self.incarnation += 1;
        self.attempt += 1;
        let watch = Arc::new(Watch::default());
        let on_fatal = Arc::clone(&watch);
        let options = WalOptions {
            file_bytes: 40 * KIB as u64,
            on_fatal: Arc::new(move |_| on_fatal.tell_fatal()),
            ..options(&self.disk)
        };
        match super::open(options, self.incarnation, self.checkpoint) {
            Ok((wal, replayed, _)) => {
                self.check(&replayed);
                self.process = Some(Process { wal, watch });
                Ok(())
            }
            Err(error) => {
                let sync_failed = error.to_string().contains("simulated fsync failure");
                assert!(
                    self.disk.is_dead() || sync_failed,
                    "a living process could not open the WAL: {error}"
                );
                Err(error)
            }
        }
    }

    fn check(&mut self, replayed: &[ReplayedFrame]) {
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        for (partition, history) in &self.histories {
            ends.insert(*partition, history.flushed);
        }
        for ReplayedFrame { frame, payload } in replayed {
            let partition = frame.partition.partition;
            let end = ends.get_mut(&partition).unwrap();
            assert_eq!(frame.start, *end, "a gap in partition {partition}: {frame:?}");
            let submitted = self.histories[&partition].attempts.len() as i64;
            assert!(frame.end <= submitted, "more than was submitted: {frame:?}");
            let expected = self.payload(partition, frame.start..frame.end);
            assert!(*payload == expected, "other bytes than were submitted: {frame:?}");
            *end = frame.end;
        }
        for (partition, history) in &mut self.histories {
            let end = ends[partition];
            let durable = history.durable;
            assert!(
                end >= durable,
                "partition {partition} ends at {end}, and {durable} was acknowledged"
            );
            history.durable = end;
            history.attempts.truncate(usize::try_from(end).unwrap());
        }
        let order: Vec<FrameLocation> = replayed.iter().map(|replayed| replayed.frame.location).collect();
        assert!(order.is_sorted(), "not in the order of the log");
        self.frames = replayed.iter().map(|replayed| replayed.frame.clone()).collect();
    }

    pub(super) fn is_running(&self) -> bool {
        let lives = |process: &Process| !process.watch.heard.lock().fatal;
        self.process.as_ref().is_some_and(lives) && !self.disk.is_dead()
    }

    /// Submits the partition's next offsets; false if the process has died.
    pub(super) fn submit(&mut self, partition: i32, count: usize) -> bool {
        let Some(process) = &self.process else { return false };
        let (wal, watch) = (Arc::clone(&process.wal), Arc::clone(&process.watch));
        let history = self.histories.get_mut(&partition).unwrap();
        let start = history.attempts.len() as i64;
        history.attempts.extend(vec![self.attempt; count]);
        let offsets = start..start + count as i64;
        let payload = self.payload(partition, offsets.clone());
        let Ok(reservation) = block_on(wal.reserve(payload.len(), Class::Client)) else {
            return false;
        };
        let (patched, rest) = payload.split_at(payload.len() / 3);
        let frame = Frame {
            payload: vec![Bytes::copy_from_slice(patched), Bytes::copy_from_slice(rest)],
            ..batches(partition, offsets, 0)
        };
        wal.submit(reservation, frame, watch);
        true
    }

    /// Waits until all that was submitted is acknowledged, or the process has died.
    pub(super) fn settle(&mut self) {
        let Some(process) = &self.process else { return };
        let watch = Arc::clone(&process.watch);
        loop {
            for frame in watch.take() {
                self.acknowledge(frame);
            }
            let is_settled = |history: &History| history.durable == history.attempts.len() as i64;
            if self.histories.values().all(is_settled) {
                return;
            }
            let mut heard = watch.heard.lock();
            if heard.fatal && heard.committed.is_empty() {
                return;
            }
            if heard.committed.is_empty() {
                watch.changed.wait(&mut heard);
            }
        }
    }

    fn acknowledge(&mut self, frame: CommittedFrame) {
        let history = self.histories.get_mut(&frame.partition.partition).unwrap();
        assert_eq!(frame.start, history.durable, "acknowledged out of order: {frame:?}");
        history.durable = frame.end;
        assert!(self.frames.last().is_none_or(|last| last.location < frame.location));
        self.frames.push(frame);
    }

    pub(super) fn roll(&mut self) {
        if let Some(process) = &self.process {
            // A dead process does not roll.
            block_on(process.wal.roll()).ok();
        }
    }

    /// Takes a checkpoint behind the given number of closed files, and releases them.
    pub(super) fn release(&mut self, closed: usize) {
        self.settle();
        let Some(process) = &self.process else { return };
        let files = process.wal.closed_files();
        let positions: BTreeSet<WalPosition> = files.iter().map(|file| file.position).collect();
        let current = process.wal.current();
        let checkpoint = positions.iter().nth(closed).copied().unwrap_or(current);
        let is_before = |frame: &CommittedFrame| {
            let location = frame.location;
            (location.incarnation, location.file) < (checkpoint.incarnation, checkpoint.file)
        };
        for frame in self.frames.iter().filter(|frame| is_before(frame)) {
            let history = self.histories.get_mut(&frame.partition.partition).unwrap();
            history.flushed = history.flushed.max(frame.end);
        }
        self.frames.retain(|frame| !is_before(frame));
        self.checkpoint = Some(checkpoint);
        process.wal.release_before(checkpoint);
    }

    /// Every frame that is not released can be read, from memory or from its file.
    pub(super) fn read_back(&mut self) {
        self.settle();
        let Some(process) = &self.process else { return };
        for frame in &self.frames {
            let location = frame.location;
            let expected = self.payload(frame.partition.partition, frame.start..frame.end);
            let whole = 0..location.len as usize;
            match process.wal.read(location, whole.clone()) {
                Ok(bytes) => assert!(bytes == expected, "read other bytes: {frame:?}"),
                Err(_) if self.disk.is_dead() => return,
                Err(error) => panic!("cannot read {frame:?}: {error}"),
            }
            let from_file = process.wal.shared.files.read(location, whole);
            assert!(
                from_file.is_ok_and(|bytes| bytes == expected) || self.disk.is_dead(),
                "{frame:?}"
            );
            if let Some(cached) = process.wal.read_cached(location) {
                assert!(cached == expected, "other bytes in the cache: {frame:?}");
            }
        }
    }

    /// Ends the process in the given way; what it acknowledged until then counts.
    pub(super) fn end(&mut self, how: impl FnOnce(&SimDisk) -> SimDisk) {
        self.disk = how(&self.disk);
        if let Some(process) = self.process.take() {
            drop(process.wal);
            for frame in process.watch.take() {
                self.acknowledge(frame);
            }
        }
    }

    /// A clean stop: what was submitted is acknowledged first.
    pub(super) fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            drop(process.wal);
            let was_running = !self.disk.is_dead();
            for frame in process.watch.take() {
                self.acknowledge(frame);
            }
            let is_settled = |history: &History| history.durable == history.attempts.len() as i64;
            let failed = process.watch.heard.lock().fatal;
            assert!(
                failed || !was_running || self.histories.values().all(is_settled),
                "a clean stop forgot what was submitted"
            );
        }
        self.disk = self.disk.restart();
    }

    pub(super) fn fail_next_sync(&mut self) {
        self.disk.fail_next_sync();
    }

    /// Starts processes until one lives.
    pub(super) fn restart(&mut self) {
        while self.open().is_err() {
            self.disk = self.disk.restart();
        }
    }
}
