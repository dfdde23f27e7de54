//! Immutable files behind the WAL: format, writer, reader, index, and the flush of WAL files into them.
//!
//! A segment object holds [`run::Run`]s of one or many partitions and a footer ([`format`]) that says where they lie.
//! [`writer`] builds one; [`flush`] turns what lies in the WAL into some, and [`merge`] many small runs into few large
//! ones; [`compaction`] drops what newer records of the same keys have replaced; [`reader`] serves batches through a bounded cache with read-ahead; [`orphans`] deletes what no manifest refers
//! to. The bytes are described in `docs/FORMATS.md`, "Segment".

mod cache;
mod chunk;
pub mod compaction;
mod error;
pub mod flush;
pub mod format;
mod index;
pub mod merge;
pub mod orphans;
mod pending;
pub mod reader;
pub mod run;
#[cfg(test)]
mod tests;
pub mod writer;

pub use error::SegmentError;
pub use pending::{Pending, PendingObjects};
pub use reader::{ReaderOptions, RunRead, RunScan, SegmentReader, TimeMatch};
pub use run::Run;

use object_store::path::Path;
use uuid::Uuid;

/// The prefix of all segments.
const PREFIX: &str = "segments";

/// Where a segment lies in the store.
#[must_use]
pub fn object_path(object: Uuid) -> Path {
    Path::from(format!("{PREFIX}/{object}"))
}

/// The segment that lies there; `None` if it is none.
fn object_of(path: &Path) -> Option<Uuid> {
    let name = path.as_ref().strip_prefix(PREFIX)?.strip_prefix('/')?;
    let object = name.parse::<Uuid>().ok()?;
    (object_path(object) == *path).then_some(object)
}
