//! Heartbeat (key 12): a member is alive, and learns whether a rebalance has begun.
//!
//! Source: `HeartbeatRequest.json` and `HeartbeatResponse.json`; KIP-345 (v3).

use super::prelude::*;

schema! {
    /// Says that a member is alive.
    message HeartbeatRequest [Heartbeat, versions 0-4, flexible 4+] {
        /// The group.
        group_id: ByteString [0+],
        /// The generation that the member knows.
        generation_id: i32 [0+],
        /// Id of the member.
        member_id: ByteString [0+],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [3+],
    }

    /// Whether the generation still stands.
    message HeartbeatResponse [Heartbeat, versions 0-4, flexible 4+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
    }
}
