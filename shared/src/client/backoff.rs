//! How long to wait before the next attempt: twice as long each time, with jitter so that a thousand agents do not come
//! back in step. A loop keeps one and resets it when things work again.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::ClientError;

/// A resumable series of delays.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    delays: ExponentialBackoff,
}

impl Backoff {
    /// Delays from `min` on, each up to twice itself by jitter and the last step `max` before jitter.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            delays: delays(min, max),
        }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(self.max)
    }

    /// Sleeps for the next delay.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// Starts again at the shortest delay: the last attempt worked.
    pub fn reset(&mut self) {
        self.delays = delays(self.min, self.max);
    }
}

impl Default for Backoff {
    /// From 100 ms to 10 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10))
    }
}

/// Tries again for as long as the failure is one that may pass and `limit` has not gone by; then gives the last failure.
pub async fn retry_for<T, F>(limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let deadline = Instant::now() + limit;
    let mut backoff = Backoff::default();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let delay = backoff.next_delay();
        if !error.is_retriable() || Instant::now() + delay > deadline {
            return Err(error);
        }
        tracing::debug!(%error, ?delay, "trying again");
        tokio::time::sleep(delay).await;
    }
}

fn delays(min: Duration, max: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(min)
        .with_max_delay(max)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(rand::random())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_start_again() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut backoff = Backoff::new(min, max);
        let first = backoff.next_delay();
        assert!((min..=2 * min).contains(&first));
        let late: Vec<_> = (0..100).map(|_| backoff.next_delay()).skip(10).collect();
        assert!(late.iter().all(|delay| (max..=2 * max).contains(delay)));
        assert!(late.windows(2).any(|pair| pair[0] != pair[1]), "there is jitter");
        backoff.reset();
        assert!(backoff.next_delay() <= 2 * min);
    }

    #[test]
    fn two_of_them_do_not_march_in_step() {
        let series = || {
            let mut backoff = Backoff::default();
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_ne!(series(), series());
    }
}
