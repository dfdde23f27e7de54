//! Owns the groups of this broker: feeds them events, carries their effects out, and keeps them in the offsets log.
//!
//! A lock on a group is held for one event and never across an await. What was answered was durable before: commits and
//! assignments are written first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use tailrace_shared::clock::Clock;
use tokio::sync::{Notify, oneshot};

use super::commit::{CommitToWrite, CommittedOffset};
use super::describe::{GroupDescription, GroupListing};
use super::effect::{Effect, GroupError, JoinReply, ReplyTo, SyncReply};
use super::join::JoinRequest;
use super::log::{OffsetsLog, OffsetsLogError};
use super::record::{GroupMetadata, LogRecord, OffsetValue};
use super::session::Caller;
use super::state::{Group, GroupOptions};
use super::store::GroupStore;
use super::sync::SyncRequest;

/// How often expired offsets are looked for, and grown partitions of the log are written anew.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// The consumer groups of this broker.
pub struct Coordinator {
    groups: Mutex<HashMap<ByteString, Arc<Mutex<Slot>>>>,
    replies: Mutex<HashMap<ReplyTo, Waiting>>,
    next_reply: AtomicU64,
    store: GroupStore,
    clock: Arc<dyn Clock>,
    options: GroupOptions,
    /// A deadline may have come closer.
    deadlines_changed: Notify,
}

struct Slot {
    group: Group,
    /// It is no longer in the map: look it up again.
    removed: bool,
}

enum Waiting {
    Join(oneshot::Sender<Result<JoinReply, GroupError>>),
    Sync(oneshot::Sender<Result<SyncReply, GroupError>>),
}

impl Coordinator {
    /// Reads the offsets log and takes up every group where it stood.
    pub async fn open(
        log: Arc<dyn OffsetsLog>,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
    ) -> Result<Arc<Self>, OffsetsLogError> {
        let store = GroupStore::new(log, Arc::clone(&clock));
        let groups = load(&store, clock.as_ref(), &options).await?;
        Ok(Arc::new(Self {
            groups: Mutex::new(groups),
            replies: Mutex::default(),
            next_reply: AtomicU64::new(0),
            store,
            clock,
            options,
            deadlines_changed: Notify::new(),
        }))
    }

