//! DeleteTopics (key 20): by name, from version 6 on also by id.
//!
//! Source: `DeleteTopicsRequest.json` and `DeleteTopicsResponse.json`; KIP-4 (v0), KIP-599 (v5), KIP-516 (v6).
//!
//! Left out: version 0, as in Kafka 4.

use super::prelude::*;

schema! {
    /// Asks to delete topics.
    message DeleteTopicsRequest [DeleteTopics, versions 1-6, flexible 4+] {
        /// The topics.
        topics: Vec<DeleteTopicState> [6+],
        /// Names of the topics, up to version 5.
        topic_names: Vec<ByteString> [0-5, ignorable],
        /// Time to wait for it, in milliseconds.
        timeout_ms: i32 [0+],
    }

    /// A topic to delete.
    struct DeleteTopicState {
        /// Its name; null where the id says which.
        name: Option<ByteString> [6+],
        /// Its id; zero where the name says which.
        topic_id: Uuid [6+],
    }

    /// Whether the topics were deleted.
    message DeleteTopicsResponse [DeleteTopics, versions 1-6, flexible 4+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Outcome by topic.
        responses: Vec<DeletableTopicResult> [0+],
    }

    /// Outcome for one topic.
    struct DeletableTopicResult {
        /// Its name; null for an id that is not known.
        name: Option<ByteString> [0+, nullable 6+, default Some(ByteString::new())],
        /// Its id.
        topic_id: Uuid [6+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [5+, ignorable],
    }
}
