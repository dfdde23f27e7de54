//! What a producer sends as records. The CRCs are mended first, as any producer can. Batches must be refused or cut
//! apart without a gap, and opened within the cap; a batch under another identity is still the same records.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tailrace_fuzz::crc32c;
use tailrace_shared::record::{BatchView, Batches, HEADER_LEN, RecordView, restamp};

const MAX_BATCH: usize = 1 << 20;
const MAX_UNCOMPRESSED: usize = 4 << 20;
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

fuzz_target!(|input: &[u8]| {
    let bytes = with_crcs(input);
    let mut seen = 0;
    for batch in Batches::split(bytes.clone(), MAX_BATCH) {
        let Ok(batch) = batch else { return };
        assert_eq!(batch.bytes, bytes[seen..seen + batch.bytes.len()]);
        seen += batch.bytes.len();
        let valid = batch.validate_produced().is_ok();
        let Some(records) = open(&batch) else { continue };
        let section: usize = records.iter().map(weight).sum();
        assert!(section <= MAX_UNCOMPRESSED);
        if valid {
            same_under_another_identity(&batch, &records);
        }
    }
    assert_eq!(seen, bytes.len());
});

fn with_crcs(input: &[u8]) -> Bytes {
    let mut bytes = input.to_vec();
    let mut at = 0;
    while let Some(length) = bytes.get(at + LENGTH_AT..at + LENGTH_AT + 4) {
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        let end = usize::try_from(length).map_or(usize::MAX, |length| at + LENGTH_AT + 4 + length);
        let Some(covered) = bytes.get(at + CRC_FROM..end) else {
            break;
        };
        let crc = crc32c(&[covered]).to_be_bytes();
        bytes[at + CRC_AT..at + CRC_FROM].copy_from_slice(&crc);
        at = end;
    }
    bytes.into()
}

fn open(batch: &BatchView) -> Option<Vec<RecordView>> {
    batch.records(MAX_UNCOMPRESSED).ok()?.collect::<Result<_, _>>().ok()
}

fn weight(record: &RecordView) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|(key, value)| key.len() + value.map_or(0, |value| value.len()));
    record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
}

fn same_under_another_identity(batch: &BatchView, records: &[RecordView]) {
    assert!(batch.bytes.len() > HEADER_LEN);
    let mut bytes = BytesMut::from(&batch.bytes[..]);
    restamp(&mut bytes, 7, 1, 42).expect("a valid batch can be restamped");
    let mut again = Batches::split(bytes.freeze(), MAX_BATCH);
    let again = again.next().expect("one batch").expect("with a CRC that holds");
    assert_eq!((again.header.producer_id, again.header.base_sequence), (7, 42));
    assert_eq!(open(&again).as_deref(), Some(records));
}
