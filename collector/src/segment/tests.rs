//! Segments as brokers use them: written by a flush, read by consumers, merged, collected, and damaged.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tailrace_shared::disk::sim::{PowerLoss, SimDisk};
use tailrace_shared::record::{BatchBuilder, Batches, Compression, RecordHeaders, patch_base_offset};
use uuid::Uuid;

use super::flush::{FlushError, FlushLimits, Flushed, PartitionPieces, Piece, PieceSource, PushError, flush, plan};
use super::format::{Footer, FormatError, decode};
use super::merge::{self, Stretch};
use super::orphans::{Orphans, Swept};
use super::part::Part;
use super::writer::{BuildError, Output, RunHead, SegmentWriter, WithoutRest, WriteError};
use super::*;
use crate::store::LocalStore;
use crate::topic_partition::TopicPartition;

mod adoption;

const OBJECT: Uuid = Uuid::from_u128(77);

/// One record per timestamp.
fn batch(base_offset: i64, timestamps: &[i64], value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    let headers = RecordHeaders::encode(std::iter::empty());
    let mut noise = StdRng::seed_from_u64(base_offset.unsigned_abs());
    for &timestamp in timestamps {
        let mut value = vec![0; value_bytes];
        rand::RngCore::fill_bytes(&mut noise, &mut value);
        builder.append(timestamp, None, Some(&value), &headers).unwrap();
    }
    let mut bytes = BytesMut::from(&builder.finish().unwrap()[..]);
    patch_base_offset(&mut bytes, base_offset).unwrap();
    bytes.freeze()
}

/// Batches of three records, a second apart, from an offset that is a multiple of three.
fn batches(from: i64, count: i64, value_bytes: usize) -> Vec<Bytes> {
    let one = |at: i64| {
        let base = from + at * 3;
        batch(base, &[base * 1000, (base + 1) * 1000, (base + 2) * 1000], value_bytes)
    };
    (0..count).map(one).collect()
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition {
        topic: Uuid::from_u128(1),
        partition: index,
    }
}

/// A run to be written, and its batches.
type Payload = (RunHead, Vec<Bytes>);

fn payload(index: i32, start: i64, pieces: Vec<Bytes>) -> Payload {
    let records: i64 = pieces
        .iter()
        .map(|piece| offsets(piece.clone()).1 - offsets(piece.clone()).0)
        .sum();
    let head = RunHead {
        partition: partition(index),
        start,
        end: start + records,
        appended_at: 5,
    };
    (head, pieces)
}

fn offsets(bytes: Bytes) -> (i64, i64) {
    let headers: Vec<_> = Batches::split(bytes, usize::MAX)
        .map(|batch| batch.unwrap().header)
        .collect();
    (headers[0].base_offset, headers[headers.len() - 1].next_offset())
}

async fn put(runs: Vec<Payload>) -> (Arc<dyn ObjectStore>, Vec<Run>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let runs = write(&store, OBJECT, runs).await.unwrap();
    (store, runs)
}

fn output(store: &Arc<dyn ObjectStore>) -> Output<'_> {
    Output {
        store: &**store,
        pace: &WithoutRest,
    }
}

async fn write(store: &Arc<dyn ObjectStore>, object: Uuid, runs: Vec<Payload>) -> Result<Vec<Run>, WriteError> {
    let mut writer = SegmentWriter::new(output(store), object, Part::default());
    for (head, pieces) in runs {
        writer.begin(head)?;
        for piece in pieces {
            writer.push(&piece).await?;
        }
    }
    Ok(writer.finish().await?.runs.into_iter().map(|(_, run)| run).collect())
}

fn small_chunks() -> ReaderOptions {
    ReaderOptions {
        chunk_bytes: 100 << 10,
        chunk_cache_bytes: 1 << 20,
        ..ReaderOptions::default()
    }
}

fn joined(pieces: &[Bytes]) -> Bytes {
    pieces.concat().into()
}

