//! ListGroups (key 16): the groups that a broker coordinates.
//!
//! Source: `ListGroupsRequest.json` and `ListGroupsResponse.json`; KIP-518 (v4: states), KIP-848 (v5: types).

use super::prelude::*;

schema! {
    /// Asks for the groups.
    message ListGroupsRequest [ListGroups, versions 0-5, flexible 3+] {
        /// Only groups in these states; empty for all.
        states_filter: Vec<ByteString> [4+],
        /// Only groups of these types; empty for all.
        types_filter: Vec<ByteString> [5+],
    }

    /// The groups.
    message ListGroupsResponse [ListGroups, versions 0-5, flexible 3+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The groups.
        groups: Vec<ListedGroup> [0+],
    }

    /// A group.
    struct ListedGroup {
        /// The group.
        group_id: ByteString [0+],
        /// What its members do.
        protocol_type: ByteString [0+],
        /// Its state.
        group_state: ByteString [4+, ignorable],
        /// Its type: `classic` or `consumer`.
        group_type: ByteString [5+, ignorable],
    }
}
