//! A part of a run in memory: its bytes, every batch checked, and a table of where each lies.

use bytes::{Bytes, BytesMut};
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchHeader, BatchView, Batches};

/// Checked whole batches, one behind the other.
#[derive(Debug)]
pub(super) struct Chunk {
    /// In as many pieces as they lie apart in the object.
    pieces: Vec<Bytes>,
    batches: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    end_offset: i64,
    max_timestamp: TimestampMs,
    piece: usize,
    start: usize,
    end: usize,
}

/// What a chunk has for a read.
#[derive(Debug)]
pub(super) struct Taken {
    /// Whole batches; may be none.
    pub(super) pieces: Vec<Bytes>,
    /// True if the read may go on with the next chunk.
    pub(super) to_the_end: bool,
}

impl Chunk {
    /// Checks the CRC of every batch, and that offsets rise within `start..end`.
    pub(super) fn check(pieces: Vec<Bytes>, start: i64, end: i64) -> Result<Self, String> {
        let mut batches = Vec::new();
        let mut next_offset = start;
        for (number, piece) in pieces.iter().enumerate() {
            let mut at = 0;
            for batch in Batches::split(piece.clone(), usize::MAX) {
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
                    piece: number,
                    start: at,
                    end: at + batch.bytes.len(),
                });
                at += batch.bytes.len();
            }
        }
        Ok(Self { pieces, batches })
    }

    /// All of it, in one piece.
    pub(super) fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() == 1 {
            return self.pieces.pop().unwrap_or_default();
        }
        let mut joined = BytesMut::with_capacity(self.pieces.iter().map(Bytes::len).sum());
        self.pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined.freeze()
    }

    /// Whole batches from the one that holds `offset` on: as many as fit into `max_bytes`, but one in any case if
    /// `min_one`.
    pub(super) fn take(&self, offset: i64, max_bytes: usize, min_one: bool) -> Taken {
        let first = self.batches.partition_point(|span| span.end_offset <= offset);
        let rest = self.batches.get(first..).unwrap_or_default();
        let (mut taken, mut left) = (0, max_bytes);
        for span in rest {
            let fits = span.len() <= left || (min_one && taken == 0);
            if !fits {
                break;
            }
            left = left.saturating_sub(span.len());
            taken += 1;
        }
        let pieces = rest.get(..taken).unwrap_or_default();
        let pieces = pieces.chunk_by(|one, next| one.piece == next.piece);
        Taken {
            pieces: pieces
                .filter_map(|spans| self.slice(spans.first()?, spans.last()?))
                .collect(),
            to_the_end: taken == rest.len(),
        }
    }

    /// From one batch to another of the same piece.
    fn slice(&self, from: &Span, to: &Span) -> Option<Bytes> {
        Some(self.pieces.get(from.piece)?.slice(from.start..to.end))
    }

    /// The batches from the one that holds `offset` on whose header promises a record at or after a time.
    pub(super) fn reaching(
        &self,
        offset: i64,
        timestamp: TimestampMs,
    ) -> impl Iterator<Item = Result<BatchView, BatchError>> {
        let late = move |span: &&Span| span.end_offset > offset && span.max_timestamp >= timestamp;
        self.batches.iter().filter(late).map(|span| {
            let bytes = self.slice(span, span).unwrap_or_default();
            let header = BatchHeader::decode(&bytes)?;
            Ok(BatchView { header, bytes })
        })
    }
}

impl Span {
    fn len(&self) -> usize {
        self.end - self.start
    }
}
