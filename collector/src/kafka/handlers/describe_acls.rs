//! DescribeAcls 1-3: the access control entries that a filter picks, by resource.

use tailrace_shared::kafka::messages::describe_acls::{AclDescription, DescribeAclsResource};
use tailrace_shared::kafka::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::acl_wire::{FilterOnTheWire, authorize, decode_filter};
use super::refusal::Refusal;
use crate::catalog::acl::{AclBinding, Operation};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn describe_acls(
    context: &Context,
    call: &Call,
    request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    match describe(context, call, request) {
        Ok(resources) => DescribeAclsResponse {
            resources,
            ..Default::default()
        },
        Err(refusal) => DescribeAclsResponse {
            error_code: refusal.code.code(),
            error_message: Some(refusal.message),
            ..Default::default()
        },
    }
}

fn describe(
    context: &Context,
    call: &Call,
    request: DescribeAclsRequest,
) -> Result<Vec<DescribeAclsResource>, Refusal> {
    authorize(context, call, Operation::Describe)?;
    let filter = decode_filter(FilterOnTheWire {
        resource: request.resource_type_filter,
        name: request.resource_name_filter,
        pattern: request.pattern_type_filter,
        principal: request.principal_filter,
        host: request.host_filter,
        operation: request.operation,
        permission: request.permission_type,
    })?;
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    // They are in order, so those of one resource are neighbours.
    for entry in context.broker.acls().iter().filter(|entry| filter.picks(entry)) {
        match resources.last_mut().filter(|last| is_about(last, entry)) {
            Some(last) => last.acls.push(description(entry)),
            None => resources.push(DescribeAclsResource {
                resource_type: entry.resource.code(),
                resource_name: entry.name.as_str().into(),
                pattern_type: entry.pattern.code(),
                acls: vec![description(entry)],
            }),
        }
    }
    Ok(resources)
}

fn is_about(resource: &DescribeAclsResource, entry: &AclBinding) -> bool {
    resource.resource_type == entry.resource.code()
        && resource.pattern_type == entry.pattern.code()
        && *resource.resource_name == *entry.name
}

fn description(entry: &AclBinding) -> AclDescription {
    AclDescription {
        principal: entry.principal.as_str().into(),
        host: entry.host.as_str().into(),
        operation: entry.operation.code(),
        permission_type: entry.permission.code(),
    }
}
