//! DeleteAcls 1-3: removes the access control entries that filters pick, all at once, and says which those were.

use tailrace_shared::kafka::messages::delete_acls::{DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use tailrace_shared::kafka::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::acl_wire::{FilterOnTheWire, authorize, decode_filter};
use super::refusal::Refusal;
use crate::catalog::acl::{AclBinding, AclFilter, Operation};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn delete_acls(
    context: &Context,
    call: &Call,
    request: DeleteAclsRequest,
) -> DeleteAclsResponse {
    let allowed = authorize(context, call, Operation::Alter);
    let decode = |filter| allowed.clone().and_then(|()| decode(filter));
    let decoded: Vec<Result<AclFilter, Refusal>> = request.filters.into_iter().map(decode).collect();
    let good: Vec<AclFilter> = decoded.iter().flatten().cloned().collect();
    let deleted = context.broker.delete_acls(&good).await.map_err(Refusal::from);
    let mut deleted = deleted.map(Vec::into_iter);
    let result = |decoded: Result<AclFilter, Refusal>| {
        let picked = decoded.and_then(|_| match &mut deleted {
            Ok(deleted) => Ok(deleted.next().unwrap_or_default()),
            Err(refusal) => Err(refusal.clone()),
        });
        match picked {
            Ok(entries) => DeleteAclsFilterResult {
                matching_acls: entries.iter().map(matching).collect(),
                ..Default::default()
            },
            Err(refusal) => DeleteAclsFilterResult {
                error_code: refusal.code.code(),
                error_message: Some(refusal.message),
                ..Default::default()
            },
        }
    };
    DeleteAclsResponse {
        filter_results: decoded.into_iter().map(result).collect(),
        ..Default::default()
    }
}

fn decode(filter: DeleteAclsFilter) -> Result<AclFilter, Refusal> {
    decode_filter(FilterOnTheWire {
        resource: filter.resource_type_filter,
        name: filter.resource_name_filter,
        pattern: filter.pattern_type_filter,
        principal: filter.principal_filter,
        host: filter.host_filter,
        operation: filter.operation,
        permission: filter.permission_type,
    })
}

fn matching(entry: &AclBinding) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl {
        resource_type: entry.resource.code(),
        resource_name: entry.name.as_str().into(),
        pattern_type: entry.pattern.code(),
        principal: entry.principal.as_str().into(),
        host: entry.host.as_str().into(),
        operation: entry.operation.code(),
        permission_type: entry.permission.code(),
        ..Default::default()
    }
}
