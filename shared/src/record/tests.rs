//! Batches as a whole: golden bytes, both directions against an independent implementation, and hostile bytes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records as oracle;
use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

#[derive(Debug, Clone)]
struct Sample {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Sample {
    fn encoded_headers(&self) -> RecordHeaders {
        RecordHeaders::encode(self.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())))
    }
}

fn build(codec: Compression, samples: &[Sample]) -> Bytes {
    let mut builder = BatchBuilder::new(codec, codec.default_level()).unwrap();
    for sample in samples {
        builder
            .append(
                sample.timestamp,
                sample.key.as_deref(),
                sample.value.as_deref(),
                &sample.encoded_headers(),
            )
            .unwrap();
    }
    builder.finish().unwrap()
}

fn line(value: &str) -> Sample {
    Sample {
        timestamp: 1_000,
        key: None,
        value: Some(value.into()),
        headers: vec![],
    }
}

fn only_batch(bytes: Bytes) -> BatchView {
    let mut batches = Batches::split(bytes, MAX);
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

fn records(batch: &BatchView) -> Vec<RecordView> {
    batch.records(MAX).unwrap().collect::<Result<_, _>>().unwrap()
}

fn assert_same(record: &RecordView, index: usize, sample: &Sample) {
    assert_eq!(record.offset, i64::try_from(index).unwrap());
    assert_eq!(record.timestamp, sample.timestamp);
    assert_eq!(record.key.as_deref(), sample.key.as_deref());
    assert_eq!(record.value.as_deref(), sample.value.as_deref());
    assert_eq!(record.headers, sample.encoded_headers());
}

/// `edit` changes a valid batch; the CRC is made right again, so that only the edit can be refused.
fn edited(bytes: &Bytes, edit: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = bytes.to_vec();
    edit(&mut bytes);
    header::refresh_crc(&mut bytes).unwrap();
    bytes.into()
}

#[test]
fn a_batch_has_its_golden_bytes() {
    let sample = Sample {
        timestamp: 0x0102,
        key: Some(b"k".to_vec()),
        value: Some(b"hi".to_vec()),
        headers: vec![("h".into(), Some(b"v".to_vec()))],
    };
    #[rustfmt::skip]
    let golden = [
        0, 0, 0, 0, 0, 0, 0, 0,             // base offset
        0, 0, 0, 63,                        // length
        0xff, 0xff, 0xff, 0xff,             // leader epoch
        2,                                  // magic
        0xb6, 0xd0, 0xcd, 0x21,             // CRC32C
        0, 0,                               // attributes
        0, 0, 0, 0,                         // last offset delta
        0, 0, 0, 0, 0, 0, 1, 2,             // base timestamp
        0, 0, 0, 0, 0, 0, 1, 2,             // max timestamp
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // producer id
        0xff, 0xff,                         // producer epoch
        0xff, 0xff, 0xff, 0xff,             // base sequence
        0, 0, 0, 1,                         // record count
        26, 0, 0, 0,                        // record: length, attributes, timestamp delta, offset delta
        2, b'k', 4, b'h', b'i',             // key, value
        2, 2, b'h', 2, b'v',                // one header
    ];
    let batch = build(Compression::None, &[sample]);
    assert_eq!(batch[..17], golden[..17]);
    assert_eq!(batch[21..], golden[21..]);
    assert_eq!(batch[17..21], golden[17..21], "CRC");
}

#[test]
fn a_builder_starts_afresh_after_each_batch() {
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    assert!(matches!(builder.finish(), Err(BuildError::Empty)));
    let mut finished = Vec::new();
    for _ in 0..2 {
        for n in 0..100 {
            builder
                .append(1_000 - n, None, Some(b"the same line again"), &RecordHeaders::empty())
                .unwrap();
        }
        finished.push(builder.finish().unwrap());
        assert!(builder.is_empty());
    }
    assert_eq!(finished[0], finished[1]);
    let header = only_batch(finished[0].clone()).header;
    assert_eq!((header.base_timestamp, header.max_timestamp), (1_000, 1_000));
    assert_eq!(header.record_count, 100);
}

#[test]
fn a_run_of_batches_is_cut_without_copying() {
    let first = build(Compression::Zstd, &[line("one"), line("two")]);
    let second = build(Compression::None, &[line("three")]);
    let run = Bytes::from([&first[..], &second[..]].concat());
    let batches: Vec<_> = Batches::split(run.clone(), MAX).collect::<Result<_, _>>().unwrap();
    assert_eq!(batches.len(), 2);
    assert_eq!(batches[1].bytes, second);
    assert!(run.as_ptr_range().contains(&batches[1].bytes.as_ptr()));
    let value = records(&batches[1])[0].value.clone().unwrap();
    assert!(run.as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn a_batch_cut_short_ends_the_run() {
    let whole = build(Compression::None, &[line("one")]);
    let run = Bytes::from([&whole[..], &whole[..whole.len() - 1]].concat());
    let mut batches = Batches::split(run, MAX);
    assert!(batches.next().unwrap().is_ok());
    let truncated = BatchError::Truncated {
        needed: whole.len(),
        available: whole.len() - 1,
    };
    assert_eq!(batches.next(), Some(Err(truncated)));
    assert_eq!(batches.next(), None);
}

#[test]
fn a_batch_over_the_limit_is_refused_before_it_is_there() {
    let whole = build(Compression::None, &[line("one")]);
    let max = whole.len() - 1;
    let error = Batches::split(whole.slice(..HEADER_LEN), max)
        .next()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        error,
        BatchError::TooLarge {
            bytes: whole.len(),
            max
        }
    );
    assert_eq!(error.kind(), BatchErrorKind::TooLarge);
}

#[test]
fn every_flipped_bit_under_the_crc_is_noticed() {
    let whole = build(Compression::Zstd, &[line("one"), line("two")]);
    for at in 17..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 1 << bit;
            let error = Batches::split(damaged.into(), MAX).next().unwrap().unwrap_err();
            assert!(matches!(error, BatchError::CrcMismatch { .. }), "byte {at}: {error}");
            assert_eq!(error.kind(), BatchErrorKind::CorruptMessage);
        }
    }
}

