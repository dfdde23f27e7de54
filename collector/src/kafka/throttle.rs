//! Holds clients to their quotas, as KIP-219 has it: a request that uses more than there is left is served and answered
//! at once, with the time for which the client should send nothing; and for that time nothing is read on its
//! connection, so that clients which do not care are held to it as well.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::allowance::Allowance;
use super::context::{Call, Context};
use crate::catalog::QuotaKind;

/// How many clients' use of quotas is remembered.
const CLIENTS_MAX: usize = 65_536;
/// How often it is looked for clients that need no longer be remembered, when there is room for no more.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Who has used how much of a quota.
#[derive(Default)]
pub struct Throttle {
    /// Seeded, so that nobody can choose a name that shares somebody else's allowance.
    hasher: RandomState,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    by_client: HashMap<u64, Allowance>,
    /// What clients share for whom there is no room.
    others: Allowance,
    forgot_at: Duration,
}

/// One client's use of one quota.
pub(super) struct Meter<'a> {
    context: &'a Context,
    call: &'a Call,
    kind: QuotaKind,
    bytes_per_second: u64,
    /// A hash of what shares the quota.
    client: u64,
}

/// Until when nothing is read on a connection.
#[derive(Debug, Default)]
pub struct Muted(Mutex<Option<Instant>>);

impl Muted {
    /// `None` once it is over.
    pub(super) fn until(&self) -> Option<Instant> {
        let mut until = self.0.lock();
        *until = until.filter(|until| Instant::now() < *until);
        *until
    }

    fn extend(&self, time: Duration) {
        let mut until = self.0.lock();
        *until = (*until).max(Some(Instant::now() + time));
    }
}

impl Throttle {
    /// `None` where no quota holds for the caller.
    pub(super) fn meter<'a>(&self, context: &'a Context, call: &'a Call, kind: QuotaKind) -> Option<Meter<'a>> {
        let quotas = context.broker.quotas();
        if quotas.is_empty() {
            return None;
        }
        let (user, client_id) = (call.principal.name(), &*call.client_id);
        let limit = quotas.limit(kind, user, client_id)?;
        let (user, client_id) = (limit.by_user.then_some(user), limit.by_client_id.then_some(client_id));
        Some(Meter {
            context,
            call,
            kind,
            bytes_per_second: limit.bytes_per_second,
            client: self.hasher.hash_one((kind, user, client_id)),
        })
    }

    /// How many clients' use is remembered.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.used.lock().by_client.len()
    }
}

impl Used {
    fn of(&mut self, client: u64, now: Duration) -> &mut Allowance {
        if self.by_client.len() >= CLIENTS_MAX && now >= self.forgot_at + FORGET_EVERY {
            self.by_client.retain(|_, allowance| !allowance.is_full(now));
            self.forgot_at = now;
        }
        if self.by_client.len() >= CLIENTS_MAX && !self.by_client.contains_key(&client) {
            return &mut self.others;
        }
        self.by_client.entry(client).or_default()
    }
}

impl Meter<'_> {
    /// How long the client should still wait, in milliseconds; 0 if it may go on.
    pub(super) fn debt(&self) -> i32 {
        self.hold_back(self.with(|allowance, now| allowance.debt(now)))
    }

    /// How many bytes the client may have without having to wait.
    pub(super) fn room(&self) -> usize {
        let room = self.with(|allowance, now| allowance.room(self.bytes_per_second, now));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Says for how long the client should wait now, in milliseconds.
    pub(super) fn spend(&self, bytes: usize) -> i32 {
        self.hold_back(self.with(|allowance, now| allowance.spend(bytes as u64, self.bytes_per_second, now)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Allowance, Duration) -> T) -> T {
        let now = self.context.broker.clock().monotonic();
        work(self.context.throttle.used.lock().of(self.client, now), now)
    }

    fn hold_back(&self, time: Duration) -> i32 {
        if time.is_zero() {
            return 0;
        }
        self.call.muted.extend(time);
        let metrics = &self.context.metrics;
        metrics
            .throttle_seconds
            .with([self.kind.name()])
            .observe(time.as_secs_f64());
        let Call {
            principal,
            client_id,
            peer,
            ..
        } = self.call;
        let quota = self.kind.name();
        tracing::debug!(%principal, %client_id, %peer, quota, limit = self.bytes_per_second, ?time, "throttled");
        // Upwards: with nothing left of it the client need not be told.
        i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    #[test]
    fn clients_beyond_the_limit_share_until_others_are_forgotten() {
        let mut used = Used::default();
        for client in 0..CLIENTS_MAX as u64 {
            used.of(client, NOW).spend(1 + client % 2, 1, NOW);
        }
        used.of(70_000, NOW).spend(7, 1, NOW);
        assert_eq!(used.of(70_001, NOW).room(1, NOW), 3);
        assert_eq!(used.by_client.len(), CLIENTS_MAX);
        // Half of them have got back what they used.
        let later = NOW + Duration::from_secs(1);
        assert_eq!(used.of(70_001, later).room(1, later), 10);
        assert_eq!(used.by_client.len(), CLIENTS_MAX / 2 + 1);
        assert_eq!(used.of(1, later).room(1, later), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_muted_until_the_longest_time_is_over() {
        let muted = Muted::default();
        assert_eq!(muted.until(), None);
        let long = Instant::now() + Duration::from_secs(3);
        muted.extend(Duration::from_secs(3));
        muted.extend(Duration::from_secs(1));
        assert_eq!(muted.until(), Some(long));
        tokio::time::sleep_until(long).await;
        assert_eq!(muted.until(), None);
    }
}
