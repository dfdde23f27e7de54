//! An object store over a directory, with the guarantees of a bucket.
//!
//! An object is a file under the same path. It is written under `.tmp/`, synced, renamed to its place, and then the
//! directory is synced: so it is whole or absent at any moment, and durable when the put returns. Deletes and renames are
//! synced too. Opening the store sweeps `.tmp/` and syncs every directory, because a name that a killed process left in
//! the cache could otherwise be acted upon now, and vanish with the power later.
//!
//! A get that races with a put may see the new object an instant before it is durable: whoever acts on an object for
//! others to see waits for its put to return.
//!
//! One process at a time may have a directory open; its owner holds the lock that sees to it. Keys cannot leave the
//! directory: [`Location`] takes no relative parts, and links are never listed. Versions, entity tags, attributes and
//! conditional updates are not supported, as nothing here needs them.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path as Location;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result,
};
use parking_lot::Mutex;
use tailrace_shared::disk::Disk;

mod error;
mod list;
mod read;
#[cfg(test)]
mod tests;
mod upload;
mod write;

use super::AdoptFile;
use error::{in_background, unsupported};
use write::Replace;

/// How many objects are deleted before their directories are synced.
const DELETE_BATCH: usize = 128;

/// An object store over a directory. See the module's documentation for what it promises.
#[derive(Debug, Clone)]
pub struct LocalStore {
    directory: Arc<Directory>,
}

type Listing = BoxStream<'static, Result<ObjectMeta>>;

/// What the blocking half works on.
#[derive(Debug)]
struct Directory {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    temp: write::TempNames,
    /// Directories whose names are known to be durable.
    durable_dirs: Mutex<BTreeSet<PathBuf>>,
}

impl LocalStore {
    /// Opens the store, creating its directory if need be. Blocks: every directory is synced.
    ///
    /// No other process may have it open, nor write to it.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        let temp = write::TempNames::sweep(&*disk, root)?;
        let directory = Directory {
            disk,
            root: root.to_owned(),
            temp,
            durable_dirs: Mutex::default(),
        };
        directory.sync_below(root)?;
        Ok(Self {
            directory: Arc::new(directory),
        })
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStore({})", self.directory.root.display())
    }
}

impl LocalStore {
    /// Runs blocking work on the directory on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Directory>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let directory = Arc::clone(&self.directory);
        in_background(move || work(&directory)).await
    }

    /// One step through the tree: the objects of a directory, and the directories that are left.
    async fn list_next((store, mut left): (Self, Vec<Location>)) -> Result<Option<(Listing, (Self, Vec<Location>))>> {
        let Some(next) = left.pop() else { return Ok(None) };
        let listed = store.blocking(move |directory| directory.list(&next)).await?;
        left.extend(listed.common_prefixes);
        Ok(Some((stream::iter(listed.objects).map(Ok).boxed(), (store, left))))
    }
}

#[async_trait]
impl AdoptFile for LocalStore {
    async fn adopt(&self, file: PathBuf, at: &Location) -> Result<()> {
        let at = at.clone();
        self.blocking(move |directory| directory.adopt(&file, &at)).await
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if !options.attributes.is_empty() {
            return Err(unsupported("object attributes"));
        }
        let replace = Replace::from_put_mode(options.mode)?;
        let location = location.clone();
        self.blocking(move |directory| directory.put(&location, &payload, replace))
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return Err(unsupported("object attributes"));
        }
        let location = location.clone();
        let upload = self
            .blocking(move |directory| upload::Upload::start(directory, location))
            .await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        let location = location.clone();
        self.blocking(move |directory| read::get(directory, &location, &options))
            .await
    }

    async fn get_ranges(&self, location: &Location, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (location, ranges) = (location.clone(), ranges.to_vec());
        self.blocking(move |directory| read::get_ranges(directory, &location, &ranges))
            .await
    }

    /// Deleting an object that does not exist succeeds, as it does on S3.
    fn delete_stream(&self, locations: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        let store = self.clone();
        let batches = locations.ready_chunks(DELETE_BATCH).then(move |batch| {
            let store = store.clone();
            async move { store.blocking(move |directory| Ok(directory.delete(batch))).await }
        });
        batches.map_ok(stream::iter).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        let first = prefix.cloned().unwrap_or_default();
        stream::try_unfold((self.clone(), vec![first]), Self::list_next)
            .try_flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        self.blocking(move |directory| directory.list_without_empty(&prefix))
            .await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        let replace = Replace::from(options.mode == CopyMode::Overwrite);
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |directory| directory.copy(&from, &to, replace))
            .await
    }

    async fn rename_opts(&self, from: &Location, to: &Location, options: RenameOptions) -> Result<()> {
        let replace = Replace::from(options.target_mode == RenameTargetMode::Overwrite);
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |directory| directory.rename(&from, &to, replace))
            .await
    }
}

impl Directory {
    /// The file of an object.
    fn path_of(&self, location: &Location) -> Result<PathBuf> {
        let is_inside = location.parts().all(|part| !matches!(part.as_ref(), "" | "." | ".."));
        let is_reserved = location
            .parts()
            .next()
            .is_none_or(|first| first.as_ref() == write::TEMP_DIR);
        if is_inside && !is_reserved {
            Ok(self.root.join(location.as_ref()))
        } else {
            Err(unsupported(format!("the key `{location}`")))
        }
    }

    /// The directory of a prefix.
    fn dir_of(&self, prefix: &Location) -> Result<PathBuf> {
        if prefix.is_root() {
            Ok(self.root.clone())
        } else {
            self.path_of(prefix)
        }
    }
}
