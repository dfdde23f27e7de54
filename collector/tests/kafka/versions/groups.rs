//! Groups, their members and their offsets.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::join_group::JoinGroupRequestProtocol;
use tailrace_shared::kafka::messages::leave_group::MemberIdentity;
use tailrace_shared::kafka::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use tailrace_shared::kafka::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use tailrace_shared::kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use tailrace_shared::kafka::messages::*;
use uuid::Uuid;

use super::{OK, code, names};
use crate::support::*;

pub(super) async fn find_coordinator(client: &mut Client, version: i16) {
    let mut kinds = vec![(0, OK)];
    if version >= 1 {
        kinds.push((1, code(ErrorCode::InvalidRequest)));
    }
    for (key_type, expected) in kinds {
        let mut request = FindCoordinatorRequest {
            key_type,
            ..Default::default()
        };
        if version >= 4 {
            request.coordinator_keys = vec![text("a"), text("b")];
            let answer = client.ask(&request, version).await;
            assert_eq!(answer.coordinators.len(), 2);
            assert!(answer.coordinators.iter().all(|found| found.error_code == expected));
        } else {
            request.key = text("a");
            assert_eq!(client.ask(&request, version).await.error_code, expected);
        }
    }
}

fn join_request(version: i16, group: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: text(group),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: if version >= 1 { 60_000 } else { -1 },
        protocol_type: text("consumer"),
        protocols: vec![JoinGroupRequestProtocol {
            name: text("range"),
            metadata: "topics".into(),
        }],
        ..Default::default()
    }
}

pub(super) async fn join_group(client: &mut Client, version: i16) {
    let group = format!("join-{version}");
    let mut request = join_request(version, &group);
    let mut answer = client.ask(&request, version).await;
    if version >= 4 {
        assert_eq!(answer.error_code, code(ErrorCode::MemberIdRequired));
        request.member_id = answer.member_id;
        answer = client.ask(&request, version).await;
    }
    assert_eq!(
        (answer.error_code, answer.generation_id, answer.members.len()),
        (OK, 1, 1),
        "version {version}"
    );
    if version >= 5 {
        let mut fixed = join_request(version, &format!("static-{version}"));
        fixed.group_instance_id = Some(text("one"));
        let first = client.ask(&fixed, version).await;
        let again = client.ask(&fixed, version).await;
        assert_eq!((first.error_code, again.error_code), (OK, OK));
        fixed.member_id = first.member_id;
        assert_eq!(
            client.ask(&fixed, version).await.error_code,
            code(ErrorCode::FencedInstanceId)
        );
    }
    let mut unknown = join_request(version, "nobody");
    unknown.member_id = text("stranger");
    let mut hasty = join_request(version, "nobody");
    hasty.session_timeout_ms = 1;
    let mut other = join_request(version, &group);
    other.protocols[0].name = text("own");
    let cases = [
        (unknown, ErrorCode::UnknownMemberId),
        (hasty, ErrorCode::InvalidSessionTimeout),
        (other, ErrorCode::InconsistentGroupProtocol),
        (join_request(version, ""), ErrorCode::InvalidGroupId),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        assert_eq!(name_of(answer.error_code), expected.name(), "version {version}");
    }
    if version == 0 {
        // Others look at this one.
        assert_eq!(client.ask(&join_request(0, "members"), 0).await.error_code, OK);
    }
}

pub(super) async fn heartbeat(client: &mut Client, version: i16) {
    let request = HeartbeatRequest {
        group_id: text("members"),
        member_id: text("stranger"),
        ..Default::default()
    };
    assert_eq!(
        client.ask(&request, version).await.error_code,
        code(ErrorCode::UnknownMemberId)
    );
}

pub(super) async fn leave_group(client: &mut Client, version: i16) {
    let group_id = text(&format!("leave-{version}"));
    let joined = client.ask(&join_request(0, &group_id), 0).await.member_id;
    if version < 3 {
        for expected in [OK, code(ErrorCode::UnknownMemberId)] {
            let request = LeaveGroupRequest {
                group_id: group_id.clone(),
                member_id: joined.clone(),
                ..Default::default()
            };
            assert_eq!(client.ask(&request, version).await.error_code, expected);
        }
        return;
    }
    let member = |member_id: &str| MemberIdentity {
        member_id: text(member_id),
        ..Default::default()
    };
    let request = LeaveGroupRequest {
        group_id,
        members: vec![member(&joined), member("stranger")],
        ..Default::default()
    };
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer.members.iter().map(|member| member.error_code).collect();
    assert_eq!(
        (answer.error_code, codes),
        (OK, vec![OK, code(ErrorCode::UnknownMemberId)])
    );
}

pub(super) async fn sync_group(client: &mut Client, version: i16) {
    let group_id = text(&format!("sync-{version}"));
    let joined = client.ask(&join_request(0, &group_id), 0).await;
    let ask = |member_id: &str, generation_id| SyncGroupRequest {
        group_id: group_id.clone(),
        generation_id,
        member_id: text(member_id),
        ..Default::default()
    };
    let cases = [
        (ask(&joined.member_id, 1), OK),
        (ask(&joined.member_id, 7), code(ErrorCode::IllegalGeneration)),
        (ask("stranger", 1), code(ErrorCode::UnknownMemberId)),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        assert_eq!(answer.error_code, expected, "version {version}");
    }
}