#[test]
fn what_a_producer_may_not_send_is_refused() {
    let valid = build(Compression::None, &[line("one"), line("two")]);
    only_batch(valid.clone()).validate_produced().unwrap();
    let refusal = |edit: fn(&mut Vec<u8>)| only_batch(edited(&valid, edit)).validate_produced().unwrap_err().kind();

    assert_eq!(
        refusal(|b| b[60] = 3),
        BatchErrorKind::InvalidRecord,
        "more records than offsets"
    );
    assert_eq!(
        refusal(|b| b[57..61].fill(0)),
        BatchErrorKind::InvalidRecord,
        "no record"
    );
    assert_eq!(
        refusal(|b| b[57..61].fill(0xff)),
        BatchErrorKind::InvalidRecord,
        "a negative count"
    );
    assert_eq!(
        refusal(|b| b[57..61].copy_from_slice(&i32::MIN.to_be_bytes())),
        BatchErrorKind::InvalidRecord
    );
    assert_eq!(
        refusal(|b| b[22] |= 0b10_0000),
        BatchErrorKind::InvalidRecord,
        "a control batch"
    );
    assert_eq!(
        refusal(|b| b[22] |= 0b01_0000),
        BatchErrorKind::InvalidRecord,
        "a transaction without identity"
    );
    assert_eq!(
        refusal(|b| b[43..51].fill(0)),
        BatchErrorKind::InvalidRecord,
        "an id without epoch and sequence"
    );
    assert_eq!(
        refusal(|b| b[22] |= 0b1000),
        BatchErrorKind::InvalidTimestamp,
        "append time"
    );
    assert_eq!(refusal(|b| b[22] |= 5), BatchErrorKind::UnsupportedCompression);
}

