//! DescribeGroups (key 15): state and members of consumer groups.
//!
//! Source: `DescribeGroupsRequest.json` and `DescribeGroupsResponse.json`; KIP-430 (v3), KIP-345 (v4), KIP-1043 (v6).

use super::metadata::OPERATIONS_NOT_ASKED;
use super::prelude::*;

schema! {
    /// Asks for the state of groups.
    message DescribeGroupsRequest [DescribeGroups, versions 0-6, flexible 5+] {
        /// The groups.
        groups: Vec<ByteString> [0+],
        /// Whether to say what the client may do with each.
        include_authorized_operations: bool [3+],
    }

    /// The state of groups.
    message DescribeGroupsResponse [DescribeGroups, versions 0-6, flexible 5+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// The groups.
        groups: Vec<DescribedGroup> [0+],
    }

    /// The state of one group.
    struct DescribedGroup {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [6+, ignorable],
        /// The group.
        group_id: ByteString [0+],
        /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`.
        group_state: ByteString [0+],
        /// What the members do.
        protocol_type: ByteString [0+],
        /// The way in which they share the work.
        protocol_data: ByteString [0+],
        /// The members.
        members: Vec<DescribedGroupMember> [0+],
        /// What the client may do with the group, a bit for each operation.
        authorized_operations: i32 [3+, default OPERATIONS_NOT_ASKED],
    }

    /// A member.
    struct DescribedGroupMember {
        /// Its id.
        member_id: ByteString [0+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [4+, ignorable],
        /// What it calls itself.
        client_id: ByteString [0+],
        /// Where it connects from.
        client_host: ByteString [0+],
        /// What it said to the leader: for consumers a `ConsumerProtocolSubscription`.
        member_metadata: Bytes [0+],
        /// Its share of the work: for consumers a `ConsumerProtocolAssignment`.
        member_assignment: Bytes [0+],
    }
}
