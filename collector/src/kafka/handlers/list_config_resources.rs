//! ListConfigResources 0-1 (KIP-1142): what may have a configuration: topics and this broker. Version 0 asks for client metrics
//! alone, of which there are none.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC};
use tailrace_shared::kafka::messages::list_config_resources::ConfigResource;
use tailrace_shared::kafka::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};

/// Kafka's other types, which nothing here is of: broker loggers, client metrics, groups.
const EMPTY_TYPES: [i8; 3] = [8, 16, 32];
const ANY_TYPE_SINCE: i16 = 1;

pub(in crate::kafka) async fn list_config_resources(
    context: &Context,
    call: &Call,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let refused = |code: ErrorCode| ListConfigResourcesResponse {
        error_code: code.code(),
        ..Default::default()
    };
    if let Err(code) = context.authorize(call, Operation::DescribeConfigs, Resource::CLUSTER) {
        return refused(code);
    }
    if call.version < ANY_TYPE_SINCE {
        return ListConfigResourcesResponse::default();
    }
    let known = |kind: &i8| [RESOURCE_TOPIC, RESOURCE_BROKER].contains(kind) || EMPTY_TYPES.contains(kind);
    if !request.resource_types.iter().all(known) {
        return refused(ErrorCode::UnsupportedVersion);
    }
    let is_wanted = |kind: i8| request.resource_types.is_empty() || request.resource_types.contains(&kind);
    let resource = |resource_type: i8, name: &str| ConfigResource {
        resource_name: name.into(),
        resource_type,
    };
    let mut config_resources = Vec::new();
    if is_wanted(RESOURCE_TOPIC) {
        let topics = context.broker.topics();
        config_resources.extend(topics.iter().map(|topic| resource(RESOURCE_TOPIC, &topic.meta.name)));
    }
    if is_wanted(RESOURCE_BROKER) {
        config_resources.push(resource(RESOURCE_BROKER, &context.broker.node_id().to_string()));
    }
    ListConfigResourcesResponse {
        config_resources,
        ..Default::default()
    }
}
