//! A batch that is too large for its topic, built again in parts. The records are what they were, and in their order;
//! the codec is the same.

use bytes::Bytes;
use tailrace_shared::record::{BatchBuilder, BatchError, BatchView, Batches, BuildError};

use crate::spool::Part;

/// More parts than this are made of parts.
const PARTS_MAX: usize = 64;
/// The records of a batch that the agent built unfold to less: they were one stretch.
const UNCOMPRESSED_MAX: usize = 1 << 30;

/// Why a batch cannot be split.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    #[error("it cannot be opened to split it")]
    Open(#[from] BatchError),
    #[error("its parts cannot be built")]
    Build(#[from] BuildError),
    #[error("it has one record only")]
    OneRecord,
}

/// How many parts are likely to be small enough: half, or what is known of the limit, with a tenth to spare since records
/// differ.
pub(super) fn parts_for(len: u32, limit: Option<u32>) -> usize {
    let Some(limit) = limit.filter(|limit| (1..len).contains(limit)) else {
        return 2;
    };
    let parts = (u64::from(len) * 10).div_ceil(u64::from(limit) * 9);
    usize::try_from(parts).unwrap_or(PARTS_MAX).clamp(2, PARTS_MAX)
}

/// Splits a batch into so many parts of about as many records each; fewer if it has no more records.
pub(super) fn split(batch: &Bytes, parts: usize) -> Result<Vec<Part>, SplitError> {
    let view = Batches::split(batch.clone(), usize::MAX).next();
    let view = view.unwrap_or(Err(BatchError::Truncated {
        needed: tailrace_shared::record::HEADER_LEN,
        available: 0,
    }))?;
    let records = usize::try_from(view.header.record_count).unwrap_or_default();
    if records < 2 {
        return Err(SplitError::OneRecord);
    }
    build(&view, records.div_ceil(parts.clamp(2, records)))
}

fn build(view: &BatchView, records_each: usize) -> Result<Vec<Part>, SplitError> {
    let codec = view.header.attributes.compression()?;
    let mut builder = BatchBuilder::new(codec, codec.default_level())?;
    let mut parts = Vec::new();
    let mut close = |builder: &mut BatchBuilder| {
        let records = u32::try_from(builder.record_count()).unwrap_or_default();
        let bytes = builder.finish()?;
        parts.push(Part { records, bytes });
        Ok::<_, BuildError>(())
    };
    for record in view.records(UNCOMPRESSED_MAX)? {
        let record = record?;
        if usize::try_from(builder.record_count()).is_ok_and(|count| count >= records_each) {
            close(&mut builder)?;
        }
        builder.append(
            record.timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        )?;
    }
    close(&mut builder)?;
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use tailrace_shared::record::{Compression, RecordHeaders};

    use super::*;

    fn batch(codec: Compression, records: i64) -> Bytes {
        let mut builder = BatchBuilder::new(codec, codec.default_level()).unwrap();
        let headers = RecordHeaders::encode([("host", Some(&b"a"[..]))]);
        for record in 0..records {
            let value = format!("line {record}");
            builder
                .append(1000 + record, None, Some(value.as_bytes()), &headers)
                .unwrap();
        }
        builder.finish().unwrap()
    }

    fn records(batch: &Bytes) -> Vec<(i64, Option<Bytes>, Option<Bytes>, RecordHeaders)> {
        let view = Batches::split(batch.clone(), usize::MAX).next().unwrap().unwrap();
        let records = view.records(1 << 20).unwrap().map(Result::unwrap);
        records
            .map(|record| (record.timestamp, record.key, record.value, record.headers))
            .collect()
    }

    #[test]
    fn the_parts_hold_the_same_records_in_the_same_order() {
        for codec in [Compression::None, Compression::Zstd] {
            for (count, parts) in [(2, 2), (3, 2), (7, 2), (7, 3), (7, 64), (100, 64), (5, 1)] {
                let whole = batch(codec, count);
                let split = split(&whole, parts).unwrap();
                assert!(split.len() >= 2 && split.len() <= parts.max(2), "{count} {parts}");
                let joined: Vec<_> = split.iter().flat_map(|part| records(&part.bytes)).collect();
                assert_eq!(joined, records(&whole));
                for part in &split {
                    assert_eq!(part.records as usize, records(&part.bytes).len());
                }
            }
        }
    }

    #[test]
    fn one_record_and_damaged_bytes_cannot_be_split() {
        let one = batch(Compression::Zstd, 1);
        assert!(matches!(split(&one, 2), Err(SplitError::OneRecord)));
        let whole = batch(Compression::Zstd, 9);
        assert!(matches!(split(&whole.slice(..80), 2), Err(SplitError::Open(_))));
        assert!(matches!(split(&Bytes::new(), 2), Err(SplitError::Open(_))));
    }

    #[test]
    fn the_number_of_parts_follows_the_limit_where_it_is_known() {
        for (len, limit, parts) in [
            (1000, None, 2),
            (1000, Some(2000), 2),
            (1000, Some(900), 2),
            (1000, Some(250), 5),
            (1000, Some(0), 2),
            (1_000_000, Some(1), 64),
        ] {
            assert_eq!(parts_for(len, limit), parts, "{len} {limit:?}");
        }
    }
}
