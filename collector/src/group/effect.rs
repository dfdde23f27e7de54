//! What a group asks of the world around it, and what it answers to its members.

use bytes::Bytes;
use bytestring::ByteString;

use super::record::GroupMetadata;

/// The longest name (of a group, an instance, a protocol) in bytes.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// Names a request that waits for its answer.
pub type ReplyTo = u64;

/// Something the coordinator must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answer a JoinGroup.
    Join(ReplyTo, Result<JoinReply, GroupError>),
    /// Answer a SyncGroup.
    Sync(ReplyTo, Result<SyncReply, GroupError>),
    /// Write the group to `__consumer_offsets`, then report with [`super::Group::persisted`].
    Persist(Snapshot),
}

/// The group as it was at one moment, to be written. An older one must not be written behind a newer one.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Counts up from one snapshot of a group to the next.
    pub revision: u64,
    /// What to write.
    pub metadata: GroupMetadata,
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JoinReply {
    /// The group's generation.
    pub generation: i32,
    /// `consumer`, `connect`, ….
    pub protocol_type: Option<ByteString>,
    /// The protocol that was voted for: the assignor's name.
    pub protocol: Option<ByteString>,
    /// Who assigns.
    pub leader: ByteString,
    /// The member that is answered.
    pub member_id: ByteString,
    /// True if the leader must not assign anew (KIP-814).
    pub skip_assignment: bool,
    /// Everybody's metadata; empty for all but the leader.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: ByteString,
    /// Its `group.instance.id`, if it is a static member.
    pub instance_id: Option<ByteString>,
    /// What it sent for the chosen protocol.
    pub metadata: Bytes,
}

/// The answer to a SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReply {
    /// `consumer`, `connect`, ….
    pub protocol_type: Option<ByteString>,
    /// The protocol in force.
    pub protocol: Option<ByteString>,
    /// What the leader gave this member.
    pub assignment: Bytes,
}

/// Why a group refuses. Each variant is one Kafka error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// INVALID_GROUP_ID
    #[error("a group id has 1 to {NAME_BYTES_MAX} bytes")]
    InvalidGroupId,
    /// GROUP_ID_NOT_FOUND
    #[error("there is no such group")]
    NotFound,
    /// NON_EMPTY_GROUP
    #[error("the group still has members")]
    NotEmpty,
    /// GROUP_SUBSCRIBED_TO_TOPIC
    #[error("a member is subscribed to the topic")]
    Subscribed,
    /// UNKNOWN_MEMBER_ID
    #[error("the group does not know this member")]
    UnknownMember,
    /// MEMBER_ID_REQUIRED: join again with this id (KIP-394).
    #[error("join again as {0}")]
    MemberIdRequired(ByteString),
    /// FENCED_INSTANCE_ID
    #[error("another member has taken this group.instance.id")]
    FencedInstance,
    /// ILLEGAL_GENERATION
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// INCONSISTENT_GROUP_PROTOCOL
    #[error("no protocol is known to all members")]
    InconsistentProtocol,
    /// REBALANCE_IN_PROGRESS
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// INVALID_SESSION_TIMEOUT
    #[error("the session timeout is outside of what the collector allows")]
    InvalidSessionTimeout,
    /// GROUP_MAX_SIZE_REACHED
    #[error("the group has as many members as it may")]
    GroupFull,
    /// GROUP_MAX_SIZE_REACHED: the members' metadata, the assignment or a name takes more room than a group may.
    #[error("the group's metadata or a name in it takes more room than it may")]
    TooLarge,
    /// OFFSET_METADATA_TOO_LARGE
    #[error("the offset's metadata is too large")]
    MetadataTooLarge,
    /// COORDINATOR_NOT_AVAILABLE: nothing could be written just now; try again.
    #[error("the group's log cannot be written now")]
    NotAvailable,
}
