//! InitProducerId (key 22): a producer id for an idempotent or a transactional producer.
//!
//! Source: `InitProducerIdRequest.json` and `InitProducerIdResponse.json`; KIP-98 (v0), KIP-360 (v3), KIP-588 (v4),
//! KIP-890 (v5), KIP-939 (v6: two-phase commit).

use super::prelude::*;

schema! {
    /// Asks for a producer id.
    message InitProducerIdRequest [InitProducerId, versions 0-6, flexible 2+] {
        /// The transactional id, or null for a producer that is only idempotent.
        transactional_id: Option<ByteString> [0+],
        /// Time after which an idle transaction is aborted, in milliseconds.
        transaction_timeout_ms: i32 [0+],
        /// The producer id to go on with, or -1.
        producer_id: i64 [3+, default -1],
        /// The epoch of that producer id, or -1.
        producer_epoch: i16 [3+, default -1],
        /// Whether the producer takes part in two-phase commits.
        enable_2pc: bool [6+],
        /// Whether to keep a transaction that is prepared.
        keep_prepared_txn: bool [6+],
    }

    /// The producer id.
    message InitProducerIdResponse [InitProducerId, versions 0-6, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The producer id.
        producer_id: i64 [0+, default -1],
        /// Its epoch.
        producer_epoch: i16 [0+],
        /// Producer id of the transaction that was kept, or -1.
        ongoing_txn_producer_id: i64 [6+, default -1],
        /// The epoch of that producer id, or -1.
        ongoing_txn_producer_epoch: i16 [6+, default -1],
    }
}
