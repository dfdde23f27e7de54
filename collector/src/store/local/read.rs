//! Gets: the file is opened once, so that an object deleted or replaced meanwhile is still read to its end.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path as Location;
use object_store::{Attributes, Error, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, Result};
use tailrace_shared::disk::{DiskFile, FileKind, OpenMode, read_exact_at};

use super::Directory;
use super::error::{READ, file_error, in_background, unsupported};
use super::list::meta;

/// What is read at once, and so what a reader that streams an object holds in memory.
const CHUNK: u64 = 8 << 20;

/// Of so many times what is wanted it costs less to read all than to seek.
const SPREAD_MAX: u64 = 16;

/// An object that is open for reading.
pub(super) struct Object {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
}

pub(super) fn get(directory: &Directory, location: &Location, options: &GetOptions) -> Result<GetResult> {
    if options.version.is_some() {
        return Err(unsupported("object versions"));
    }
    let (object, meta) = open(directory, location)?;
    options.check_preconditions(&meta)?;
    let range = match &options.range {
        Some(range) => clip(range, meta.size)?,
        None => 0..meta.size,
    };
    let payload = if options.head {
        stream::empty().boxed()
    } else {
        object.stream(range.clone())?
    };
    Ok(GetResult {
        payload: GetResultPayload::Stream(payload),
        meta,
        range,
        attributes: Attributes::default(),
        extensions: Default::default(),
    })
}

pub(super) fn get_ranges(directory: &Directory, location: &Location, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    let (object, meta) = open(directory, location)?;
    let ranges = ranges
        .iter()
        .map(|range| clip(&GetRange::Bounded(range.clone()), meta.size));
    object.read_all(&ranges.collect::<Result<Vec<_>>>()?)
}

pub(super) fn open(directory: &Directory, location: &Location) -> Result<(Object, ObjectMeta)> {
    let path = directory.path_of(location)?;
    let opened = directory.disk.open(&path, OpenMode::Read).and_then(|file| {
        let metadata = file.metadata()?;
        if metadata.kind == FileKind::File {
            Ok((file, metadata))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    });
    let is_dir = |kind| matches!(kind, io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory);
    match opened {
        Ok((file, metadata)) => Ok((Object { file, path }, meta(location.clone(), &metadata))),
        // A key that is only a prefix of others, or that has an object for a prefix.
        Err(error) if is_dir(error.kind()) => Err(file_error(READ, &path, io::ErrorKind::NotFound.into())),
        Err(error) => Err(file_error(READ, &path, error)),
    }
}

fn clip(range: &GetRange, len: u64) -> Result<Range<u64>> {
    range.as_range(len).map_err(|source| Error::Generic {
        store: "LocalStore",
        source: Box::new(source),
    })
}

fn len(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

impl Object {
    fn read(&self, range: Range<u64>) -> Result<Bytes> {
        Ok(self.read_all(std::slice::from_ref(&range))?.pop().unwrap_or_default())
    }

    /// All of them lie in the same memory, so that many short ones cost no more than one that is long.
    fn read_all(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = || {
            let wanted: u64 = ranges.iter().map(len).sum();
            self.announce(ranges, wanted);
            let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| io::ErrorKind::OutOfMemory)?];
            let mut rest = &mut *bytes;
            for range in ranges {
                let (piece, behind) = rest.split_at_mut(usize::try_from(len(range)).unwrap_or(usize::MAX));
                read_exact_at(&*self.file, piece, range.start)?;
                rest = behind;
            }
            Ok(Bytes::from(bytes))
        };
        let mut bytes = read().map_err(|error| file_error(READ, &self.path, error))?;
        let pieces = ranges
            .iter()
            .map(|range| bytes.split_to(usize::try_from(len(range)).unwrap_or(usize::MAX)));
        Ok(pieces.collect())
    }

    /// Has what lies close together read from the disk at once, and not a piece at a time.
    fn announce(&self, ranges: &[Range<u64>], wanted: u64) {
        let start = ranges.iter().map(|range| range.start).min().unwrap_or_default();
        let end = ranges.iter().map(|range| range.end).max().unwrap_or_default();
        if ranges.len() > 1 && end.saturating_sub(start) <= wanted.saturating_mul(SPREAD_MAX) {
            self.file.will_read(start..end);
        }
    }

    /// The first chunk is read at once, as most objects and ranges have no other.
    fn stream(self, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes>>> {
        let split = range.end.min(range.start.saturating_add(CHUNK));
        let first = self.read(range.start..split)?;
        let rest = stream::try_unfold((self, split..range.end), |(object, left)| async move {
            if left.is_empty() {
                return Ok(None);
            }
            in_background(move || {
                let split = left.end.min(left.start.saturating_add(CHUNK));
                let chunk = object.read(left.start..split)?;
                Ok(Some((chunk, (object, split..left.end))))
            })
            .await
        });
        Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
    }
}
