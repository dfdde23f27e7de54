//! FindCoordinator (key 10): which broker coordinates a group or a transactional id.
//!
//! Source: `FindCoordinatorRequest.json` and `FindCoordinatorResponse.json`; KIP-98 (v1), KIP-699 (v4: several keys),
//! KIP-890 (v5), KIP-932 (v6: share groups).

use super::prelude::*;

/// The key is a consumer group.
pub const KEY_TYPE_GROUP: i8 = 0;
/// The key is a transactional id.
pub const KEY_TYPE_TRANSACTION: i8 = 1;

schema! {
    /// Asks for coordinators.
    message FindCoordinatorRequest [FindCoordinator, versions 0-6, flexible 3+] {
        /// The key, up to version 3.
        key: ByteString [0-3],
        /// What the keys are.
        key_type: i8 [1+],
        /// The keys.
        coordinator_keys: Vec<ByteString> [4+],
    }

    /// The coordinators.
    message FindCoordinatorResponse [FindCoordinator, versions 0-6, flexible 3+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0-3],
        /// Error message, or null.
        error_message: Option<ByteString> [1-3, ignorable],
        /// Id of the coordinator.
        node_id: i32 [0-3],
        /// Its host name.
        host: ByteString [0-3],
        /// Its port.
        port: i32 [0-3],
        /// The coordinator of each key.
        coordinators: Vec<Coordinator> [4+],
    }

    /// The coordinator of one key.
    struct Coordinator {
        /// The key.
        key: ByteString [4+],
        /// Id of the coordinator.
        node_id: i32 [4+],
        /// Its host name.
        host: ByteString [4+],
        /// Its port.
        port: i32 [4+],
        /// Error code, or 0.
        error_code: i16 [4+],
        /// Error message, or null.
        error_message: Option<ByteString> [4+, ignorable],
    }
}