#[test]
fn restamped_batches_are_valid_and_carry_the_identity() {
    let mut batch = build(Compression::Zstd, &[line("one"), line("two")]).to_vec();
    restamp(&mut batch, 9, 2, i32::MAX).unwrap();
    patch_base_offset(&mut batch, 500).unwrap();
    let batch = only_batch(batch.into());
    batch.validate_produced().unwrap();
    assert_eq!((batch.header.producer_id, batch.header.producer_epoch), (9, 2));
    assert_eq!(batch.header.last_sequence(), 0);
    assert_eq!(records(&batch)[1].offset, 501);
}

#[test]
fn append_time_replaces_every_timestamp() {
    let mut batch = build(Compression::None, &[line("one"), line("two")]).to_vec();
    set_log_append_time(&mut batch, 77).unwrap();
    let timestamps: Vec<_> = records(&only_batch(batch.into()))
        .iter()
        .map(|record| record.timestamp)
        .collect();
    assert_eq!(timestamps, [77, 77]);
}

#[test]
fn a_compressed_bomb_is_refused_when_opened() {
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    builder
        .append(0, None, Some(&vec![0; 32 << 20]), &RecordHeaders::empty())
        .unwrap();
    let bomb = only_batch(builder.finish().unwrap());
    assert!(bomb.bytes.len() < 10_000);
    let error = bomb.records(MAX).unwrap_err();
    assert_eq!(
        error,
        BatchError::UncompressedTooLarge {
            codec: Compression::Zstd,
            max: MAX
        }
    );
}

#[test]
fn records_that_lie_about_themselves_are_refused() {
    let valid = build(Compression::None, &[line("one"), line("two")]);
    let refusal = |edit: fn(&mut Vec<u8>)| {
        let opened: Result<Vec<_>, _> = only_batch(edited(&valid, edit)).records(MAX).unwrap().collect();
        opened.unwrap_err()
    };
    let record = |index, reason| BatchError::Record { index, reason };

    assert_eq!(refusal(|b| b[61] = 0x7e), record(0, "its length exceeds the batch"));
    assert_eq!(refusal(|b| b[61] = 0x01), record(0, "its length is negative"));
    assert_eq!(
        refusal(|b| b[64] = 0x04),
        record(0, "its offset lies outside the batch")
    );
    assert_eq!(refusal(|b| b[66] = 0x7e), record(0, "its value does not fit"));
    assert_eq!(refusal(|b| b[70] = 0x02), record(0, "its headers are malformed"));
    assert_eq!(refusal(|b| b[60] = 3), record(2, "its length exceeds the batch"));
    assert_eq!(refusal(|b| b[60] = 1), BatchError::TrailingBytes { bytes: 10 });
}

#[test]
fn a_declared_count_promises_no_more_than_the_bytes_hold() {
    let valid = build(Compression::None, &[line("one")]);
    let hostile = only_batch(edited(&valid, |b| b[57..61].copy_from_slice(&i32::MAX.to_be_bytes())));
    assert!(hostile.records(MAX).unwrap().size_hint().1.unwrap() <= 2);
}

fn blob() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200))
}

fn sample() -> impl Strategy<Value = Sample> {
    // The oracle keeps headers in a map, so their keys must differ.
    let headers = prop::collection::btree_map("[a-z]{0,8}", blob(), 0..4);
    (0i64..1 << 45, blob(), blob(), headers).prop_map(|(timestamp, key, value, headers)| Sample {
        timestamp,
        key,
        value,
        headers: headers.into_iter().collect(),
    })
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec(sample(), 1..40)
}

fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

