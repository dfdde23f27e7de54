//! Every API in every version that is advertised: an answer for success, and one for what can go wrong. A field set in
//! a version that lacks it would close the connection.

use tailrace_shared::kafka::messages::alter_client_quotas::{EntityData, EntryData, OpData};
use tailrace_shared::kafka::messages::alter_user_scram_credentials::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use tailrace_shared::kafka::messages::create_partitions::CreatePartitionsTopic;
use tailrace_shared::kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use tailrace_shared::kafka::messages::delete_topics::DeleteTopicState;
use tailrace_shared::kafka::messages::describe_client_quotas::ComponentData;
use tailrace_shared::kafka::messages::describe_configs::DescribeConfigsResource;
use tailrace_shared::kafka::messages::describe_log_dirs::DescribableLogDirTopic;
use tailrace_shared::kafka::messages::describe_producers::TopicRequest;
use tailrace_shared::kafka::messages::describe_topic_partitions::TopicRequest as TopicRequestByName;
use tailrace_shared::kafka::messages::describe_user_scram_credentials::UserName;
use tailrace_shared::kafka::messages::join_group::JoinGroupRequestProtocol;
use tailrace_shared::kafka::messages::leave_group::MemberIdentity;
use tailrace_shared::kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use tailrace_shared::kafka::messages::metadata::MetadataRequestTopic;
use tailrace_shared::kafka::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use tailrace_shared::kafka::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use tailrace_shared::kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use tailrace_shared::kafka::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
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
        ApiKey::Produce => produce(client, version, id).await,
        ApiKey::Fetch => fetch(client, version, id).await,
        ApiKey::ListOffsets => list_offsets(client, version).await,
        ApiKey::Metadata => metadata(client, version, id).await,
        ApiKey::OffsetCommit => offset_commit(client, version, id).await,
        ApiKey::OffsetFetch => offset_fetch(client, version, id).await,
        ApiKey::FindCoordinator => find_coordinator(client, version).await,
        ApiKey::JoinGroup => join_group(client, version).await,
        ApiKey::Heartbeat => heartbeat(client, version).await,
        ApiKey::LeaveGroup => leave_group(client, version).await,
        ApiKey::SyncGroup => sync_group(client, version).await,
        ApiKey::DescribeGroups => describe_groups(client, version).await,
        ApiKey::ListGroups => {
            let answer = client.ask(&ListGroupsRequest::default(), version).await;
            assert_eq!(answer.error_code, OK);
            assert!(answer.groups.iter().any(|group| group.group_id == "members"));
        }
        ApiKey::ApiVersions => {
            let answer = client.ask(&ApiVersionsRequest::default(), version).await;
            assert!(answer.error_code == OK && answer.api_keys.len() > 20);
        }
        ApiKey::CreateTopics => create_topics(client, version).await,
        ApiKey::DeleteTopics => delete_topics(client, version).await,
        ApiKey::InitProducerId => init_producer_id(client, version).await,
        ApiKey::OffsetForLeaderEpoch => offset_for_leader_epoch(client, version).await,
        ApiKey::SaslHandshake => {
            let answer = client.ask(&SaslHandshakeRequest::default(), version).await;
            assert_eq!(answer.error_code, code(ErrorCode::IllegalSaslState));
        }
        ApiKey::SaslAuthenticate => {
            let answer = client.ask(&SaslAuthenticateRequest::default(), version).await;
            assert_eq!(answer.error_code, code(ErrorCode::IllegalSaslState));
        }
        ApiKey::DescribeClientQuotas | ApiKey::AlterClientQuotas => quotas(client, version).await,
        ApiKey::DescribeUserScramCredentials | ApiKey::AlterUserScramCredentials => credentials(client, version).await,
        ApiKey::DeleteRecords => delete_records(client, version).await,
        ApiKey::DescribeLogDirs => describe_log_dirs(client, version).await,
        ApiKey::OffsetDelete => offset_delete(client, version).await,
        ApiKey::ListConfigResources => list_config_resources(client, version).await,
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
        ApiKey::DescribeConfigs => describe_configs(client, version).await,
        ApiKey::AlterConfigs => alter_configs(client, version).await,
        ApiKey::IncrementalAlterConfigs => incremental_alter_configs(client, version).await,
        ApiKey::CreatePartitions => create_partitions(client, version).await,
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
        ApiKey::DescribeCluster => describe_cluster(client, version).await,
        ApiKey::DescribeProducers => describe_producers(client, version).await,
    }
}

