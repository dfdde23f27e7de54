//! Why a request, or one part of it, was refused.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;

use crate::kafka::errors::ToErrorCode;

/// Kafka's code, and what a person is told.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: ByteString,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<ByteString>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// The request makes no sense.
    pub(super) fn invalid(message: impl Into<ByteString>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }
}

impl<E: ToErrorCode> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// The code and the message of a result, as responses have them.
pub(super) fn outcome(result: Result<(), Refusal>) -> (i16, Option<ByteString>) {
    match result {
        Ok(()) => (ErrorCode::None.code(), None),
        Err(refusal) => (refusal.code.code(), Some(refusal.message)),
    }
}
