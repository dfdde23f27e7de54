//! Segments are written in the background: commits come first, as long as the WAL has room for them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::segment::writer::Pace;
use crate::wal::Wal;

/// With so much of the WAL's budget in use there is no time to rest.
const URGENT_FULLNESS: f64 = 0.5;

/// Rests after each part for as long as it took, less and less when the WAL fills up, and not at all at the end.
pub(super) struct CommitsFirst {
    pub(super) wal: Arc<Wal>,
    pub(super) stopping: CancellationToken,
}

impl Pace for CommitsFirst {
    fn rest(&self, took: Duration) -> Duration {
        if self.stopping.is_cancelled() {
            return Duration::ZERO;
        }
        took.mul_f64(leisure(self.wal.fullness()))
    }
}

fn leisure(fullness: f64) -> f64 {
    (1.0 - fullness / URGENT_FULLNESS).clamp(0.0, 1.0)
}

impl fmt::Debug for CommitsFirst {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CommitsFirst").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_wal_the_less_rest() {
        let shares = [0.0, 0.125, 0.25, 0.5, 1.5].map(leisure);
        assert_eq!(shares, [1.0, 0.75, 0.5, 0.0, 0.0]);
    }
}
