//! What is old enough, or too much, to be kept: a pure decision over whole runs and whole frames.

use tailrace_shared::clock::TimestampMs;

use super::manifest::Manifest;
use super::tail::Tail;

/// How long and how much a partition is kept; what is absent does not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// `retention.ms`: counts from the append and not from the records' own time, or a backfill would delete itself.
    pub max_age_ms: Option<i64>,
    /// `retention.bytes`: at least this much is kept, as it is stored, for each partition.
    pub max_bytes: Option<u64>,
}

struct Unit {
    end: i64,
    bytes: u64,
    appended_at: TimestampMs,
}

/// Where the log should start from now on, if it may give something up.
#[must_use]
pub fn new_log_start(manifest: &Manifest, tail: &Tail, policy: RetentionPolicy, now: TimestampMs) -> Option<i64> {
    if policy == RetentionPolicy::default() {
        return None;
    }
    let mut bytes = size_in_bytes(manifest, tail);
    let mut log_start = manifest.log_start;
    for unit in units(manifest, tail) {
        let too_old = policy
            .max_age_ms
            .is_some_and(|max| now.saturating_sub(unit.appended_at) > max);
        let too_much = policy
            .max_bytes
            .is_some_and(|max| bytes.saturating_sub(unit.bytes) >= max);
        if !too_old && !too_much {
            break;
        }
        bytes = bytes.saturating_sub(unit.bytes);
        log_start = unit.end;
    }
    (log_start > manifest.log_start).then_some(log_start)
}

/// Bytes of the partition, in segments and in the WAL.
#[must_use]
pub fn size_in_bytes(manifest: &Manifest, tail: &Tail) -> u64 {
    manifest.segments.iter().map(|run| run.bytes).sum::<u64>() + tail.bytes()
}

fn units(manifest: &Manifest, tail: &Tail) -> impl Iterator<Item = Unit> {
    let runs = manifest.segments.iter().map(|run| Unit {
        end: run.end,
        bytes: run.bytes,
        appended_at: run.appended_at,
    });
    let frames = tail.iter().map(|entry| Unit {
        end: entry.end,
        bytes: entry.location.len.into(),
        appended_at: entry.appended_at,
    });
    runs.chain(frames)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{add, run};
    use super::super::tail::tests::entry;
    use super::*;

    /// Two runs of 100 bytes each (appended at 10 s and 20 s), two frames of 100 bytes each (at 30 s and 40 s).
    fn log() -> (Manifest, Tail) {
        let manifest = Manifest::default().apply(&add(&[run(0, 10), run(10, 20)])).unwrap();
        let mut tail = Tail::default();
        tail.push(entry(20, 30));
        tail.push(entry(30, 40));
        (manifest, tail)
    }

    fn by_age(max_age_ms: i64, now: i64) -> Option<i64> {
        let (manifest, tail) = log();
        let policy = RetentionPolicy {
            max_age_ms: Some(max_age_ms),
            max_bytes: None,
        };
        new_log_start(&manifest, &tail, policy, now)
    }

    fn by_size(max_bytes: u64) -> Option<i64> {
        let (manifest, tail) = log();
        let policy = RetentionPolicy {
            max_age_ms: None,
            max_bytes: Some(max_bytes),
        };
        new_log_start(&manifest, &tail, policy, 1_000_000)
    }

    #[test]
    fn age_takes_whole_runs_then_whole_frames() {
        assert_eq!(by_age(5_000, 15_000), None);
        assert_eq!(by_age(5_000, 15_001), Some(10));
        assert_eq!(by_age(5_000, 35_001), Some(30));
        assert_eq!(by_age(5_000, 99_999), Some(40));
    }

    #[test]
    fn size_keeps_at_least_what_was_asked() {
        assert_eq!(by_size(400), None);
        assert_eq!(by_size(301), None);
        assert_eq!(by_size(300), Some(10));
        assert_eq!(by_size(150), Some(20));
        assert_eq!(by_size(0), Some(40));
    }

    #[test]
    fn without_a_policy_nothing_goes() {
        let (manifest, tail) = log();
        assert_eq!(
            new_log_start(&manifest, &tail, RetentionPolicy::default(), i64::MAX),
            None
        );
    }
}
