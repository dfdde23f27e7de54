//! WAL files that became segments as they stand.

use tailrace_shared::disk::{Disk, OpenMode};

use super::super::adoption::{Extent, PartitionExtents, adopt};
use super::*;

/// A file as the WAL leaves it, roughly: two partitions' batches in turn, with something else between them.
fn interleaved(frames: usize) -> (Vec<u8>, Vec<PartitionExtents>) {
    let mut file = b"something".to_vec();
    let mut partitions: Vec<_> = (0..2)
        .map(|index| PartitionExtents {
            partition: partition(index),
            extents: Vec::new(),
        })
        .collect();
    for frame in 0..frames {
        for one in &mut partitions {
            let start = i64::try_from(frame).unwrap() * 30;
            let bytes = joined(&batches(start, 10, 400));
            one.extents.push(Extent {
                start,
                end: start + 30,
                position: file.len() as u64,
                bytes: bytes.len() as u64,
                max_timestamp: (start + 29) * 1000,
                appended_at: start,
            });
            file.extend_from_slice(&bytes);
            file.extend(std::iter::repeat_n(b'-', 72));
        }
    }
    (file, partitions)
}

/// The store, and the runs of each partition.
async fn adopted(frames: usize) -> (Arc<dyn ObjectStore>, Flushed) {
    let disk = SimDisk::new(1);
    let path = Path::new("/file");
    let (bytes, partitions) = interleaved(frames);
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let store = LocalStore::open(Arc::new(disk.clone()), Path::new("/store")).unwrap();
    let end_with = async |footer: Bytes| {
        file.write_all_at(&footer, bytes.len() as u64)?;
        file.sync_data()?;
        Ok(path.to_owned())
    };
    let mut rng = StdRng::seed_from_u64(1);
    let pending = PendingObjects::default();
    let flushed = adopt(&store, bytes.len() as u64, &partitions, &pending, &mut rng, end_with).await;
    disk.remove(path).unwrap();
    (Arc::new(store), flushed.unwrap())
}

#[tokio::test]
async fn an_adopted_file_is_read_like_any_segment() {
    let (store, flushed) = adopted(40).await;
    let reader = SegmentReader::new(store, small_chunks());
    for index in 0..2 {
        let written = joined(&batches(0, 400, 400));
        let [run] = &flushed.runs[&partition(index)][..] else {
            panic!("one run each");
        };
        assert_eq!((run.start, run.end, run.bytes), (0, 1200, written.len() as u64));
        assert_eq!((run.max_timestamp, run.appended_at), (1_199_000, 1170));
        let read = reader.read(run, 0, usize::MAX, true).await.unwrap();
        assert!(read.to_the_end && joined(&read.pieces) == written);
        for offset in [0, 29, 30, 31, 600, 1199] {
            let pieces = reader.read(run, offset, 1, true).await.unwrap().pieces;
            assert_eq!(offsets(joined(&pieces)).0, offset - offset % 3);
        }
        let found = reader.offset_for_time(run, 0, 777_500).await.unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (778, 778_000));
        let mut scan = reader.scan(run).await.unwrap();
        let mut scanned = BytesMut::new();
        while let Some(piece) = scan.next().await.unwrap() {
            scanned.extend_from_slice(&piece);
        }
        assert_eq!(scanned.freeze(), written);
    }
}

#[tokio::test]
async fn runs_of_adopted_files_are_merged_like_any_other() {
    let (store, flushed) = adopted(5).await;
    let stretches: Vec<_> = flushed
        .runs
        .iter()
        .map(|(partition, runs)| Stretch {
            partition: *partition,
            runs: runs.clone(),
        })
        .collect();
    let reader = SegmentReader::new(Arc::clone(&store), small_chunks());
    let (pending, mut rng) = (PendingObjects::default(), StdRng::seed_from_u64(2));
    let merged = merge::merge(output(&store), &reader, &stretches, LIMITS, &pending, &mut rng);
    let merged = merged.await.unwrap();
    for index in 0..2 {
        let run = &merged.runs[&partition(index)][0];
        assert_ne!(run.object, flushed.runs[&partition(index)][0].object);
        let read = reader.read(run, 0, usize::MAX, true).await.unwrap().pieces;
        assert_eq!(joined(&read), joined(&batches(0, 50, 400)));
    }
}

#[test]
fn short_pieces_and_little_of_a_partition_are_not_long() {
    let (_, partitions) = interleaved(40);
    let limits = |own_object_bytes, adopted_piece_bytes| FlushLimits {
        own_object_bytes,
        adopted_piece_bytes,
        ..LIMITS
    };
    let bytes = partitions[0].bytes();
    assert!(partitions[0].are_long(limits(bytes, bytes / 40)));
    assert!(!partitions[0].are_long(limits(bytes + 1, bytes / 40)));
    assert!(!partitions[0].are_long(limits(bytes, bytes / 40 + 1)));
}
