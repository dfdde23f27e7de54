//! AlterConfigs 0-2: replaces all that is set on a topic. What the request does not name gets its default back.

use tailrace_shared::kafka::messages::alter_configs::{AlterConfigsResource, AlterConfigsResourceResponse};
use tailrace_shared::kafka::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::config_edit::{Edit, Resource, edit_all};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn alter_configs(
    context: &Context,
    call: &Call,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let resources = request.resources.into_iter().map(replacement).collect();
    let results = edit_all(context, call, resources, request.validate_only).await;
    let responses = results.into_iter().map(|result| AlterConfigsResourceResponse {
        error_code: result.code.code(),
        error_message: result.message,
        resource_type: result.resource_type,
        resource_name: result.resource_name,
    });
    AlterConfigsResponse {
        responses: responses.collect(),
        ..Default::default()
    }
}

fn replacement(resource: AlterConfigsResource) -> Resource {
    let sets = resource
        .configs
        .into_iter()
        .map(|config| Edit::set(config.name, config.value));
    Resource {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        replaces_all: true,
        edits: sets.collect(),
    }
}