    /// Ends sessions and rebalances that take too long, expires offsets, keeps the log short. Runs until dropped.
    pub async fn run(self: Arc<Self>) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.deadlines_changed.notified() => {}
                () = tokio::time::sleep(self.until_next_deadline()) => {}
                _ = housekeeping.tick() => self.keep_house().await,
            }
            self.tick();
        }
    }

    /// A member joins; answers when the join phase ends.
    pub async fn join(self: &Arc<Self>, group: &ByteString, request: JoinRequest) -> Result<JoinReply, GroupError> {
        if group.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        if !request.member_id.is_empty() && self.find(group).is_none() {
            return Err(GroupError::UnknownMember);
        }
        let (sender, receiver) = oneshot::channel();
        let reply_to = self.wait(Waiting::Join(sender));
        let effects = self.with_or_new(group, |group, now| group.join(request, reply_to, now));
        self.carry_out(group, effects);
        receiver.await.unwrap_or(Err(GroupError::NotAvailable))
    }

    /// A member asks for its assignment; answers once it is durable.
    pub async fn sync(self: &Arc<Self>, group: &ByteString, request: SyncRequest) -> Result<SyncReply, GroupError> {
        let (sender, receiver) = oneshot::channel();
        let reply_to = self.wait(Waiting::Sync(sender));
        let Some(effects) = self.with(group, |group, now| group.sync(request, reply_to, now)) else {
            self.replies.lock().remove(&reply_to);
            return Err(GroupError::UnknownMember);
        };
        self.carry_out(group, effects);
        receiver.await.unwrap_or(Err(GroupError::NotAvailable))
    }

    /// A member is alive.
    pub fn heartbeat(&self, group: &ByteString, caller: &Caller) -> Result<(), GroupError> {
        self.with(group, |group, now| group.heartbeat(caller, now))
            .unwrap_or(Err(GroupError::UnknownMember))
    }

    /// A member leaves.
    pub fn leave(
        self: &Arc<Self>,
        group: &ByteString,
        member_id: &ByteString,
        instance_id: Option<&ByteString>,
    ) -> Result<(), GroupError> {
        let left = self.with(group, |group, now| group.leave(member_id, instance_id, now));
        let (result, effects) = left.ok_or(GroupError::UnknownMember)?;
        self.carry_out(group, effects);
        result
    }

    /// Commits offsets, one result each; what is answered with `Ok` is on stable storage.
    pub async fn commit(
        &self,
        group: &ByteString,
        caller: &Caller,
        commits: Vec<CommitToWrite>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let checked = if caller.generation < 0 {
            self.with_or_new(group, |group, now| group.check_commit(caller, now))
        } else {
            let found = self.with(group, |group, now| group.check_commit(caller, now));
            found.unwrap_or(Err(GroupError::IllegalGeneration))
        };
        checked?;
        let fits = |commit: &CommitToWrite| commit.metadata.len() <= self.options.offset_metadata_bytes_max;
        let results = commits
            .iter()
            .map(|commit| fits(commit).then_some(()).ok_or(GroupError::MetadataTooLarge));
        let results = results.collect();
        let accepted: Vec<CommitToWrite> = commits.into_iter().filter(fits).collect();
        if !accepted.is_empty() {
            self.write_commits(group, accepted).await?;
        }
        Ok(results)
    }

    /// The committed offset of a partition.
    pub fn committed(&self, group: &ByteString, topic: &ByteString, partition: i32) -> Option<CommittedOffset> {
        self.with(group, |group, _| group.committed(topic, partition).cloned())
            .flatten()
    }

    /// All committed offsets of a group.
    pub fn offsets(&self, group: &ByteString) -> Vec<(ByteString, i32, CommittedOffset)> {
        let all = |group: &mut Group, _| {
            group
                .offsets()
                .map(|(topic, partition, at)| (topic.clone(), partition, at.clone()))
                .collect()
        };
        self.with(group, all).unwrap_or_default()
    }

    /// Every group.
    pub fn list(&self) -> Vec<GroupListing> {
        self.slots().iter().map(|slot| slot.lock().group.listing()).collect()
    }

    /// A group with its members.
    pub fn describe(&self, group: &ByteString) -> Option<GroupDescription> {
        self.with(group, |group, _| group.describe())
    }

    /// Deletes an empty group and its offsets.
    pub async fn delete(&self, group: &ByteString) -> Result<(), GroupError> {
        let slot = self.find(group).ok_or(GroupError::NotFound)?;
        let offsets: Vec<_> = {
            let slot = slot.lock();
            if slot.group.members().next().is_some() {
                return Err(GroupError::NotEmpty);
            }
            slot.group
                .offsets()
                .map(|(topic, partition, _)| (topic.clone(), partition))
                .collect()
        };
        let mut tombstones = offset_tombstones(group, offsets);
        tombstones.push(LogRecord::Group {
            group: group.clone(),
            value: None,
        });
        self.write(group, &tombstones).await?;
        slot.lock().removed = true;
        self.groups.lock().remove(group);
        Ok(())
    }

    /// Forgets the offsets of a topic that was deleted, in every group.
    pub async fn forget_topic(&self, topic: &str) -> Result<(), GroupError> {
        for slot in self.slots() {
            let (group, partitions) = {
                let slot = slot.lock();
                let of_topic = slot.group.offsets().filter(|(name, ..)| *name == topic);
                let partitions: Vec<_> = of_topic.map(|(name, partition, _)| (name.clone(), partition)).collect();
                (slot.group.id().clone(), partitions)
            };
            self.forget_offsets(&group, partitions).await?;
        }
        Ok(())
    }

    async fn forget_offsets(&self, group: &ByteString, offsets: Vec<(ByteString, i32)>) -> Result<(), GroupError> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.write(group, &offset_tombstones(group, offsets.clone())).await?;
        self.with(group, |group, _| {
            for (topic, partition) in &offsets {
                group.forget_offset(topic, *partition);
            }
        });
        Ok(())
    }

    async fn write_commits(&self, group: &ByteString, commits: Vec<CommitToWrite>) -> Result<(), GroupError> {
        let now_ms = self.clock.now_ms();
        let record = |commit: &CommitToWrite| LogRecord::Offset {
            group: group.clone(),
            topic: commit.topic.clone(),
            partition: commit.partition,
            value: Some(OffsetValue {
                offset: commit.offset,
                leader_epoch: commit.leader_epoch,
                metadata: commit.metadata.clone(),
                committed_at_ms: now_ms,
            }),
        };
        let records: Vec<LogRecord> = commits.iter().map(record).collect();
        let first = self.write(group, &records).await?;
        self.with_or_new(group, |group, _| {
            for (log_offset, commit) in (first..).zip(commits) {
                let committed = CommittedOffset {
                    offset: commit.offset,
                    leader_epoch: commit.leader_epoch,
                    metadata: commit.metadata,
                    committed_at_ms: now_ms,
                    log_offset,
                };
                group.remember_offset(commit.topic, commit.partition, committed);
            }
        });
        Ok(())
    }

    async fn write(&self, group: &ByteString, records: &[LogRecord]) -> Result<i64, GroupError> {
        self.store.write(group, records).await.map_err(|error| {
            tracing::warn!(group = %group, %error, "cannot write the offsets log");
            GroupError::NotAvailable
        })
    }

    fn carry_out(self: &Arc<Self>, group: &ByteString, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Join(reply_to, reply) => self.answer_join(reply_to, reply),
                Effect::Sync(reply_to, reply) => self.answer_sync(reply_to, reply),
                Effect::Persist(metadata) => {
                    tokio::spawn(Arc::clone(self).persist(group.clone(), metadata));
                }
            }
        }
        self.deadlines_changed.notify_one();
    }

    async fn persist(self: Arc<Self>, group: ByteString, mut metadata: GroupMetadata) {
        let generation = metadata.generation;
        metadata.changed_at_ms = self.clock.now_ms();
        let changed_at_ms = metadata.changed_at_ms;
        let record = LogRecord::Group {
            group: group.clone(),
            value: Some(metadata),
        };
        let written = self.write(&group, &[record]).await.is_ok();
        let effects = self.with(&group, |group, now| {
            group.changed_at(changed_at_ms);
            group.persisted(generation, written, now)
        });
        self.carry_out(&group, effects.unwrap_or_default());
    }

    fn answer_join(&self, reply_to: ReplyTo, reply: Result<JoinReply, GroupError>) {
        if let Some(Waiting::Join(sender)) = self.replies.lock().remove(&reply_to) {
            // The member may have gone; its session will end by itself.
            drop(sender.send(reply));
        }
    }

    fn answer_sync(&self, reply_to: ReplyTo, reply: Result<SyncReply, GroupError>) {
        if let Some(Waiting::Sync(sender)) = self.replies.lock().remove(&reply_to) {
            drop(sender.send(reply));
        }
    }

    fn wait(&self, waiting: Waiting) -> ReplyTo {
        let reply_to = self.next_reply.fetch_add(1, Ordering::Relaxed);
        self.replies.lock().insert(reply_to, waiting);
        reply_to
    }

    fn until_next_deadline(&self) -> Duration {
        let deadlines = self
            .slots()
            .into_iter()
            .filter_map(|slot| slot.lock().group.next_deadline());
        let next = deadlines.min().unwrap_or(Duration::MAX);
        next.saturating_sub(self.clock.monotonic())
            .clamp(Duration::from_millis(1), HOUSEKEEPING)
    }

    fn tick(self: &Arc<Self>) {
        let now = self.clock.monotonic();
        for slot in self.slots() {
            let (group, effects) = {
                let mut slot = slot.lock();
                if slot.group.next_deadline().is_none_or(|deadline| deadline > now) {
                    continue;
                }
                (slot.group.id().clone(), slot.group.tick(now))
            };
            if !effects.is_empty() {
                self.carry_out(&group, effects);
            }
        }
    }

    async fn keep_house(&self) {
        for slot in self.slots() {
            let (group, expired) = {
                let slot = slot.lock();
                (slot.group.id().clone(), slot.group.expired_offsets(self.clock.now_ms()))
            };
            if expired.is_empty() {
                continue;
            }
            let forgotten = self.forget_offsets(&group, expired).await;
            if forgotten.is_ok() && slot.lock().group.is_forgettable() {
                drop(self.delete(&group).await);
            }
        }
        for partition in self.store.grown() {
            if let Err(error) = self.store.rewrite(partition, || self.live_records(partition)).await {
                tracing::warn!(%error, "cannot write the offsets log anew; it goes on growing");
            }
        }
    }

    fn live_records(&self, partition: i32) -> Vec<LogRecord> {
        let mut live = Vec::new();
        for slot in self.slots() {
            let slot = slot.lock();
            if self.store.partition_of(slot.group.id()) == partition {
                live.extend(slot.group.live_records());
            }
        }
        live
    }

    fn slots(&self) -> Vec<Arc<Mutex<Slot>>> {
        self.groups.lock().values().cloned().collect()
    }

    fn find(&self, group: &ByteString) -> Option<Arc<Mutex<Slot>>> {
        self.groups.lock().get(group).cloned()
    }

    /// Runs one event on a group that exists.
    fn with<T>(&self, group: &ByteString, event: impl FnOnce(&mut Group, Duration) -> T) -> Option<T> {
        loop {
            let slot = self.find(group)?;
            let mut slot = slot.lock();
            if !slot.removed {
                return Some(event(&mut slot.group, self.clock.monotonic()));
            }
        }
    }

    /// Runs one event on a group, which is made if need be.
    fn with_or_new<T>(&self, group: &ByteString, event: impl FnOnce(&mut Group, Duration) -> T) -> T {
        loop {
            let slot = Arc::clone(self.groups.lock().entry(group.clone()).or_insert_with(|| {
                let group = Group::new(group.clone(), self.options.clone(), self.clock.now_ms());
                Arc::new(Mutex::new(Slot { group, removed: false }))
            }));
            let mut slot = slot.lock();
            if !slot.removed {
                return event(&mut slot.group, self.clock.monotonic());
            }
        }
    }
}

