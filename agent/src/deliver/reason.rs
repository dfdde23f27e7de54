//! Why something did not work, and what a person can do about it.

use std::fmt::{self, Display, Formatter};

use tailrace_shared::client::ClientError;
use tailrace_shared::kafka::ErrorCode;

/// In words, and as Kafka's error if it was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The broker's code.
    pub code: Option<ErrorCode>,
    /// For people; names the code.
    pub words: String,
}

impl Reason {
    /// The code and what the broker said beyond it.
    #[must_use]
    pub fn of(code: ErrorCode, message: Option<&str>) -> Self {
        let words = match message {
            Some(message) => format!("{code}: {message}"),
            None => code.to_string(),
        };
        Self {
            code: Some(code),
            words,
        }
    }

    /// What a person can do.
    pub(super) fn remedy(&self) -> &'static str {
        use ErrorCode as Code;
        match self.code {
            Some(Code::TopicAuthorizationFailed) => {
                "allow the agent to write to the topic (ACL operations Write and Describe, and Create if brokers are to create it)"
            }
            Some(Code::ClusterAuthorizationFailed | Code::SaslAuthenticationFailed) => {
                "let the agent in: the brokers refuse it as a whole"
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopicId) => {
                "create the topic (`tailrace topics create`), or let the brokers do it (topics.auto_create, \
                 Kafka's auto.create.topics.enable)"
            }
            Some(Code::MessageTooLarge | Code::RecordListTooLarge) => {
                "raise max.message.bytes of the topic; meanwhile its batches are sent in parts, one at a time"
            }
            Some(Code::InvalidTopicException) => "give the input another topic",
            Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => {
                "bring back the brokers that hold its replicas (min.insync.replicas)"
            }
            Some(Code::LeaderNotAvailable | Code::NotLeaderOrFollower) => {
                "bring back the broker that leads the partition"
            }
            Some(Code::KafkaStorageError) => "look at the disk and the log of the broker",
            Some(Code::ThrottlingQuotaExceeded) => "raise the quota of the agent",
            Some(Code::UnsupportedVersion | Code::InvalidRequest | Code::InvalidRequiredAcks) => {
                "use brokers and agents of releases that know each other"
            }
            _ => "look whether the brokers are up and can be reached from here, and at their log",
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<String> for Reason {
    fn from(words: String) -> Self {
        Self { code: None, words }
    }
}

impl From<&str> for Reason {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

impl From<&ClientError> for Reason {
    fn from(error: &ClientError) -> Self {
        Self {
            code: error.code(),
            words: error.to_string(),
        }
    }
}
