//! How much of an input may become records in a second, and what happens to the rest: it waits where it is, or it is not sent.
//!
//! A token bucket for events and one for bytes, each of a second's worth. What is taken may be more than there was; then
//! nothing more is taken until that is made up for. Time is the wall clock's: a step backwards begins anew, one forwards fills
//! the buckets, and neither does more.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tailrace_shared::clock::Clock;

/// What happens to an event beyond the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exceeded {
    /// It is not read yet.
    #[default]
    Wait,
    /// It is not sent.
    Drop,
}

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In a second.
    pub events: Option<f64>,
    /// In a second.
    pub bytes: Option<f64>,
    /// And what if there is more.
    pub exceeded: Exceeded,
}

/// How much there was of one input.
#[derive(Debug, Default)]
pub struct RateLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rate: Option<Rate>,
    events: Bucket,
    bytes: Bucket,
    at_ms: Option<i64>,
}

#[derive(Debug, Default)]
struct Bucket {
    per_second: Option<f64>,
    tokens: f64,
}

impl Bucket {
    fn full(per_second: Option<f64>) -> Self {
        Self {
            tokens: per_second.unwrap_or_default(),
            per_second,
        }
    }

    fn refill(&mut self, seconds: f64) {
        if let Some(per_second) = self.per_second {
            self.tokens = (self.tokens + per_second * seconds).min(per_second.max(1.0));
        }
    }

    fn is_empty(&self) -> bool {
        self.per_second.is_some() && self.tokens <= 0.0
    }

    /// How long until it is not.
    fn wait(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(1);
        match self.per_second {
            Some(per_second) if self.tokens <= 0.0 => {
                Duration::try_from_secs_f64(-self.tokens / per_second).map_or(Duration::MAX, |wait| wait.max(LEAST))
            }
            _ => Duration::ZERO,
        }
    }
}

impl State {
    fn refill(&mut self, now_ms: i64) {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms.replace(now_ms).unwrap_or(now_ms));
        if let Ok(elapsed_ms) = u64::try_from(elapsed_ms)
            && elapsed_ms > 0
        {
            let seconds = Duration::from_millis(elapsed_ms).as_secs_f64();
            self.events.refill(seconds);
            self.bytes.refill(seconds);
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.events.tokens -= 1.0;
        #[allow(clippy::cast_precision_loss, reason = "an event is far smaller than 2^53 bytes")]
        let bytes = bytes as f64;
        self.bytes.tokens -= bytes;
    }

    fn is_exhausted(&self) -> bool {
        self.events.is_empty() || self.bytes.is_empty()
    }
}

