//! One partition: sequencer, producer state, recent tail, reader, waiters, manifest and retention.
//!
//! A [`Partition`] is a short lock around pure state, and a file per operation. Appends reserve room in the WAL, are
//! sequenced ([`sequencer`], [`producers`]) and submitted under the lock ([`append`]); the commit comes back from the
//! WAL's writer thread ([`log`]), raises the high watermark, indexes the frame ([`tail`]) and wakes the waiters
//! ([`waiters`]). Behind the WAL the [`manifest`] says which runs of which segments hold the rest; it changes only by
//! records in the WAL ([`change`]), be it for a flush, a merge, a compaction or [`retention`]. Reads find an offset in memory, WAL or
//! segment ([`reader`], [`offsets`]). A [`checkpoint`] carries the committed state, and [`recovery`] rebuilds the rest
//! from the WAL.

pub mod append;
pub mod change;
pub mod checkpoint;
pub mod log;
pub mod manifest;
pub mod manifest_codec;
pub mod offsets;
pub mod producers;
pub mod reader;
pub mod recovery;
pub mod retention;
pub mod sequencer;
pub mod tail;
pub mod waiters;

pub use append::{AppendError, Appended, Appending};
pub use change::{AdvanceLogStartError, ChangeManifestError};
pub use log::{Engine, Partition, PartitionSettings, PartitionStats};
pub use manifest::{Manifest, ManifestChange};
pub use offsets::{FoundOffset, OffsetQuery};
pub use producers::{ActiveProducer, SequenceError};
pub use reader::{ReadBatches, ReadError, ReadLimits};
pub use waiters::{Awaited, Progress, any_beyond};

pub use crate::segment::compaction::KeyError;
