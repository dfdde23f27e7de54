//! Every API in every version that is advertised: an answer for success, and one for what can go wrong. A field set in
//! a version that lacks it would close the connection.

mod clients;
mod configs;
mod groups;
mod logs;
mod topics;

use tailrace_shared::kafka::messages::describe_topic_partitions::TopicRequest as TopicRequestByName;
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::{ApiKey, ErrorCode};
use uuid::Uuid;

use super::support::*;

const OK: i16 = 0;

fn code(error: ErrorCode) -> i16 {
    error.code()
}

/// A topic in the way of a version, and which error it is not to know it.
fn names(version: i16, ids_since: i16, name: &str, id: Uuid) -> (bytestring::ByteString, Uuid, i16) {
    if version >= ids_since {
        (text(""), id, code(ErrorCode::UnknownTopicId))
    } else {
        (text(name), Uuid::nil(), code(ErrorCode::UnknownTopicOrPartition))
    }
}

#[tokio::test]
async fn every_version_of_every_api_is_answered() {
    let server = Server::start().await;
    let (mut client, id) = server.with_topic("logs").await;
    let advertised = client.ask(&ApiVersionsRequest::default(), 0).await;
    assert_eq!(advertised.error_code, OK);
    for api in advertised.api_keys {
        let key = ApiKey::from_code(api.api_key).unwrap();
        for version in api.min_version..=api.max_version {
            exercise(&mut client, key, version, id).await;
        }
    }
}

async fn exercise(client: &mut Client, api: ApiKey, version: i16, id: Uuid) {
    match api {
        ApiKey::Produce => logs::produce(client, version, id).await,
        ApiKey::Fetch => logs::fetch(client, version, id).await,
        ApiKey::ListOffsets => logs::list_offsets(client, version).await,
        ApiKey::Metadata => topics::metadata(client, version, id).await,
        ApiKey::OffsetCommit => groups::offset_commit(client, version, id).await,
        ApiKey::OffsetFetch => groups::offset_fetch(client, version, id).await,
        ApiKey::FindCoordinator => groups::find_coordinator(client, version).await,
        ApiKey::JoinGroup => groups::join_group(client, version).await,
        ApiKey::Heartbeat => groups::heartbeat(client, version).await,
        ApiKey::LeaveGroup => groups::leave_group(client, version).await,
        ApiKey::SyncGroup => groups::sync_group(client, version).await,
        ApiKey::DescribeGroups => groups::describe_groups(client, version).await,
        ApiKey::ListGroups => {
            let answer = client.ask(&ListGroupsRequest::default(), version).await;
            assert_eq!(answer.error_code, OK);
            assert!(answer.groups.iter().any(|group| group.group_id == "members"));
        }
        ApiKey::ApiVersions => {
            let answer = client.ask(&ApiVersionsRequest::default(), version).await;
            assert!(answer.error_code == OK && answer.api_keys.len() > 20);
        }
        ApiKey::CreateTopics => topics::create_topics(client, version).await,
        ApiKey::DeleteTopics => topics::delete_topics(client, version).await,
        ApiKey::InitProducerId => logs::init_producer_id(client, version).await,
        ApiKey::OffsetForLeaderEpoch => logs::offset_for_leader_epoch(client, version).await,
        ApiKey::SaslHandshake => {
            let answer = client.ask(&SaslHandshakeRequest::default(), version).await;
            assert_eq!(answer.error_code, code(ErrorCode::IllegalSaslState));
        }
        ApiKey::SaslAuthenticate => {
            let answer = client.ask(&SaslAuthenticateRequest::default(), version).await;
            assert_eq!(answer.error_code, code(ErrorCode::IllegalSaslState));
        }
        ApiKey::DescribeClientQuotas | ApiKey::AlterClientQuotas => clients::quotas(client, version).await,
        ApiKey::DescribeUserScramCredentials | ApiKey::AlterUserScramCredentials => {
            clients::credentials(client, version).await
        }
        ApiKey::DeleteRecords => logs::delete_records(client, version).await,
        ApiKey::DescribeLogDirs => logs::describe_log_dirs(client, version).await,
        ApiKey::OffsetDelete => groups::offset_delete(client, version).await,
        ApiKey::ListConfigResources => configs::list_config_resources(client, version).await,
        ApiKey::DescribeTopicPartitions => {
            let request = DescribeTopicPartitionsRequest {
                topics: vec![
                    TopicRequestByName { name: text("logs") },
                    TopicRequestByName { name: text("nothing") },
                ],
                ..Default::default()
            };
            let answer = client.ask(&request, version).await;
            let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [OK, code(ErrorCode::UnknownTopicOrPartition)]);
            assert_eq!((answer.topics[0].topic_id, answer.topics[0].partitions.len()), (id, 2));
        }
        ApiKey::DescribeAcls => {
            let answer = client.ask(&DescribeAclsRequest::default(), version).await;
            assert_eq!(answer.error_code, code(ErrorCode::SecurityDisabled));
        }
        ApiKey::CreateAcls => {
            let creations = vec![Default::default()];
            let answer = client.ask(&CreateAclsRequest { creations }, version).await;
            assert_eq!(answer.results[0].error_code, code(ErrorCode::SecurityDisabled));
        }
        ApiKey::DeleteAcls => {
            let filters = vec![Default::default()];
            let answer = client.ask(&DeleteAclsRequest { filters }, version).await;
            assert_eq!(answer.filter_results[0].error_code, code(ErrorCode::SecurityDisabled));
        }
        ApiKey::DescribeConfigs => configs::describe_configs(client, version).await,
        ApiKey::AlterConfigs => configs::alter_configs(client, version).await,
        ApiKey::IncrementalAlterConfigs => configs::incremental_alter_configs(client, version).await,
        ApiKey::CreatePartitions => topics::create_partitions(client, version).await,
        ApiKey::DeleteGroups => {
            let request = DeleteGroupsRequest {
                groups_names: vec![text("nobody"), text("members")],
            };
            let answer = client.ask(&request, version).await;
            let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
            assert_eq!(
                codes,
                [code(ErrorCode::GroupIdNotFound), code(ErrorCode::NonEmptyGroup)]
            );
            let reasoned = answer.results.iter().all(|result| result.error_message.is_some());
            assert_eq!(reasoned, version >= 3);
        }
        ApiKey::DescribeCluster => topics::describe_cluster(client, version).await,
        ApiKey::DescribeProducers => logs::describe_producers(client, version).await,
    }
}