async fn delete_records(client: &mut Client, version: i16) {
    let partition = |partition_index, offset| DeleteRecordsPartition {
        partition_index,
        offset,
    };
    let topic = |name: &str, partitions| DeleteRecordsTopic {
        name: text(name),
        partitions,
    };
    let request = DeleteRecordsRequest {
        topics: vec![
            topic(
                "logs",
                vec![partition(1, 0), partition(1, 99), partition(9, 0), partition(1, -2)],
            ),
            topic("nothing", vec![partition(0, -1)]),
            topic("__consumer_offsets", vec![partition(0, -1)]),
        ],
        timeout_ms: 1000,
    };
    let answer = client.ask(&request, version).await;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found: Vec<_> = partitions
        .map(|one| (name_of(one.error_code), one.low_watermark))
        .collect();
    let expected = [
        ("NONE", 0),
        ("OFFSET_OUT_OF_RANGE", -1),
        ("UNKNOWN_TOPIC_OR_PARTITION", -1),
        ("OFFSET_OUT_OF_RANGE", -1),
        ("UNKNOWN_TOPIC_OR_PARTITION", -1),
        ("INVALID_TOPIC_EXCEPTION", -1),
    ];
    assert_eq!(found, expected);
}

async fn describe_log_dirs(client: &mut Client, version: i16) {
    let one = DescribableLogDirTopic {
        topic: text("logs"),
        partitions: vec![0, 9],
    };
    for (topics, expected) in [(Some(vec![one]), 1), (Some(vec![]), 0), (None, 2)] {
        let answer = client
            .ask(&DescribeLogDirsRequest { topics: topics.clone() }, version)
            .await;
        assert_eq!((answer.error_code, answer.results.len()), (OK, 1));
        let dir = &answer.results[0];
        assert!(dir.log_dir.starts_with('/'), "{}", dir.log_dir);
        let logs = dir.topics.iter().find(|topic| topic.name == "logs");
        assert_eq!(logs.map_or(0, |topic| topic.partitions.len()), expected, "{topics:?}");
        let size = logs.map_or(1, |topic| topic.partitions[0].partition_size);
        assert!(size > 0, "{size}");
        assert_eq!(
            dir.usable_bytes > 0 && dir.total_bytes >= dir.usable_bytes,
            version >= 4
        );
    }
}

