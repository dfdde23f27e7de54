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
use super::effect::{Effect, GroupError, JoinReply, NAME_BYTES_MAX, ReplyTo, Snapshot, SyncReply};
use super::join::JoinRequest;
use super::log::{OffsetsLog, OffsetsLogError};
use super::record::{LogRecord, OffsetValue};
use super::session::Caller;
use super::state::{Group, GroupOptions};
use super::store::{Alone, GroupStore};
use super::sync::SyncRequest;
use super::upkeep::UPKEEP_INTERVAL;

/// The consumer groups of this broker.
pub struct Coordinator {
    /// Locked before a slot, never after.
    pub(super) groups: Mutex<HashMap<ByteString, Arc<Entry>>>,
    replies: Mutex<HashMap<ReplyTo, Waiting>>,
    next_reply: AtomicU64,
    pub(super) store: GroupStore,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: GroupOptions,
    /// A deadline may have come closer.
    deadlines_changed: Notify,
}

pub(super) struct Entry {
    pub(super) slot: Mutex<Slot>,
    /// Held while a snapshot is written, so that an older one never lands behind a newer one.
    persisting: tokio::sync::Mutex<()>,
}

pub(super) struct Slot {
    pub(super) group: Group,
    /// It is no longer in the map: look it up again.
    pub(super) removed: bool,
}

impl Entry {
    fn new(group: Group) -> Arc<Self> {
        Arc::new(Self {
            slot: Mutex::new(Slot { group, removed: false }),
            persisting: tokio::sync::Mutex::default(),
        })
    }

