//! Access control entries as tools add and remove them, and what somebody gets to see whom no entry allows anything.

use tailrace_collector::config::CollectorConfig;
use tailrace_shared::kafka::messages::alter_configs::AlterConfigsResource;
use tailrace_shared::kafka::messages::alter_user_scram_credentials::ScramCredentialDeletion;
use tailrace_shared::kafka::messages::create_acls::AclCreation;
use tailrace_shared::kafka::messages::create_partitions::CreatePartitionsTopic;
use tailrace_shared::kafka::messages::delete_acls::DeleteAclsFilter;
use tailrace_shared::kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use tailrace_shared::kafka::messages::delete_topics::DeleteTopicState;
use tailrace_shared::kafka::messages::describe_configs::{DescribeConfigsResource, RESOURCE_TOPIC};
use tailrace_shared::kafka::messages::describe_producers::TopicRequest;
use tailrace_shared::kafka::messages::describe_topic_partitions::TopicRequest as TopicRequestByName;
use tailrace_shared::kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use tailrace_shared::kafka::messages::metadata::MetadataRequestTopic;
use tailrace_shared::kafka::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use tailrace_shared::kafka::messages::offset_fetch::OffsetFetchRequestGroup;
use tailrace_shared::kafka::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use tailrace_shared::kafka::messages::*;

use super::support::*;

const TOPIC: i8 = 2;
const ANY: i8 = 1;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const READ: i8 = 3;
const ALLOW: i8 = 3;

fn controlled(super_user: &'static str) -> impl FnOnce(&mut CollectorConfig) {
    move |config| {
        config.acls.enabled = true;
        config.acls.super_users.insert(super_user.to_owned());
    }
}

fn may_read(name: &str, pattern: i8) -> AclCreation {
    AclCreation {
        resource_type: TOPIC,
        resource_name: text(name),
        resource_pattern_type: pattern,
        principal: text("User:ann"),
        host: text("*"),
        operation: READ,
        permission_type: ALLOW,
    }
}

async fn described(client: &mut Client) -> Vec<(String, i8, usize)> {
    let request = DescribeAclsRequest {
        resource_type_filter: ANY,
        pattern_type_filter: ANY,
        operation: ANY,
        permission_type: ANY,
        ..Default::default()
    };
    let answer = client.newest(&request).await;
    assert_eq!(name_of(answer.error_code), "NONE");
    let one = |found: &describe_acls::DescribeAclsResource| {
        (found.resource_name.to_string(), found.pattern_type, found.acls.len())
    };
    answer.resources.iter().map(one).collect()
}

#[tokio::test]
async fn entries_are_added_described_and_removed() {
    let server = Server::start_with(controlled("User:ANONYMOUS")).await;
    let mut client = server.client().await;
    let mut from_one_host = may_read("nginx", LITERAL);
    from_one_host.host = text("10.0.0.1");
    let mut to_the_wrong_cluster = may_read("main", LITERAL);
    to_the_wrong_cluster.resource_type = 4;
    let mut from_a_name = may_read("nginx", LITERAL);
    from_a_name.host = text("web1");
    let mut of_nobody = may_read("nginx", LITERAL);
    of_nobody.principal = text("ann");
    let creations = vec![
        may_read("nginx", LITERAL),
        from_one_host,
        may_read("ng", PREFIXED),
        to_the_wrong_cluster,
        from_a_name,
        of_nobody,
        may_read("nginx", 9),
    ];
    for _ in 0..2 {
        let request = CreateAclsRequest {
            creations: creations.clone(),
        };
        let results = client.newest(&request).await.results;
        let codes: Vec<_> = results.iter().map(|result| name_of(result.error_code)).collect();
        assert_eq!(
            codes,
            [["NONE"; 3].as_slice(), &["INVALID_REQUEST"; 4]].concat(),
            "{results:?}"
        );
        let there = [("nginx".to_owned(), LITERAL, 2), ("ng".to_owned(), PREFIXED, 1)];
        assert_eq!(described(&mut client).await, there);
    }
    let all_of_nginx = DeleteAclsFilter {
        resource_type_filter: TOPIC,
        resource_name_filter: Some(text("nginx")),
        pattern_type_filter: LITERAL,
        operation: ANY,
        permission_type: ANY,
        ..Default::default()
    };
    let wrong = DeleteAclsFilter {
        operation: 99,
        ..all_of_nginx.clone()
    };
    let request = DeleteAclsRequest {
        filters: vec![wrong, all_of_nginx],
    };
    let results = client.newest(&request).await.filter_results;
    let found = results
        .iter()
        .map(|result| (name_of(result.error_code), result.matching_acls.len()));
    assert_eq!(found.collect::<Vec<_>>(), [("INVALID_REQUEST", 0), ("NONE", 2)]);
    assert_eq!(described(&mut client).await, [("ng".to_owned(), PREFIXED, 1)]);
}

