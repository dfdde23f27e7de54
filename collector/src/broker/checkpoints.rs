//! Checkpoints in the store: the newest that is whole counts, and the one before it is kept for the day it is not.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::partition::checkpoint::{Checkpoint, CheckpointError};
use crate::wal::WalPosition;

const PREFIX: &str = "checkpoints";
const KEPT: usize = 2;

/// Why no checkpoint could be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointStoreError {
    /// The store failed; it may be tried again.
    #[error("checkpoint object {object}: {source}")]
    Store {
        /// The object, or the prefix that was listed.
        object: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// None of those that are there can be used.
    #[error(
        "checkpoint object {object} cannot be used, nor one before it: restore one of them from a backup of the store"
    )]
    Damaged {
        /// The newest.
        object: String,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// A newer Tailrace wrote it. An older one beside it would be out of date, so it is not looked for.
    #[error("checkpoint object {object} cannot be used")]
    UnknownVersion {
        /// The object.
        object: String,
        /// Which version it has.
        source: CheckpointError,
    },
}

/// The checkpoints of one broker.
#[derive(Debug)]
pub(super) struct CheckpointStore {
    store: Arc<dyn ObjectStore>,
    /// Numbers of those that are there, oldest first, and where the replay starts for each that could be read.
    kept: Vec<(u64, Option<WalPosition>)>,
}

impl CheckpointStore {
    /// Finds the newest checkpoint that can be used; none if there never was one.
    pub(super) async fn open(store: Arc<dyn ObjectStore>) -> Result<(Self, Option<Checkpoint>), CheckpointStoreError> {
        let prefix = Path::from(PREFIX);
        let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await.map_err(failed(&prefix))?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|object| number_of(&object.location)).collect();
        numbers.sort_unstable();
        let mut found = Self {
            store,
            kept: numbers.into_iter().map(|number| (number, None)).collect(),
        };
        let newest = found.newest().await?;
        Ok((found, newest))
    }

    async fn newest(&mut self) -> Result<Option<Checkpoint>, CheckpointStoreError> {
        let mut first_fault = None;
        for (number, position) in self.kept.iter_mut().rev() {
            let path = path_of(*number);
            let bytes = async { self.store.get(&path).await?.bytes().await };
            let bytes = bytes.await.map_err(failed(&path))?;
            let object = path.to_string();
            match Checkpoint::decode(&bytes) {
                Ok(checkpoint) => {
                    *position = Some(checkpoint.position);
                    return Ok(Some(checkpoint));
                }
                Err(source @ CheckpointError::UnknownVersion { .. }) => {
                    return Err(CheckpointStoreError::UnknownVersion { object, source });
                }
                Err(source) => {
                    tracing::error!(object, error = %source, "a checkpoint is damaged: trying the one before it");
                    first_fault.get_or_insert(CheckpointStoreError::Damaged { object, source });
                }
            }
        }
        first_fault.map_or(Ok(None), Err)
    }

    /// Writes the next checkpoint and removes those that are no longer kept. Returns where the WAL is needed from.
    pub(super) async fn write(&mut self, checkpoint: &Checkpoint) -> Result<WalPosition, CheckpointStoreError> {
        let number = self.kept.last().map_or(0, |(last, _)| last + 1);
        let path = path_of(number);
        let written = self.store.put(&path, checkpoint.encode().into()).await;
        written.map_err(failed(&path))?;
        self.kept.push((number, Some(checkpoint.position)));
        while self.kept.len() > KEPT
            && let Some((oldest, _)) = self.kept.first()
        {
            let path = path_of(*oldest);
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(&path)(error)),
            }
            self.kept.remove(0);
        }
        let positions = self.kept.iter().filter_map(|(_, position)| *position);
        Ok(positions.min().unwrap_or(checkpoint.position))
    }
}

fn path_of(number: u64) -> Path {
    Path::from(format!("{PREFIX}/{number:020}"))
}

fn number_of(path: &Path) -> Option<u64> {
    let digits = path.as_ref().strip_prefix(PREFIX)?.strip_prefix('/')?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

fn failed(object: &Path) -> impl FnOnce(object_store::Error) -> CheckpointStoreError {
    let object = object.to_string();
    move |source| CheckpointStoreError::Store { object, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn checkpoint(file: u64) -> Checkpoint {
        Checkpoint {
            position: WalPosition { incarnation: 1, file },
            partitions: Vec::new(),
        }
    }

    async fn store_with(files: u64) -> Arc<dyn ObjectStore> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (mut checkpoints, newest) = CheckpointStore::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(newest, None);
        for file in 0..files {
            checkpoints.write(&checkpoint(file)).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn two_are_kept_and_the_wal_is_needed_from_the_older_one() {
        let store = store_with(5).await;
        let (mut checkpoints, newest) = CheckpointStore::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(newest, Some(checkpoint(4)));
        let needed = checkpoints.write(&checkpoint(5)).await.unwrap();
        assert_eq!(needed.file, 4);
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), KEPT);
    }

    #[tokio::test]
    async fn a_damaged_one_gives_way_to_the_one_before() {
        let store = store_with(3).await;
        store.put(&path_of(2), "TRCP\x01\x00 torn".into()).await.unwrap();
        let (mut checkpoints, newest) = CheckpointStore::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(newest, Some(checkpoint(1)));
        checkpoints.write(&checkpoint(7)).await.unwrap();
        let (_, newest) = CheckpointStore::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(newest, Some(checkpoint(7)));
    }

    #[tokio::test]
    async fn without_one_that_is_whole_nothing_is_guessed() {
        let store = store_with(1).await;
        store.put(&path_of(0), "".into()).await.unwrap();
        let refused = CheckpointStore::open(Arc::clone(&store)).await;
        assert!(matches!(refused, Err(CheckpointStoreError::Damaged { .. })));
        store.put(&path_of(1), "TRCP\x09\x00".into()).await.unwrap();
        let refused = CheckpointStore::open(store).await;
        assert!(matches!(refused, Err(CheckpointStoreError::UnknownVersion { .. })));
    }
}
