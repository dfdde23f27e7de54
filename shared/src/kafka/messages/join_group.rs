//! JoinGroup (key 11): enters a consumer group and waits for the rebalance.
//!
//! Source: `JoinGroupRequest.json` and `JoinGroupResponse.json`; KIP-62 (v1), KIP-394 (v4), KIP-345 (v5),
//! KIP-559 (v7), KIP-800 (v8), KIP-814 (v9).

use super::prelude::*;

schema! {
    /// Asks to enter a group.
    message JoinGroupRequest [JoinGroup, versions 0-9, flexible 6+] {
        /// The group.
        group_id: ByteString [0+],
        /// Silence after which the member is dead, in milliseconds.
        session_timeout_ms: i32 [0+],
        /// Longest time to wait for the member in a rebalance, in milliseconds; -1: the session timeout.
        rebalance_timeout_ms: i32 [1+, default -1, ignorable],
        /// Id of the member; empty the first time.
        member_id: ByteString [0+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [5+],
        /// What the members do: `consumer`, `connect`.
        protocol_type: ByteString [0+],
        /// Ways to share the work that the member knows, the preferred one first.
        protocols: Vec<JoinGroupRequestProtocol> [0+],
        /// Why the member joins.
        reason: Option<ByteString> [8+, ignorable],
    }

    /// A way to share the work.
    struct JoinGroupRequestProtocol {
        /// Its name.
        name: ByteString [0+],
        /// What the member says to the leader: for consumers a `ConsumerProtocolSubscription`.
        metadata: Bytes [0+],
    }

    /// The new generation of the group.
    message JoinGroupResponse [JoinGroup, versions 0-9, flexible 6+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [2+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The generation.
        generation_id: i32 [0+, default -1],
        /// What the members do.
        protocol_type: Option<ByteString> [7+, ignorable],
        /// The way to share the work that was chosen.
        protocol_name: Option<ByteString> [0+, nullable 7+, default Some(ByteString::new())],
        /// Id of the leader.
        leader: ByteString [0+],
        /// Whether the leader keeps the assignment as it is.
        skip_assignment: bool [9+],
        /// Id of this member.
        member_id: ByteString [0+],
        /// All members; only the leader is told.
        members: Vec<JoinGroupResponseMember> [0+],
    }

    /// A member of the group.
    struct JoinGroupResponseMember {
        /// Its id.
        member_id: ByteString [0+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [5+, ignorable],
        /// What it says to the leader.
        metadata: Bytes [0+],
    }
}
