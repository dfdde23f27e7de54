//! The coordinator over a log that fails, waits and outlives it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tailrace_shared::clock::{Clock, ManualClock};
use tokio::task::JoinHandle;

use super::memory_log::{MemoryLog, PARTITIONS};
use super::*;
use crate::group::{CommitToWrite, Coordinator};

struct Setup {
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    groups: Arc<Coordinator>,
    running: JoinHandle<()>,
}

impl Setup {
    async fn new() -> Self {
        Self::over(Arc::default(), options()).await
    }

    async fn over(log: Arc<MemoryLog>, options: GroupOptions) -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let dyn_clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let options = GroupOptions {
            initial_rebalance_delay: Duration::ZERO,
            ..options
        };
        let groups = Coordinator::open(Arc::<MemoryLog>::clone(&log), dyn_clock, options)
            .await
            .unwrap();
        let running = tokio::spawn(Arc::clone(&groups).run());
        Self {
            log,
            clock,
            groups,
            running,
        }
    }

    /// The process is gone; only the log remains.
    async fn restart(self) -> Self {
        self.running.abort();
        Self::over(self.log, options()).await
    }

    async fn commit(&self, group: &str, offset: i64) -> Result<(), GroupError> {
        self.commit_as(group, &outsider(), offset).await
    }

    async fn commit_as(&self, group: &str, caller: &Caller, offset: i64) -> Result<(), GroupError> {
        let commits = vec![commit_of(0, offset)];
        self.groups.commit(&group.into(), caller, commits).await?.remove(0)
    }

    fn committed(&self, group: &str) -> Option<i64> {
        self.groups
            .committed(&group.into(), &"t".into(), 0)
            .map(|found| found.offset)
    }

    /// A stable group with one member.
    async fn with_member(&self, group: &str) -> Caller {
        let group = group.into();
        let joined = self.groups.join(&group, newcomer("a")).await.unwrap();
        let caller = Caller {
            member_id: joined.member_id.clone(),
            instance_id: None,
            generation: joined.generation,
        };
        let synced = self.groups.sync(&group, sync(&caller)).await.unwrap();
        assert_eq!(synced.assignment, "work");
        caller
    }

    fn listed(&self) -> Vec<ByteString> {
        let mut listed: Vec<_> = self.groups.list().into_iter().map(|listed| listed.group).collect();
        listed.sort();
        listed
    }
}

fn outsider() -> Caller {
    Caller {
        generation: -1,
        ..Caller::default()
    }
}

fn commit_of(partition: i32, offset: i64) -> CommitToWrite {
    CommitToWrite {
        topic: "t".into(),
        partition,
        offset,
        leader_epoch: -1,
        metadata: "m".into(),
    }
}

fn sync(caller: &Caller) -> SyncRequest {
    SyncRequest {
        caller: caller.clone(),
        protocol_type: None,
        protocol: None,
        assignments: vec![(caller.member_id.clone(), "work".into())],
    }
}

#[tokio::test]
async fn acknowledged_commits_and_groups_survive_a_restart() {
    let setup = Setup::new().await;
    let caller = setup.with_member("g").await;
    setup.commit_as("g", &caller, 7).await.unwrap();
    setup.commit("other", 9).await.unwrap();
    let setup = setup.restart().await;
    assert_eq!((setup.committed("g"), setup.committed("other")), (Some(7), Some(9)));
    assert_eq!(setup.groups.heartbeat(&"g".into(), &caller), Ok(()));
    let again = setup.groups.sync(&"g".into(), sync(&caller)).await.unwrap();
    assert_eq!(again.assignment, "work");
}

#[tokio::test]
async fn commit_that_the_log_refuses_is_neither_acknowledged_nor_seen() {
    let setup = Setup::new().await;
    setup.commit("g", 1).await.unwrap();
    setup.log.broken.store(true, Ordering::SeqCst);
    assert_eq!(setup.commit("g", 2).await, Err(GroupError::NotAvailable));
    assert_eq!(setup.committed("g"), Some(1));
}

