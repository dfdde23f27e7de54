//! Consumer groups over a socket: a rebalance of two, and commits that outlive the process.

use std::time::Duration;

use bytestring::ByteString;
use tailrace_shared::kafka::messages::join_group::JoinGroupRequestProtocol;
use tailrace_shared::kafka::messages::leave_group::MemberIdentity;
use tailrace_shared::kafka::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use tailrace_shared::kafka::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use tailrace_shared::kafka::messages::offset_fetch::OffsetFetchRequestGroup;
use tailrace_shared::kafka::messages::sync_group::SyncGroupRequestAssignment;
use tailrace_shared::kafka::messages::*;
use tokio::time::sleep;

use super::support::*;

const JOIN: i16 = 3;

fn join(member_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: text("g"),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        member_id: text(member_id),
        protocol_type: text("consumer"),
        protocols: vec![JoinGroupRequestProtocol {
            name: text("range"),
            metadata: "topics".into(),
        }],
        ..Default::default()
    }
}

fn sync(joined: &JoinGroupResponse, assignments: &[(&str, &'static str)]) -> SyncGroupRequest {
    let assignment = |(member_id, work): &(&str, &'static str)| SyncGroupRequestAssignment {
        member_id: text(member_id),
        assignment: (*work).into(),
    };
    SyncGroupRequest {
        group_id: text("g"),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: assignments.iter().map(assignment).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn offsets_of_a_topic_that_a_member_reads_are_not_forgotten() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("read").await;
    client.create_topic("left").await;
    let commit = |topic: &str| OffsetCommitRequestTopic {
        name: text(topic),
        partitions: vec![OffsetCommitRequestPartition {
            committed_offset: 7,
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: text("g"),
        generation_id_or_member_epoch: -1,
        topics: vec![commit("read"), commit("left")],
        ..Default::default()
    };
    client.ask(&request, 9).await;
    let subscription = ConsumerProtocolSubscription {
        topics: vec![text("read")],
        ..Default::default()
    };
    let mut member = join("");
    member.protocols[0].metadata = subscription.encode(0).unwrap();
    let joined = client.ask(&member, JOIN).await;
    client.newest(&sync(&joined, &[(&joined.member_id, "all")])).await;

    let forget = |topic: &str| OffsetDeleteRequestTopic {
        name: text(topic),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
    };
    let request = OffsetDeleteRequest {
        group_id: text("g"),
        topics: vec![forget("read"), forget("left")],
    };
    let answer = client.newest(&request).await;
    let found = answer
        .topics
        .iter()
        .map(|topic| name_of(topic.partitions[0].error_code));
    assert_eq!(found.collect::<Vec<_>>(), ["GROUP_SUBSCRIBED_TO_TOPIC", "NONE"]);
    let group = OffsetFetchRequestGroup {
        group_id: text("g"),
        ..Default::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group],
        ..Default::default()
    };
    let kept = client.ask(&request, 9).await;
    let names: Vec<_> = kept.groups[0].topics.iter().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["read"]);
}

#[tokio::test]
async fn two_members_share_the_work_and_one_takes_over() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    let first = one.ask(&join(""), JOIN).await;
    let synced = one.newest(&sync(&first, &[(&first.member_id, "all")])).await;
    assert_eq!(synced.assignment, "all");

    let joining = two.send(&join(""), JOIN).await;
    let heartbeat = HeartbeatRequest {
        group_id: text("g"),
        generation_id: first.generation_id,
        member_id: first.member_id.clone(),
        ..Default::default()
    };
    while name_of(one.newest(&heartbeat).await.error_code) != "REBALANCE_IN_PROGRESS" {
        sleep(Duration::from_millis(5)).await;
    }
    let first = one.ask(&join(&first.member_id), JOIN).await;
    let second = two.receive::<JoinGroupRequest>(joining, JOIN).await;
    assert_eq!(
        (first.generation_id, second.generation_id, first.members.len()),
        (2, 2, 2)
    );
    let waiting = two.send(&sync(&second, &[]), 5).await;
    let halves = [
        (first.member_id.as_ref(), "half"),
        (second.member_id.as_ref(), "other half"),
    ];
    assert_eq!(one.newest(&sync(&first, &halves)).await.assignment, "half");
    assert_eq!(
        two.receive::<SyncGroupRequest>(waiting, 5).await.assignment,
        "other half"
    );

    let leave = LeaveGroupRequest {
        group_id: text("g"),
        member_id: first.member_id.clone(),
        ..Default::default()
    };
    assert_eq!(one.ask(&leave, 2).await.error_code, 0);
    let alone = two.ask(&join(&second.member_id), JOIN).await;
    assert_eq!(
        (alone.generation_id, alone.leader, alone.members.len()),
        (3, second.member_id, 1)
    );
}

#[tokio::test]
async fn commit_goes_with_its_topic() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let commit = OffsetCommitRequest {
        group_id: text("g"),
        topics: vec![OffsetCommitRequestTopic {
            name: text("logs"),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 5,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = client.ask(&commit, 9).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    let all = OffsetFetchRequest {
        group_id: text("g"),
        topics: None,
        ..Default::default()
    };
    assert_eq!(client.ask(&all, 7).await.topics[0].partitions[0].committed_offset, 5);
    let delete = DeleteTopicsRequest {
        topic_names: vec![text("logs")],
        ..Default::default()
    };
    client.ask(&delete, 5).await;
    client.create_topic("logs").await;
    assert_eq!(client.ask(&all, 7).await.topics, []);
}

/// Longer than anything in an old version could be.
#[tokio::test]
async fn group_id_of_64_kib_is_refused_by_everybody_and_kept_by_nobody() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let group_id = ByteString::from("g".repeat(64 << 10));
    let (member_id, generation_id) = (text("m"), 1);
    let joining = JoinGroupRequest {
        group_id: group_id.clone(),
        ..join("")
    };
    let syncing = SyncGroupRequest {
        group_id: group_id.clone(),
        generation_id,
        member_id: member_id.clone(),
        ..Default::default()
    };
    let beating = HeartbeatRequest {
        group_id: group_id.clone(),
        generation_id,
        member_id: member_id.clone(),
        ..Default::default()
    };
    let leaving = LeaveGroupRequest {
        group_id: group_id.clone(),
        members: vec![MemberIdentity {
            member_id,
            ..Default::default()
        }],
        ..Default::default()
    };
    let committing = OffsetCommitRequest {
        group_id: group_id.clone(),
        topics: vec![OffsetCommitRequestTopic {
            name: text("logs"),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let deleting = DeleteGroupsRequest {
        groups_names: vec![group_id.clone()],
    };
    let refusals = [
        client.newest(&joining).await.error_code,
        client.newest(&syncing).await.error_code,
        client.newest(&beating).await.error_code,
        client.newest(&leaving).await.members[0].error_code,
        client.ask(&committing, 9).await.topics[0].partitions[0].error_code,
        client.newest(&deleting).await.results[0].error_code,
    ];
    let expected = [
        "INVALID_GROUP_ID",
        "UNKNOWN_MEMBER_ID",
        "UNKNOWN_MEMBER_ID",
        "UNKNOWN_MEMBER_ID",
        "INVALID_GROUP_ID",
        "GROUP_ID_NOT_FOUND",
    ];
    assert_eq!(refusals.map(name_of), expected);
    let fetching = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group_id.clone(),
            topics: None,
            ..Default::default()
        }],
        ..Default::default()
    };
    let fetched = client.newest(&fetching).await;
    assert_eq!(fetched.groups[0].topics, [], "nothing is taken for an offset");
    let describing = DescribeGroupsRequest {
        groups: vec![group_id],
        ..Default::default()
    };
    assert_eq!(client.newest(&describing).await.groups[0].members, []);
    assert_eq!(client.newest(&ListGroupsRequest::default()).await.groups, []);
}