async fn offset_delete(client: &mut Client, version: i16) {
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

async fn list_config_resources(client: &mut Client, version: i16) {
    let answer = client.ask(&ListConfigResourcesRequest::default(), version).await;
    assert_eq!(answer.error_code, OK);
    let has = |name: &str, kind| {
        let mut found = answer.config_resources.iter();
        found.any(|resource| resource.resource_name == name && resource.resource_type == kind)
    };
    assert_eq!((has("logs", 2), has("1", 4)), (version >= 1, version >= 1));
    if version >= 1 {
        for (kind, expected) in [(4, "NONE"), (32, "NONE"), (99, "UNSUPPORTED_VERSION")] {
            let resource_types = vec![kind];
            let answer = client
                .ask(&ListConfigResourcesRequest { resource_types }, version)
                .await;
            assert_eq!(name_of(answer.error_code), expected);
            assert_eq!(answer.config_resources.len(), usize::from(kind == 4));
        }
    }
}

async fn credentials(client: &mut Client, version: i16) {
    let set = |name: &str, iterations| ScramCredentialUpsertion {
        name: text(name),
        mechanism: 1,
        iterations,
        salt: "salt".into(),
        salted_password: vec![7; 32].into(),
    };
    let remove = |name: &str| ScramCredentialDeletion {
        name: text(name),
        mechanism: 1,
    };
    let change = AlterUserScramCredentialsRequest {
        deletions: vec![remove("nobody")],
        upsertions: vec![set("ann", 4096), set("bob", 1)],
    };
    let answer = client.ask(&change, version).await;
    let found = answer.results.iter().map(|result| (&*result.user, result.error_code));
    let expected = [
        ("ann", OK),
        ("bob", code(ErrorCode::UnacceptableCredential)),
        ("nobody", code(ErrorCode::ResourceNotFound)),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let answer = client
        .ask(&DescribeUserScramCredentialsRequest::default(), version)
        .await;
    let found = answer
        .results
        .iter()
        .map(|result| (&*result.user, result.credential_infos[0].iterations));
    assert_eq!(found.collect::<Vec<_>>(), [("ann", 4096)]);
    let change = AlterUserScramCredentialsRequest {
        deletions: vec![remove("ann")],
        upsertions: vec![],
    };
    assert_eq!(client.ask(&change, version).await.results[0].error_code, OK);
    let users = Some(vec![UserName { name: text("ann") }]);
    let answer = client
        .ask(&DescribeUserScramCredentialsRequest { users }, version)
        .await;
    assert_eq!(answer.results[0].error_code, code(ErrorCode::ResourceNotFound));
}

async fn quotas(client: &mut Client, version: i16) {
    let part = |kind: &str, name: Option<&str>| EntityData {
        entity_type: text(kind),
        entity_name: name.map(text),
    };
    let set = |entity, key: &str, rate: Option<f64>| EntryData {
        entity,
        ops: vec![OpData {
            key: text(key),
            value: rate.unwrap_or_default().into(),
            remove: rate.is_none(),
        }],
    };
    let ann = || vec![part("user", Some("ann"))];
    let app = || vec![part("client-id", Some("app")), part("user", None)];
    let both = |rate| {
        vec![
            set(ann(), "producer_byte_rate", rate),
            set(app(), "consumer_byte_rate", rate),
            set(ann(), "request_percentage", rate),
        ]
    };
    let invalid = code(ErrorCode::InvalidRequest);
    for (validate_only, rate, there) in [(true, Some(5e9), 0), (false, Some(5e9), 2), (false, None, 0)] {
        let request = AlterClientQuotasRequest {
            entries: both(rate),
            validate_only,
        };
        let answer = client.ask(&request, version).await;
        let codes: Vec<_> = answer.entries.iter().map(|entry| entry.error_code).collect();
        assert_eq!(codes, [OK, OK, invalid]);
        assert_eq!(answer.entries[1].entity, app());
        let component = |kind, match_type, name: Option<&str>| ComponentData {
            entity_type: text(kind),
            match_type,
            match_: name.map(text),
        };
        for (components, strict, expected) in [
            (vec![], false, there),
            (vec![component("user", 2, None)], false, there),
            (vec![component("user", 2, None)], true, there / 2),
            (vec![component("user", 0, Some("ann"))], true, there / 2),
            (vec![component("user", 0, Some("bob"))], false, 0),
            (vec![component("user", 1, None)], false, there / 2),
            (
                vec![component("client-id", 0, Some("app")), component("user", 1, None)],
                true,
                there / 2,
            ),
            (vec![component("ip", 2, None)], false, 0),
        ] {
            let request = DescribeClientQuotasRequest { components, strict };
            let answer = client.ask(&request, version).await;
            assert_eq!(answer.error_code, OK);
            let entries = answer.entries.unwrap();
            assert_eq!(entries.len(), expected, "{request:?}");
            assert!(entries.iter().all(|entry| entry.values[0].value.get() == 5e9));
        }
        for wrong in [
            vec![component("group", 2, None)],
            vec![component("user", 2, None), component("user", 1, None)],
            vec![component("user", 0, None)],
            vec![component("user", 1, Some("ann"))],
            vec![component("user", 3, None)],
        ] {
            let request = DescribeClientQuotasRequest {
                components: wrong,
                strict: false,
            };
            let answer = client.ask(&request, version).await;
            assert_eq!((answer.error_code, answer.entries), (invalid, None));
        }
    }
}

async fn produce(client: &mut Client, version: i16, id: Uuid) {
    let ask = |name: &str, id: Uuid, partition, acks| {
        let (name, topic_id, _) = names(version, 13, name, id);
        let mut request = produce_request(&name, partition, batch(&[b"line"]));
        request.topic_data[0].topic_id = topic_id;
        request.acks = acks;
        request
    };
    let unknown_topic = names(version, 13, "", id).2;
    let cases = [
        (ask("logs", id, 0, -1), OK),
        (ask("logs", id, 0, 1), OK),
        (ask("logs", id, 9, -1), code(ErrorCode::UnknownTopicOrPartition)),
        (ask("nothing", Uuid::from_u128(1), 0, -1), unknown_topic),
        (ask("logs", id, 0, 2), code(ErrorCode::InvalidRequiredAcks)),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!(name_of(answer.error_code), name_of(expected), "version {version}");
    }
    let mut damaged = ask("logs", id, 0, -1);
    let mut bytes = batch(&[b"line"]).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    damaged.topic_data[0].partition_data[0].records = Some(bytes.into());
    let answer = client.ask(&damaged, version).await;
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, code(ErrorCode::CorruptMessage), "version {version}");
    if version >= 3 {
        let mut transactional = ask("logs", id, 0, -1);
        transactional.transactional_id = Some(text("tx"));
        let answer = client.ask(&transactional, version).await;
        assert_eq!(
            answer.responses[0].partition_responses[0].error_code,
            code(ErrorCode::InvalidTxnState)
        );
    }
}

async fn fetch(client: &mut Client, version: i16, id: Uuid) {
    let ask = |name: &str, id: Uuid, partition, offset| {
        let (name, topic_id, _) = names(version, 13, name, id);
        let mut request = fetch_request(&name, partition, offset);
        request.topics[0].topic_id = topic_id;
        request.replica_id = if version >= 15 { -1 } else { request.replica_id };
        request
    };
    let unknown_topic = names(version, 13, "", id).2;
    let cases = [
        (ask("logs", id, 0, 0), OK),
        (ask("logs", id, 0, 999_999), code(ErrorCode::OffsetOutOfRange)),
        (ask("logs", id, 0, -1), code(ErrorCode::OffsetOutOfRange)),
        (ask("logs", id, 9, 0), code(ErrorCode::UnknownTopicOrPartition)),
        (ask("nothing", Uuid::from_u128(1), 0, 0), unknown_topic),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        let found = &answer.responses[0].partitions[0];
        assert_eq!(name_of(found.error_code), name_of(expected), "version {version}");
        let has_records = found.records.as_ref().is_some_and(|records| !records.is_empty());
        assert_eq!(has_records, expected == OK, "version {version}");
    }
    if version >= 7 {
        let mut request = ask("logs", id, 0, 0);
        request.session_id = 5;
        request.session_epoch = 1;
        let answer = client.ask(&request, version).await;
        assert_eq!(answer.error_code, code(ErrorCode::FetchSessionIdNotFound));
    }
    if version >= 9 {
        for (epoch, expected) in [(99, ErrorCode::UnknownLeaderEpoch), (-5, ErrorCode::FencedLeaderEpoch)] {
            let mut request = ask("logs", id, 0, 0);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            let answer = client.ask(&request, version).await;
            assert_eq!(
                answer.responses[0].partitions[0].error_code,
                code(expected),
                "version {version}"
            );
        }
    }
    if version >= 12 {
        let mut request = ask("logs", id, 0, 1);
        request.topics[0].partitions[0].last_fetched_epoch = 99;
        let answer = client.ask(&request, version).await;
        let diverging = &answer.responses[0].partitions[0].diverging_epoch;
        assert_eq!((diverging.epoch, diverging.end_offset), (-1, -1), "version {version}");
    }
}

async fn list_offsets(client: &mut Client, version: i16) {
    let ask = |topic: &str, partition_index, timestamp, current_leader_epoch| ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: text(topic),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                current_leader_epoch,
                timestamp,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let mut cases = vec![
        (ask("logs", 0, -2, -1), OK, Some(0)),
        (ask("logs", 0, -1, -1), OK, None),
        (ask("logs", 0, 0, -1), OK, Some(0)),
        (ask("logs", 0, 999_999, -1), OK, Some(-1)),
        (ask("logs", 0, -3, -1), OK, Some(0)),
        (ask("logs", 1, -3, -1), OK, Some(-1)),
        (
            ask("logs", 9, -1, -1),
            code(ErrorCode::UnknownTopicOrPartition),
            Some(-1),
        ),
        (
            ask("nothing", 0, -1, -1),
            code(ErrorCode::UnknownTopicOrPartition),
            Some(-1),
        ),
    ];
    if version >= 4 {
        cases.push((ask("logs", 0, -1, 99), code(ErrorCode::UnknownLeaderEpoch), Some(-1)));
    }
    for (request, expected, offset) in cases {
        let answer = client.ask(&request, version).await;
        let found = &answer.topics[0].partitions[0];
        assert_eq!(found.error_code, expected, "version {version} {request:?}");
        let found_offset = match version {
            0 => found.old_style_offsets.first().copied().unwrap_or(-1),
            _ => found.offset,
        };
        assert!(
            offset.is_none_or(|offset| offset == found_offset),
            "version {version} {request:?} {found:?}"
        );
    }
}

async fn metadata(client: &mut Client, version: i16, id: Uuid) {
    let all = MetadataRequest {
        topics: (version == 0).then(Vec::new),
        ..Default::default()
    };
    let answer = client.ask(&all, version).await;
    assert_eq!(answer.brokers.len(), 1);
    assert!(
        answer
            .topics
            .iter()
            .any(|topic| topic.name == Some(text("logs")) && topic.partitions.len() == 2)
    );
    let named = |name: &str| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(text(name)),
            ..Default::default()
        }]),
        allow_auto_topic_creation: version < 4,
        ..Default::default()
    };
    let unknown = if version < 4 {
        OK
    } else {
        code(ErrorCode::UnknownTopicOrPartition)
    };
    let invalid = code(ErrorCode::InvalidTopicException);
    let new = format!("auto-{version}");
    for (name, expected) in [("logs", OK), (new.as_str(), unknown), ("a/b", invalid), ("..", invalid)] {
        let answer = client.ask(&named(name), version).await;
        assert_eq!(
            name_of(answer.topics[0].error_code),
            name_of(expected),
            "version {version} {name}"
        );
    }
    if version >= 10 {
        for (topic_id, expected) in [(id, OK), (Uuid::from_u128(1), code(ErrorCode::UnknownTopicId))] {
            let request = MetadataRequest {
                topics: Some(vec![MetadataRequestTopic { topic_id, name: None }]),
                ..Default::default()
            };
            let answer = client.ask(&request, version).await;
            assert_eq!(answer.topics[0].error_code, expected);
            let nameless = expected != OK && version >= 12;
            assert_eq!(answer.topics[0].name.is_none(), nameless, "version {version}");
        }
    }
}