#[tokio::test]
async fn commit_is_answered_only_when_the_log_has_it() {
    let setup = Arc::new(Setup::new().await);
    setup.log.may_append.forget_permits(1000);
    let committing = tokio::spawn({
        let setup = Arc::clone(&setup);
        async move { setup.commit("g", 1).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!committing.is_finished());
    assert_eq!(setup.committed("g"), None);
    setup.log.may_append.add_permits(1);
    assert_eq!(committing.await.unwrap(), Ok(()));
    assert_eq!(setup.committed("g"), Some(1));
}

#[tokio::test]
async fn large_commit_takes_several_batches_and_loses_nothing() {
    let setup = Setup::new().await;
    let commits = |offset| {
        (0..20_000)
            .map(|partition| commit_of(partition, offset + i64::from(partition)))
            .collect()
    };
    for offset in [1, 2] {
        let results = setup
            .groups
            .commit(&"g".into(), &outsider(), commits(offset))
            .await
            .unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
    let setup = setup.restart().await;
    let offsets = setup.groups.offsets(&"g".into());
    assert_eq!(offsets.len(), 20_000);
    assert!(
        offsets
            .iter()
            .all(|(_, partition, found)| found.offset == i64::from(*partition) + 2)
    );
}

#[tokio::test]
async fn metadata_that_is_too_large_is_refused_alone() {
    let setup = Setup::new().await;
    let large = CommitToWrite {
        metadata: "x".repeat(5000).into(),
        ..commit_of(1, 5)
    };
    let results = setup
        .groups
        .commit(&"g".into(), &outsider(), vec![commit_of(0, 4), large])
        .await;
    assert_eq!(results, Ok(vec![Ok(()), Err(GroupError::MetadataTooLarge)]));
    assert_eq!(setup.groups.offsets(&"g".into()).len(), 1);
}

#[tokio::test]
async fn assignment_that_the_log_refuses_is_not_handed_out() {
    let setup = Setup::new().await;
    let joined = setup.groups.join(&"g".into(), newcomer("a")).await.unwrap();
    let caller = Caller {
        member_id: joined.member_id,
        instance_id: None,
        generation: joined.generation,
    };
    setup.log.broken.store(true, Ordering::SeqCst);
    let refused = setup.groups.sync(&"g".into(), sync(&caller)).await;
    assert_eq!(refused, Err(GroupError::NotAvailable));
    setup.log.broken.store(false, Ordering::SeqCst);
    let joined = setup.groups.join(&"g".into(), rejoining("a")).await.unwrap();
    assert_eq!(joined.generation, 2);
}

#[tokio::test]
async fn rewrite_keeps_what_is_live_and_drops_the_rest() {
    let setup = Setup::new().await;
    let caller = setup.with_member("g").await;
    for offset in 0..50 {
        setup.commit_as("g", &caller, offset).await.unwrap();
    }
    setup.commit("gone", 1).await.unwrap();
    setup.groups.delete(&"gone".into()).await.unwrap();
    rewrite_all(&setup).await;
    assert_eq!(setup.log.records().len(), 2, "the group and its one offset");
    setup.commit_as("g", &caller, 50).await.unwrap();
    let setup = setup.restart().await;
    assert_eq!(setup.committed("g"), Some(50));
    assert_eq!(setup.listed(), ["g"]);
}

async fn rewrite_all(setup: &Setup) {
    for partition in 0..PARTITIONS {
        setup.groups.rewrite(partition).await.unwrap();
    }
}

#[tokio::test]
async fn log_with_nothing_live_in_it_becomes_empty() {
    let setup = Setup::new().await;
    setup.commit("g", 1).await.unwrap();
    setup.groups.delete(&"g".into()).await.unwrap();
    rewrite_all(&setup).await;
    assert_eq!(setup.log.records(), []);
    setup.commit("g", 2).await.unwrap();
    assert_eq!(setup.restart().await.committed("g"), Some(2));
}

/// A rebalance that is under way must not be written as if it were finished: members would come back to a stable group
/// in which they have nothing to do.
#[tokio::test]
async fn rewrite_during_a_rebalance_keeps_the_generation_before() {
    let setup = Setup::new().await;
    let caller = setup.with_member("g").await;
    let rejoined = setup.groups.join(&"g".into(), rejoining("a")).await.unwrap();
    assert_eq!(rejoined.generation, caller.generation + 1);
    rewrite_all(&setup).await;
    let setup = setup.restart().await;
    assert_eq!(setup.groups.heartbeat(&"g".into(), &caller), Ok(()));
    let again = setup.groups.sync(&"g".into(), sync(&caller)).await.unwrap();
    assert_eq!(again.assignment, "work");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_race_with_rewrites_and_deletions_are_never_lost() {
    let setup = Arc::new(Setup::new().await);
    let committers: Vec<_> = (0..4)
        .map(|number| {
            let setup = Arc::clone(&setup);
            tokio::spawn(async move {
                let group = format!("g{number}");
                for offset in 0..100 {
                    setup.commit(&group, offset).await.unwrap();
                    setup.log.may_append.add_permits(10);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let deleter = tokio::spawn({
        let setup = Arc::clone(&setup);
        async move {
            for _ in 0..50 {
                drop(setup.groups.delete(&"g0".into()).await);
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..50 {
        rewrite_all(&setup).await;
        tokio::task::yield_now().await;
    }
    deleter.await.unwrap();
    for committer in committers {
        committer.await.unwrap();
    }
    setup.commit("g0", 99).await.unwrap();
    let setup = Arc::into_inner(setup).unwrap().restart().await;
    for group in ["g0", "g1", "g2", "g3"] {
        assert_eq!(setup.committed(group), Some(99), "{group}");
    }
}

#[tokio::test]
async fn group_is_deleted_only_when_nobody_uses_it() {
    let setup = Setup::new().await;
    assert_eq!(setup.groups.delete(&"g".into()).await, Err(GroupError::NotFound));
    let caller = setup.with_member("g").await;
    setup.commit_as("g", &caller, 1).await.unwrap();
    assert_eq!(setup.groups.delete(&"g".into()).await, Err(GroupError::NotEmpty));
    setup.groups.leave(&"g".into(), &caller.member_id, None).unwrap();
    setup.log.broken.store(true, Ordering::SeqCst);
    assert_eq!(setup.groups.delete(&"g".into()).await, Err(GroupError::NotAvailable));
    assert_eq!(setup.committed("g"), Some(1), "the log still has it");
    setup.log.broken.store(false, Ordering::SeqCst);
    setup.groups.delete(&"g".into()).await.unwrap();
    assert_eq!(setup.committed("g"), None);
    let setup = setup.restart().await;
    assert_eq!((setup.committed("g"), setup.listed().len()), (None, 0));
}

#[tokio::test]
async fn upkeep_expires_offsets_and_lets_unused_groups_go() {
    let setup = Setup::new().await;
    setup.commit("g", 1).await.unwrap();
    let refused = JoinRequest {
        session_timeout: Duration::ZERO,
        ..newcomer("a")
    };
    assert_eq!(
        setup.groups.join(&"mistaken".into(), refused).await,
        Err(GroupError::InvalidSessionTimeout)
    );
    let caller = setup.with_member("left").await;
    setup.groups.leave(&"left".into(), &caller.member_id, None).unwrap();
    setup.groups.upkeep().await;
    assert_eq!(setup.listed(), ["g"]);
    setup
        .clock
        .advance(options().offsets_retention + Duration::from_secs(1));
    setup.groups.upkeep().await;
    assert_eq!(setup.listed(), [""; 0]);
    rewrite_all(&setup).await;
    assert_eq!(setup.log.records(), []);
}

#[tokio::test]
async fn deleted_topic_takes_its_offsets_with_it() {
    let setup = Setup::new().await;
    let other = CommitToWrite {
        topic: "other".into(),
        ..commit_of(0, 5)
    };
    let commits = vec![commit_of(0, 3), other];
    setup.groups.commit(&"g".into(), &outsider(), commits).await.unwrap();
    setup.groups.forget_topic("t").await.unwrap();
    assert_eq!(setup.committed("g"), None);
    let setup = setup.restart().await;
    let left: Vec<_> = setup
        .groups
        .offsets(&"g".into())
        .into_iter()
        .map(|(topic, ..)| topic)
        .collect();
    assert_eq!(left, ["other"]);
}

#[tokio::test]
async fn names_and_numbers_of_groups_are_bounded() {
    let few = GroupOptions {
        groups_max: 2,
        ..options()
    };
    let setup = Setup::over(Arc::default(), few).await;
    let long = "x".repeat(64 * 1024);
    assert_eq!(setup.commit(&long, 1).await, Err(GroupError::InvalidGroupId));
    assert_eq!(
        setup.groups.join(&long.into(), newcomer("a")).await,
        Err(GroupError::InvalidGroupId)
    );
    assert_eq!(
        setup.groups.join(&"".into(), newcomer("a")).await,
        Err(GroupError::InvalidGroupId)
    );
    setup.commit("g1", 1).await.unwrap();
    setup.commit("g2", 1).await.unwrap();
    assert_eq!(setup.commit("g3", 1).await, Err(GroupError::NotAvailable));
    assert_eq!(
        setup.groups.join(&"g3".into(), newcomer("a")).await,
        Err(GroupError::NotAvailable)
    );
    assert_eq!(setup.log.records().len(), 2);
    setup.commit("g2", 2).await.unwrap();
}

#[tokio::test]
async fn requests_of_clients_that_went_away_do_not_pile_up() {
    let setup = Setup::new().await;
    setup.with_member("g").await;
    for request in [newcomer("b"), rejoining("b"), rejoining("b")] {
        let group = "g".into();
        let waiting = setup.groups.join(&group, request);
        drop(tokio::time::timeout(Duration::from_millis(5), waiting).await);
    }
    assert_eq!(
        setup.groups.waiting(),
        1,
        "the later requests supersede the earlier ones"
    );
    setup.clock.advance(REBALANCE);
    tokio::time::sleep(Duration::from_millis(20)).await;
    setup.clock.advance(REBALANCE);
    setup.groups.tick();
    assert_eq!(setup.groups.waiting(), 0);
}

#[tokio::test]
async fn unknown_groups_know_nobody() {
    let setup = Setup::new().await;
    let caller = Caller {
        member_id: "a".into(),
        instance_id: None,
        generation: 1,
    };
    let group = "g".into();
    assert_eq!(setup.groups.heartbeat(&group, &caller), Err(GroupError::UnknownMember));
    assert_eq!(
        setup.groups.sync(&group, sync(&caller)).await,
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        setup.groups.leave(&group, &"a".into(), None),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        setup.groups.join(&group, rejoining("a")).await,
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        setup.commit_as("g", &caller, 1).await,
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(setup.listed(), [""; 0]);
}
