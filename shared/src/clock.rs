//! The seam to time: everything that must know the time is handed a [`Clock`], so that a test can turn it.

use std::time::{Duration, Instant};

/// Wall-clock time in milliseconds since the Unix epoch, as Kafka's timestamps are.
pub type TimestampMs = i64;

/// A source of wall-clock and of monotonic time.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Wall-clock time. It may step either way: never measure a duration with it.
    fn now_ms(&self) -> TimestampMs;

    /// Time since an arbitrary fixed point; never steps back.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine for the time"
    )]
    fn now_ms(&self) -> TimestampMs {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        TimestampMs::try_from(since_epoch.as_millis()).unwrap_or(TimestampMs::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that moves only when a test says so.
#[cfg(any(test, feature = "sim"))]
#[derive(Debug)]
pub struct ManualClock {
    now_ms: std::sync::atomic::AtomicI64,
    monotonic_ms: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "sim"))]
impl ManualClock {
    /// A clock that stands at the given wall-clock time.
    #[must_use]
    pub fn at(now_ms: TimestampMs) -> Self {
        Self {
            now_ms: now_ms.into(),
            monotonic_ms: 0.into(),
        }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(by_ms, std::sync::atomic::Ordering::SeqCst);
        self.now_ms.fetch_add(
            i64::try_from(by_ms).unwrap_or(i64::MAX),
            std::sync::atomic::Ordering::SeqCst,
        );
    }
}

#[cfg(any(test, feature = "sim"))]
impl Clock for ManualClock {
    fn now_ms(&self) -> TimestampMs {
        self.now_ms.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(std::sync::atomic::Ordering::SeqCst))
    }
}
