//! DescribeTopicPartitions (key 75): topics and their partitions, page by page.
//!
//! Source: `DescribeTopicPartitionsRequest.json` and `DescribeTopicPartitionsResponse.json`; KIP-966.

use super::prelude::*;

schema! {
    /// Asks for topics.
    message DescribeTopicPartitionsRequest [DescribeTopicPartitions, versions 0-0, flexible 0+] {
        /// Which; empty for all.
        topics: Vec<TopicRequest> [0+],
        /// How many partitions to answer at most.
        response_partition_limit: i32 [0+, default 2000],
        /// Where to go on, or null.
        cursor: Option<Cursor> [0+, nullable 0+],
    }

    /// A topic.
    struct TopicRequest {
        /// Its name.
        name: ByteString [0+],
    }

    /// Where an answer ended.
    struct Cursor {
        /// The topic of the next partition.
        topic_name: ByteString [0+],
        /// The index of the next partition.
        partition_index: i32 [0+],
    }

    /// Topics.
    message DescribeTopicPartitionsResponse [DescribeTopicPartitions, versions 0-0, flexible 0+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+, ignorable],
        /// Each of them.
        topics: Vec<DescribeTopicPartitionsResponseTopic> [0+],
        /// Where to go on; null at the end.
        next_cursor: Option<Cursor> [0+],
    }

    /// One topic.
    struct DescribeTopicPartitionsResponseTopic {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Its name.
        name: Option<ByteString> [0+],
        /// Its id.
        topic_id: Uuid [0+, ignorable],
        /// It is the brokers' own.
        is_internal: bool [0+, ignorable],
        /// Its partitions, as far as they fit.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0+],
        /// What the caller may do with it, a bit for each operation; the least number if that was not asked for.
        topic_authorized_operations: i32 [0+, default i32::MIN],
    }

    /// One partition.
    struct DescribeTopicPartitionsResponsePartition {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Its index.
        partition_index: i32 [0+],
        /// Who leads it.
        leader_id: i32 [0+],
        /// Since when, in epochs.
        leader_epoch: i32 [0+, default -1, ignorable],
        /// Who holds it.
        replica_nodes: Vec<i32> [0+],
        /// Who holds all of it.
        isr_nodes: Vec<i32> [0+],
        /// Who else may lead it; null if unknown.
        eligible_leader_replicas: Option<Vec<i32>> [0+, default None],
        /// Who could last; null if unknown.
        last_known_elr: Option<Vec<i32>> [0+, default None],
        /// Who should hold it and is away.
        offline_replicas: Vec<i32> [0+, ignorable],
    }
}
