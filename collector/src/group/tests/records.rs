//! The records of `__consumer_offsets`, byte by byte and with bytes that nobody wrote.

use proptest::prelude::*;

use super::*;
use crate::group::record::{GroupMetadata, LogRecord, MemberMetadata, OffsetValue, RecordError};

/// The layouts of Kafka's `OffsetCommitKey` 1 and `OffsetCommitValue` 3.
#[test]
fn committed_offset_lies_as_kafka_has_it() {
    let record = LogRecord::Offset {
        group: "grp".into(),
        topic: "logs".into(),
        partition: 7,
        value: Some(OffsetValue {
            offset: 42,
            leader_epoch: 5,
            metadata: "m".into(),
            committed_at_ms: 0x0102,
        }),
    };
    let key = [&b"\0\x01\0\x03grp\0\x04logs"[..], b"\0\0\0\x07"].concat();
    let value = [
        &b"\0\x03"[..],
        b"\0\0\0\0\0\0\0\x2a",
        b"\0\0\0\x05",
        b"\0\x01m",
        b"\0\0\0\0\0\0\x01\x02",
    ]
    .concat();
    assert_eq!((record.key(), record.value().unwrap()), (key.into(), value.into()));
}

/// The layouts of Kafka's `GroupMetadataKey` 2 and `GroupMetadataValue` 3.
#[test]
fn group_lies_as_kafka_has_it() {
    let record = LogRecord::Group {
        group: "grp".into(),
        value: Some(GroupMetadata {
            group: "grp".into(),
            protocol_type: "consumer".into(),
            generation: 3,
            protocol: Some("range".into()),
            leader: None,
            changed_at_ms: 9,
            members: vec![MemberMetadata {
                member_id: "a".into(),
                instance_id: None,
                client_id: "c".into(),
                client_host: "/h".into(),
                rebalance_timeout: Duration::from_millis(0x0100),
                session_timeout: Duration::from_millis(0x0200),
                subscription: Bytes::from_static(b"sub"),
                assignment: Bytes::from_static(b"as"),
            }],
        }),
    };
    let value = [
        &b"\0\x03\0\x08consumer"[..],
        b"\0\0\0\x03\0\x05range\xff\xff",
        b"\0\0\0\0\0\0\0\x09",
        b"\0\0\0\x01\0\x01a\xff\xff\0\x01c\0\x02/h",
        b"\0\0\x01\0\0\0\x02\0",
        b"\0\0\0\x03sub\0\0\0\x02as",
    ]
    .concat();
    assert_eq!(
        (record.key(), record.value().unwrap()),
        (b"\0\x02\0\x03grp"[..].into(), value.into())
    );
}

#[test]
fn older_values_are_read() {
    let key = Bytes::from_static(b"\0\0\0\x01g\0\x01t\0\0\0\0");
    let offset_of = |value: &'static [u8]| match LogRecord::decode(key.clone(), Some(Bytes::from_static(value))) {
        Ok(Some(LogRecord::Offset { value: Some(value), .. })) => value,
        other => panic!("{other:?}"),
    };
    let expected = OffsetValue {
        offset: 1,
        leader_epoch: -1,
        metadata: "m".into(),
        committed_at_ms: 2,
    };
    let with_expiry = b"\0\x01\0\0\0\0\0\0\0\x01\0\x01m\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03";
    assert_eq!(offset_of(with_expiry), expected);
    assert_eq!(
        offset_of(b"\0\x02\0\0\0\0\0\0\0\x01\0\x01m\0\0\0\0\0\0\0\x02"),
        expected
    );

    let value = Bytes::from_static(
        b"\0\0\0\x01c\0\0\0\x01\xff\xff\xff\xff\0\0\0\x01\0\x01a\0\x01c\0\x01h\0\0\0\x05\0\0\0\0\0\0\0\0",
    );
    let Ok(Some(LogRecord::Group { value: Some(group), .. })) =
        LogRecord::decode(Bytes::from_static(b"\0\x02\0\x01g"), Some(value))
    else {
        panic!("not a group");
    };
    assert_eq!(
        group.members[0].rebalance_timeout,
        Duration::from_millis(5),
        "that of the session"
    );
}

#[test]
fn what_is_too_new_is_told_from_what_is_of_another_kind() {
    let newer = LogRecord::decode(
        Bytes::from_static(b"\0\x02\0\x01g"),
        Some(Bytes::from_static(b"\0\x09")),
    );
    assert!(matches!(newer, Err(RecordError::UnknownVersion { version: 9, .. })));
    assert_eq!(LogRecord::decode(Bytes::from_static(b"\0\x03whatever"), None), Ok(None));
}

fn name() -> impl Strategy<Value = ByteString> {
    "[a-zé漢]{0,8}".prop_map(ByteString::from)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn member() -> impl Strategy<Value = MemberMetadata> {
    (
        name(),
        prop::option::of(name()),
        name(),
        name(),
        any::<(u16, u16)>(),
        bytes(),
        bytes(),
    )
        .prop_map(
            |(member_id, instance_id, client_id, client_host, timeouts, subscription, assignment)| MemberMetadata {
                member_id,
                instance_id,
                client_id,
                client_host,
                rebalance_timeout: Duration::from_millis(timeouts.0.into()),
                session_timeout: Duration::from_millis(timeouts.1.into()),
                subscription,
                assignment,
            },
        )
}

fn group(group: ByteString) -> impl Strategy<Value = GroupMetadata> {
    let names = (name(), prop::option::of(name()), prop::option::of(name()));
    (names, any::<(i32, i64)>(), prop::collection::vec(member(), 0..4)).prop_map(
        move |((protocol_type, protocol, leader), (generation, changed_at_ms), members)| GroupMetadata {
            group: group.clone(),
            protocol_type,
            generation,
            protocol,
            leader,
            changed_at_ms,
            members,
        },
    )
}

fn record() -> impl Strategy<Value = LogRecord> {
    let offset = (any::<(i64, i32, i64)>(), name()).prop_map(|((offset, leader_epoch, committed_at_ms), metadata)| {
        OffsetValue {
            offset,
            leader_epoch,
            metadata,
            committed_at_ms,
        }
    });
    let offset =
        (name(), name(), any::<i32>(), prop::option::of(offset)).prop_map(|(group, topic, partition, value)| {
            LogRecord::Offset {
                group,
                topic,
                partition,
                value,
            }
        });
    let group = name().prop_flat_map(|id| {
        prop::option::of(group(id.clone())).prop_map(move |value| LogRecord::Group {
            group: id.clone(),
            value,
        })
    });
    prop_oneof![offset, group]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn record_comes_back_as_it_was(record in record()) {
        prop_assert_eq!(LogRecord::decode(record.key(), record.value()), Ok(Some(record)));
    }

    #[test]
    fn damaged_record_is_an_error_or_another_record(
        record in record(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut key = record.key().to_vec();
        let mut value = record.value().unwrap_or_default().to_vec();
        for (place, byte) in places {
            let at = place.index(key.len() + value.len());
            match key.get_mut(at) {
                Some(damaged) => *damaged = byte,
                None => value[at - key.len()] = byte,
            }
        }
        value.truncate(end.index(value.len() + 1));
        drop(LogRecord::decode(key.into(), Some(value.into())));
    }
}