async fn offset_commit(client: &mut Client, version: i16, id: Uuid) {
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

async fn offset_fetch(client: &mut Client, version: i16, id: Uuid) {
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

async fn find_coordinator(client: &mut Client, version: i16) {
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

async fn join_group(client: &mut Client, version: i16) {
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

async fn heartbeat(client: &mut Client, version: i16) {
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

async fn leave_group(client: &mut Client, version: i16) {
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

async fn sync_group(client: &mut Client, version: i16) {
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

async fn describe_groups(client: &mut Client, version: i16) {
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

async fn create_topics(client: &mut Client, version: i16) {
    let ask = |names: &[&str]| CreateTopicsRequest {
        topics: names.iter().map(|name| new_topic(name)).collect(),
        ..Default::default()
    };
    let long = "x".repeat(30_000);
    let new = format!("created-{version}");
    let cases = [
        (new.as_str(), OK),
        ("logs", code(ErrorCode::TopicAlreadyExists)),
        ("a/b", code(ErrorCode::InvalidTopicException)),
        (&long, code(ErrorCode::InvalidTopicException)),
    ];
    for (name, expected) in cases {
        let answer = client.ask(&ask(&[name]), version).await;
        assert_eq!(
            name_of(answer.topics[0].error_code),
            name_of(expected),
            "version {version}"
        );
        let shown = answer.topics[0]
            .configs
            .as_ref()
            .is_some_and(|configs| configs.len() > 20);
        assert_eq!(shown, version >= 5 && expected == OK, "version {version}");
    }
    let answer = client.ask(&ask(&["twice", "twice"]), version).await;
    assert!(
        answer
            .topics
            .iter()
            .all(|topic| topic.error_code == code(ErrorCode::InvalidRequest))
    );
}

async fn delete_topics(client: &mut Client, version: i16) {
    let new = format!("created-{version}");
    let names = [new.as_str(), "nothing", "__consumer_offsets"];
    let mut request = DeleteTopicsRequest::default();
    if version >= 6 {
        let by_name = |name: &&str| DeleteTopicState {
            name: Some(text(name)),
            ..Default::default()
        };
        request.topics = names.iter().map(by_name).collect();
        request.topics.push(DeleteTopicState {
            name: None,
            topic_id: Uuid::from_u128(1),
        });
    } else {
        request.topic_names = names.iter().map(|name| text(name)).collect();
    }
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer.responses.iter().map(|topic| name_of(topic.error_code)).collect();
    assert_eq!(
        codes[..3],
        ["NONE", "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_TOPIC_EXCEPTION"],
        "version {version}"
    );
    assert!(codes[3..].iter().all(|code| *code == "UNKNOWN_TOPIC_ID"));
}

async fn init_producer_id(client: &mut Client, version: i16) {
    let answer = client.ask(&InitProducerIdRequest::default(), version).await;
    assert!(answer.error_code == OK && answer.producer_id >= 0);
    let request = InitProducerIdRequest {
        transactional_id: Some(text("tx")),
        ..Default::default()
    };
    let refused = client.ask(&request, version).await;
    assert_ne!(refused.error_code, OK);
}

async fn offset_for_leader_epoch(client: &mut Client, version: i16) {
    let ask = |topic: &str, leader_epoch, current_leader_epoch| OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: text(topic),
            partitions: vec![OffsetForLeaderPartition {
                partition: 0,
                current_leader_epoch,
                leader_epoch,
            }],
        }],
        ..Default::default()
    };
    let own = client.newest(&ask("logs", 0, -1)).await.topics[0].partitions[0].clone();
    assert!(own.leader_epoch == 0 && own.end_offset > 0, "{own:?}");
    let cases = [
        (ask("logs", 0, -1), OK, own.end_offset),
        (ask("logs", 99, -1), OK, -1),
        (ask("logs", 0, 99), code(ErrorCode::UnknownLeaderEpoch), -1),
        (ask("nothing", 0, -1), code(ErrorCode::UnknownTopicOrPartition), -1),
    ];
    for (request, expected, end) in cases {
        let answer = client.ask(&request, version).await;
        let found = &answer.topics[0].partitions[0];
        assert_eq!(
            (found.error_code, found.end_offset),
            (expected, end),
            "version {version}"
        );
    }
}

async fn describe_configs(client: &mut Client, version: i16) {
    let resource = |resource_type, name: &str, keys: Option<&str>| DescribeConfigsResource {
        resource_type,
        resource_name: text(name),
        configuration_keys: keys.map(|key| vec![text(key)]),
    };
    let long = "x".repeat(32_000);
    let request = DescribeConfigsRequest {
        resources: vec![
            resource(2, "logs", None),
            resource(2, "logs", Some("retention.ms")),
            resource(4, "1", None),
            resource(2, &long, None),
            resource(4, "77", None),
            resource(8, "", None),
        ],
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer.results.iter().map(|result| name_of(result.error_code)).collect();
    let (unknown, invalid) = ("UNKNOWN_TOPIC_OR_PARTITION", "INVALID_REQUEST");
    assert_eq!(
        codes,
        ["NONE", "NONE", "NONE", unknown, invalid, invalid],
        "version {version}"
    );
    let configs = &answer.results[0].configs;
    assert!(configs.len() > 20 && configs.iter().all(|config| !config.synonyms.is_empty()));
    assert_eq!(answer.results[1].configs.len(), 1);
    assert!(
        answer.results[2]
            .configs
            .iter()
            .any(|config| config.name == "log.retention.ms")
    );
}

async fn alter_configs(client: &mut Client, version: i16) {
    use tailrace_shared::kafka::messages::alter_configs::{AlterConfigsResource, AlterableConfig};
    let name = format!("altered-{version}");
    client.create_topic(&name).await;
    let resource = |resource_type, name: &str, key: &str, value: Option<&str>| AlterConfigsResource {
        resource_type,
        resource_name: text(name),
        configs: vec![AlterableConfig {
            name: text(key),
            value: value.map(text),
        }],
    };
    let mut request = AlterConfigsRequest {
        resources: vec![
            resource(2, &name, "retention.ms", Some("7")),
            resource(2, "nothing", "retention.ms", Some("7")),
            resource(4, "1", "log.retention.ms", Some("7")),
            resource(2, "__consumer_offsets", "retention.ms", Some("7")),
            resource(2, "logs", "retention.ms", None),
        ],
        validate_only: true,
    };
    let expected = [
        "NONE",
        "UNKNOWN_TOPIC_OR_PARTITION",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "INVALID_CONFIG",
    ];
    for (validate_only, in_force) in [(true, None), (false, Some("7"))] {
        request.validate_only = validate_only;
        let answer = client.ask(&request, version).await;
        let codes: Vec<_> = answer
            .responses
            .iter()
            .map(|result| name_of(result.error_code))
            .collect();
        assert_eq!(codes, expected, "version {version}");
        assert_eq!(set_on(client, &name, "retention.ms").await.as_deref(), in_force);
    }
    request.resources = vec![resource(2, &name, "max.message.bytes", Some("1000"))];
    client.ask(&request, version).await;
    assert_eq!(set_on(client, &name, "retention.ms").await, None, "it replaces all");
    let refused = client.produce(&name, 0, batch(&[&[7; 2_000]])).await;
    assert_eq!(name_of(refused.error_code), "MESSAGE_TOO_LARGE", "it is in force");
}

async fn incremental_alter_configs(client: &mut Client, version: i16) {
    use tailrace_shared::kafka::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
    let name = format!("edited-{version}");
    client.create_topic(&name).await;
    let resource = |edits: &[(&str, i8, Option<&str>)]| AlterConfigsResource {
        resource_type: 2,
        resource_name: text(&name),
        configs: edits
            .iter()
            .map(|(key, operation, value)| AlterableConfig {
                name: text(key),
                config_operation: *operation,
                value: value.map(text),
            })
            .collect(),
    };
    let (set, delete, append) = (0, 1, 2);
    for (edits, expected) in [
        (
            &[
                ("retention.ms", set, Some("7")),
                ("cleanup.policy", append, Some("compact")),
            ][..],
            "NONE",
        ),
        (&[("retention.ms", delete, None)], "NONE"),
        (
            &[("max.message.bytes", set, Some("9")), ("retention.m", set, Some("7"))],
            "INVALID_CONFIG",
        ),
        (&[("retention.ms", 9, Some("7"))], "INVALID_CONFIG"),
    ] {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource(edits)],
            validate_only: false,
        };
        let answer = client.ask(&request, version).await;
        assert_eq!(name_of(answer.responses[0].error_code), expected, "version {version}");
    }
    let policy = set_on(client, &name, "cleanup.policy").await;
    assert_eq!(policy.as_deref(), Some("delete,compact"));
    assert_eq!(set_on(client, &name, "retention.ms").await, None);
    assert_eq!(set_on(client, &name, "max.message.bytes").await, None, "all or nothing");
    let twice = IncrementalAlterConfigsRequest {
        resources: vec![resource(&[]), resource(&[])],
        validate_only: false,
    };
    let answer = client.ask(&twice, version).await;
    let codes: Vec<_> = answer
        .responses
        .iter()
        .map(|result| name_of(result.error_code))
        .collect();
    assert_eq!(codes, ["INVALID_REQUEST", "INVALID_REQUEST"]);
}

/// What is set on the topic itself for a key.
async fn set_on(client: &mut Client, topic: &str, key: &str) -> Option<String> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: text(topic),
            configuration_keys: Some(vec![text(key)]),
        }],
        ..Default::default()
    };
    let answer = client.newest(&request).await;
    let config = &answer.results[0].configs[0];
    let is_set = config.config_source == 1;
    is_set.then(|| config.value.as_ref().unwrap().to_string())
}

