//! What ListGroups and DescribeGroups show of a group.

use bytes::Bytes;
use bytestring::ByteString;

use super::state::{Group, Phase};

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group: ByteString,
    /// Empty if nobody ever joined.
    pub protocol_type: ByteString,
    /// Where it stands.
    pub phase: Phase,
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Id, type and phase.
    pub listing: GroupListing,
    /// The protocol in force.
    pub protocol: ByteString,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member of a described group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub member_id: ByteString,
    /// Its `group.instance.id`.
    pub instance_id: Option<ByteString>,
    /// The `client.id` of its requests.
    pub client_id: ByteString,
    /// The address it came from.
    pub client_host: ByteString,
    /// Its metadata for the protocol in force.
    pub metadata: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}

impl Group {
    /// Its line in a list.
    #[must_use]
    pub fn listing(&self) -> GroupListing {
        GroupListing {
            group: self.id().clone(),
            protocol_type: self.protocol_type().cloned().unwrap_or_default(),
            phase: self.phase(),
        }
    }

    /// The group with its members.
    #[must_use]
    pub fn describe(&self) -> GroupDescription {
        let protocol = self.protocol().cloned().unwrap_or_default();
        let members = self.members().map(|member| MemberDescription {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(&protocol),
            assignment: member.assignment.clone(),
        });
        let members = members.collect();
        GroupDescription {
            listing: self.listing(),
            protocol,
            members,
        }
    }
}
