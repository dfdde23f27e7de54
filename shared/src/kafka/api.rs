//! The table of all APIs: number, request, response. Everything that must know them all (names, versions, header
//! versions, tests) is derived from it.

use std::fmt;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

use super::codec::{DecodeError, DecodeReason, EncodeError, EncodeReason, Format, Wire};
use super::encoder::Encoder;
use super::messages::*;

/// A request or a response: a structure with an API and a range of versions.
pub trait Message: Wire + Default + fmt::Debug + PartialEq {
    /// The API it belongs to.
    const API: ApiKey;
    /// The versions for which there is a schema.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version in the compact form (KIP-482); `i16::MAX` where there is none.
    const FLEXIBLE_FROM: i16;

    /// The layout of a version, if there is a schema for it.
    #[must_use]
    fn format(version: i16) -> Option<Format> {
        let format = Format {
            version,
            flexible: version >= Self::FLEXIBLE_FROM,
        };
        Self::VERSIONS.contains(&version).then_some(format)
    }

    /// Appends the message, keeping large payloads by reference.
    ///
    /// # Errors
    /// When this version cannot express the message.
    fn encode_into(&self, out: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        let format = Self::format(version).ok_or(EncodeReason::UnsupportedVersion(version))?;
        self.put(out, format)
    }

    /// Appends the message to one buffer. After an error the buffer ends in a part of the message.
    ///
    /// # Errors
    /// When this version cannot express the message.
    fn encode(&self, out: &mut BytesMut, version: i16) -> Result<(), EncodeError> {
        let mut encoder = Encoder::contiguous(std::mem::take(out));
        let result = self.encode_into(&mut encoder, version);
        *out = encoder.into_contiguous();
        result
    }

    /// Reads the message off the front of `buf`. Strings and payloads share its memory.
    ///
    /// # Errors
    /// When the bytes are not such a message.
    fn decode(buf: &mut Bytes, version: i16) -> Result<Self, DecodeError> {
        let format = Self::format(version).ok_or(DecodeReason::UnsupportedVersion(version))?;
        Self::take(buf, format)
    }

    /// Reads a message that must fill `bytes` to the end.
    ///
    /// # Errors
    /// When the bytes are not such a message, or more follow.
    fn decode_exact(mut bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let message = Self::decode(&mut bytes, version)?;
        match bytes.len() {
            0 => Ok(message),
            trailing => Err(DecodeReason::TrailingBytes(trailing).into()),
        }
    }
}

/// A request, which says what answers it.
pub trait Request: Message {
    /// The answer, in the same version.
    type Response: Message;
}

/// Hands the table of APIs to a macro: `name = number, request, response;` for each.
#[macro_export]
macro_rules! for_each_kafka_api {
    ($callback:ident) => {
        $callback! {
            Produce = 0, ProduceRequest, ProduceResponse;
            Fetch = 1, FetchRequest, FetchResponse;
            ListOffsets = 2, ListOffsetsRequest, ListOffsetsResponse;
            Metadata = 3, MetadataRequest, MetadataResponse;
            OffsetCommit = 8, OffsetCommitRequest, OffsetCommitResponse;
            OffsetFetch = 9, OffsetFetchRequest, OffsetFetchResponse;
            FindCoordinator = 10, FindCoordinatorRequest, FindCoordinatorResponse;
            JoinGroup = 11, JoinGroupRequest, JoinGroupResponse;
            Heartbeat = 12, HeartbeatRequest, HeartbeatResponse;
            LeaveGroup = 13, LeaveGroupRequest, LeaveGroupResponse;
            SyncGroup = 14, SyncGroupRequest, SyncGroupResponse;
            DescribeGroups = 15, DescribeGroupsRequest, DescribeGroupsResponse;
            ListGroups = 16, ListGroupsRequest, ListGroupsResponse;
            SaslHandshake = 17, SaslHandshakeRequest, SaslHandshakeResponse;
            ApiVersions = 18, ApiVersionsRequest, ApiVersionsResponse;
            CreateTopics = 19, CreateTopicsRequest, CreateTopicsResponse;
            DeleteTopics = 20, DeleteTopicsRequest, DeleteTopicsResponse;
            DeleteRecords = 21, DeleteRecordsRequest, DeleteRecordsResponse;
            InitProducerId = 22, InitProducerIdRequest, InitProducerIdResponse;
            OffsetForLeaderEpoch = 23, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
            DescribeAcls = 29, DescribeAclsRequest, DescribeAclsResponse;
            CreateAcls = 30, CreateAclsRequest, CreateAclsResponse;
            DeleteAcls = 31, DeleteAclsRequest, DeleteAclsResponse;
            DescribeConfigs = 32, DescribeConfigsRequest, DescribeConfigsResponse;
            AlterConfigs = 33, AlterConfigsRequest, AlterConfigsResponse;
            DescribeLogDirs = 35, DescribeLogDirsRequest, DescribeLogDirsResponse;
            SaslAuthenticate = 36, SaslAuthenticateRequest, SaslAuthenticateResponse;
            CreatePartitions = 37, CreatePartitionsRequest, CreatePartitionsResponse;
            DeleteGroups = 42, DeleteGroupsRequest, DeleteGroupsResponse;
            IncrementalAlterConfigs = 44, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
            OffsetDelete = 47, OffsetDeleteRequest, OffsetDeleteResponse;
            DescribeClientQuotas = 48, DescribeClientQuotasRequest, DescribeClientQuotasResponse;
            AlterClientQuotas = 49, AlterClientQuotasRequest, AlterClientQuotasResponse;
            DescribeUserScramCredentials = 50, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
            AlterUserScramCredentials = 51, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;
            DescribeCluster = 60, DescribeClusterRequest, DescribeClusterResponse;
            DescribeProducers = 61, DescribeProducersRequest, DescribeProducersResponse;
            ListConfigResources = 74, ListConfigResourcesRequest, ListConfigResourcesResponse;
            DescribeTopicPartitions = 75, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
        }
    };
}

macro_rules! define_apis {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        /// The APIs of the Kafka protocol that Tailrace has schemas for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[allow(missing_docs, reason = "Kafka's own names")]
        pub enum ApiKey {
            $( $name = $code, )*
        }

        impl ApiKey {
            /// All of them, by number.
            pub const ALL: &[Self] = &[ $( Self::$name, )* ];

            /// The API with this number.
            #[must_use]
            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// Kafka's name for it, fit for a metric's label.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                }
            }

            /// The versions for which there are schemas.
            #[must_use]
            pub fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $( Self::$name => <$request as Message>::VERSIONS, )*
                }
            }

            fn flexible_from(self) -> i16 {
                match self {
                    $( Self::$name => <$request as Message>::FLEXIBLE_FROM, )*
                }
            }
        }

        $(
            impl Request for $request {
                type Response = $response;
            }
        )*
    };
}

for_each_kafka_api!(define_apis);

impl ApiKey {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// Whether a version, known or not, has the compact form.
    #[must_use]
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// The version of the header before a request.
    #[must_use]
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the header before a response. That of ApiVersions never changes: a client reads it before it
    /// knows which versions the broker speaks.
    #[must_use]
    pub fn response_header_version(self, version: i16) -> i16 {
        (self != Self::ApiVersions && self.is_flexible(version)).into()
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
