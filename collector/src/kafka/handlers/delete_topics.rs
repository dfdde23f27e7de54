//! DeleteTopics 1-6: by name, or by id from version 6 on. Committed offsets of the topic go with it.

use std::sync::Arc;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use tailrace_shared::kafka::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use uuid::Uuid;

use super::topic_ref::find_topic;
use crate::broker::Topic;
use crate::catalog::acl::Operation;
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

pub(in crate::kafka) async fn delete_topics(
    context: &Context,
    call: &Call,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| DeleteTopicState {
        name: Some(name),
        topic_id: Uuid::nil(),
    });
    let mut responses = Vec::new();
    for asked in request.topics.into_iter().chain(by_name) {
        responses.push(delete(context, call, asked).await);
    }
    DeleteTopicsResponse {
        responses,
        ..Default::default()
    }
}

async fn delete(context: &Context, call: &Call, asked: DeleteTopicState) -> DeletableTopicResult {
    let name = asked.name.unwrap_or_default();
    let mut result = DeletableTopicResult {
        name: Some(name.clone()),
        topic_id: asked.topic_id,
        ..Default::default()
    };
    match find_topic(context, call, Operation::Delete, &name, asked.topic_id) {
        Err(code) => {
            result.error_code = code.code();
            result.name = result.name.filter(|_| asked.topic_id.is_nil());
        }
        Ok(topic) => {
            result.name = Some(topic.meta.name.as_str().into());
            result.topic_id = topic.meta.id;
            if let Err((code, message)) = delete_found(context, topic).await {
                result.error_code = code.code();
                result.error_message = Some(message);
            }
        }
    }
    result
}

async fn delete_found(context: &Context, topic: Arc<Topic>) -> Result<(), (ErrorCode, ByteString)> {
    if topic.meta.name == OFFSETS_TOPIC {
        return Err((
            ErrorCode::InvalidTopicException,
            "the groups' own topic cannot be deleted".into(),
        ));
    }
    context
        .broker
        .delete_topic(topic.meta.id)
        .await
        .map_err(|error| (error.code(), error.to_string().into()))?;
    if let Err(error) = context.groups.forget_topic(&topic.meta.name).await {
        tracing::warn!(topic = topic.meta.name, %error, "committed offsets of a deleted topic remain until they expire");
    }
    Ok(())
}
