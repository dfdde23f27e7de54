//! The records of `__consumer_offsets`, in Kafka's own key and value format, so that tools that read that topic work.
//!
//! Source: Kafka's `OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey` and `GroupMetadataValue` schemas. Keys are
//! versions 1 (an offset) and 2 (a group); values are written as version 3 and read from version 0 on. `docs/FORMATS.md`
//! has the bytes.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use tailrace_shared::clock::TimestampMs;

/// A group as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group's id.
    pub group: ByteString,
    /// Empty if nobody ever joined.
    pub protocol_type: ByteString,
    /// The generation.
    pub generation: i32,
    /// The protocol in force.
    pub protocol: Option<ByteString>,
    /// Who leads.
    pub leader: Option<ByteString>,
    /// Wall-clock time of the last change of phase.
    pub changed_at_ms: TimestampMs,
    /// The members of this generation.
    pub members: Vec<MemberMetadata>,
}

/// A member as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub member_id: ByteString,
    /// Its `group.instance.id`.
    pub instance_id: Option<ByteString>,
    /// The `client.id` of its requests.
    pub client_id: ByteString,
    /// The address it came from.
    pub client_host: ByteString,
    /// How long a rebalance waits for it.
    pub rebalance_timeout: Duration,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// Its metadata for the protocol in force.
    pub subscription: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}

/// An offset as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// Whatever the client stored with it.
    pub metadata: ByteString,
    /// When it was committed.
    pub committed_at_ms: TimestampMs,
}

/// One record of the log; a value that is absent is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRecord {
    /// A committed offset.
    Offset {
        /// The group's id.
        group: ByteString,
        /// The topic's name.
        topic: ByteString,
        /// The partition.
        partition: i32,
        /// What was committed.
        value: Option<OffsetValue>,
    },
    /// A group's generation and members.
    Group {
        /// The group's id.
        group: ByteString,
        /// The group.
        value: Option<GroupMetadata>,
    },
}

/// Why a record of the log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end too early, or a length points beyond them.
    #[error("the {0} is cut short")]
    Truncated(&'static str),
    /// A string is not UTF-8.
    #[error("the {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A version this collector does not know.
    #[error("{what} version {version} is newer than this collector knows")]
    UnknownVersion {
        /// Key or value of what.
        what: &'static str,
        /// The version found.
        version: i16,
    },
}

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const VALUE_VERSION: i16 = 3;

impl LogRecord {
    /// The group it belongs to.
    #[must_use]
    pub fn group(&self) -> &ByteString {
        match self {
            Self::Offset { group, .. } | Self::Group { group, .. } => group,
        }
    }

    /// About what it takes in the log.
    pub(super) fn size_estimate(&self) -> usize {
        let own = match self {
            Self::Offset { topic, value, .. } => {
                topic.len() + value.as_ref().map_or(0, |value| value.metadata.len() + 32)
            }
            Self::Group { value, .. } => {
                let members = value.iter().flat_map(|value| &value.members);
                members
                    .map(|member| member.subscription.len() + member.assignment.len() + 256)
                    .sum()
            }
        };
        own + self.group().len() + 64
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Offset {
                group,
                topic,
                partition,
                ..
            } => {
                out.put_i16(OFFSET_KEY);
                put_string(&mut out, group);
                put_string(&mut out, topic);
                out.put_i32(*partition);
            }
            Self::Group { group, .. } => {
                out.put_i16(GROUP_KEY);
                put_string(&mut out, group);
            }
        }
        out.freeze()
    }

    /// The record's value; none for a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<Bytes> {
        match self {
            Self::Offset { value, .. } => value.as_ref().map(OffsetValue::encode),
            Self::Group { value, .. } => value.as_ref().map(GroupMetadata::encode),
        }
    }

    /// Reads a record; `Ok(None)` for kinds of key that belong to newer group protocols.
    pub fn decode(mut key: Bytes, value: Option<Bytes>) -> Result<Option<Self>, RecordError> {
        match take_i16(&mut key, "key's version")? {
            0 | OFFSET_KEY => {
                let group = take_string(&mut key, "group")?;
                let topic = take_string(&mut key, "topic")?;
                let partition = take_i32(&mut key, "partition")?;
                let value = value.map(OffsetValue::decode).transpose()?;
                Ok(Some(Self::Offset {
                    group,
                    topic,
                    partition,
                    value,
                }))
            }
            GROUP_KEY => {
                let group = take_string(&mut key, "group")?;
                let value = value
                    .map(|bytes| GroupMetadata::decode(group.clone(), bytes))
                    .transpose()?;
                Ok(Some(Self::Group { group, value }))
            }
            _ => Ok(None),
        }
    }
}

impl OffsetValue {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(VALUE_VERSION);
        out.put_i64(self.offset);
        out.put_i32(self.leader_epoch);
        put_string(&mut out, &self.metadata);
        out.put_i64(self.committed_at_ms);
        out.freeze()
    }

    fn decode(mut bytes: Bytes) -> Result<Self, RecordError> {
        let version = take_i16(&mut bytes, "offset's version")?;
        if !(0..=3).contains(&version) {
            return Err(RecordError::UnknownVersion {
                what: "offset value",
                version,
            });
        }
        let offset = take_i64(&mut bytes, "offset")?;
        let leader_epoch = if version >= 3 {
            take_i32(&mut bytes, "leader epoch")?
        } else {
            -1
        };
        let metadata = take_string(&mut bytes, "metadata")?;
        let committed_at_ms = take_i64(&mut bytes, "commit timestamp")?;
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            committed_at_ms,
        })
    }
}

