//! Serves the batches of runs: whole batches by offset, with read-ahead for who replays history, and records by time.
//!
//! A run is read in chunks of a fixed grid, so that many consumers of one partition share them. A chunk is read and
//! checked once, and kept in a cache of bounded size. Who asks for a chunk right after the one before it is replaying:
//! the next few are then read ahead of it, by a bounded number of tasks. So a consumer that wants one batch of long ago
//! costs one chunk, and one that wants everything waits for the store only at the start.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchError, BatchView};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::cache::Cache;
use super::chunk::Chunk;
use super::error::SegmentError;
use super::format::{Footer, FooterRun, TRAILER_BYTES, Trailer};
use super::index::{self, ChunkRange};
use super::object_path;
use super::run::Run;

/// The footer of nearly every segment is in its last so many bytes.
const FOOTER_GUESS_BYTES: u64 = 64 << 10;
/// A scan reads about so much at once.
const SCANNED_BYTES: u64 = 4 << 20;
/// A footer of more than this is not believed.
const FOOTER_BYTES_MAX: u32 = 256 << 20;
/// A batch that unfolds to more than this is answered for as a whole when a time is looked up.
const RECORDS_BYTES_MAX: usize = 64 << 20;

/// How much memory and how many requests the reader may spend.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// Bytes of one read.
    pub chunk_bytes: u64,
    /// Bytes that are read ahead of a consumer that replays.
    pub read_ahead_bytes: u64,
    /// How many chunks are being read ahead at once, for all consumers: so many a commit may find before it at the disk.
    pub read_ahead_tasks: usize,
    /// Bytes of chunks that are kept.
    pub chunk_cache_bytes: u64,
    /// Bytes of footers that are kept.
    pub footer_cache_bytes: u64,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: 256 << 10,
            read_ahead_bytes: 4 << 20,
            read_ahead_tasks: 4,
            chunk_cache_bytes: 24 << 20,
            footer_cache_bytes: 32 << 20,
        }
    }
}

/// A record found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeMatch {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp: TimestampMs,
}

/// Batches of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRead {
    /// Whole batches, in pieces of any number of them.
    pub pieces: Vec<Bytes>,
    /// The run has no batch behind these. After a compaction that may be so well before its end.
    pub to_the_end: bool,
}

/// Reads segments. Cheap to clone; all clones share their caches.
#[derive(Debug, Clone)]
pub struct SegmentReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn ObjectStore>,
    options: ReaderOptions,
    footers: Cache<Uuid, Arc<Footer>>,
    chunks: Cache<ChunkKey, Arc<Chunk>>,
    read_ahead: Arc<Semaphore>,
}

/// The object, and where the chunk starts in it.
type ChunkKey = (Uuid, u64);

