//! DescribeClientQuotas (key 48): which quotas clients have.
//!
//! Source: `DescribeClientQuotasRequest.json` and `DescribeClientQuotasResponse.json`; KIP-546 (v0), flexible versions (v1).

use super::prelude::*;
use crate::kafka::codec::Float64;

schema! {
    /// Asks for the quotas of some entities.
    message DescribeClientQuotasRequest [DescribeClientQuotas, versions 0-1, flexible 1+] {
        /// What the entities must have, each of these; with none, all entities are meant.
        components: Vec<ComponentData> [0+],
        /// Whether the entities may have nothing else.
        strict: bool [0+],
    }

    /// What an entity must have.
    struct ComponentData {
        /// `user`, `client-id` or `ip`.
        entity_type: ByteString [0+],
        /// 0 this name, 1 the default, 2 any.
        match_type: i8 [0+],
        /// The name, or null where none is asked for.
        match_: Option<ByteString> [0+],
    }

    /// The quotas.
    message DescribeClientQuotasResponse [DescribeClientQuotas, versions 0-1, flexible 1+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// The entities, or null after an error.
        entries: Option<Vec<EntryData>> [0+],
    }

    /// One entity and its quotas.
    struct EntryData {
        /// What makes the entity.
        entity: Vec<EntityData> [0+],
        /// Its quotas.
        values: Vec<ValueData> [0+],
    }

    /// One part of an entity.
    struct EntityData {
        /// `user` or `client-id`.
        entity_type: ByteString [0+],
        /// The name, or null for the default.
        entity_name: Option<ByteString> [0+],
    }

    /// A quota.
    struct ValueData {
        /// Kafka's name for it.
        key: ByteString [0+],
        /// Its value.
        value: Float64 [0+],
    }
}