#[tokio::test]
#[allow(
    clippy::needless_update,
    reason = "some requests have no more fields than the one that matters"
)]
async fn whom_no_entry_allows_anything_learns_nothing_and_changes_nothing() {
    let server = Server::start_with(controlled("User:admin")).await;
    let mut client = server.client().await;
    let topic = || text("logs");
    let group = || text("readers");
    let (denied_topic, denied_group, denied_cluster) = (
        "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
    );
    /// Sends a request and compares the error at a place of its answer.
    macro_rules! denied {
        ($version:literal, $expected:expr, $request:ident { $($field:ident: $value:expr),* $(,)? }, |$answer:ident| $code:expr) => {{
            let request = $request { $($field: $value,)* ..Default::default() };
            let $answer = client.ask(&request, $version).await;
            assert_eq!(name_of($code), $expected, "{}", stringify!($request));
        }};
    }

    assert_eq!(
        name_of(client.produce("logs", 0, batch(&[b"x"])).await.error_code),
        denied_topic
    );
    assert_eq!(name_of(client.fetch("logs", 0, 0).await.error_code), denied_topic);
    denied!(
        7,
        denied_topic,
        ListOffsetsRequest {
            topics: vec![ListOffsetsTopic {
                name: topic(),
                partitions: vec![ListOffsetsPartition::default()]
            }],
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    denied!(
        12,
        denied_topic,
        MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic()),
                ..Default::default()
            }]),
            allow_auto_topic_creation: true,
        },
        |answer| answer.topics[0].error_code
    );
    denied!(
        4,
        denied_topic,
        OffsetForLeaderEpochRequest {
            topics: vec![OffsetForLeaderTopic {
                topic: topic(),
                partitions: vec![OffsetForLeaderPartition::default()]
            }],
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    denied!(
        0,
        denied_topic,
        DescribeProducersRequest {
            topics: vec![TopicRequest {
                name: topic(),
                partition_indexes: vec![0]
            }],
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    denied!(
        7,
        denied_topic,
        CreateTopicsRequest {
            topics: vec![new_topic("logs")],
        },
        |answer| answer.topics[0].error_code
    );
    denied!(
        3,
        denied_topic,
        CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic(),
                count: 9,
                assignments: None
            }],
        },
        |answer| answer.results[0].error_code
    );
    denied!(
        6,
        denied_topic,
        DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(topic()),
                ..Default::default()
            }],
        },
        |answer| answer.responses[0].error_code
    );
    denied!(
        4,
        denied_topic,
        DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: topic(),
                ..Default::default()
            }],
        },
        |answer| answer.results[0].error_code
    );
    denied!(
        2,
        denied_topic,
        AlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: topic(),
                ..Default::default()
            }],
        },
        |answer| answer.responses[0].error_code
    );

    denied!(
        9,
        denied_group,
        OffsetCommitRequest {
            group_id: group(),
            topics: vec![OffsetCommitRequestTopic {
                name: topic(),
                partitions: vec![OffsetCommitRequestPartition::default()],
                ..Default::default()
            }],
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    denied!(
        9,
        denied_group,
        OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: group(),
                ..Default::default()
            }],
        },
        |answer| answer.groups[0].error_code
    );
    denied!(
        6,
        denied_group,
        FindCoordinatorRequest {
            coordinator_keys: vec![group()]
        },
        |answer| answer.coordinators[0].error_code
    );
    denied!(9, denied_group, JoinGroupRequest { group_id: group() }, |answer| answer
        .error_code);
    denied!(5, denied_group, SyncGroupRequest { group_id: group() }, |answer| answer
        .error_code);
    denied!(4, denied_group, HeartbeatRequest { group_id: group() }, |answer| answer
        .error_code);
    denied!(5, denied_group, LeaveGroupRequest { group_id: group() }, |answer| {
        answer.error_code
    });
    denied!(
        6,
        denied_group,
        DescribeGroupsRequest { groups: vec![group()] },
        |answer| answer.groups[0].error_code
    );
    denied!(
        2,
        denied_group,
        DeleteGroupsRequest {
            groups_names: vec![group()]
        },
        |answer| answer.results[0].error_code
    );

    denied!(5, denied_cluster, InitProducerIdRequest {}, |answer| answer.error_code);
    denied!(3, denied_cluster, DescribeAclsRequest {}, |answer| answer.error_code);
    denied!(
        3,
        denied_cluster,
        CreateAclsRequest {
            creations: vec![may_read("logs", LITERAL)]
        },
        |answer| answer.results[0].error_code
    );
    denied!(
        3,
        denied_cluster,
        DeleteAclsRequest {
            filters: vec![DeleteAclsFilter::default()]
        },
        |answer| answer.filter_results[0].error_code
    );

    denied!(
        2,
        denied_topic,
        DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: topic(),
                partitions: vec![DeleteRecordsPartition::default()]
            }],
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    denied!(
        0,
        denied_topic,
        DescribeTopicPartitionsRequest {
            topics: vec![TopicRequestByName { name: topic() }]
        },
        |answer| answer.topics[0].error_code
    );
    denied!(0, denied_group, OffsetDeleteRequest { group_id: group() }, |answer| {
        answer.error_code
    });
    denied!(4, denied_cluster, DescribeLogDirsRequest {}, |answer| answer.error_code);
    denied!(1, denied_cluster, ListConfigResourcesRequest {}, |answer| answer
        .error_code);
    denied!(0, denied_cluster, DescribeClientQuotasRequest {}, |answer| answer
        .error_code);
    denied!(
        0,
        denied_cluster,
        AlterClientQuotasRequest {
            entries: vec![Default::default()],
        },
        |answer| answer.entries[0].error_code
    );
    denied!(0, denied_cluster, DescribeUserScramCredentialsRequest {}, |answer| {
        answer.error_code
    });
    denied!(
        0,
        denied_cluster,
        AlterUserScramCredentialsRequest {
            deletions: vec![ScramCredentialDeletion {
                name: text("ann"),
                mechanism: 1
            }],
        },
        |answer| answer.results[0].error_code
    );

    let all = client
        .newest(&MetadataRequest {
            topics: None,
            ..Default::default()
        })
        .await;
    assert!(all.topics.is_empty(), "{all:?}");
    assert!(client.newest(&ListGroupsRequest::default()).await.groups.is_empty());
}