#[tokio::test]
async fn a_consumer_reads_back_every_batch_byte_for_byte() {
    let written = [batches(0, 200, 1000), batches(30, 100, 1000)];
    let (store, runs) = put(vec![
        payload(0, 0, written[0].clone()),
        payload(1, 30, written[1].clone()),
    ])
    .await;
    let reader = SegmentReader::new(store, small_chunks());
    for (run, written) in runs.iter().zip(&written) {
        let (mut read, mut next) = (BytesMut::new(), run.start);
        while next < run.end {
            let pieces = reader.read(run, next, 70_000, true).await.unwrap().pieces;
            let piece = joined(&pieces);
            assert!(piece.len() <= 70_000);
            next = offsets(piece.clone()).1;
            read.extend_from_slice(&piece);
        }
        assert_eq!(read.freeze(), joined(written));
        assert!(reader.read(run, run.end, 70_000, true).await.unwrap().pieces.is_empty());
    }
}

#[tokio::test]
async fn a_read_inside_a_batch_returns_the_whole_batch() {
    let (store, runs) = put(vec![payload(0, 0, batches(0, 200, 1000))]).await;
    let reader = SegmentReader::new(store, small_chunks());
    for offset in [0, 1, 2, 3, 299, 300, 301, 599] {
        let pieces = reader.read(&runs[0], offset, 1, true).await.unwrap().pieces;
        let (start, end) = offsets(joined(&pieces));
        assert_eq!((start, end), (offset - offset % 3, offset - offset % 3 + 3));
    }
    assert!(reader.read(&runs[0], 5, 1, false).await.unwrap().pieces.is_empty());
}

#[tokio::test]
async fn one_read_may_span_many_chunks() {
    let written = batches(0, 200, 1000);
    let (store, runs) = put(vec![payload(0, 0, written.clone())]).await;
    let reader = SegmentReader::new(store, small_chunks());
    let pieces = reader.read(&runs[0], 0, usize::MAX, false).await.unwrap().pieces;
    assert!(pieces.len() > 3);
    assert_eq!(joined(&pieces), joined(&written));
}

