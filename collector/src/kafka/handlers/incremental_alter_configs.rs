//! IncrementalAlterConfigs 0-1: sets some keys of a topic, or takes them back to their defaults; lists can be added to
//! and taken from.

use tailrace_shared::kafka::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, OPERATION_APPEND, OPERATION_DELETE,
    OPERATION_SET, OPERATION_SUBTRACT,
};
use tailrace_shared::kafka::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::config_edit::{Edit, Resource, edit_all};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn incremental_alter_configs(
    context: &Context,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.into_iter().map(changes).collect();
    let results = edit_all(context, call, resources, request.validate_only).await;
    let responses = results.into_iter().map(|result| AlterConfigsResourceResponse {
        error_code: result.code.code(),
        error_message: result.message,
        resource_type: result.resource_type,
        resource_name: result.resource_name,
    });
    IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..Default::default()
    }
}

fn changes(resource: AlterConfigsResource) -> Resource {
    Resource {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        replaces_all: false,
        edits: resource.configs.into_iter().map(edit).collect(),
    }
}

fn edit(config: AlterableConfig) -> Edit {
    let AlterableConfig { name, value, .. } = config;
    match config.config_operation {
        OPERATION_SET => Edit::set(name, value),
        OPERATION_DELETE => Edit::Reset(name),
        OPERATION_APPEND => Edit::Append(name, value.unwrap_or_default()),
        OPERATION_SUBTRACT => Edit::Subtract(name, value.unwrap_or_default()),
        unknown => Edit::Unknown(name, unknown),
    }
}