impl SegmentReader {
    /// A reader of the segments in a store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, options: ReaderOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                options,
                footers: Cache::with_capacity(options.footer_cache_bytes),
                chunks: Cache::with_capacity(options.chunk_cache_bytes),
                read_ahead: Arc::new(Semaphore::new(options.read_ahead_tasks)),
            }),
        }
    }

    /// Forgets the chunks that nobody read since the last call.
    pub fn drop_unused(&self) {
        self.shared.chunks.drop_unused();
    }

    /// Whole batches of a run from the one that holds `from_offset` on, or the first behind it, up to `max_bytes` in all;
    /// with `min_one` at least one batch, however large.
    pub async fn read(
        &self,
        run: &Run,
        from_offset: i64,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<RunRead, SegmentError> {
        let mut read = RunRead {
            pieces: Vec::new(),
            to_the_end: true,
        };
        if from_offset >= run.end {
            return Ok(read);
        }
        let footer = self.shared.footer(run.object).await?;
        let row = find_row(&footer, run)?;
        let mut left = max_bytes;
        let mut block = index::block_of(&row.index, from_offset);
        while let Some(range) = self.shared.chunk_range(row, block) {
            let chunk = self.shared.chunk(row, &range).await?;
            self.read_ahead_of(row, &range);
            let taken = chunk.take(from_offset, left, min_one && read.pieces.is_empty());
            left = left.saturating_sub(taken.pieces.iter().map(Bytes::len).sum());
            read.pieces.extend(taken.pieces);
            block = range.blocks.end;
            read.to_the_end = taken.to_the_end && block >= row.index.len();
            if !taken.to_the_end || left == 0 {
                break;
            }
        }
        Ok(read)
    }

    /// Reads a run from its start to its end, past the caches.
    pub async fn scan(&self, run: &Run) -> Result<RunScan, SegmentError> {
        let footer = self.shared.footer(run.object).await?;
        let row = find_row(&footer, run)?.clone();
        Ok(RunScan {
            shared: Arc::clone(&self.shared),
            row,
            block: 0,
        })
    }

    /// The first record from `from_offset` on whose timestamp is at or after `timestamp`. In a batch that cannot be
    /// opened it is taken to be the first.
    pub async fn offset_for_time(
        &self,
        run: &Run,
        from_offset: i64,
        timestamp: TimestampMs,
    ) -> Result<Option<TimeMatch>, SegmentError> {
        if run.max_timestamp < timestamp || from_offset >= run.end {
            return Ok(None);
        }
        let footer = self.shared.footer(run.object).await?;
        let row = find_row(&footer, run)?;
        let mut block = index::block_of(&row.index, from_offset);
        while let Some(reaching) = index::block_reaching(&row.index, block, timestamp) {
            let Some(range) = self.shared.chunk_range(row, reaching) else {
                break;
            };
            let chunk = self.shared.chunk(row, &range).await?;
            for batch in chunk.reaching(from_offset, timestamp) {
                let batch = batch.map_err(|error| SegmentError::damaged(run.object, "batches", error))?;
                if let Some(found) = first_record_at(&batch, from_offset, timestamp) {
                    return Ok(Some(found));
                }
            }
            block = range.blocks.end;
        }
        Ok(None)
    }

    /// Starts reading the chunks after this one, if the one before it was read too.
    fn read_ahead_of(&self, row: &FooterRun, range: &ChunkRange) {
        let shared = &self.shared;
        let before = range.blocks.start.checked_sub(1);
        let before = before.and_then(|block| shared.chunk_range(row, block));
        if !before.is_some_and(|before| shared.chunks.contains(&before.key(row))) {
            return;
        }
        let (mut block, mut ahead) = (range.blocks.end, 0);
        while ahead < shared.options.read_ahead_bytes {
            let Some(next) = shared.chunk_range(row, block) else {
                return;
            };
            block = next.blocks.end;
            ahead += next.len();
            if shared.chunks.contains(&next.key(row)) {
                continue;
            }
            let Ok(permit) = Arc::clone(&shared.read_ahead).try_acquire_owned() else {
                return;
            };
            let (shared, wanted) = (Arc::clone(shared), next.wanted(row));
            // Claims the cell now, so that the next reader waits for this task instead of starting another.
            let cell = shared.chunks.cell(next.key(row), next.len());
            tokio::spawn(async move {
                let load = || async { shared.load_chunk(&wanted).await.map(Arc::new) };
                let loaded = cell.get_or_try_init(load).await;
                if let Err(error) = loaded {
                    tracing::debug!(%error, "reading ahead failed; the consumer that comes here will try again");
                }
                drop(permit);
            });
        }
    }
}

/// A run that is read once, piece by piece, so that no more than a piece of it is in memory.
#[derive(Debug)]
pub struct RunScan {
    shared: Arc<Shared>,
    row: FooterRun,
    block: usize,
}

impl RunScan {
    /// The next batches, each checked; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SegmentError> {
        let Some(range) = index::chunk_of(&self.row.index, self.block, SCANNED_BYTES) else {
            return Ok(None);
        };
        self.block = range.blocks.end;
        let chunk = self.shared.load_chunk(&range.wanted(&self.row)).await?;
        Ok(Some(chunk.into_bytes()))
    }
}

/// All that is needed to load a chunk.
#[derive(Debug, Clone)]
struct WantedChunk {
    object: Uuid,
    bytes: Vec<Range<u64>>,
    offsets: Range<i64>,
}

impl ChunkRange {
    fn wanted(&self, row: &FooterRun) -> WantedChunk {
        let start = row
            .index
            .get(self.blocks.start)
            .map_or(row.run.start, |entry| entry.offset);
        let end = row.index.get(self.blocks.end).map_or(row.run.end, |entry| entry.offset);
        WantedChunk {
            object: row.run.object,
            bytes: self.bytes.clone(),
            offsets: start..end,
        }
    }

    fn key(&self, row: &FooterRun) -> ChunkKey {
        (row.run.object, self.bytes.first().map_or(0, |first| first.start))
    }

    fn len(&self) -> u64 {
        self.bytes.iter().map(len).sum()
    }
}

fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

impl Shared {
    fn chunk_range(&self, row: &FooterRun, block: usize) -> Option<ChunkRange> {
        index::chunk_of(&row.index, block, self.options.chunk_bytes)
    }

    async fn footer(&self, object: Uuid) -> Result<Arc<Footer>, SegmentError> {
        let cell = self.footers.cell(object, 0);
        if let Some(footer) = cell.get() {
            return Ok(Arc::clone(footer));
        }
        let load = || async { read_footer(&*self.store, object).await.map(Arc::new) };
        let footer = Arc::clone(cell.get_or_try_init(load).await?);
        self.footers.weigh(&object, footer.weight());
        Ok(footer)
    }

