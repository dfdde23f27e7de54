//! A stretch of a run in memory: its bytes, every batch checked, and a table of where each lies.

use bytes::Bytes;
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchHeader, BatchView, Batches};

/// A checked stretch of whole batches.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    batches: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    end_offset: i64,
    max_timestamp: TimestampMs,
    start: usize,
    end: usize,
}

/// What a chunk has for a read.
#[derive(Debug)]
pub(super) struct Taken {
    /// Whole batches; may be empty.
    pub(super) bytes: Bytes,
    /// True if the read may go on with the next chunk.
    pub(super) to_the_end: bool,
}

impl Chunk {
    /// Checks the CRC of every batch, and that offsets rise within `start..end`.
    pub(super) fn check(bytes: Bytes, start: i64, end: i64) -> Result<Self, String> {
        let mut batches = Vec::new();
        let (mut at, mut next_offset) = (0, start);
        for batch in Batches::split(bytes.clone(), usize::MAX) {
            let batch = batch.map_err(|error| format!("the batch after offset {next_offset}: {error}"))?;
            let header = &batch.header;
            if header.base_offset < next_offset || header.next_offset() > end {
                let found = (header.base_offset, header.next_offset());
                return Err(format!(
                    "a batch {}..{} where {next_offset}..{end} is expected",
                    found.0, found.1
                ));
            }
            next_offset = header.next_offset();
            batches.push(Span {
                end_offset: next_offset,
                max_timestamp: header.max_timestamp,
                start: at,
                end: at + batch.bytes.len(),
            });
            at += batch.bytes.len();
        }
        Ok(Self { bytes, batches })
    }

    /// All of it.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whole batches from the one that holds `offset` on: as many as fit into `max_bytes`, but one in any case if
    /// `min_one`.
    pub(super) fn take(&self, offset: i64, max_bytes: usize, min_one: bool) -> Taken {
        let first = self.batches.partition_point(|span| span.end_offset <= offset);
        let rest = self.batches.get(first..).unwrap_or_default();
        let from = rest.first().map_or(self.bytes.len(), |span| span.start);
        let fits = |span: &Span| span.end - from <= max_bytes || (min_one && span.start == from);
        let count = rest.partition_point(fits);
        let to = count
            .checked_sub(1)
            .and_then(|last| rest.get(last))
            .map_or(from, |span| span.end);
        Taken {
            bytes: self.bytes.slice(from..to),
            to_the_end: count == rest.len(),
        }
    }

    /// The batches from the one that holds `offset` on whose header promises a record at or after a time.
    pub(super) fn reaching(
        &self,
        offset: i64,
        timestamp: TimestampMs,
    ) -> impl Iterator<Item = Result<BatchView, BatchError>> {
        let late = move |span: &&Span| span.end_offset > offset && span.max_timestamp >= timestamp;
        self.batches.iter().filter(late).map(|span| {
            let bytes = self.bytes.slice(span.start..span.end);
            let header = BatchHeader::decode(&bytes)?;
            Ok(BatchView { header, bytes })
        })
    }
}
