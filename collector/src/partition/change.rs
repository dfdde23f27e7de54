//! Changes of a partition's manifest on their way through the WAL, and the retention that causes some of them.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::Partition;
use super::log::{ChangeInFlight, Life};
use super::manifest::{ChangeError, ManifestChange};
use super::retention::new_log_start;
use crate::wal::frame::{Frame, FrameKind};
use crate::wal::{Class, ReserveError};

/// Why the manifest was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeManifestError {
    /// The change does not fit the manifest as it is by now.
    #[error(transparent)]
    Misfit(#[from] ChangeError),
    /// No room in the WAL.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// The topic was deleted.
    #[error("the partition was deleted")]
    Closed,
    /// The broker stopped before it knew.
    #[error("the broker stopped before the change was known to be on stable storage")]
    Unknown,
}

/// Why the log start was not advanced.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceLogStartError {
    /// `OFFSET_OUT_OF_RANGE`: there is nothing yet at that offset.
    #[error("the log start cannot advance to {to}: the high watermark is {high_watermark}")]
    BeyondEnd {
        /// As asked.
        to: i64,
        /// One past the last committed offset.
        high_watermark: i64,
    },
    /// `KAFKA_STORAGE_ERROR`, retriable.
    #[error(transparent)]
    Change(#[from] ChangeManifestError),
}

impl Partition {
    /// Makes the next version of the manifest. Resolves once it counts. New objects must be on stable storage before.
    pub async fn change_manifest(self: &Arc<Self>, change: ManifestChange) -> Result<(), ChangeManifestError> {
        let mut payload = BytesMut::new();
        change.encode(&mut payload);
        let reservation = self.engine.wal.reserve(payload.len(), Class::Internal).await?;
        let committed = {
            let mut state = self.state.lock();
            if state.life == Life::Deleted {
                return Err(ChangeManifestError::Closed);
            }
            let planned = state.changes.back().map_or(&state.manifest, |last| &last.next);
            let next = Arc::new(planned.apply(&change)?);
            let frame = Frame {
                kind: FrameKind::ManifestChange,
                partition: self.id(),
                start: next.version,
                end: next.version + 1,
                appended_at: self.engine.clock.now_ms(),
                payload: vec![payload.freeze()],
            };
            let (done, committed) = oneshot::channel();
            state.changes.push_back(ChangeInFlight { next, done });
            self.engine.wal.submit(reservation, frame, self.clone());
            committed
        };
        committed.await.map_err(|_| ChangeManifestError::Unknown)
    }

    /// Gives up everything below an offset; an offset below the log start changes nothing. Returns the log start.
    pub async fn advance_log_start(self: &Arc<Self>, to: i64) -> Result<i64, AdvanceLogStartError> {
        let high_watermark = self.high_watermark();
        if to > high_watermark {
            return Err(AdvanceLogStartError::BeyondEnd { to, high_watermark });
        }
        if to > self.log_start() {
            self.change_manifest(ManifestChange::LogStartAdvanced { to }).await?;
        }
        Ok(self.log_start())
    }

    /// Whether a compacted partition has more in the WAL, or has it there for longer, than its topic says.
    #[must_use]
    pub fn waits_for_segments(&self) -> bool {
        let Some(policy) = self.settings().compaction else {
            return false;
        };
        let now = self.engine.clock.now_ms();
        let tail = &self.state.lock().tail;
        let oldest = tail.iter().next();
        let too_long = oldest.is_some_and(|entry| now.saturating_sub(entry.appended_at) > policy.wal_ms_max);
        too_long || tail.bytes() > policy.wal_bytes_max
    }

    /// Gives up what the topic's retention no longer covers. Returns the new log start if there was something.
    pub async fn retain(self: &Arc<Self>) -> Result<Option<i64>, ChangeManifestError> {
        let now = self.engine.clock.now_ms();
        let policy = self.settings().retention;
        let to = {
            let state = self.state.lock();
            new_log_start(&state.manifest, &state.tail, policy, now)
        };
        if let Some(to) = to {
            self.change_manifest(ManifestChange::LogStartAdvanced { to }).await?;
        }
        Ok(to)
    }
}
