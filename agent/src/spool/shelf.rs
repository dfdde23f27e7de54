//! Where the live batches lie, for those who read them while the commit thread writes.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tailrace_shared::disk::{DiskFile, read_exact_at};
use tailrace_shared::record::{BatchError, Batches};

use super::control::BatchNumber;

#[derive(Debug, Clone)]
pub(super) struct Shelved {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// Why a batch could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It was marked meanwhile.
    #[error("batch {0} is not in the spool any more")]
    Gone(BatchNumber),
    /// The device failed.
    #[error("cannot read batch {batch} from the spool")]
    Io {
        /// Which batch.
        batch: BatchNumber,
        /// As the system says.
        source: io::Error,
    },
    /// The bytes changed since they were written.
    #[error("batch {batch} is damaged in the spool: {reason}")]
    Damaged {
        /// Which batch.
        batch: BatchNumber,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Default)]
pub(super) struct Shelf {
    batches: Mutex<HashMap<BatchNumber, Shelved>>,
}

impl Debug for Shelf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("batches", &self.batches.lock().len())
            .finish()
    }
}

impl Shelf {
    pub(super) fn put(&self, number: BatchNumber, place: Shelved) {
        self.batches.lock().insert(number, place);
    }

    pub(super) fn remove(&self, number: BatchNumber) {
        self.batches.lock().remove(&number);
    }

    pub(super) fn renumber(&self, from: BatchNumber, to: BatchNumber) {
        let mut batches = self.batches.lock();
        if let Some(place) = batches.remove(&from) {
            batches.insert(to, place);
        }
    }

    /// Blocks on the device. A batch may be moved to another file meanwhile and its old place be written over, which
    /// shows as damage: so that is believed only of a place that is still the batch's own.
    pub(super) fn read(&self, batch: BatchNumber) -> Result<Bytes, ReadError> {
        loop {
            let place = self.batches.lock().get(&batch).cloned().ok_or(ReadError::Gone(batch))?;
            let mut bytes = vec![0; usize::try_from(place.len).unwrap_or_default()];
            read_exact_at(&*place.file, &mut bytes, place.offset).map_err(|source| ReadError::Io { batch, source })?;
            let bytes = Bytes::from(bytes);
            match check_batch(&bytes) {
                Ok(()) => return Ok(bytes),
                Err(reason) if self.is_at(batch, &place) => return Err(ReadError::Damaged { batch, reason }),
                Err(_) => {}
            }
        }
    }

    fn is_at(&self, batch: BatchNumber, place: &Shelved) -> bool {
        let batches = self.batches.lock();
        batches
            .get(&batch)
            .is_some_and(|now| Arc::ptr_eq(&now.file, &place.file) && now.offset == place.offset)
    }
}

/// Whether the bytes are exactly one whole RecordBatch.
pub(super) fn check_batch(bytes: &Bytes) -> Result<(), String> {
    let mut batches = Batches::split(bytes.clone(), bytes.len());
    let batch = batches.next().unwrap_or(Err(BatchError::Truncated {
        needed: tailrace_shared::record::HEADER_LEN,
        available: 0,
    }));
    match batch {
        Ok(view) if view.bytes.len() == bytes.len() => Ok(()),
        Ok(view) => Err(format!("{} bytes follow the batch", bytes.len() - view.bytes.len())),
        Err(error) => Err(error.to_string()),
    }
}
