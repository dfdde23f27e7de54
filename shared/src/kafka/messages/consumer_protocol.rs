//! What consumers say to each other inside JoinGroup and SyncGroup: their subscriptions and their assignments. To the
//! broker these are opaque bytes; it reads them only to show the members of a group to a person.
//!
//! Source: `ConsumerProtocolSubscription.json` and `ConsumerProtocolAssignment.json`, versions 0 to 3; KIP-429 (v1),
//! KIP-792 (v2), KIP-881 (v3). Each is preceded by its version. Newer versions only append fields, so they are read as
//! the newest known one, and what follows is left alone.

use std::ops::RangeInclusive;

use bytes::BytesMut;

use super::prelude::*;
use crate::kafka::codec::{DecodeError, DecodeReason, EncodeError, EncodeReason, Format, Wire};
use crate::kafka::encoder::Encoder;

/// The versions for which there are schemas.
pub const VERSIONS: RangeInclusive<i16> = 0..=3;

schema! {
    /// What a consumer wants to read.
    struct ConsumerProtocolSubscription {
        /// The topics.
        topics: Vec<ByteString> [0+],
        /// Bytes that its assignor understands, or null.
        user_data: Option<Bytes> [0+],
        /// What it reads already.
        owned_partitions: Vec<TopicPartition> [1+, ignorable],
        /// The generation in which it got these, or -1.
        generation_id: i32 [2+, default -1, ignorable],
        /// Its rack, or null.
        rack_id: Option<ByteString> [3+, ignorable],
    }

    /// What a consumer is to read.
    struct ConsumerProtocolAssignment {
        /// The partitions.
        assigned_partitions: Vec<TopicPartition> [0+],
        /// Bytes that its assignor understands, or null.
        user_data: Option<Bytes> [0+],
    }

    /// Partitions of one topic.
    struct TopicPartition {
        /// Name of the topic.
        topic: ByteString [0+],
        /// Numbers of the partitions.
        partitions: Vec<i32> [0+],
    }
}

impl ConsumerProtocolSubscription {
    /// The bytes for [`super::join_group::JoinGroupRequestProtocol::metadata`].
    ///
    /// # Errors
    /// When there is no such version.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode(self, version)
    }

    /// Reads what a member said when it joined.
    ///
    /// # Errors
    /// When the bytes are no subscription.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

impl ConsumerProtocolAssignment {
    /// The bytes for [`super::sync_group::SyncGroupRequestAssignment::assignment`].
    ///
    /// # Errors
    /// When there is no such version.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode(self, version)
    }

    /// Reads what a member was told to read.
    ///
    /// # Errors
    /// When the bytes are no assignment.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

fn encode<T: Wire>(value: &T, version: i16) -> Result<Bytes, EncodeError> {
    if !VERSIONS.contains(&version) {
        return Err(EncodeReason::UnsupportedVersion(version).into());
    }
    let format = Format {
        version,
        flexible: false,
    };
    let mut out = Encoder::contiguous(BytesMut::new());
    version.put(&mut out, format)?;
    value.put(&mut out, format)?;
    Ok(out.into_contiguous().freeze())
}

fn decode<T: Wire>(mut bytes: Bytes) -> Result<T, DecodeError> {
    let version = i16::take(
        &mut bytes,
        Format {
            version: 0,
            flexible: false,
        },
    )?;
    if version < *VERSIONS.start() {
        return Err(DecodeReason::UnsupportedVersion(version).into());
    }
    T::take(
        &mut bytes,
        Format {
            version: version.min(*VERSIONS.end()),
            flexible: false,
        },
    )
}
