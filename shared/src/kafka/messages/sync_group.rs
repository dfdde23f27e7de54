//! SyncGroup (key 14): the leader hands in the assignment, every member fetches its own.
//!
//! Source: `SyncGroupRequest.json` and `SyncGroupResponse.json`; KIP-345 (v3), KIP-559 (v5).

use super::prelude::*;

schema! {
    /// Asks for the member's assignment.
    message SyncGroupRequest [SyncGroup, versions 0-5, flexible 4+] {
        /// The group.
        group_id: ByteString [0+],
        /// The generation.
        generation_id: i32 [0+],
        /// Id of the member.
        member_id: ByteString [0+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [3+],
        /// What the members do.
        protocol_type: Option<ByteString> [5+, ignorable],
        /// The way to share the work that was chosen.
        protocol_name: Option<ByteString> [5+, ignorable],
        /// The assignment of all members; only the leader sends it.
        assignments: Vec<SyncGroupRequestAssignment> [0+],
    }

    /// The assignment of one member.
    struct SyncGroupRequestAssignment {
        /// Id of the member.
        member_id: ByteString [0+],
        /// Its assignment: for consumers a `ConsumerProtocolAssignment`.
        assignment: Bytes [0+],
    }

    /// The member's assignment.
    message SyncGroupResponse [SyncGroup, versions 0-5, flexible 4+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// What the members do.
        protocol_type: Option<ByteString> [5+, ignorable],
        /// The way to share the work that was chosen.
        protocol_name: Option<ByteString> [5+, ignorable],
        /// The assignment.
        assignment: Bytes [0+],
    }
}
