//! LeaveGroup (key 13): members leave a group. Up to version 2 one member, from version 3 on several.
//!
//! Source: `LeaveGroupRequest.json` and `LeaveGroupResponse.json`; KIP-345 (v3), KIP-800 (v5).

use super::prelude::*;

schema! {
    /// Asks to leave a group.
    message LeaveGroupRequest [LeaveGroup, versions 0-5, flexible 4+] {
        /// The group.
        group_id: ByteString [0+],
        /// Id of the member, up to version 2.
        member_id: ByteString [0-2],
        /// The members.
        members: Vec<MemberIdentity> [3+],
    }

    /// A member that leaves.
    struct MemberIdentity {
        /// Its id; may be empty for a static member.
        member_id: ByteString [3+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [3+],
        /// Why it leaves.
        reason: Option<ByteString> [5+, ignorable],
    }

    /// Whether they left.
    message LeaveGroupResponse [LeaveGroup, versions 0-5, flexible 4+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Outcome by member.
        members: Vec<MemberResponse> [3+],
    }

    /// Outcome for one member.
    struct MemberResponse {
        /// Its id.
        member_id: ByteString [3+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [3+],
        /// Error code, or 0.
        error_code: i16 [3+],
    }
}
