//! What can go wrong between the catalog and its store, whatever the operation.

/// The catalog could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The store failed; the operation may be tried again.
    #[error("catalog object {object}: {source}")]
    Store {
        /// The object, or the prefix that was listed.
        object: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// An object is missing, or does not hold what it must.
    #[error("catalog object {object} is damaged: {reason}; {remedy}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        reason: String,
        /// What an operator can do.
        remedy: &'static str,
    },
    /// A newer Tailrace wrote it.
    #[error("catalog object {object} has format {found}, this collector knows up to {known}: run the newer collector")]
    NewerFormat {
        /// The object.
        object: String,
        /// Its format.
        found: u64,
        /// The newest that this program reads.
        known: u64,
    },
    /// Others were faster, every time.
    #[error("lost the race for the next catalog version {attempts} times in a row; try again")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The block of producer ids after the last one would pass the greatest that Kafka's protocol can carry.
    #[error("no producer ids are left in this cluster")]
    ProducerIdsExhausted,
}

impl CatalogError {
    pub(super) fn store(object: impl ToString, source: object_store::Error) -> Self {
        Self::Store {
            object: object.to_string(),
            source,
        }
    }

    pub(super) fn damaged(object: impl ToString, reason: impl ToString) -> Self {
        Self::Damaged {
            object: object.to_string(),
            reason: reason.to_string(),
            remedy: "restore this object from a backup of the store",
        }
    }
}
