//! DeleteGroups 0-2 (KIP-229): groups without members, and their offsets.

use tailrace_shared::kafka::messages::delete_groups::DeletableGroupResult;
use tailrace_shared::kafka::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::kafka::context::{Call, Context};
use crate::kafka::errors::code_of;

pub(in crate::kafka) async fn delete_groups(
    context: &Context,
    _: &Call,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let result = context.groups.delete(&group_id).await;
        results.push(DeletableGroupResult {
            group_id,
            error_code: code_of(&result),
        });
    }
    DeleteGroupsResponse {
        results,
        ..Default::default()
    }
}
