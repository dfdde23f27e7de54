//! OffsetDelete (key 47): forgets committed offsets.
//!
//! Source: `OffsetDeleteRequest.json` and `OffsetDeleteResponse.json`; KIP-496. There never was a compact form.

use super::prelude::*;

schema! {
    /// Asks to forget committed offsets.
    message OffsetDeleteRequest [OffsetDelete, versions 0-0, flexible none] {
        /// The group.
        group_id: ByteString [0+],
        /// Which, by topic.
        topics: Vec<OffsetDeleteRequestTopic> [0+],
    }

    /// Offsets of one topic.
    struct OffsetDeleteRequestTopic {
        /// Its name.
        name: ByteString [0+],
        /// Which partitions.
        partitions: Vec<OffsetDeleteRequestPartition> [0+],
    }

    /// The offset of one partition.
    struct OffsetDeleteRequestPartition {
        /// Its index.
        partition_index: i32 [0+],
    }

    /// What became of it.
    message OffsetDeleteResponse [OffsetDelete, versions 0-0, flexible none] {
        /// Error code of the request as a whole, or 0.
        error_code: i16 [0+],
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By topic.
        topics: Vec<OffsetDeleteResponseTopic> [0+],
    }

    /// What became of the offsets of one topic.
    struct OffsetDeleteResponseTopic {
        /// Its name.
        name: ByteString [0+],
        /// By partition.
        partitions: Vec<OffsetDeleteResponsePartition> [0+],
    }

    /// What became of the offset of one partition.
    struct OffsetDeleteResponsePartition {
        /// Its index.
        partition_index: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
    }
}
