//! What can go wrong between a segment and its reader or writer.

use uuid::Uuid;

use super::format::FormatError;
use super::object_path;

/// A segment could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The store failed; the operation may be tried again.
    #[error("segment {}: {source}", object_path(*.object))]
    Store {
        /// The segment.
        object: Uuid,
        /// What the store said.
        source: object_store::Error,
    },
    /// The segments could not be listed.
    #[error("segments cannot be listed: {0}")]
    List(object_store::Error),
    /// The object does not hold what it must.
    #[error(
        "segment {} is damaged in its {section}: {reason}; restore the object from a copy of the store, or give up its \
         offsets by moving the log start past them (DeleteRecords)",
        object_path(*.object)
    )]
    Damaged {
        /// The segment.
        object: Uuid,
        /// Which part of it.
        section: &'static str,
        /// What is wrong there.
        reason: String,
    },
    /// A newer Tailrace wrote it.
    #[error("segment {} has version {found}, this collector reads up to {known}: run the newer collector", object_path(*.object))]
    NewerVersion {
        /// The segment.
        object: Uuid,
        /// Its version.
        found: u16,
        /// The newest that this program reads.
        known: u16,
    },
}

impl SegmentError {
    pub(super) fn store(object: Uuid, source: object_store::Error) -> Self {
        match source {
            object_store::Error::NotFound { .. } => Self::damaged(object, "object", "it does not exist"),
            source => Self::Store { object, source },
        }
    }

    pub(super) fn damaged(object: Uuid, section: &'static str, reason: impl ToString) -> Self {
        Self::Damaged {
            object,
            section,
            reason: reason.to_string(),
        }
    }

    pub(super) fn format(object: Uuid, error: FormatError) -> Self {
        match error {
            FormatError::NewerVersion { found, known } => Self::NewerVersion { object, found, known },
            FormatError::Damaged { section, reason } => Self::Damaged {
                object,
                section,
                reason,
            },
        }
    }
}