fn oracle_codec(codec: Compression) -> oracle::Compression {
    match codec {
        Compression::None => oracle::Compression::None,
        Compression::Gzip => oracle::Compression::Gzip,
        Compression::Snappy => oracle::Compression::Snappy,
        Compression::Lz4 => oracle::Compression::Lz4,
        Compression::Zstd => oracle::Compression::Zstd,
    }
}

fn oracle_record(index: usize, sample: &Sample) -> oracle::Record {
    let headers: IndexMap<_, _> = sample
        .headers
        .iter()
        .map(|(key, value)| (key.clone().into(), value.clone().map(Bytes::from)))
        .collect();
    oracle::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 5,
        producer_epoch: 1,
        timestamp_type: oracle::TimestampType::Creation,
        offset: i64::try_from(index).unwrap(),
        sequence: i32::try_from(index).unwrap(),
        timestamp: sample.timestamp,
        key: sample.key.clone().map(Bytes::from),
        value: sample.value.clone().map(Bytes::from),
        headers,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_built_is_read_back(codec in codec(), samples in samples()) {
        let batch = only_batch(build(codec, &samples));
        batch.validate_produced().unwrap();
        let records = records(&batch);
        prop_assert_eq!(records.len(), samples.len());
        for (index, (record, sample)) in records.iter().zip(&samples).enumerate() {
            assert_same(record, index, sample);
        }
    }

    #[test]
    fn the_oracle_reads_what_we_build(codec in codec(), samples in samples()) {
        let mut batch = build(codec, &samples).to_vec();
        restamp(&mut batch, 5, 1, 0).unwrap();
        let decoded = oracle::RecordBatchDecoder::decode(&mut Bytes::from(batch)).unwrap();
        let expected: Vec<_> = samples.iter().enumerate().map(|(index, sample)| oracle_record(index, sample)).collect();
        prop_assert_eq!(decoded.records, expected);
    }

    #[test]
    fn we_read_what_the_oracle_builds(codec in codec(), samples in samples()) {
        let theirs: Vec<_> = samples.iter().enumerate().map(|(index, sample)| oracle_record(index, sample)).collect();
        let options = oracle::RecordEncodeOptions { version: 2, compression: oracle_codec(codec) };
        let mut bytes = BytesMut::new();
        oracle::RecordBatchEncoder::encode(&mut bytes, &theirs, &options).unwrap();
        let batch = only_batch(bytes.freeze());
        batch.validate_produced().unwrap();
        prop_assert_eq!(batch.header.producer_id, 5);
        for (index, (record, sample)) in records(&batch).iter().zip(&samples).enumerate() {
            assert_same(record, index, sample);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open_everything(bytes.into()) <= 300);
    }

    #[test]
    fn damaged_batches_never_panic(
        codec in codec(),
        samples in samples(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = build(codec, &samples).to_vec();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // With the CRC set right, the damage reaches the record parser.
        header::refresh_crc(&mut bytes).unwrap();
        open_everything(bytes.into());
    }
}

/// Opens whatever opens, and counts records and headers.
fn open_everything(bytes: Bytes) -> usize {
    Batches::split(bytes, MAX)
        .flatten()
        .filter_map(|batch| batch.records(MAX).ok())
        .map(|records| {
            records
                .flatten()
                .map(|record| 1 + record.headers.iter().count())
                .sum::<usize>()
        })
        .sum()
}

#[test]
fn the_memory_of_the_largest_batch_is_not_kept() {
    let mut writer = BatchWriter::new(Compression::Zstd, 1).unwrap();
    let mut gathered = GatheredRecords::default();
    let mut build = |records: usize| {
        for _ in 0..records {
            gathered
                .append(0, None, Some(&[b'x'; 1000]), &RecordHeaders::empty())
                .unwrap();
        }
        writer.finish(&mut gathered).unwrap();
        gathered.capacity()
    };
    assert!(build(8000) >= 8_000_000);
    assert!((1_000_000..=2_100_000).contains(&build(1000)));
    assert_eq!(build(1), 64 << 10);
}
