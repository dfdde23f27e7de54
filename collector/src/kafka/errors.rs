//! The one place where refusals of the layers below become Kafka's error codes.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::record::{BatchError, BatchErrorKind};

use crate::catalog::acl::InvalidAcl;
use crate::catalog::topic_config::InvalidConfig;
use crate::catalog::{
    AlterCredentialsError, AlterQuotasError, AlterTopicError, CatalogError, CreateAclsError, CreateTopicError,
    DeleteTopicError, GrowTopicError,
};
use crate::group::GroupError;
use crate::partition::{AdvanceLogStartError, AppendError, KeyError, ReadError, SequenceError};
use crate::security::login::LoginError;
use crate::wal::ReserveError;

/// What a refusal is on the wire.
pub(super) trait ToErrorCode: std::error::Error {
    /// Kafka's code for it.
    fn code(&self) -> ErrorCode;

    /// The message that goes with it, where a response has room for one.
    fn message(&self) -> Option<ByteString> {
        Some(self.to_string().into())
    }

    /// Which records of a batch are to blame, counted from 0, where it is some and not the batch.
    fn records(&self) -> &[i32] {
        &[]
    }
}

/// The code of a result.
pub(super) fn code_of<T, E: ToErrorCode>(result: &Result<T, E>) -> i16 {
    result.as_ref().err().map_or(ErrorCode::None, ToErrorCode::code).code()
}

impl ToErrorCode for GroupError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::NotFound => ErrorCode::GroupIdNotFound,
            Self::NotEmpty => ErrorCode::NonEmptyGroup,
            Self::Subscribed => ErrorCode::GroupSubscribedToTopic,
            Self::UnknownMember => ErrorCode::UnknownMemberId,
            Self::MemberIdRequired(_) => ErrorCode::MemberIdRequired,
            Self::FencedInstance => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration => ErrorCode::IllegalGeneration,
            Self::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            Self::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
            Self::GroupFull | Self::TooLarge => ErrorCode::GroupMaxSizeReached,
            Self::MetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
            Self::NotAvailable => ErrorCode::CoordinatorNotAvailable,
        }
    }
}

impl ToErrorCode for BatchError {
    fn code(&self) -> ErrorCode {
        match self.kind() {
            BatchErrorKind::CorruptMessage => ErrorCode::CorruptMessage,
            BatchErrorKind::InvalidRecord => ErrorCode::InvalidRecord,
            BatchErrorKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
            BatchErrorKind::UnsupportedFormat => ErrorCode::UnsupportedForMessageFormat,
            BatchErrorKind::TooLarge => ErrorCode::MessageTooLarge,
            BatchErrorKind::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
        }
    }
}

impl ToErrorCode for ReserveError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::NoSpace => ErrorCode::KafkaStorageError,
            Self::Closed => ErrorCode::NotLeaderOrFollower,
        }
    }
}

impl ToErrorCode for AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Empty | Self::SeveralWithProducer { .. } | Self::Unstampable(_) => ErrorCode::InvalidRecord,
            Self::Uncompactable(KeyError::NoKey { .. }) => ErrorCode::InvalidRecord,
            Self::Uncompactable(KeyError::Batch(error)) => error.code(),
            Self::Sequence(error) => error.code(),
            Self::Reserve(error) => error.code(),
            Self::Closed | Self::Unknown => ErrorCode::NotLeaderOrFollower,
        }
    }

    fn records(&self) -> &[i32] {
        match self {
            Self::Uncompactable(KeyError::NoKey { records }) => records,
            _ => &[],
        }
    }
}

impl ToErrorCode for SequenceError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
            Self::Reused { .. } => ErrorCode::InvalidRecord,
            Self::TooMany { .. } => ErrorCode::PolicyViolation,
        }
    }
}

impl ToErrorCode for ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Closed => ErrorCode::NotLeaderOrFollower,
            Self::Wal { .. } | Self::Segment { .. } | Self::Damaged { .. } => ErrorCode::KafkaStorageError,
        }
    }
}

impl ToErrorCode for AdvanceLogStartError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::BeyondEnd { .. } => ErrorCode::OffsetOutOfRange,
            Self::Change(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl ToErrorCode for CatalogError {
    fn code(&self) -> ErrorCode {
        ErrorCode::KafkaStorageError
    }
}

impl ToErrorCode for LoginError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrder(_) => ErrorCode::IllegalSaslState,
            Self::Mechanism(_) => ErrorCode::UnsupportedSaslMechanism,
            Self::Failed { .. } | Self::Unauthenticated(_) | Self::Expired(_) => ErrorCode::SaslAuthenticationFailed,
        }
    }

    /// The reason is for our log: a client learns neither who there is nor what it was that did not fit.
    fn message(&self) -> Option<ByteString> {
        Some(match self {
            Self::Failed { .. } => "the login failed: wrong user, password or token".into(),
            other => other.to_string().into(),
        })
    }
}

impl ToErrorCode for AlterCredentialsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany => ErrorCode::PolicyViolation,
            Self::Catalog(error) => error.code(),
        }
    }
}

impl ToErrorCode for AlterQuotasError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany => ErrorCode::PolicyViolation,
            Self::Catalog(error) => error.code(),
        }
    }
}

impl ToErrorCode for InvalidAcl {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidRequest
    }
}

impl ToErrorCode for CreateAclsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooMany { .. } => ErrorCode::PolicyViolation,
            Self::Catalog(error) => error.code(),
        }
    }
}

impl ToErrorCode for CreateTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Exists(_) => ErrorCode::TopicAlreadyExists,
            Self::InvalidName(_) => ErrorCode::InvalidTopicException,
            Self::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
            Self::InvalidConfig(_) => ErrorCode::InvalidConfig,
            Self::Catalog(error) => error.code(),
        }
    }
}

impl ToErrorCode for DeleteTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
            Self::Catalog(error) => error.code(),
        }
    }
}

impl ToErrorCode for InvalidConfig {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidConfig
    }
}

impl ToErrorCode for AlterTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
            Self::InvalidConfig(error) => error.code(),
            Self::Catalog(error) => error.code(),
        }
    }
}

impl ToErrorCode for GrowTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
            Self::InvalidPartitions { .. } => ErrorCode::InvalidPartitions,
            Self::Catalog(error) => error.code(),
        }
    }
}
