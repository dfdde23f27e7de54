//! DeleteGroups 0-2 (KIP-229): groups without members, and their offsets.

use tailrace_shared::kafka::messages::delete_groups::DeletableGroupResult;
use tailrace_shared::kafka::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::code_of;

pub(in crate::kafka) async fn delete_groups(
    context: &Context,
    call: &Call,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let allowed = context.authorize(call, Operation::Delete, Resource::group(&group_id));
        let error_code = match allowed {
            Ok(()) => code_of(&context.groups.delete(&group_id).await),
            Err(code) => code.code(),
        };
        results.push(DeletableGroupResult { group_id, error_code });
    }
    DeleteGroupsResponse {
        results,
        ..Default::default()
    }
}