    /// Runs one event on the group, unless it was removed.
    pub(super) fn run<T>(&self, event: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let mut slot = self.slot.lock();
        (!slot.removed).then(|| event(&mut slot.group))
    }
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
        // Apart, so that no member's time stands still while the log is slow.
        tokio::join!(self.keep_time(), self.keep_up());
    }

    async fn keep_time(self: &Arc<Self>) {
        loop {
            tokio::select! {
                () = self.deadlines_changed.notified() => {}
                () = tokio::time::sleep(self.until_next_deadline()) => {}
            }
            self.tick();
        }
    }

    /// A member joins; answers when the join phase ends.
    pub async fn join(self: &Arc<Self>, group: &ByteString, request: JoinRequest) -> Result<JoinReply, GroupError> {
        check_group_id(group)?;
        if !request.member_id.is_empty() && self.find(group).is_none() {
            return Err(GroupError::UnknownMember);
        }
        let (sender, receiver) = oneshot::channel();
        let reply_to = self.wait(Waiting::Join(sender));
        match self.with_or_new(group, |group, now| group.join(request, reply_to, now)) {
            Ok((entry, effects)) => {
                self.carry_out(&entry, effects);
                // A refusal leaves no group behind.
                self.remove_unused(&entry);
            }
            Err(error) => self.answer_join(reply_to, Err(error)),
        }
        receiver.await.unwrap_or(Err(GroupError::NotAvailable))
    }

    /// A member asks for its assignment; answers once it is durable.
    pub async fn sync(self: &Arc<Self>, group: &ByteString, request: SyncRequest) -> Result<SyncReply, GroupError> {
        let (sender, receiver) = oneshot::channel();
        let reply_to = self.wait(Waiting::Sync(sender));
        match self.with(group, |group, now| group.sync(request, reply_to, now)) {
            Some((entry, effects)) => self.carry_out(&entry, effects),
            None => self.answer_sync(reply_to, Err(GroupError::UnknownMember)),
        }
        receiver.await.unwrap_or(Err(GroupError::NotAvailable))
    }

    /// A member is alive.
    pub fn heartbeat(&self, group: &ByteString, caller: &Caller) -> Result<(), GroupError> {
        let answer = self.with(group, |group, now| group.heartbeat(caller, now));
        answer.map_or(Err(GroupError::UnknownMember), |(_, answer)| answer)
    }

    /// A member leaves.
    pub fn leave(
        self: &Arc<Self>,
        group: &ByteString,
        member_id: &ByteString,
        instance_id: Option<&ByteString>,
    ) -> Result<(), GroupError> {
        let left = self.with(group, |group, now| group.leave(member_id, instance_id, now));
        let (entry, (result, effects)) = left.ok_or(GroupError::UnknownMember)?;
        self.carry_out(&entry, effects);
        result
    }

    /// Commits offsets, one result each; what is answered with `Ok` is on stable storage.
    pub async fn commit(
        &self,
        group: &ByteString,
        caller: &Caller,
        commits: Vec<CommitToWrite>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_group_id(group)?;
        match self.with(group, |group, now| group.check_commit(caller, now)) {
            Some((_, checked)) => checked?,
            None if caller.generation < 0 => drop(self.find_or_new(group)?),
            None => return Err(GroupError::IllegalGeneration),
        }
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
        let found = self.with(group, |group, _| group.committed(topic, partition).cloned());
        found.and_then(|(_, committed)| committed)
    }

    /// All committed offsets of a group.
    pub fn offsets(&self, group: &ByteString) -> Vec<(ByteString, i32, CommittedOffset)> {
        let all = |group: &mut Group, _| {
            group
                .offsets()
                .map(|(topic, partition, at)| (topic.clone(), partition, at.clone()))
                .collect()
        };
        self.with(group, all).map(|(_, offsets)| offsets).unwrap_or_default()
    }

    /// Every group.
    pub fn list(&self) -> Vec<GroupListing> {
        let listed = self
            .entries()
            .into_iter()
            .filter_map(|entry| entry.run(|group| group.listing()));
        listed.collect()
    }

    /// A group with its members.
    pub fn describe(&self, group: &ByteString) -> Option<GroupDescription> {
        self.with(group, |group, _| group.describe())
            .map(|(_, described)| described)
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
        let written = self.logged(group, self.store.write(group, &records).await)?;
        let remember = |group: &mut Group, _| {
            for (&log_offset, commit) in written.offsets.iter().zip(commits) {
                let committed = CommittedOffset {
                    offset: commit.offset,
                    leader_epoch: commit.leader_epoch,
                    metadata: commit.metadata,
                    committed_at_ms: now_ms,
                    log_offset,
                };
                group.remember_offset(commit.topic, commit.partition, committed);
            }
        };
        self.with_or_new(group, remember).map(drop)
    }

    pub(super) async fn alone_with(&self, group: &ByteString) -> Result<Alone<'_>, GroupError> {
        self.logged(group, self.store.alone_with(group).await)
    }

    pub(super) fn logged<T>(&self, group: &ByteString, result: Result<T, OffsetsLogError>) -> Result<T, GroupError> {
        result.map_err(|error| {
            tracing::warn!(group = %group, %error, "cannot write the offsets log");
            GroupError::NotAvailable
        })
    }

    fn carry_out(self: &Arc<Self>, entry: &Arc<Entry>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Join(reply_to, reply) => self.answer_join(reply_to, reply),
                Effect::Sync(reply_to, reply) => self.answer_sync(reply_to, reply),
                Effect::Persist(snapshot) => {
                    tokio::spawn(Arc::clone(self).persist(Arc::clone(entry), snapshot));
                }
            }
        }
        self.deadlines_changed.notify_one();
    }

    async fn persist(self: Arc<Self>, entry: Arc<Entry>, mut snapshot: Snapshot) {
        let _in_order = entry.persisting.lock().await;
        if entry.run(|group| group.is_superseded(snapshot.revision)) != Some(false) {
            return;
        }
        snapshot.metadata.changed_at_ms = self.clock.now_ms();
        let id = snapshot.metadata.group.clone();
        let record = LogRecord::Group {
            group: id.clone(),
            value: Some(snapshot.metadata.clone()),
        };
        let written = self.logged(&id, self.store.write(&id, &[record]).await);
        let now = self.clock.monotonic();
        let effects = entry.run(|group| group.persisted(snapshot, written.is_ok(), now));
        self.carry_out(&entry, effects.unwrap_or_default());
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

    /// How many requests wait for their answers.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.replies.lock().len()
    }

    fn until_next_deadline(&self) -> Duration {
        let entries = self.entries().into_iter();
        let deadlines = entries.filter_map(|entry| entry.run(|group| group.next_deadline()).flatten());
        let next = deadlines.min().unwrap_or(Duration::MAX);
        next.saturating_sub(self.clock.monotonic())
            .clamp(Duration::from_millis(1), UPKEEP_INTERVAL)
    }

    pub(super) fn tick(self: &Arc<Self>) {
        let now = self.clock.monotonic();
        for entry in self.entries() {
            let is_due = |group: &Group| group.next_deadline().is_some_and(|deadline| deadline <= now);
            let effects = entry.run(|group| is_due(group).then(|| group.tick(now))).flatten();
            if let Some(effects) = effects.filter(|effects| !effects.is_empty()) {
                self.carry_out(&entry, effects);
            }
        }
    }

    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.groups.lock().values().cloned().collect()
    }

    pub(super) fn find(&self, group: &ByteString) -> Option<Arc<Entry>> {
        self.groups.lock().get(group).cloned()
    }

    /// Runs one event on a group that exists.
    fn with<T>(&self, group: &ByteString, event: impl FnOnce(&mut Group, Duration) -> T) -> Option<(Arc<Entry>, T)> {
        let mut event = Some(event);
        loop {
            let entry = self.find(group)?;
            let now = self.clock.monotonic();
            let ran = entry.run(|group| event.take().map(|event| event(group, now)));
            if let Some(outcome) = ran {
                return outcome.map(|outcome| (entry, outcome));
            }
        }
    }

    /// Runs one event on a group, which is made if need be.
    fn with_or_new<T>(
        &self,
        id: &ByteString,
        event: impl FnOnce(&mut Group, Duration) -> T,
    ) -> Result<(Arc<Entry>, T), GroupError> {
        let mut event = Some(event);
        loop {
            let entry = self.find_or_new(id)?;
            let now = self.clock.monotonic();
            let ran = entry.run(|group| event.take().map(|event| event(group, now)));
            if let Some(outcome) = ran.flatten() {
                return Ok((entry, outcome));
            }
        }
    }

    fn find_or_new(&self, id: &ByteString) -> Result<Arc<Entry>, GroupError> {
        let mut groups = self.groups.lock();
        if let Some(entry) = groups.get(id) {
            return Ok(Arc::clone(entry));
        }
        if groups.len() >= self.options.groups_max {
            return Err(GroupError::NotAvailable);
        }
        let entry = Entry::new(Group::new(id.clone(), self.options.clone(), self.clock.now_ms()));
        groups.insert(id.clone(), Arc::clone(&entry));
        Ok(entry)
    }
}

fn check_group_id(group: &ByteString) -> Result<(), GroupError> {
    let allowed = 1..=NAME_BYTES_MAX;
    allowed
        .contains(&group.len())
        .then_some(())
        .ok_or(GroupError::InvalidGroupId)
}

async fn load(
    store: &GroupStore,
    clock: &dyn Clock,
    options: &GroupOptions,
) -> Result<HashMap<ByteString, Arc<Entry>>, OffsetsLogError> {
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
    Ok(groups.into_iter().map(|(id, group)| (id, Entry::new(group))).collect())
}
