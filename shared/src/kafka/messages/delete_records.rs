//! DeleteRecords (key 21): moves the start of partitions.
//!
//! Source: `DeleteRecordsRequest.json` and `DeleteRecordsResponse.json`; KIP-107.

use super::prelude::*;

schema! {
    /// Asks to delete everything below an offset.
    message DeleteRecordsRequest [DeleteRecords, versions 0-2, flexible 2+] {
        /// Where, by topic.
        topics: Vec<DeleteRecordsTopic> [0+],
        /// Time to wait for it, in milliseconds.
        timeout_ms: i32 [0+],
    }

    /// Where to delete in one topic.
    struct DeleteRecordsTopic {
        /// Its name.
        name: ByteString [0+],
        /// By partition.
        partitions: Vec<DeleteRecordsPartition> [0+],
    }

    /// Where to delete in one partition.
    struct DeleteRecordsPartition {
        /// Its index.
        partition_index: i32 [0+],
        /// The first offset that stays; -1 for the high watermark.
        offset: i64 [0+],
    }

    /// Where partitions start now.
    message DeleteRecordsResponse [DeleteRecords, versions 0-2, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By topic.
        topics: Vec<DeleteRecordsTopicResult> [0+],
    }

    /// Where the partitions of one topic start now.
    struct DeleteRecordsTopicResult {
        /// Its name.
        name: ByteString [0+],
        /// By partition.
        partitions: Vec<DeleteRecordsPartitionResult> [0+],
    }

    /// Where one partition starts now.
    struct DeleteRecordsPartitionResult {
        /// Its index.
        partition_index: i32 [0+],
        /// The first offset there is, or -1 after an error.
        low_watermark: i64 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
    }
}