impl GroupMetadata {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(VALUE_VERSION);
        put_string(&mut out, &self.protocol_type);
        out.put_i32(self.generation);
        put_nullable(&mut out, self.protocol.as_ref());
        put_nullable(&mut out, self.leader.as_ref());
        out.put_i64(self.changed_at_ms);
        out.put_i32(i32::try_from(self.members.len()).unwrap_or(i32::MAX));
        for member in &self.members {
            put_string(&mut out, &member.member_id);
            put_nullable(&mut out, member.instance_id.as_ref());
            put_string(&mut out, &member.client_id);
            put_string(&mut out, &member.client_host);
            put_millis(&mut out, member.rebalance_timeout);
            put_millis(&mut out, member.session_timeout);
            put_bytes(&mut out, &member.subscription);
            put_bytes(&mut out, &member.assignment);
        }
        out.freeze()
    }

    fn decode(group: ByteString, mut bytes: Bytes) -> Result<Self, RecordError> {
        let buf = &mut bytes;
        let version = take_i16(buf, "group's version")?;
        if !(0..=3).contains(&version) {
            return Err(RecordError::UnknownVersion {
                what: "group value",
                version,
            });
        }
        let protocol_type = take_string(buf, "protocol type")?;
        let generation = take_i32(buf, "generation")?;
        let protocol = take_nullable(buf, "protocol")?;
        let leader = take_nullable(buf, "leader")?;
        let changed_at_ms = if version >= 2 {
            take_i64(buf, "state timestamp")?
        } else {
            -1
        };
        let count = take_i32(buf, "number of members")?;
        let mut members = Vec::new();
        for _ in 0..count.max(0) {
            members.push(MemberMetadata::decode(buf, version)?);
        }
        Ok(Self {
            group,
            protocol_type,
            generation,
            protocol,
            leader,
            changed_at_ms,
            members,
        })
    }
}

impl MemberMetadata {
    fn decode(buf: &mut Bytes, version: i16) -> Result<Self, RecordError> {
        let member_id = take_string(buf, "member id")?;
        let instance_id = if version >= 3 {
            take_nullable(buf, "instance id")?
        } else {
            None
        };
        let client_id = take_string(buf, "client id")?;
        let client_host = take_string(buf, "client host")?;
        let rebalance_timeout = if version >= 1 {
            Some(take_millis(buf, "rebalance timeout")?)
        } else {
            None
        };
        let session_timeout = take_millis(buf, "session timeout")?;
        let subscription = take_bytes(buf, "subscription")?;
        let assignment = take_bytes(buf, "assignment")?;
        let rebalance_timeout = rebalance_timeout.unwrap_or(session_timeout);
        Ok(Self {
            member_id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout,
            session_timeout,
            subscription,
            assignment,
        })
    }
}

/// Strings that came over the wire have at most `i16::MAX` bytes; longer ones are cut at a character.
fn put_string(out: &mut BytesMut, value: &str) {
    let mut end = value.len().min(usize::from(i16::MAX.unsigned_abs()));
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    out.put_i16(i16::try_from(end).unwrap_or(i16::MAX));
    out.put_slice(value.as_bytes().get(..end).unwrap_or_default());
}

fn put_nullable(out: &mut BytesMut, value: Option<&ByteString>) {
    match value {
        Some(value) => put_string(out, value),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut BytesMut, value: &Bytes) {
    out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    out.put_slice(value);
}

fn put_millis(out: &mut BytesMut, value: Duration) {
    out.put_i32(i32::try_from(value.as_millis()).unwrap_or(i32::MAX));
}

fn take_i16(buf: &mut Bytes, what: &'static str) -> Result<i16, RecordError> {
    buf.try_get_i16().map_err(|_| RecordError::Truncated(what))
}

fn take_i32(buf: &mut Bytes, what: &'static str) -> Result<i32, RecordError> {
    buf.try_get_i32().map_err(|_| RecordError::Truncated(what))
}

fn take_i64(buf: &mut Bytes, what: &'static str) -> Result<i64, RecordError> {
    buf.try_get_i64().map_err(|_| RecordError::Truncated(what))
}

fn take_millis(buf: &mut Bytes, what: &'static str) -> Result<Duration, RecordError> {
    Ok(Duration::from_millis(u64::try_from(take_i32(buf, what)?).unwrap_or(0)))
}

fn take_len(buf: &mut Bytes, len: i64, what: &'static str) -> Result<Bytes, RecordError> {
    match usize::try_from(len) {
        Ok(len) if len <= buf.remaining() => Ok(buf.split_to(len)),
        _ => Err(RecordError::Truncated(what)),
    }
}

fn take_nullable(buf: &mut Bytes, what: &'static str) -> Result<Option<ByteString>, RecordError> {
    let len = take_i16(buf, what)?;
    if len < 0 {
        return Ok(None);
    }
    let bytes = take_len(buf, len.into(), what)?;
    ByteString::try_from(bytes)
        .map(Some)
        .map_err(|_| RecordError::NotUtf8(what))
}

fn take_string(buf: &mut Bytes, what: &'static str) -> Result<ByteString, RecordError> {
    Ok(take_nullable(buf, what)?.unwrap_or_default())
}

fn take_bytes(buf: &mut Bytes, what: &'static str) -> Result<Bytes, RecordError> {
    let len = take_i32(buf, what)?;
    take_len(buf, len.max(0).into(), what)
}