    async fn chunk(&self, row: &FooterRun, range: &ChunkRange) -> Result<Arc<Chunk>, SegmentError> {
        let cell = self.chunks.cell(range.key(row), range.len());
        let load = || async { self.load_chunk(&range.wanted(row)).await.map(Arc::new) };
        let chunk = cell.get_or_try_init(load).await?;
        Ok(Arc::clone(chunk))
    }

    async fn load_chunk(&self, wanted: &WantedChunk) -> Result<Chunk, SegmentError> {
        let pieces = read_ranges(&*self.store, wanted.object, &wanted.bytes).await?;
        let checked = Chunk::check(pieces, wanted.offsets.start, wanted.offsets.end);
        checked.map_err(|reason| SegmentError::damaged(wanted.object, "batches", reason))
    }
}

/// Reads the footer of a segment, as a rule with one request.
pub async fn read_footer(store: &dyn ObjectStore, object: Uuid) -> Result<Footer, SegmentError> {
    let fail = |error| SegmentError::store(object, error);
    let options = GetOptions {
        range: Some(GetRange::Suffix(FOOTER_GUESS_BYTES)),
        ..GetOptions::default()
    };
    let found = store.get_opts(&object_path(object), options).await.map_err(fail)?;
    let size = found.meta.size;
    let last = found.bytes().await.map_err(fail)?;
    let trailer = Trailer::decode(object, &last, size).map_err(|error| SegmentError::format(object, error))?;
    if trailer.footer_bytes > FOOTER_BYTES_MAX {
        let reason = format!("it is {} bytes long", trailer.footer_bytes);
        return Err(SegmentError::damaged(object, "footer", reason));
    }
    let footer_end = size.saturating_sub(TRAILER_BYTES as u64);
    let last_start = size.saturating_sub(last.len() as u64);
    let sections = match trailer.footer_start.checked_sub(last_start) {
        Some(skip) => {
            let skip = usize::try_from(skip)
                .unwrap_or(usize::MAX)
                .min(last.len() - TRAILER_BYTES);
            last.slice(skip..last.len() - TRAILER_BYTES)
        }
        None => read_range(store, object, trailer.footer_start..footer_end).await?,
    };
    Footer::decode(object, trailer, &sections).map_err(|error| SegmentError::format(object, error))
}

/// Reads exactly these bytes of a segment.
async fn read_ranges(store: &dyn ObjectStore, object: Uuid, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, SegmentError> {
    if let [range] = ranges {
        return Ok(vec![read_range(store, object, range.clone()).await?]);
    }
    let read = store.get_ranges(&object_path(object), ranges).await;
    let pieces = read.map_err(|error| SegmentError::store(object, error))?;
    if pieces.len() != ranges.len() {
        let reason = format!("{} pieces were read of {}", pieces.len(), ranges.len());
        return Err(SegmentError::damaged(object, "batches", reason));
    }
    for (range, bytes) in ranges.iter().zip(&pieces) {
        check_len(object, range, bytes)?;
    }
    Ok(pieces)
}

/// Reads exactly these bytes of a segment.
async fn read_range(store: &dyn ObjectStore, object: Uuid, range: Range<u64>) -> Result<Bytes, SegmentError> {
    let read = store.get_range(&object_path(object), range.clone()).await;
    let bytes = read.map_err(|error| SegmentError::store(object, error))?;
    check_len(object, &range, &bytes)?;
    Ok(bytes)
}

fn check_len(object: Uuid, range: &Range<u64>, bytes: &Bytes) -> Result<(), SegmentError> {
    if bytes.len() as u64 == len(range) {
        return Ok(());
    }
    let reason = format!("{} bytes were read at {range:?}", bytes.len());
    Err(SegmentError::damaged(object, "batches", reason))
}

fn find_row<'a>(footer: &'a Footer, run: &Run) -> Result<&'a FooterRun, SegmentError> {
    footer.find(run).ok_or_else(|| {
        let reason = format!("it has no run {}..{} at byte {}", run.start, run.end, run.position);
        SegmentError::damaged(run.object, "runs section", reason)
    })
}

fn first_record_at(batch: &BatchView, from_offset: i64, timestamp: TimestampMs) -> Option<TimeMatch> {
    if batch.header.attributes.is_control() {
        return None;
    }
    scan_records(batch, from_offset, timestamp).unwrap_or_else(|error| {
        tracing::warn!(offset = batch.header.base_offset, %error, "a batch cannot be opened to look up a time");
        Some(TimeMatch {
            offset: batch.header.base_offset.max(from_offset),
            timestamp: batch.header.max_timestamp,
        })
    })
}

fn scan_records(batch: &BatchView, from_offset: i64, timestamp: TimestampMs) -> Result<Option<TimeMatch>, BatchError> {
    for record in batch.records(RECORDS_BYTES_MAX)? {
        let record = record?;
        if record.offset >= from_offset && record.timestamp >= timestamp {
            return Ok(Some(TimeMatch {
                offset: record.offset,
                timestamp: record.timestamp,
            }));
        }
    }
    Ok(None)
}
