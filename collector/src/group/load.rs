//! What `__consumer_offsets` must hold of a group, and the group as it comes back from there after a restart.

use std::time::Duration;

use bytestring::ByteString;

use super::commit::CommittedOffset;
use super::effect::Snapshot;
use super::member::Member;
use super::record::{GroupMetadata, LogRecord, MemberMetadata};
use super::state::{Group, Phase};

impl Group {
    /// Takes the place that the log remembers. Members get a whole session to show up again.
    pub fn restore(&mut self, metadata: GroupMetadata, now: Duration) {
        let logged = Snapshot {
            revision: 0,
            metadata: metadata.clone(),
        };
        let offsets = std::mem::take(&mut self.offsets);
        let mut group = Self::new(self.id.clone(), self.options.clone(), metadata.changed_at_ms);
        group.offsets = offsets;
        group.logged = Some(logged);
        group.generation = metadata.generation;
        group.protocol_type = Some(metadata.protocol_type).filter(|kind| !kind.is_empty());
        if !metadata.members.is_empty() {
            group.phase = Phase::Stable;
            group.protocol = metadata.protocol;
            group.leader = metadata.leader;
        }
        for member in metadata.members {
            if let Some(instance) = &member.instance_id {
                group.instances.insert(instance.clone(), member.member_id.clone());
            }
            let protocol = group.protocol.clone().unwrap_or_default();
            group
                .members
                .insert(member.member_id.clone(), restored(member, protocol, now));
        }
        *self = group;
    }

    /// Everything that a restart must find again: of the group what the log held so far, for a rebalance that is under
    /// way has nothing yet that a restart could go on with.
    #[must_use]
    pub fn live_records(&self) -> Vec<LogRecord> {
        let group = self.logged.iter().map(|logged| LogRecord::Group {
            group: self.id.clone(),
            value: Some(logged.metadata.clone()),
        });
        let offset = |((topic, partition), committed): (&(_, i32), &CommittedOffset)| LogRecord::Offset {
            group: self.id.clone(),
            topic: ByteString::clone(topic),
            partition: *partition,
            value: Some(committed.to_log()),
        };
        group.chain(self.offsets.iter().map(offset)).collect()
    }
}

fn restored(member: MemberMetadata, protocol: ByteString, now: Duration) -> Member {
    Member {
        id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout: member.rebalance_timeout,
        session_timeout: member.session_timeout,
        protocols: vec![(protocol, member.subscription)],
        assignment: member.assignment,
        awaiting_join: None,
        awaiting_sync: None,
        last_heard: now,
        synced: true,
    }
}
