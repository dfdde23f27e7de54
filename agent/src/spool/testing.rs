//! Small stretches for the tests of spool and delivery.

use std::path::PathBuf;
use std::sync::Arc;

use tailrace_shared::disk::FileId;
use tailrace_shared::record::{BatchBuilder, Compression, RecordHeaders};

use crate::position::{FileKey, FilePosition, Fingerprint};
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
        gone: Vec::new(),
    }
}

pub(crate) fn topic(name: &str) -> Arc<str> {
    Arc::from(name)
}
