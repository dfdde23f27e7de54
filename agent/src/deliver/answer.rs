//! What a broker's answer to one batch means for it.
//!
//! The question behind every row is whether the batch may be in the log: a retriable error may have been met after the
//! append, while the broker waited for its replicas, so it leaves the batch in doubt unless it is known to come before.

use tailrace_shared::kafka::ErrorCode;

use super::reason::Reason;

/// What became of a batch that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is in the log, at this base offset if the broker told.
    Acked(Option<i64>),
    /// It is not in the log, and may be taken later.
    NotNow(Reason),
    /// It may be in the log or not.
    InDoubt(Reason),
    /// It does not follow on what the broker has of this producer.
    OutOfOrder,
    /// The broker takes nothing from this producer any more.
    Fenced,
    /// Its bytes changed on their way.
    Corrupt,
    /// It will never be taken as it is, but its records may be in smaller batches.
    TooLarge(Reason),
    /// It will never be taken.
    Refused(Reason),
    /// Nothing is taken from us until a person changes something.
    Held(Reason),
}

impl Answer {
    /// From the code and the message of a Produce response.
    #[must_use]
    pub fn of(code: ErrorCode, base_offset: i64, message: Option<&str>) -> Self {
        use ErrorCode as Code;
        let said = || Reason::of(code, message);
        match code {
            Code::None => Self::Acked((base_offset >= 0).then_some(base_offset)),
            // Older than the five batches that the broker remembers, and so in the log.
            Code::DuplicateSequenceNumber => Self::Acked(None),
            Code::OutOfOrderSequenceNumber | Code::UnknownProducerId => Self::OutOfOrder,
            Code::InvalidProducerEpoch | Code::ProducerFenced | Code::InvalidProducerIdMapping => Self::Fenced,
            Code::CorruptMessage => Self::Corrupt,
            Code::NotEnoughReplicas
            | Code::LeaderNotAvailable
            | Code::UnknownTopicId
            | Code::ThrottlingQuotaExceeded => Self::NotNow(said()),
            Code::MessageTooLarge | Code::RecordListTooLarge => Self::TooLarge(said()),
            Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::UnsupportedCompressionType
            | Code::UnsupportedForMessageFormat
            | Code::PolicyViolation => Self::Refused(said()),
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::InvalidTopicException
            | Code::InvalidRequiredAcks
            | Code::InvalidRequest
            | Code::UnsupportedVersion => Self::Held(said()),
            _ => Self::InDoubt(said()),
        }
    }

    /// What is wrong, if the batch waits on.
    pub(super) fn trouble(&self) -> Option<Reason> {
        match self {
            Self::Acked(_) => None,
            Self::NotNow(reason)
            | Self::InDoubt(reason)
            | Self::TooLarge(reason)
            | Self::Refused(reason)
            | Self::Held(reason) => Some(reason.clone()),
            Self::OutOfOrder => Some(Reason::of(ErrorCode::OutOfOrderSequenceNumber, None)),
            Self::Fenced => Some(Reason::of(ErrorCode::ProducerFenced, None)),
            Self::Corrupt => Some(Reason::of(ErrorCode::CorruptMessage, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_that_may_follow_an_append_is_taken_for_definite() {
        // Kafka answers these after the append too, when leadership or replicas are lost while it waits for them.
        for code in [
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::RequestTimedOut,
            ErrorCode::NotEnoughReplicasAfterAppend,
            ErrorCode::KafkaStorageError,
            ErrorCode::UnknownServerError,
        ] {
            assert!(matches!(Answer::of(code, -1, None), Answer::InDoubt(_)), "{code}");
        }
    }

    #[test]
    fn a_duplicate_is_an_acknowledgement() {
        assert_eq!(
            Answer::of(ErrorCode::DuplicateSequenceNumber, -1, None),
            Answer::Acked(None)
        );
        assert_eq!(Answer::of(ErrorCode::None, 7, None), Answer::Acked(Some(7)));
        assert_eq!(Answer::of(ErrorCode::None, -1, None), Answer::Acked(None));
    }
}
