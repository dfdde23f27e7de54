//! What somebody has left of a quota: a bucket that fills at the quota's rate, holds [`WINDOW`] of it, and may go as far
//! into debt. Kept as one point in time, so that it costs little, and means the same when the rate changes.

use std::time::Duration;

/// For how long unused rate is kept, and how long the longest debt lasts: what Kafka's window of eleven samples comes to.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Times are of one clock that never steps back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Allowance {
    /// From then on it is as if nothing had ever been used.
    full_at: Duration,
}

impl Allowance {
    /// Uses bytes. Says for how long to use nothing more.
    pub(super) fn spend(&mut self, bytes: u64, bytes_per_second: u64, now: Duration) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let most = now + WINDOW + WINDOW;
        self.full_at = self.full_at.max(now).saturating_add(takes).min(most);
        self.debt(now)
    }

    /// For how long to use nothing.
    pub(super) fn debt(self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now + WINDOW)
    }

    /// How many bytes may be used without any debt.
    pub(super) fn room(self, bytes_per_second: u64, now: Duration) -> u64 {
        let left = (now + WINDOW).saturating_sub(self.full_at.max(now));
        let bytes = left.as_nanos() * u128::from(bytes_per_second) / 1_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Whether it is worth remembering.
    pub(super) fn is_full(self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_window_is_free_and_more_takes_its_time() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.spend(900, 100, at(50)), Duration::ZERO);
        assert_eq!(allowance.room(100, at(50)), 100);
        assert_eq!(allowance.spend(300, 100, at(50)), at(2));
        assert_eq!(allowance.room(100, at(50)), 0);
        assert_eq!(allowance.debt(at(51)), at(1));
        assert_eq!(allowance.room(100, at(53)), 100);
        assert!(!allowance.is_full(at(61)));
        assert!(allowance.is_full(at(62)));
        assert_eq!(allowance.room(100, at(1000)), 1000);
    }

    #[test]
    fn no_request_is_so_large_that_its_sender_waits_for_ever() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.spend(u64::MAX, 1, at(3)), WINDOW);
        assert_eq!(allowance.spend(u64::MAX, 0, at(4)), WINDOW);
        assert_eq!(allowance.spend(0, u64::MAX, at(100)), Duration::ZERO);
        assert_eq!(allowance.room(u64::MAX, at(100)), u64::MAX);
    }

    proptest! {
        #[test]
        fn who_waits_as_told_gets_the_rate_and_a_window_at_most(
            rate in 1_000_u64..1_000_000,
            requests in prop::collection::vec((1_u64..5_000, 0_u64..2_000), 1..200),
        ) {
            let (mut allowance, mut now, mut spent) = (Allowance::default(), at(0), 0);
            for (bytes, pause_ms) in requests {
                now += Duration::from_millis(pause_ms);
                spent += bytes;
                now += allowance.spend(bytes, rate, now);
                // A nanosecond of rounding for each request is less than a byte for each.
                let granted = (now + WINDOW).as_secs_f64() * rate as f64;
                prop_assert!(spent as f64 <= granted + 200.0, "{spent} bytes by {now:?} at {rate} per second");
            }
        }

        #[test]
        fn who_takes_no_more_than_there_is_room_for_never_waits(
            rate in 1_u64..1_000_000,
            pauses_ms in prop::collection::vec(0_u64..20_000, 1..100),
        ) {
            let (mut allowance, mut now) = (Allowance::default(), at(0));
            for pause_ms in pauses_ms {
                now += Duration::from_millis(pause_ms);
                let room = allowance.room(rate, now);
                prop_assert_eq!(allowance.spend(room, rate, now), Duration::ZERO);
            }
        }
    }
}
