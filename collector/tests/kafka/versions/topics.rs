//! Topics, their partitions, and what the cluster says of them.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::create_partitions::CreatePartitionsTopic;
use tailrace_shared::kafka::messages::delete_topics::DeleteTopicState;
use tailrace_shared::kafka::messages::metadata::MetadataRequestTopic;
use tailrace_shared::kafka::messages::*;
use uuid::Uuid;

use super::{OK, code};
use crate::support::*;

pub(super) async fn create_topics(client: &mut Client, version: i16) {
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

pub(super) async fn delete_topics(client: &mut Client, version: i16) {
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

pub(super) async fn create_partitions(client: &mut Client, version: i16) {
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

pub(super) async fn metadata(client: &mut Client, version: i16, id: Uuid) {
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

pub(super) async fn describe_cluster(client: &mut Client, version: i16) {
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
