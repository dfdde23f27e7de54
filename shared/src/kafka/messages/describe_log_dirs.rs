//! DescribeLogDirs (key 35): what partitions take on the disk.
//!
//! Source: `DescribeLogDirsRequest.json` and `DescribeLogDirsResponse.json`; KIP-113, KIP-827 (v4, the file system), KIP-1066 (v5).

use super::prelude::*;

schema! {
    /// Asks what partitions take.
    message DescribeLogDirsRequest [DescribeLogDirs, versions 1-5, flexible 2+] {
        /// Which topics; null for all.
        topics: Option<Vec<DescribableLogDirTopic>> [0+],
    }

    /// Partitions of one topic.
    struct DescribableLogDirTopic {
        /// Its name.
        topic: ByteString [0+],
        /// Which partitions.
        partitions: Vec<i32> [0+],
    }

    /// What partitions take.
    message DescribeLogDirsResponse [DescribeLogDirs, versions 1-5, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Error code of the request as a whole, or 0.
        error_code: i16 [3+, ignorable],
        /// By directory.
        results: Vec<DescribeLogDirsResult> [0+],
    }

    /// What lies in one directory.
    struct DescribeLogDirsResult {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Its absolute path.
        log_dir: ByteString [0+],
        /// By topic.
        topics: Vec<DescribeLogDirsTopic> [0+],
        /// Size of the file system, in bytes; -1 if unknown.
        total_bytes: i64 [4+, default -1, ignorable],
        /// What is free on it, in bytes; -1 if unknown.
        usable_bytes: i64 [4+, default -1, ignorable],
        /// It takes no new partitions.
        is_cordoned: bool [5+, ignorable],
    }

    /// What one topic takes.
    struct DescribeLogDirsTopic {
        /// Its name.
        name: ByteString [0+],
        /// By partition.
        partitions: Vec<DescribeLogDirsPartition> [0+],
    }

    /// What one partition takes.
    struct DescribeLogDirsPartition {
        /// Its index.
        partition_index: i32 [0+],
        /// Bytes of its segments.
        partition_size: i64 [0+],
        /// How far it lags, in records, while it is being moved here.
        offset_lag: i64 [0+],
        /// It is being moved here.
        is_future_key: bool [0+],
    }
}
