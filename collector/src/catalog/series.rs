//! The numbered objects in the store: listing and reading them, and putting the next one such that exactly one writer
//! wins, whatever the store answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

use super::document::{Document, Name, PREFIX, decode_document, decode_snapshot, encode_document, encode_snapshot};
use super::error::CatalogError;
use super::view::CatalogView;

/// A snapshot at S lets objects at or below S - KEPT be deleted.
pub(super) const KEPT: u64 = 256;
const PUT_ATTEMPTS: u32 = 8;
const LOAD_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const CONCURRENT_READS: usize = 16;
const OBJECT_BYTES_MAX: u64 = 64 << 20;

/// Whether a document is now in the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is, under its number.
    Won,
    /// Its number belongs to another document.
    Lost,
}

/// A view, and how far back the newest snapshot behind it lies.
#[derive(Debug, Clone, Default)]
pub(super) struct Loaded {
    pub(super) view: Arc<CatalogView>,
    pub(super) snapshot: u64,
}

#[derive(Debug, Default)]
struct Listing {
    changes: BTreeSet<u64>,
    snapshots: BTreeSet<u64>,
}

/// The series in one store.
#[derive(Debug)]
pub(super) struct Series {
    store: Arc<dyn ObjectStore>,
}

impl Series {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Reads on from a view to the newest version that the store holds.
    pub(super) async fn catch_up(&self, from: &Loaded) -> Result<Loaded, CatalogError> {
        let mut outcome = self.try_catch_up(from).await;
        for _ in 1..LOAD_ATTEMPTS {
            // An object that was listed may be collected before it is read; the next listing starts above it.
            if !matches!(outcome, Err(CatalogError::Damaged { .. } | CatalogError::Store { .. })) {
                break;
            }
            tokio::time::sleep(FIRST_PAUSE).await;
            outcome = self.try_catch_up(from).await;
        }
        outcome
    }

    async fn try_catch_up(&self, from: &Loaded) -> Result<Loaded, CatalogError> {
        let listing = self.list_above(from.view.version()).await?;
        let mut loaded = match listing.snapshots.last() {
            Some(&version) => Loaded {
                view: Arc::new(decode_snapshot(version, &self.read(Name::Snapshot(version)).await?)?),
                snapshot: version,
            },
            None => from.clone(),
        };
        let first = loaded.view.version() + 1;
        let last = listing.changes.last().map_or(0, |&version| version);
        if let Some(missing) = (first..=last).find(|version| !listing.changes.contains(version)) {
            return Err(CatalogError::damaged(Name::Changes(missing).path(), "it is missing"));
        }
        let mut documents = stream::iter(first..=last)
            .map(|version| self.read_document(version))
            .buffered(CONCURRENT_READS);
        while let Some(document) = documents.try_next().await? {
            let next = loaded
                .view
                .after(&document.changes)
                .map_err(|misfit| CatalogError::damaged(Name::Changes(document.version).path(), misfit))?;
            loaded.view = Arc::new(next);
        }
        Ok(loaded)
    }

    /// Puts a document under its number.
    pub(super) async fn append(&self, document: &Document) -> Result<Appended, CatalogError> {
        let bytes = Bytes::from(encode_document(document)?);
        let path = Name::Changes(document.version).path();
        match self.put_settled(&path, bytes, document).await? {
            Appended::Won if self.is_void(document.version).await? => Ok(Appended::Lost),
            settled => Ok(settled),
        }
    }

    /// A put is void if its number may have been free only because what stood there was collected.
    async fn is_void(&self, version: u64) -> Result<bool, CatalogError> {
        let above = self.list_above(version + KEPT - 1).await?;
        Ok(!above.snapshots.is_empty())
    }

    /// Puts until the store shows who won: its answer alone is not believed, unless it is a plain success.
    async fn put_settled(&self, path: &Path, bytes: Bytes, document: &Document) -> Result<Appended, CatalogError> {
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Err(put_error) = self.create(path, bytes.clone()).await else {
                return Ok(Appended::Won);
            };
            match self.token_at(document.version).await {
                Ok(Some(token)) if token == document.token => return Ok(Appended::Won),
                Ok(Some(_)) => return Ok(Appended::Lost),
                Ok(None) if attempts == PUT_ATTEMPTS => return Err(CatalogError::store(path, put_error)),
                Err(error) if attempts == PUT_ATTEMPTS => return Err(error),
                Ok(None) | Err(CatalogError::Store { .. }) => {
                    tracing::warn!(object = %path, error = %put_error, "a catalog write has no clear outcome, retrying");
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn token_at(&self, version: u64) -> Result<Option<Uuid>, CatalogError> {
        match self.read_document(version).await {
            Ok(document) => Ok(Some(document.token)),
            Err(CatalogError::Store {
                source: StoreError::NotFound { .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the view as a snapshot. Another may have: it wrote the same.
    pub(super) async fn put_snapshot(&self, view: &CatalogView) -> Result<(), CatalogError> {
        let path = Name::Snapshot(view.version()).path();
        match self.create(&path, encode_snapshot(view)?.into()).await {
            Ok(()) | Err(StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(CatalogError::store(path, error)),
        }
    }

    /// Deletes what a durable snapshot made superfluous.
    pub(super) async fn collect_below(&self, snapshot: u64) -> Result<(), CatalogError> {
        let Some(floor) = snapshot.checked_sub(KEPT) else {
            return Ok(());
        };
        let listing = self.list_above(0).await?;
        let names = listing.changes.range(..=floor).map(|&version| Name::Changes(version));
        let names = names.chain(
            listing
                .snapshots
                .range(..=floor)
                .map(|&version| Name::Snapshot(version)),
        );
        let paths: Vec<_> = names.map(|name| Ok(name.path())).collect();
        let mut deleted = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(CatalogError::store(PREFIX, error)),
            }
        }
        Ok(())
    }

    async fn list_above(&self, version: u64) -> Result<Listing, CatalogError> {
        let offset = Name::Snapshot(version).path();
        let mut objects = self.store.list_with_offset(Some(&Path::from(PREFIX)), &offset);
        let mut listing = Listing::default();
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| CatalogError::store(PREFIX, error))?;
            match Name::parse(&object.location) {
                Some(Name::Changes(version)) => listing.changes.insert(version),
                Some(Name::Snapshot(version)) => listing.snapshots.insert(version),
                None => false,
            };
        }
        Ok(listing)
    }

    async fn read_document(&self, version: u64) -> Result<Document, CatalogError> {
        let bytes = self.read(Name::Changes(version)).await?;
        decode_document(version, &bytes)
    }

    async fn read(&self, name: Name) -> Result<Bytes, CatalogError> {
        let path = name.path();
        let found = self.store.get(&path).await;
        let found = found.map_err(|error| CatalogError::store(&path, error))?;
        if found.meta.size > OBJECT_BYTES_MAX {
            return Err(CatalogError::damaged(path, format!("it has {} bytes", found.meta.size)));
        }
        found.bytes().await.map_err(|error| CatalogError::store(path, error))
    }

    async fn create(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let options = PutOptions::from(PutMode::Create);
        self.store.put_opts(path, PutPayload::from(bytes), options).await?;
        Ok(())
    }
}