/// What a read answers, found by walking over all batches.
fn expected(written: &[Bytes], from_offset: i64, max_bytes: usize, min_one: bool) -> Bytes {
    let mut out = BytesMut::new();
    for batch in written.iter().filter(|batch| offsets((*batch).clone()).1 > from_offset) {
        if out.len() + batch.len() > max_bytes && !(min_one && out.is_empty()) {
            break;
        }
        out.extend_from_slice(batch);
    }
    out.freeze()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_read_of_any_run_answers_what_a_walk_over_its_batches_finds(
        sizes in prop::collection::vec((1i64..4, prop_oneof![1usize..200, 10_000usize..90_000]), 1..30),
        reads in prop::collection::vec((0i64..90, 0usize..400_000, any::<bool>()), 1..10),
    ) {
        let mut next = 0;
        let written: Vec<_> = sizes.iter().map(|&(records, bytes)| {
            let timestamps: Vec<_> = (next..next + records).map(|at| at * 1000).collect();
            let built = batch(next, &timestamps, bytes / timestamps.len());
            next += records;
            built
        }).collect();
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let before = payload(7, 0, batches(0, 1, 10));
            let (store, runs) = put(vec![before, payload(0, 0, written.clone())]).await;
            let reader = SegmentReader::new(store, small_chunks());
            for (from, max_bytes, min_one) in reads {
                let read = reader.read(&runs[1], from, max_bytes, min_one).await.unwrap().pieces;
                prop_assert_eq!(joined(&read), expected(&written, from, max_bytes, min_one));
                let found = reader.offset_for_time(&runs[1], 0, from * 1000 - 500).await.unwrap();
                prop_assert_eq!(found.map(|found| found.offset), (from < next).then_some(from));
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_batch_larger_than_a_chunk_is_served_whole() {
    let written = vec![batch(0, &[1], 10), batch(1, &[2], 400_000), batch(2, &[3], 10)];
    let (store, runs) = put(vec![payload(0, 0, written.clone())]).await;
    let reader = SegmentReader::new(store, small_chunks());
    let pieces = reader.read(&runs[0], 1, 10, true).await.unwrap().pieces;
    assert_eq!(joined(&pieces), written[1]);
    assert_eq!(
        reader.read(&runs[0], 2, 1000, true).await.unwrap().pieces,
        [written[2].clone()]
    );
}

#[tokio::test]
async fn a_time_is_found_to_the_record() {
    let (store, runs) = put(vec![payload(0, 0, batches(0, 200, 1000))]).await;
    let reader = SegmentReader::new(store, small_chunks());
    for (timestamp, offset) in [(-5, 0), (0, 0), (1, 1), (1000, 1), (299_500, 300), (599_000, 599)] {
        let found = reader.offset_for_time(&runs[0], 0, timestamp).await.unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (offset, offset * 1000), "{timestamp}");
    }
    assert_eq!(reader.offset_for_time(&runs[0], 0, 599_001).await.unwrap(), None);
    let found = reader.offset_for_time(&runs[0], 400, 1000).await.unwrap().unwrap();
    assert_eq!(found.offset, 400);
}

#[tokio::test]
async fn a_time_is_found_among_timestamps_in_disorder() {
    let mut written = batches(0, 100, 1000);
    written.push(batch(300, &[7, 900_000, 8], 1000));
    written.extend(batches(303, 100, 1000));
    let (store, runs) = put(vec![payload(0, 0, written)]).await;
    let reader = SegmentReader::new(store, small_chunks());
    let found = reader.offset_for_time(&runs[0], 0, 700_000).await.unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (301, 900_000));
    assert_eq!(reader.offset_for_time(&runs[0], 302, 700_000).await.unwrap(), None);
}

#[tokio::test]
async fn who_replays_is_read_ahead_of_and_memory_stays_bounded() {
    let (store, runs) = put(vec![payload(0, 0, batches(0, 1000, 1000))]).await;
    let options = ReaderOptions {
        read_ahead_bytes: 200 << 10,
        ..small_chunks()
    };
    let reader = SegmentReader::new(Arc::clone(&store), options);
    reader.read(&runs[0], 0, 150_000, true).await.unwrap();
    tokio::task::yield_now().await;
    // Two chunks were read and two ahead of them: those are served with the store gone.
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.delete(&object_path(OBJECT)).await.unwrap();
    let pieces = reader.read(&runs[0], 150, 1, true).await.unwrap().pieces;
    assert_eq!(offsets(joined(&pieces)).0, 150);
    assert!(reader.read(&runs[0], 2990, 1, true).await.is_err());
}

#[tokio::test]
async fn a_damaged_batch_is_named_and_the_rest_is_served() {
    let (store, runs) = put(vec![payload(0, 0, batches(0, 200, 1000))]).await;
    let path = object_path(OBJECT);
    let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[8 + 300] ^= 1;
    store.put(&path, bytes.into()).await.unwrap();
    let reader = SegmentReader::new(store, small_chunks());
    let error = reader.read(&runs[0], 0, 1, true).await.unwrap_err();
    assert!(
        matches!(
            error,
            SegmentError::Damaged {
                object: OBJECT,
                section: "batches",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("DeleteRecords"), "{error}");
    assert!(!reader.read(&runs[0], 500, 1, true).await.unwrap().pieces.is_empty());
}

#[tokio::test]
async fn a_run_that_the_footer_does_not_know_is_damage() {
    let (store, runs) = put(vec![payload(0, 0, batches(0, 2, 10))]).await;
    let reader = SegmentReader::new(store, small_chunks());
    let mut other = runs[0].clone();
    other.position += 1;
    let error = reader.read(&other, 0, 1, true).await.unwrap_err();
    assert!(error.to_string().contains("has no run 0..6 at byte 9"), "{error}");
    other.object = Uuid::from_u128(78);
    let error = reader.read(&other, 0, 1, true).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_footer_larger_than_the_guess_is_read_in_two_requests() {
    let runs = (0..1000).map(|index| payload(index, 0, batches(0, 1, 10))).collect();
    let (store, runs) = put(runs).await;
    let reader = SegmentReader::new(store, small_chunks());
    assert_eq!(reader.read(&runs[999], 0, 1, true).await.unwrap().pieces.len(), 1);
}

#[tokio::test]
async fn a_batch_out_of_place_is_not_written() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let refused = async |run: Payload| match write(&store, OBJECT, vec![run]).await {
        Err(WriteError::Build(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refused(payload(0, 1, batches(0, 2, 10))).await,
        BuildError::Misplaced {
            expected: 1,
            found_start: 0,
            ..
        }
    ));
    let (empty, _) = payload(0, 0, batches(0, 1, 10));
    assert!(matches!(refused((empty, vec![])).await, BuildError::Empty { .. }));
    let mut flipped = batches(0, 1, 10)[0].to_vec();
    flipped[70] ^= 1;
    let damaged = (empty, vec![flipped.into()]);
    assert!(matches!(refused(damaged).await, BuildError::Batch { .. }));
    let homeless = SegmentWriter::new(output(&store), OBJECT, Part::default())
        .push(&batches(0, 1, 10)[0])
        .await;
    assert!(matches!(homeless, Err(WriteError::Build(BuildError::NoRun))));
    assert!(store.head(&object_path(OBJECT)).await.is_err());
}

fn object_bytes() -> Vec<u8> {
    static BUILT: LazyLock<Vec<u8>> = LazyLock::new(build_object);
    BUILT.clone()
}

fn build_object() -> Vec<u8> {
    let runs = vec![payload(0, 0, batches(0, 90, 1000)), payload(1, 0, batches(0, 2, 10))];
    let object = async {
        let (store, _) = put(runs).await;
        let got = store.get(&object_path(OBJECT)).await.unwrap();
        got.bytes().await.unwrap().to_vec()
    };
    futures::executor::block_on(object)
}

#[test]
fn the_footer_comes_back_as_it_was_written() {
    let footer: Footer = decode(OBJECT, &object_bytes()).unwrap();
    let runs: Vec<_> = footer
        .runs
        .iter()
        .map(|row| (row.partition, row.run.start..row.run.end))
        .collect();
    assert_eq!(runs, [(partition(0), 0..270), (partition(1), 0..6)]);
    assert!(footer.runs[0].index.len() > 2);
    assert_eq!(footer.runs[0].run.max_timestamp, 269_000);
}

#[test]
fn a_segment_under_another_name_is_refused() {
    assert!(decode(Uuid::from_u128(78), &object_bytes()).is_err());
}

#[test]
fn unknown_sections_are_skipped_unless_they_must_be_understood() {
    let bytes = object_bytes();
    let footer = decode(OBJECT, &bytes).unwrap();
    let section = |flags: u16| {
        let head = [&9u16.to_le_bytes()[..], &flags.to_le_bytes(), &3u32.to_le_bytes()].concat();
        let crc = crc_fast::crc32_iscsi(&[OBJECT.as_bytes(), &head[..], b"abc"].concat());
        [&head[..], &crc.to_le_bytes(), b"abc"].concat()
    };
    let trailer = format::Trailer::decode(OBJECT, &bytes, bytes.len() as u64).unwrap();
    let start = usize::try_from(trailer.footer_start).unwrap();
    let sections = &bytes[start..bytes.len() - format::TRAILER_BYTES];
    let with = |flags| Footer::decode(OBJECT, trailer, &[&section(flags), sections].concat());
    assert_eq!(with(0), Ok(footer));
    assert!(matches!(with(1), Err(FormatError::Damaged { reason, .. }) if reason.contains("kind 9")));
}

#[test]
fn a_newer_version_is_refused_by_its_number() {
    let mut bytes = object_bytes();
    let trailer = bytes.len() - format::TRAILER_BYTES;
    bytes[trailer + 12] = 2;
    let crc = crc_fast::crc32_iscsi(&[OBJECT.as_bytes(), &bytes[trailer..trailer + 16]].concat());
    bytes[trailer + 16..trailer + 20].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(
        decode(OBJECT, &bytes),
        Err(FormatError::NewerVersion { found: 2, known: 1 })
    );
}

proptest! {
    #[test]
    fn a_flipped_bit_behind_the_runs_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = object_bytes();
        let trailer = format::Trailer::decode(OBJECT, &bytes, bytes.len() as u64).unwrap();
        let start = usize::try_from(trailer.footer_start).unwrap();
        let at = start + at.index(bytes.len() - start);
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(OBJECT, &bytes).is_err());
    }

    #[test]
    fn a_segment_cut_short_is_refused(at in any::<prop::sample::Index>()) {
        let bytes = object_bytes();
        prop_assert!(decode(OBJECT, &bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn sections_with_right_checksums_and_any_content_never_panic(
        rows in prop::collection::vec(any::<u8>(), 0..300),
        entries in prop::collection::vec(any::<u8>(), 0..300),
        lengths in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
        footer_start in any::<u64>(),
    ) {
        let section = |kind: u16, payload: &[u8]| {
            let length = u32::try_from(payload.len()).unwrap();
            let head = [&kind.to_le_bytes()[..], &[0, 0], &length.to_le_bytes()].concat();
            let crc = crc_fast::crc32_iscsi(&[OBJECT.as_bytes(), &head[..], payload].concat());
            [&head[..], &crc.to_le_bytes(), payload].concat()
        };
        let lengths = lengths.map(|lengths| section(3, &lengths)).unwrap_or_default();
        let sections = [section(1, &rows), section(2, &entries), lengths].concat();
        let footer_bytes = u32::try_from(sections.len()).unwrap();
        let trailer = format::Trailer { footer_start, footer_bytes };
        if let Ok(footer) = Footer::decode(OBJECT, trailer, &sections) {
            prop_assert!(footer.runs.len() * 72 == rows.len());
        }
    }
}

/// Pieces that carry their own bytes.
struct Inline;

#[async_trait]
impl PieceSource<Bytes> for Inline {
    type Error = Infallible;

    async fn push(
        &self,
        pieces: Vec<Piece<Bytes>>,
        segment: &mut SegmentWriter<'_>,
    ) -> Result<(), PushError<Infallible>> {
        for piece in pieces {
            segment.push(&piece.location).await?;
        }
        Ok(())
    }
}

fn pieces(index: i32, batches: Vec<Bytes>) -> PartitionPieces<Bytes> {
    let piece = |bytes: Bytes| {
        let (start, end) = offsets(bytes.clone());
        Piece {
            start,
            end,
            bytes: bytes.len() as u64,
            appended_at: start,
            location: bytes,
        }
    };
    PartitionPieces {
        partition: partition(index),
        pieces: batches.into_iter().map(piece).collect(),
    }
}

const LIMITS: FlushLimits = FlushLimits {
    own_object_bytes: 100_000,
    object_bytes: 200_000,
    adopted_piece_bytes: 10_000,
    adopted_share_min: 0.75,
};

async fn flush_inline(
    store: &Arc<dyn ObjectStore>,
    partitions: Vec<PartitionPieces<Bytes>>,
) -> Result<Flushed, FlushError<Infallible>> {
    flush_named(store, partitions, 3).await
}

/// Flushes to objects whose names follow from the seed.
async fn flush_named(
    store: &Arc<dyn ObjectStore>,
    partitions: Vec<PartitionPieces<Bytes>>,
    seed: u64,
) -> Result<Flushed, FlushError<Infallible>> {
    let pending = PendingObjects::default();
    let mut rng = StdRng::seed_from_u64(seed);
    flush(output(store), partitions, &Inline, LIMITS, &pending, &mut rng).await
}

#[tokio::test]
async fn a_flush_gives_large_partitions_their_own_objects_and_lets_small_ones_share() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let large = batches(0, 150, 1000);
    let mut given = vec![pieces(9, vec![]), pieces(0, large.clone())];
    given.extend((1..5).map(|index| pieces(index, batches(0, 5, 1000))));
    let flushed = flush_inline(&store, given).await.unwrap();
    assert_eq!(flushed.runs.len(), 5);
    let of = |index| &flushed.runs[&partition(index)];
    assert_eq!(of(0).len(), 3, "450 KB in objects of at most 200 KB");
    assert!(of(0).iter().all(|run| run.bytes >= 100_000 && run.bytes <= 200_000));
    let shared: HashSet<_> = (1..5)
        .flat_map(|index| of(index).iter().map(|run| run.object))
        .collect();
    assert_eq!(shared.len(), 1);

    let reader = SegmentReader::new(store, small_chunks());
    let mut read = vec![];
    for run in of(0) {
        read.extend(reader.read(run, run.start, usize::MAX, true).await.unwrap().pieces);
    }
    assert_eq!(joined(&read), joined(&large));
    assert!(of(0).windows(2).all(|pair| pair[0].end == pair[1].start));
    assert_eq!(of(0)[2].appended_at, 447, "age counts from the last batch");
}

#[tokio::test]
async fn a_flush_refuses_a_gap() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut holed = batches(0, 3, 10);
    holed.remove(1);
    let error = flush_inline(&store, vec![pieces(0, holed)]).await.unwrap_err();
    assert!(
        matches!(
            error,
            FlushError::Gap {
                expected: 3,
                found: 6,
                ..
            }
        ),
        "{error}"
    );
}

proptest! {
    #[test]
    fn a_plan_keeps_every_piece_once_and_in_order_and_objects_small(
        sizes in prop::collection::vec(prop::collection::vec(1u64..60_000, 0..30), 0..30),
    ) {
        let given: Vec<_> = (0..).zip(&sizes).map(|(index, sizes)| PartitionPieces {
            partition: partition(index),
            pieces: (0..).zip(sizes).map(|(at, &bytes)| Piece { start: at, end: at + 1, bytes, appended_at: 0, location: () }).collect(),
        }).collect();
        let objects = plan(given.clone(), LIMITS);
        for object in &objects {
            let bytes: u64 = object.iter().flat_map(|run| &run.pieces).map(|piece| piece.bytes).sum();
            prop_assert!(bytes <= LIMITS.object_bytes);
        }
        for PartitionPieces { partition, pieces } in given {
            let planned: Vec<_> = objects.iter().flatten().filter(|run| run.partition == partition)
                .flat_map(|run| run.pieces.clone()).collect();
            prop_assert_eq!(planned, pieces);
        }
    }
}

#[tokio::test]
async fn a_merge_replaces_many_runs_by_one_with_the_same_batches() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut stretches = vec![];
    for index in 0..2_i32 {
        let mut runs = vec![];
        for at in 0..4 {
            let object = Uuid::from_u128(u128::from(index.unsigned_abs()) * 10 + at);
            let start = i64::try_from(at).unwrap() * 30;
            let run = payload(index, start, batches(start, 10, 100));
            runs.extend(write(&store, object, vec![run]).await.unwrap());
        }
        stretches.push(Stretch {
            partition: partition(index),
            runs,
        });
    }
    let pending = PendingObjects::default();
    let mut rng = StdRng::seed_from_u64(4);
    let reader = SegmentReader::new(Arc::clone(&store), small_chunks());
    let merged = merge::merge(output(&store), &reader, &stretches, LIMITS, &pending, &mut rng)
        .await
        .unwrap();
    for index in 0..2 {
        let runs = &merged.runs[&partition(index)];
        assert_eq!((runs.len(), runs[0].start, runs[0].end), (1, 0, 120));
        let read = reader.read(&runs[0], 0, usize::MAX, true).await.unwrap().pieces;
        assert_eq!(joined(&read), joined(&batches(0, 40, 100)));
    }
    assert_eq!(
        merged.runs[&partition(0)][0].object,
        merged.runs[&partition(1)][0].object
    );
}

async fn sweep(
    orphans: &mut Orphans,
    store: &Arc<dyn ObjectStore>,
    kept: &[Uuid],
    pending: &PendingObjects,
    at: u64,
) -> Swept {
    let kept: HashSet<_> = kept.iter().copied().collect();
    let (now, grace) = (Duration::from_secs(at), Duration::from_secs(100));
    orphans.sweep(store, pending, async || kept, now, grace).await.unwrap()
}

#[tokio::test]
async fn orphans_are_deleted_after_their_grace_and_nothing_else() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let names = [1, 2, 3].map(Uuid::from_u128);
    for name in names {
        store
            .put(&object_path(name), Bytes::from_static(b"x").into())
            .await
            .unwrap();
    }
    store
        .put(&"segments/readme".into(), Bytes::from_static(b"x").into())
        .await
        .unwrap();
    let pending = PendingObjects::default();
    let mut guard = pending.guard();
    guard.add(names[2]);
    let mut orphans = Orphans::default();

    let swept = sweep(&mut orphans, &store, &names[..1], &pending, 10).await;
    assert_eq!(
        swept,
        Swept {
            segments: 3,
            waiting: 1,
            deleted: 0
        }
    );
    // Referred to for a while: its grace starts anew.
    sweep(&mut orphans, &store, &names[..2], &pending, 100).await;
    assert_eq!(sweep(&mut orphans, &store, &names[..1], &pending, 120).await.deleted, 0);
    assert_eq!(sweep(&mut orphans, &store, &names[..1], &pending, 219).await.deleted, 0);
    assert_eq!(sweep(&mut orphans, &store, &names[..1], &pending, 220).await.deleted, 1);
    assert!(store.head(&object_path(names[1])).await.is_err());

    drop(guard);
    assert_eq!(sweep(&mut orphans, &store, &names[..1], &pending, 400).await.waiting, 1);
    assert_eq!(sweep(&mut orphans, &store, &names[..1], &pending, 500).await.deleted, 1);
    assert!(store.head(&object_path(names[0])).await.is_ok());
    assert!(store.head(&"segments/readme".into()).await.is_ok());
}

/// Flushes in two rounds, "committing" what each returned; gives up at the first error.
async fn flush_until_it_fails(store: Arc<dyn ObjectStore>, manifest: &mut Vec<Run>) {
    static ROUNDS: LazyLock<Vec<Vec<PartitionPieces<Bytes>>>> = LazyLock::new(|| {
        let round = |start| vec![pieces(0, batches(start, 40, 1000)), pieces(1, batches(start, 3, 100))];
        vec![round(0), round(300)]
    });
    for (seed, given) in (0..).zip(&*ROUNDS) {
        let Ok(flushed) = flush_named(&store, given.clone(), seed).await else {
            return;
        };
        manifest.extend(flushed.runs.into_values().flatten());
    }
}

#[tokio::test]
async fn a_segment_is_never_written_over_another() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let first = flush_named(&store, vec![pieces(0, batches(0, 3, 10))], 1)
        .await
        .unwrap();
    let error = flush_named(&store, vec![pieces(1, batches(0, 9, 10))], 1)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            FlushError::Write(WriteError::Segment(SegmentError::Store { .. }))
        ),
        "{error}"
    );
    let run = &first.runs[&partition(0)][0];
    let reader = SegmentReader::new(store, small_chunks());
    assert!(reader.read(run, 0, 1, true).await.is_ok());
}

