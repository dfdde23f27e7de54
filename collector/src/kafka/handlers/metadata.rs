//! Metadata 0-13: brokers, topics and who leads their partitions. Creates topics on demand where that is allowed.

use std::sync::Arc;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::metadata::{
    MetadataRequestTopic, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use tailrace_shared::kafka::messages::{MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::create_topics::authorize_create;
use super::topic_ref::find_topic;
use crate::broker::Topic;
use crate::catalog::acl::{Operation, Resource};
use crate::catalog::{CreateTopicError, NewTopic};
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;
use crate::partition::Partition;

/// From this version on a topic whose id is unknown has no name in the answer.
const NO_NAME_SINCE: i16 = 12;

pub(in crate::kafka) async fn metadata(context: &Context, call: &Call, request: MetadataRequest) -> MetadataResponse {
    // Version 0 has no null: there an empty list asks for all topics.
    let asked = request.topics.filter(|topics| call.version > 0 || !topics.is_empty());
    let topics = match asked {
        None => context
            .broker
            .topics()
            .iter()
            .filter(|topic| context.allows(call, Operation::Describe, Resource::topic(&topic.meta.name)))
            .map(|topic| describe(context, topic))
            .collect(),
        Some(asked) => {
            let mut topics = Vec::with_capacity(asked.len());
            for topic in asked {
                topics.push(find(context, call, topic, request.allow_auto_topic_creation).await);
            }
            topics
        }
    };
    let mut answer = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: context.broker.node_id(),
            host: call.endpoint.host.clone(),
            port: call.endpoint.port.into(),
            rack: None,
        }],
        cluster_id: Some(context.broker.cluster_id().into()),
        controller_id: context.broker.node_id(),
        topics,
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        answer.cluster_authorized_operations = context.allowed_operations(call, Resource::CLUSTER);
    }
    if request.include_topic_authorized_operations {
        for topic in &mut answer.topics {
            let name = topic
                .name
                .as_ref()
                .filter(|_| topic.error_code == ErrorCode::None.code());
            topic.topic_authorized_operations = name.map_or(topic.topic_authorized_operations, |name| {
                context.allowed_operations(call, Resource::topic(name))
            });
        }
    }
    answer
}

async fn find(context: &Context, call: &Call, asked: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let Some(name) = asked.name.filter(|_| asked.topic_id.is_nil()) else {
        let may_see = |topic: &Arc<Topic>| context.allows(call, Operation::Describe, Resource::topic(&topic.meta.name));
        return match context.broker.topic_by_id(asked.topic_id).filter(may_see) {
            Some(topic) => describe(context, &topic),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                name: (call.version < NO_NAME_SINCE).then(ByteString::new),
                topic_id: asked.topic_id,
                ..Default::default()
            },
        };
    };
    let found = find_topic(context, call, Operation::Describe, &name, Uuid::nil());
    let is_missing = found
        .as_ref()
        .is_err_and(|code| *code == ErrorCode::UnknownTopicOrPartition);
    let found = if !is_missing {
        found
    } else if may_create && context.limits.auto_create_topics {
        create(context, call, &name).await
    } else {
        crate::catalog::check_topic_name(&name)
            .map_err(|_| ErrorCode::InvalidTopicException)
            .and(Err(ErrorCode::UnknownTopicOrPartition))
    };
    match found {
        Ok(topic) => describe(context, &topic),
        Err(error) => MetadataResponseTopic {
            error_code: error.code(),
            name: Some(name),
            ..Default::default()
        },
    }
}

async fn create(context: &Context, call: &Call, name: &ByteString) -> Result<Arc<Topic>, ErrorCode> {
    authorize_create(context, call, name)?;
    let partitions = context.limits.default_partitions;
    let new = NewTopic {
        name: name.to_string(),
        partitions,
        configs: Vec::new(),
    };
    match context.broker.create_topic(new).await {
        Ok(topic) => Ok(topic),
        Err(CreateTopicError::Exists(_)) => context.broker.topic(name).ok_or(ErrorCode::LeaderNotAvailable),
        Err(error) => {
            tracing::warn!(topic = %name, %error, "cannot create a topic on demand");
            Err(error.code())
        }
    }
}

fn describe(context: &Context, topic: &Topic) -> MetadataResponseTopic {
    let node = context.broker.node_id();
    let partition = |partition: &Arc<Partition>| MetadataResponsePartition {
        partition_index: partition.id().partition,
        leader_id: node,
        leader_epoch: partition.leader_epoch(),
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        ..Default::default()
    };
    MetadataResponseTopic {
        name: Some(topic.meta.name.as_str().into()),
        topic_id: topic.meta.id,
        is_internal: topic.meta.name == OFFSETS_TOPIC,
        partitions: topic.partitions().iter().map(partition).collect(),
        ..Default::default()
    }
}
