//! What can go wrong between us and a broker, said so that an operator knows whom we asked, for what, and what to do.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::Lost;
use crate::kafka::{ApiKey, DecodeError, EncodeError, ErrorCode};
use crate::record::BatchError;

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("cannot connect to broker {address}: {reason}; does it run, and is the address right and reachable?")]
    Connect {
        /// Host and port.
        address: String,
        /// As the operating system puts it.
        reason: Arc<io::Error>,
    },
    /// The broker does not let this user in, or is not the one it should be.
    #[error("broker {address} does not let {user} in: {reason}; check user, password and mechanism")]
    Login {
        /// Host and port.
        address: String,
        /// Who wanted in.
        user: String,
        /// What the broker said, or what is wrong with it.
        reason: String,
    },
    /// None of the addresses that we know of could be reached.
    #[error("no broker could be reached, {tried} addresses tried; the last failure: {last}")]
    NoBroker {
        /// How many.
        tried: usize,
        /// Why the last one failed.
        last: Box<ClientError>,
    },
    /// There is nothing to connect to.
    #[error("no broker address is configured: set the bootstrap list, for example [\"127.0.0.1:9092\"]")]
    NoAddress,
    /// The connection died while the request was on its way. Whether the broker acted on it is unknown.
    #[error("lost broker {address} during {api}: {lost}")]
    Lost {
        /// Host and port.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// How the connection ended.
        lost: Lost,
    },
    /// No response in time. Whether the broker acted on the request is unknown.
    #[error("broker {address} did not answer {api} within {after:?}; it is overloaded, or a network drops packets")]
    Timeout {
        /// Host and port.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// How long we waited.
        after: Duration,
    },
    /// The broker and this client have no version of an API in common.
    #[error(
        "broker {address} offers {api} in versions {theirs:?} and this client needs {ours:?}; upgrade the older one"
    )]
    Version {
        /// Host and port.
        address: String,
        /// What was to be asked.
        api: ApiKey,
        /// What this client speaks.
        ours: RangeInclusive<i16>,
        /// What the broker said, if it has the API at all.
        theirs: Option<RangeInclusive<i16>>,
    },
    /// The request cannot be written in the version that the broker speaks.
    #[error("cannot ask broker {address} for {api} in version {version}: {reason}")]
    Encode {
        /// Host and port.
        address: String,
        /// What was to be asked.
        api: ApiKey,
        /// The version agreed on.
        version: i16,
        /// Which field.
        reason: EncodeError,
    },
    /// The response is not what its version says.
    #[error("cannot read the answer of broker {address} to {api} version {version}: {reason}")]
    Decode {
        /// Host and port.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// The version agreed on.
        version: i16,
        /// Which field.
        reason: DecodeError,
    },
    /// The broker understood, and said no.
    #[error("broker {address} refused {api} for {subject}: {code}{}", message_suffix(.message.as_deref()))]
    Refused {
        /// Host and port.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// Topic, partition or group.
        subject: String,
        /// Kafka's code.
        code: ErrorCode,
        /// What the broker said beyond the code.
        message: Option<String>,
    },
    /// The response lacks what was asked for.
    #[error("the answer of broker {address} to {api} says nothing about {subject}")]
    Missing {
        /// Host and port.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// Topic, partition or group.
        subject: String,
    },
    /// The brokers say nothing about a topic.
    #[error("topic {topic} is unknown to the cluster")]
    UnknownTopic {
        /// As asked for.
        topic: String,
    },
    /// The partition has no leader at the moment.
    #[error("partition {partition} of topic {topic} has no leader at the moment")]
    NoLeader {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: i32,
    },
    /// A batch before this one failed with its fate unknown.
    #[error("an earlier batch for partition {partition} of topic {topic} failed; go on with a new producer")]
    Abandoned {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: i32,
    },
    /// What a broker sent as records cannot be read.
    #[error("partition {partition} of topic {topic} at offset {offset}: {reason}")]
    Batch {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: i32,
        /// Where we were reading, or -1 for a batch that was to be sent.
        offset: i64,
        /// What is wrong.
        reason: BatchError,
    },
}

impl ClientError {
    /// Kafka's code, where the broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later, perhaps at another broker. After [`Self::Lost`] and
    /// [`Self::Timeout`] that means asking twice for what may have been done already.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Login { .. }
            | Self::NoBroker { .. }
            | Self::Lost { .. }
            | Self::Timeout { .. }
            | Self::Missing { .. }
            | Self::UnknownTopic { .. }
            | Self::NoLeader { .. } => true,
            Self::Refused { code, .. } => code.is_retriable(),
            // Bytes may have been damaged on their way; what was read wrong is read again.
            Self::Batch { offset, .. } => *offset >= 0,
            Self::NoAddress
            | Self::Abandoned { .. }
            | Self::Version { .. }
            | Self::Encode { .. }
            | Self::Decode { .. } => false,
        }
    }
}

fn message_suffix(message: Option<&str>) -> String {
    message
        .filter(|message| !message.is_empty())
        .map(|message| format!(" ({message})"))
        .unwrap_or_default()
}