async fn load(
    store: &GroupStore,
    clock: &dyn Clock,
    options: &GroupOptions,
) -> Result<HashMap<ByteString, Arc<Mutex<Slot>>>, OffsetsLogError> {
    let now = clock.monotonic();
    let mut groups: HashMap<ByteString, Group> = HashMap::new();
    store
        .replay(|log_offset, record| {
            let id = record.group().clone();
            let group = groups
                .entry(id.clone())
                .or_insert_with(|| Group::new(id.clone(), options.clone(), clock.now_ms()));
            match record {
                LogRecord::Group {
                    value: Some(metadata), ..
                } => group.restore(metadata, now),
                LogRecord::Group { value: None, .. } => drop(groups.remove(&id)),
                LogRecord::Offset {
                    topic,
                    partition,
                    value: None,
                    ..
                } => group.forget_offset(&topic, partition),
                LogRecord::Offset {
                    topic,
                    partition,
                    value: Some(value),
                    ..
                } => {
                    group.remember_offset(topic, partition, CommittedOffset::from_log(value, log_offset));
                }
            }
        })
        .await?;
    let slot = |(id, group)| (id, Arc::new(Mutex::new(Slot { group, removed: false })));
    Ok(groups
        .into_iter()
        .filter(|(_, group)| !group.is_forgettable())
        .map(slot)
        .collect())
}

fn offset_tombstones(group: &ByteString, offsets: Vec<(ByteString, i32)>) -> Vec<LogRecord> {
    let tombstone = |(topic, partition)| LogRecord::Offset {
        group: group.clone(),
        topic,
        partition,
        value: None,
    };
    offsets.into_iter().map(tombstone).collect()
}
