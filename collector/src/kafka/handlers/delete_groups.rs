//! DeleteGroups 0-3 (KIP-229): groups without members, and their offsets.

use tailrace_shared::kafka::messages::delete_groups::DeletableGroupResult;
use tailrace_shared::kafka::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::refusal::{Refusal, outcome};
use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn delete_groups(
    context: &Context,
    call: &Call,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let allowed = context.authorize(call, Operation::Delete, Resource::group(&group_id));
        let result = match allowed {
            Ok(()) => context.groups.delete(&group_id).await.map_err(Refusal::from),
            Err(code) => Err(Refusal::new(code, "Delete on the group is not allowed")),
        };
        let (error_code, error_message) = outcome(result);
        results.push(DeletableGroupResult {
            group_id,
            error_code,
            error_message,
        });
    }
    DeleteGroupsResponse {
        results,
        ..Default::default()
    }
}