async fn create_partitions(client: &mut Client, version: i16) {
    let name = format!("grown-{version}");
    client.create_topic(&name).await;
    let grow = |name: &str, count| CreatePartitionsTopic {
        name: text(name),
        count,
        assignments: None,
    };
    let request = CreatePartitionsRequest {
        topics: vec![
            grow(&name, 3),
            grow(&name, 3),
            grow("nothing", 3),
            grow("__consumer_offsets", 99),
            grow(&name, 1_000_000),
        ],
        ..Default::default()
    };
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer.results.iter().map(|result| name_of(result.error_code)).collect();
    let invalid = "INVALID_PARTITIONS";
    let expected = [
        "NONE",
        invalid,
        "UNKNOWN_TOPIC_OR_PARTITION",
        "INVALID_TOPIC_EXCEPTION",
        invalid,
    ];
    assert_eq!(codes, expected);
}

async fn describe_cluster(client: &mut Client, version: i16) {
    let answer = client.ask(&DescribeClusterRequest::default(), version).await;
    assert_eq!(
        (answer.error_code, answer.brokers.len(), answer.cluster_id.len()),
        (OK, 1, 22)
    );
    if version >= 1 {
        let request = DescribeClusterRequest {
            endpoint_type: 2,
            ..Default::default()
        };
        let refused = client.ask(&request, version).await;
        assert_eq!(refused.error_code, code(ErrorCode::MismatchedEndpointType));
    }
}

async fn describe_producers(client: &mut Client, version: i16) {
    let topic = |name: &str, partition| TopicRequest {
        name: text(name),
        partition_indexes: vec![partition],
    };
    let request = DescribeProducersRequest {
        topics: vec![topic("logs", 0), topic("logs", 9), topic("nothing", 0)],
    };
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| name_of(topic.partitions[0].error_code))
        .collect();
    assert_eq!(
        codes,
        ["NONE", "UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_OR_PARTITION"]
    );
}
