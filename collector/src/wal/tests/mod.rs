//! Tests of the WAL as a whole, on the simulated disk.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use parking_lot::{Condvar, Mutex};
use tailrace_shared::clock::ManualClock;
use tailrace_shared::disk::Disk;
use tailrace_shared::disk::sim::SimDisk;
use uuid::Uuid;

use super::frame::{CommittedFrame, Frame, FrameKind, FrameSink};
use super::*;
use crate::topic_partition::TopicPartition;

mod model;
mod power_loss;
mod running;

pub(super) const KIB: usize = 1024;

/// Small files, so that a short test sees many; a frame holds 4 KiB.
pub(super) fn options(disk: &SimDisk) -> WalOptions {
    WalOptions {
        file_bytes: 64 * KIB as u64,
        budget_bytes: 1 << 20,
        max_frame_bytes: 4 * KIB,
        commit_bytes_max: 8 * KIB,
        cache_bytes: 16 * KIB as u64,
        on_fatal: Arc::new(|_| {}),
        ..WalOptions::new(
            PathBuf::from("/wal"),
            Arc::new(disk.clone()) as Arc<dyn Disk>,
            Arc::new(ManualClock::at(0)),
        )
    }
}

pub(super) fn partition(index: i32) -> TopicPartition {
    TopicPartition {
        topic: Uuid::from_u128(7),
        partition: index,
    }
}

/// Batches whose bytes tell which offsets they are.
pub(super) fn batches(index: i32, offsets: Range<i64>, bytes: usize) -> Frame {
    Frame {
        kind: FrameKind::Batches,
        partition: partition(index),
        start: offsets.start,
        end: offsets.end,
        appended_at: 1000 + offsets.start,
        payload: vec![payload(index, &offsets, bytes)],
    }
}

pub(super) fn payload(index: i32, offsets: &Range<i64>, bytes: usize) -> Bytes {
    let pattern = format!("[{index}:{}..{}]", offsets.start, offsets.end).into_bytes();
    pattern.into_iter().cycle().take(bytes).collect()
}

/// Remembers what became durable, in order.
#[derive(Default)]
pub(super) struct Journal {
    committed: Mutex<Vec<CommittedFrame>>,
    grew: Condvar,
}

impl Journal {
    pub(super) fn frames(&self) -> Vec<CommittedFrame> {
        self.committed.lock().clone()
    }

    /// Blocks until so many frames are durable.
    pub(super) fn wait_for(&self, frames: usize) {
        let mut committed = self.committed.lock();
        while committed.len() < frames {
            self.grew.wait(&mut committed);
        }
    }
}

impl FrameSink for Journal {
    fn committed(&self, frame: &CommittedFrame) {
        self.committed.lock().push(frame.clone());
        self.grew.notify_all();
    }
}

pub(super) fn open(
    options: WalOptions,
    incarnation: u64,
    from: Option<WalPosition>,
) -> Result<(Arc<Wal>, Vec<ReplayedFrame>, RecoveryReport), WalOpenError> {
    let mut replayed = Vec::new();
    let (wal, report) = Wal::open(options, incarnation, from, &mut |frame| {
        replayed.push(frame);
        Ok(())
    })?;
    Ok((wal, replayed, report))
}

pub(super) fn submit(wal: &Wal, frame: Frame, sink: &Arc<Journal>) {
    let bytes = frame.payload.iter().map(Bytes::len).sum();
    let reservation = block_on(wal.reserve(bytes, Class::Client)).unwrap();
    wal.submit(reservation, frame, Arc::clone(sink) as Arc<dyn FrameSink>);
}

/// Submits, and waits until it is durable: a commit of its own.
pub(super) fn commit(wal: &Wal, frame: Frame) -> CommittedFrame {
    let journal = Arc::new(Journal::default());
    submit(wal, frame, &journal);
    journal.wait_for(1);
    journal.frames().remove(0)
}

/// Until then the thread that makes files ready may be in the middle of it.
pub(super) fn wait_for_next_file(wal: &Wal) {
    while wal.shared.queue.look(|admission| admission.next_file.is_none()) {
        std::thread::yield_now();
    }
}

/// Kind-blind summary: partition, offsets, payload.
pub(super) fn summary(replayed: &[ReplayedFrame]) -> Vec<(i32, i64, i64)> {
    let one = |replayed: &ReplayedFrame| {
        let frame = &replayed.frame;
        (frame.partition.partition, frame.start, frame.end)
    };
    replayed.iter().map(one).collect()
}
