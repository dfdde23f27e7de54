//! AlterClientQuotas (key 49): sets and removes quotas.
//!
//! Source: `AlterClientQuotasRequest.json` and `AlterClientQuotasResponse.json`; KIP-546 (v0), flexible versions (v1).

use super::prelude::*;
use crate::kafka::codec::Float64;

schema! {
    /// Asks to change the quotas of some entities.
    message AlterClientQuotasRequest [AlterClientQuotas, versions 0-1, flexible 1+] {
        /// What to change, by entity.
        entries: Vec<EntryData> [0+],
        /// Whether to say only what would come of it.
        validate_only: bool [0+],
    }

    /// What to change of one entity.
    struct EntryData {
        /// What makes the entity.
        entity: Vec<EntityData> [0+],
        /// The changes.
        ops: Vec<OpData> [0+],
    }

    /// One part of an entity.
    struct EntityData {
        /// `user`, `client-id` or `ip`.
        entity_type: ByteString [0+],
        /// The name, or null for the default.
        entity_name: Option<ByteString> [0+],
    }

    /// A change of a quota.
    struct OpData {
        /// Kafka's name for the quota.
        key: ByteString [0+],
        /// Its new value, unless it is removed.
        value: Float64 [0+],
        /// Whether it is removed.
        remove: bool [0+],
    }

    /// What became of it.
    message AlterClientQuotasResponse [AlterClientQuotas, versions 0-1, flexible 1+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By entity.
        entries: Vec<EntryResult> [0+],
    }

    /// What became of the changes of one entity.
    struct EntryResult {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// What makes the entity.
        entity: Vec<EntityData> [0+],
    }
}
