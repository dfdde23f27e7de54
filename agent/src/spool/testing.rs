//! Small stretches for the tests of spool and delivery.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::disk::{DiskLock, FileId};
use tailrace_shared::record::{BatchBuilder, Compression, RecordHeaders};

use super::committer::Committer;
use super::{BatchNumber, Binder, Control, Opened};
use crate::position::{FileKey, FilePosition, Fingerprint, JournalCursor};
use crate::stretch::{Route, RoutedBatch, Stretch};

pub(crate) fn position(inode: u64, offset: u64) -> FilePosition {
    FilePosition {
        key: FileKey {
            id: FileId { device: 1, inode },
            fingerprint: Fingerprint {
                len: 16,
                crcs: [1, 2, 3, 4],
            },
        },
        path: PathBuf::from(format!("/var/log/{inode}.log")),
        topic: "logs".to_owned(),
        lane: 5,
        offset,
        tail_checksum: 77,
        tail_checksum_len: 16,
        mid_line: true,
        modified_ms: 1_700_000_000_000,
    }
}

pub(crate) fn cursor(input: &str, entry: u64) -> JournalCursor {
    JournalCursor {
        input: input.into(),
        cursor: format!("s=1;i={entry}").into(),
    }
}

/// A batch whose records hold the given values.
pub(crate) fn batch(topic: &str, route: Route, values: &[String]) -> RoutedBatch {
    let mut builder = BatchBuilder::new(Compression::None, 0).unwrap();
    for value in values {
        builder
            .append(1_700_000_000_000, None, Some(value.as_bytes()), &RecordHeaders::empty())
            .unwrap();
    }
    RoutedBatch {
        topic: topic.to_owned(),
        route,
        bytes: builder.finish().unwrap(),
        records: u32::try_from(values.len()).unwrap(),
    }
}

pub(crate) fn stretch(batches: &[(&str, Route, usize)], positions: &[FilePosition]) -> Stretch {
    let batches = batches.iter().map(|(topic, route, records)| {
        let values: Vec<String> = (0..*records).map(|record| format!("{topic} {record}")).collect();
        batch(topic, *route, &values)
    });
    Stretch {
        batches: batches.collect(),
        positions: positions.to_vec(),
        ..Stretch::default()
    }
}

pub(crate) fn topic(name: &str) -> Arc<str> {
    Arc::from(name)
}

/// The spool without its thread: a test decides when there is a commit.
pub(crate) struct Stepper {
    committer: Committer,
    _lock: DiskLock,
}

impl Stepper {
    pub(crate) fn new(opened: Opened, binder: Arc<dyn Binder>) -> Self {
        Self {
            committer: Committer::new(opened.journal, binder, opened.when_full),
            _lock: opened.lock,
        }
    }

    /// Whether the stretch was taken; the controls always are.
    pub(crate) fn step(&mut self, controls: Vec<Control>, stretch: Option<&Stretch>) -> io::Result<bool> {
        Ok(self.committer.step(controls, stretch)?.taken == 1)
    }

    pub(crate) fn read(&self, number: BatchNumber) -> Bytes {
        self.committer.journal.shelf.read(number).unwrap()
    }
}