impl RateLimit {
    /// None at all, or this one, and nothing taken yet.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        Self(Mutex::new(State {
            events: Bucket::full(rate.and_then(|rate| rate.events)),
            bytes: Bucket::full(rate.and_then(|rate| rate.bytes)),
            rate,
            at_ms: None,
        }))
    }

    /// From now on the other's rate.
    pub fn take_on(&self, other: &Self) {
        let rate = other.0.lock().rate;
        let mut state = self.0.lock();
        if state.rate != rate {
            *state = Self::new(rate).0.into_inner();
        }
    }

    /// What happens beyond the rate. `None` if there is none.
    #[must_use]
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.0.lock().rate.map(|rate| rate.exceeded)
    }

    /// Takes an event of so many bytes; whether that exhausts what may be taken by now.
    pub fn spend(&self, bytes: usize, now_ms: i64) -> bool {
        let mut state = self.0.lock();
        state.refill(now_ms);
        state.spend(bytes);
        state.is_exhausted()
    }

    /// Takes an event of so many bytes if it may be taken by now.
    pub fn admits(&self, bytes: usize, now_ms: i64) -> bool {
        let mut state = self.0.lock();
        state.refill(now_ms);
        let admits = !state.is_exhausted();
        if admits {
            state.spend(bytes);
        }
        admits
    }

    /// How long nothing more may be taken. Nothing waits where the rest is dropped.
    #[must_use]
    pub fn wait(&self, now_ms: i64) -> Duration {
        let mut state = self.0.lock();
        match state.rate {
            Some(rate) if rate.exceeded == Exceeded::Wait => {
                state.refill(now_ms);
                state.events.wait().max(state.bytes.wait())
            }
            _ => Duration::ZERO,
        }
    }

    /// Waits until more may be taken.
    pub async fn ready(&self, clock: &dyn Clock) {
        /// The rate may have changed meanwhile.
        const LONGEST: Duration = Duration::from_millis(100);
        loop {
            let wait = self.wait(clock.now_ms());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait.min(LONGEST)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(events: Option<f64>, bytes: Option<f64>, exceeded: Exceeded) -> RateLimit {
        RateLimit::new(Some(Rate {
            events,
            bytes,
            exceeded,
        }))
    }

    /// How many events of ten bytes are admitted, if one comes each millisecond.
    fn admitted(limit: &RateLimit, from_ms: i64, to_ms: i64) -> usize {
        (from_ms..to_ms).filter(|now_ms| limit.admits(10, *now_ms)).count()
    }

    #[test]
    fn what_is_admitted_is_the_rate_and_a_second_of_it_at_once() {
        let by_events = limit(Some(100.0), None, Exceeded::Drop);
        assert!((195..=205).contains(&admitted(&by_events, 0, 1000)));
        assert!((95..=105).contains(&admitted(&by_events, 1000, 2000)));
        let by_bytes = limit(Some(1e9), Some(500.0), Exceeded::Drop);
        assert!((95..=105).contains(&admitted(&by_bytes, 0, 1000)));
        assert!((45..=55).contains(&admitted(&by_bytes, 1000, 2000)));
        assert_eq!(admitted(&RateLimit::default(), 0, 1000), 1000);
    }

    #[test]
    fn what_was_taken_too_much_is_made_up_for() {
        let limit = limit(None, Some(1000.0), Exceeded::Wait);
        assert_eq!(limit.wait(0), Duration::ZERO);
        assert!(limit.spend(5000, 0));
        assert_eq!(limit.wait(0), Duration::from_secs(4));
        assert_eq!(limit.wait(3000), Duration::from_secs(1));
        assert_eq!(limit.wait(4001), Duration::ZERO);
        assert!(!limit.spend(0, 4001));
    }

    #[test]
    fn a_rate_below_one_lets_an_event_through_every_now_and_then() {
        let limit = limit(Some(0.5), None, Exceeded::Drop);
        assert!((4..=6).contains(&admitted(&limit, 0, 10_000)));
    }

    #[test]
    fn a_clock_that_is_set_does_no_harm() {
        let limit = limit(Some(10.0), None, Exceeded::Wait);
        assert_eq!((0..20).filter(|_| limit.spend(1, 3_600_000)).count(), 11);
        assert_eq!(limit.wait(3_600_000), Duration::from_secs(1));
        assert_eq!(limit.wait(0), Duration::from_secs(1), "an hour back");
        assert_eq!(limit.wait(1001), Duration::ZERO);
        assert_eq!((0..1000).filter(|_| limit.admits(1, 7_200_000)).count(), 10);
        assert!(limit.wait(7_200_000) < Duration::from_secs(1), "two hours on");
    }

    #[test]
    fn another_rate_begins_anew_and_the_same_one_does_not() {
        let running = limit(Some(10.0), None, Exceeded::Wait);
        assert_eq!((0..20).filter(|_| running.spend(1, 0)).count(), 11);
        running.take_on(&limit(Some(10.0), None, Exceeded::Wait));
        assert!(running.wait(0) > Duration::ZERO);
        running.take_on(&limit(Some(20.0), None, Exceeded::Wait));
        assert_eq!(running.wait(0), Duration::ZERO);
        running.take_on(&RateLimit::default());
        assert_eq!(running.exceeded(), None);
    }
}
