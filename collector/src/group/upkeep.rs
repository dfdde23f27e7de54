//! What becomes of groups over time: they are deleted, their offsets expire, their log is written anew.
//!
//! All of it goes by what memory says, so it is decided while nobody can be between the log and the memory.

use std::time::Duration;

use bytestring::ByteString;

use super::coordinator::{Coordinator, Entry};
use super::effect::GroupError;
use super::log::OffsetsLogError;
use super::record::LogRecord;
use super::state::Group;

/// How often expired offsets are looked for, and grown partitions of the log are written anew.
pub(super) const UPKEEP_INTERVAL: Duration = Duration::from_secs(60);

impl Coordinator {
    pub(super) async fn keep_up(&self) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.upkeep().await;
        }
    }

    /// Deletes an empty group and its offsets.
    pub async fn delete(&self, group: &ByteString) -> Result<(), GroupError> {
        let entry = self.find(group).ok_or(GroupError::NotFound)?;
        let alone = self.alone_with(group).await?;
        let offsets = entry.run(|group| group.is_unused().then(|| offset_keys(group, |_| true)));
        let offsets = offsets.ok_or(GroupError::NotFound)?.ok_or(GroupError::NotEmpty)?;
        let mut tombstones = offset_tombstones(group, &offsets);
        tombstones.push(LogRecord::Group {
            group: group.clone(),
            value: None,
        });
        self.logged(group, alone.append(&tombstones).await)?;
        entry.run(Group::forget_logged);
        self.remove_unused(&entry);
        Ok(())
    }

    /// Forgets committed offsets, one result each; what is answered with `Ok` is forgotten on stable storage.
    pub async fn delete_offsets(
        &self,
        group: &ByteString,
        offsets: &[(ByteString, i32)],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let entry = self.find(group).ok_or(GroupError::NotFound)?;
        let alone = self.alone_with(group).await?;
        let checked = entry.run(|group| group.check_forgettable(offsets));
        let results = checked.ok_or(GroupError::NotFound)??;
        let may_go = offsets.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let may_go: Vec<(ByteString, i32)> = may_go.map(|(offset, _)| offset.clone()).collect();
        let there = |group: &mut Group| {
            let is_there = |(topic, partition): &(ByteString, i32)| group.committed(topic, *partition).is_some();
            may_go.into_iter().filter(is_there).collect()
        };
        let going: Vec<(ByteString, i32)> = entry.run(there).unwrap_or_default();
        self.logged(group, alone.append(&offset_tombstones(group, &going)).await)?;
        entry.run(|group| {
            for (topic, partition) in &going {
                group.forget_offset(topic, *partition);
            }
        });
        Ok(results)
    }

    /// Takes a group out of the map that the log knows nothing of, unless somebody uses it again.
    pub(super) fn remove_unused(&self, entry: &Entry) {
        let mut groups = self.groups.lock();
        let mut slot = entry.slot.lock();
        if !slot.removed && slot.group.is_unused() && !slot.group.is_logged() {
            slot.removed = true;
            groups.remove(slot.group.id());
        }
    }

    /// Forgets the offsets of a topic that was deleted, in every group.
    pub async fn forget_topic(&self, topic: &str) -> Result<(), GroupError> {
        for entry in self.entries() {
            self.forget_offsets(&entry, |group| offset_keys(group, |name| name == topic))
                .await?;
        }
        Ok(())
    }

    /// Forgets the offsets that `which` says. It is asked first for whether there are any at all, and again when
    /// nobody can commit.
    async fn forget_offsets(
        &self,
        entry: &Entry,
        which: impl Fn(&Group) -> Vec<(ByteString, i32)>,
    ) -> Result<(), GroupError> {
        let asked = entry.run(|group| (group.id().clone(), which(group).is_empty()));
        let Some((id, false)) = asked else {
            return Ok(());
        };
        let alone = self.alone_with(&id).await?;
        let offsets = entry.run(|group| which(group)).unwrap_or_default();
        self.logged(&id, alone.append(&offset_tombstones(&id, &offsets)).await)?;
        entry.run(|group| {
            for (topic, partition) in &offsets {
                group.forget_offset(topic, *partition);
            }
        });
        Ok(())
    }

    /// One round.
    pub(super) async fn upkeep(&self) {
        for entry in self.entries() {
            let now_ms = self.clock.now_ms();
            // A failure is logged where it happens; the next round tries again.
            drop(self.forget_offsets(&entry, |group| group.expired_offsets(now_ms)).await);
            let state = entry.run(|group| (group.id().clone(), group.is_forgettable(), group.is_logged()));
            match state {
                Some((id, true, true)) => drop(self.delete(&id).await),
                Some((_, true, false)) => self.remove_unused(&entry),
                _ => {}
            }
        }
        let groups = self.groups.lock().len();
        if groups >= self.options.groups_max {
            tracing::warn!(groups, "there are as many groups as there may be: new ones are refused");
        }
        for partition in self.store.grown() {
            if let Err(error) = self.rewrite(partition).await {
                tracing::warn!(%error, "cannot write the offsets log anew; it goes on growing");
            }
        }
    }

    pub(super) async fn rewrite(&self, partition: i32) -> Result<(), OffsetsLogError> {
        self.store.rewrite(partition, || self.live_records(partition)).await
    }

    fn live_records(&self, partition: i32) -> Vec<LogRecord> {
        let is_there = |group: &Group| self.store.partition_of(group.id()) == partition;
        let live = |group: &mut Group| is_there(group).then(|| group.live_records());
        let entries = self.entries().into_iter();
        entries
            .filter_map(|entry| entry.run(live).flatten())
            .flatten()
            .collect()
    }
}

fn offset_keys(group: &Group, of_topic: impl Fn(&ByteString) -> bool) -> Vec<(ByteString, i32)> {
    let offsets = group.offsets().filter(|(topic, ..)| of_topic(topic));
    offsets
        .map(|(topic, partition, _)| (topic.clone(), partition))
        .collect()
}

fn offset_tombstones(group: &ByteString, offsets: &[(ByteString, i32)]) -> Vec<LogRecord> {
    let tombstone = |(topic, partition): &(ByteString, i32)| LogRecord::Offset {
        group: group.clone(),
        topic: topic.clone(),
        partition: *partition,
        value: None,
    };
    offsets.iter().map(tombstone).collect()
}
