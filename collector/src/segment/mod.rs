//! Immutable files behind the WAL: format, writer, reader, index, and the flush of WAL files into them.
//!
//! A segment object holds [`run::Run`]s of one or many partitions and a footer ([`format`]) that says where they lie.
//! [`writer`] builds one; [`flush`] turns what lies in the WAL into some, [`adoption`] makes one of a WAL file as it
//! stands, and [`merge`] makes many small runs into few large ones; [`compaction`] drops what newer records of the same
//! keys have replaced; [`reader`] serves batches through a bounded cache with read-ahead; [`orphans`] deletes what no
//! manifest refers to. The bytes are described in `docs/FORMATS.md`, "Segment".

pub mod adoption;
mod cache;
mod chunk;
pub mod compaction;
mod error;
pub mod flush;
pub mod format;
mod index;
pub mod merge;
pub mod orphans;
pub mod part;
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

use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use uuid::Uuid;

/// The prefix of all segments.
const PREFIX: &str = "segments";

/// Where a segment lies in the store.
#[must_use]
pub fn object_path(object: Uuid) -> Path {
    Path::from(format!("{PREFIX}/{object}"))
}

/// All segments in a store, and the length of each.
pub async fn list(store: &dyn ObjectStore) -> Result<Vec<(Uuid, u64)>, SegmentError> {
    let mut objects = store.list(Some(&Path::from(PREFIX)));
    let mut listed = Vec::new();
    while let Some(object) = objects.next().await {
        let object = object.map_err(SegmentError::List)?;
        listed.extend(object_of(&object.location).map(|name| (name, object.size)));
    }
    Ok(listed)
}

/// The segment that lies there; `None` if it is none.
fn object_of(path: &Path) -> Option<Uuid> {
    let name = path.as_ref().strip_prefix(PREFIX)?.strip_prefix('/')?;
    let object = name.parse::<Uuid>().ok()?;
    (object_path(object) == *path).then_some(object)
}
