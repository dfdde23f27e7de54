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
    started_ms: TimestampMs,
    elapsed_ns: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "sim"))]
impl ManualClock {
    /// A clock that stands at the given wall-clock time.
    #[must_use]
    pub fn at(now_ms: TimestampMs) -> Self {
        Self {
            started_ms: now_ms,
            elapsed_ns: 0.into(),
        }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        let by_ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_ns.fetch_add(by_ns, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "sim"))]
impl Clock for ManualClock {
    fn now_ms(&self) -> TimestampMs {
        let elapsed_ms = self.monotonic().as_millis();
        self.started_ms
            .saturating_add(TimestampMs::try_from(elapsed_ms).unwrap_or(TimestampMs::MAX))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(std::sync::atomic::Ordering::SeqCst))
    }
}