pub(super) async fn describe_groups(client: &mut Client, version: i16) {
    let request = DescribeGroupsRequest {
        groups: vec![text("members"), text("nobody")],
        ..Default::default()
    };
    let answer = client.ask(&request, version).await;
    let [members, nobody] = &answer.groups[..] else {
        panic!("{answer:?}");
    };
    assert_eq!((members.error_code, members.members.len()), (OK, 1));
    let unknown = if version >= 6 {
        code(ErrorCode::GroupIdNotFound)
    } else {
        OK
    };
    assert_eq!(
        (nobody.group_state.as_ref(), nobody.error_code),
        ("Dead", unknown),
        "version {version}"
    );
}

pub(super) async fn offset_commit(client: &mut Client, version: i16, id: Uuid) {
    let commit = |name: &str, id, generation, partition_index, metadata: &str| {
        let (name, topic_id, _) = names(version, 10, name, id);
        OffsetCommitRequest {
            group_id: text("committers"),
            generation_id_or_member_epoch: generation,
            topics: vec![OffsetCommitRequestTopic {
                name,
                topic_id,
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index,
                    committed_offset: i64::from(version),
                    committed_metadata: Some(text(metadata)),
                    ..Default::default()
                }],
            }],
            ..Default::default()
        }
    };
    let unknown_topic = names(version, 10, "", id).2;
    let cases = [
        (commit("logs", id, -1, 0, "note"), OK),
        (commit("logs", id, -1, 9, ""), code(ErrorCode::UnknownTopicOrPartition)),
        (commit("nothing", Uuid::from_u128(1), -1, 0, ""), unknown_topic),
        (
            commit("logs", id, -1, 0, &"x".repeat(5000)),
            code(ErrorCode::OffsetMetadataTooLarge),
        ),
        (commit("logs", id, 4, 0, ""), code(ErrorCode::UnknownMemberId)),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        let found = answer.topics[0].partitions[0].error_code;
        assert_eq!(name_of(found), name_of(expected), "version {version}");
    }
}

pub(super) async fn offset_fetch(client: &mut Client, version: i16, id: Uuid) {
    if version >= 8 {
        let (name, topic_id, _) = names(version, 10, "logs", id);
        let topic = OffsetFetchRequestTopics {
            name,
            topic_id,
            partition_indexes: vec![0, 1],
        };
        let group = |group: &str, topics| OffsetFetchRequestGroup {
            group_id: text(group),
            topics,
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![
                group("committers", Some(vec![topic.clone()])),
                group("committers", None),
                group("nobody", Some(vec![topic])),
                group("nobody", None),
            ],
            ..Default::default()
        };
        let answer = client.ask(&request, version).await;
        assert!(answer.groups.iter().all(|group| group.error_code == OK));
        let offsets = |index: usize| -> Vec<i64> {
            let partitions = answer.groups[index].topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| partition.committed_offset).collect()
        };
        assert_eq!(
            (offsets(0), offsets(1), offsets(2), offsets(3)),
            (vec![10, -1], vec![10], vec![-1, -1], vec![])
        );
        assert_eq!(answer.groups[0].topics[0].partitions[0].metadata, Some(text("note")));
        return;
    }
    let topic = OffsetFetchRequestTopic {
        name: text("logs"),
        partition_indexes: vec![0, 1],
    };
    let mut asked = vec![Some(vec![topic])];
    asked.extend((version >= 2).then_some(None));
    for topics in asked {
        for (group, expected) in [("committers", 10), ("nobody", -1)] {
            let request = OffsetFetchRequest {
                group_id: text(group),
                topics: topics.clone(),
                ..Default::default()
            };
            let answer = client.ask(&request, version).await;
            let first = answer
                .topics
                .first()
                .map_or(-1, |topic| topic.partitions[0].committed_offset);
            assert_eq!((answer.error_code, first), (OK, expected), "version {version}");
        }
    }
}

pub(super) async fn offset_delete(client: &mut Client, version: i16) {
    let ask = |group: &str, topic: &str| OffsetDeleteRequest {
        group_id: text(group),
        topics: vec![OffsetDeleteRequestTopic {
            name: text(topic),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 1 }],
        }],
    };
    for (group, topic, whole, partition) in [
        ("committers", "logs", "NONE", Some("NONE")),
        ("committers", "nothing", "NONE", Some("NONE")),
        ("nobody", "logs", "GROUP_ID_NOT_FOUND", None),
        ("members", "logs", "NONE", Some("NONE")),
    ] {
        let answer = client.ask(&ask(group, topic), version).await;
        let found = answer
            .topics
            .first()
            .map(|topic| name_of(topic.partitions[0].error_code));
        assert_eq!(
            (name_of(answer.error_code), found),
            (whole, partition),
            "{group} {topic}"
        );
    }
}
