//! CreateTopics 0-7. One collector holds every partition, so a replication factor above 1 and assignments to other
//! brokers are refused, as by a Kafka cluster of one broker.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::create_topics::{CreatableTopic, CreatableTopicConfigs, CreatableTopicResult};
use tailrace_shared::kafka::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::broker::Topic;
use crate::catalog::NewTopic;
use crate::catalog::acl::{Operation, Resource};
use crate::catalog::topic_config::describe;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

/// Kafka's "as the broker is configured".
const BROKER_DEFAULT: i32 = -1;

pub(in crate::kafka) async fn create_topics(
    context: &Context,
    call: &Call,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let names: Vec<ByteString> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    for topic in request.topics {
        let name = topic.name.clone();
        let asked_twice = names.iter().filter(|other| **other == name).count() > 1;
        let result = if asked_twice {
            refused(
                name,
                ErrorCode::InvalidRequest,
                "the request names the topic twice".into(),
            )
        } else {
            create(context, call, topic, request.validate_only).await
        };
        topics.push(result);
    }
    CreateTopicsResponse {
        topics,
        ..Default::default()
    }
}

async fn create(context: &Context, call: &Call, topic: CreatableTopic, validate_only: bool) -> CreatableTopicResult {
    let name = topic.name.clone();
    if let Err(code) = authorize_create(context, call, &name) {
        return refused(
            name,
            code,
            "Create is allowed neither on the topic nor on the cluster".into(),
        );
    }
    let new = match plan(context, topic) {
        Ok(new) => new,
        Err((code, message)) => return refused(name, code, message),
    };
    let partitions = new.partitions;
    let result = if validate_only {
        context
            .broker
            .check_create_topic(new)
            .map(|()| would_create(name.clone(), partitions))
    } else {
        context
            .broker
            .create_topic(new)
            .await
            .map(|topic| created(context, &topic))
    };
    match result {
        Ok(result) => result,
        Err(error) => refused(name, error.code(), error.to_string().into()),
    }
}

/// Topics are created by those who may on the cluster, or on topics of that name.
pub(super) fn authorize_create(context: &Context, call: &Call, name: &str) -> Result<(), ErrorCode> {
    if context.allows(call, Operation::Create, Resource::CLUSTER) {
        return Ok(());
    }
    context.authorize(call, Operation::Create, Resource::topic(name))
}

fn plan(context: &Context, topic: CreatableTopic) -> Result<NewTopic, (ErrorCode, ByteString)> {
    let partitions = if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            let message = format!(
                "replication factor {} is more than the brokers there are (1)",
                topic.replication_factor
            );
            return Err((ErrorCode::InvalidReplicationFactor, message.into()));
        }
        if topic.num_partitions == BROKER_DEFAULT {
            context.limits.default_partitions
        } else {
            topic.num_partitions
        }
    } else {
        let node = context.broker.node_id();
        let mut indexes: Vec<i32> = topic.assignments.iter().map(|one| one.partition_index).collect();
        indexes.sort_unstable();
        let contiguous = indexes
            .iter()
            .copied()
            .eq(0..i32::try_from(indexes.len()).unwrap_or(i32::MAX));
        let here = topic.assignments.iter().all(|one| one.broker_ids == [node]);
        if !contiguous || !here {
            let message = format!("partitions must be numbered from 0 and assigned to broker {node} alone");
            return Err((ErrorCode::InvalidReplicaAssignment, message.into()));
        }
        i32::try_from(indexes.len()).unwrap_or(i32::MAX)
    };
    // A null value asks for the default.
    let value_of = |value: Option<ByteString>| value.map(|value| value.to_string());
    let configs = topic
        .configs
        .into_iter()
        .filter_map(|one| Some((one.name.to_string(), value_of(one.value)?)));
    Ok(NewTopic {
        name: topic.name.to_string(),
        partitions,
        configs: configs.collect(),
    })
}

fn created(context: &Context, topic: &Topic) -> CreatableTopicResult {
    let configs = describe(&topic.meta.configs, context.broker.topic_defaults()).into_iter();
    let configs = configs.map(|config| CreatableTopicConfigs {
        name: config.key.name.into(),
        value: Some(config.value.into()),
        read_only: false,
        config_source: config.source as i8,
        is_sensitive: false,
    });
    CreatableTopicResult {
        name: topic.meta.name.as_str().into(),
        topic_id: topic.meta.id,
        num_partitions: topic.meta.partitions,
        replication_factor: 1,
        configs: Some(configs.collect()),
        ..Default::default()
    }
}

fn would_create(name: ByteString, num_partitions: i32) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        num_partitions,
        replication_factor: 1,
        ..Default::default()
    }
}

fn refused(name: ByteString, code: ErrorCode, message: ByteString) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: code.code(),
        error_message: Some(message),
        ..Default::default()
    }
}