#[tokio::test]
async fn after_a_power_failure_at_any_moment_what_a_flush_returned_is_there_and_the_rest_is_collected() {
    let root = Path::new("/data/store");
    let dry = SimDisk::new(0);
    let store = LocalStore::open(Arc::new(dry.clone()), root).unwrap();
    flush_until_it_fails(Arc::new(store), &mut vec![]).await;
    let mut interrupted = 0;
    for cut in 0..dry.operations() {
        for loss in [PowerLoss::DropAll, PowerLoss::Random] {
            let disk = SimDisk::new(cut);
            disk.cut_after(cut);
            let mut manifest = vec![];
            if let Ok(store) = LocalStore::open(Arc::new(disk.clone()), root) {
                flush_until_it_fails(Arc::new(store), &mut manifest).await;
            }
            interrupted += usize::from(manifest.len() < 4);

            let disk = disk.power_off(loss);
            let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::open(Arc::new(disk), root).unwrap());
            let reader = SegmentReader::new(Arc::clone(&store), small_chunks());
            for run in &manifest {
                let read = reader.read(run, run.start, usize::MAX, true).await.unwrap().pieces;
                assert_eq!(offsets(joined(&read)), (run.start, run.end));
            }
            let (kept, pending, mut orphans) = (objects_of(&manifest), PendingObjects::default(), Orphans::default());
            sweep(&mut orphans, &store, &kept, &pending, 0).await;
            let swept = sweep(&mut orphans, &store, &kept, &pending, 100).await;
            assert_eq!(swept.segments - swept.deleted, kept.len());
        }
    }
    assert!(interrupted > 10);
}

fn objects_of(manifest: &[Run]) -> Vec<Uuid> {
    let objects: HashSet<_> = manifest.iter().map(|run| run.object).collect();
    objects.into_iter().collect()
}
