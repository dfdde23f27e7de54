//! What the APIs for access control entries have in common: who may use them, and filters on the wire.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;

use super::refusal::Refusal;
use crate::catalog::acl::{AclFilter, InvalidAcl, Operation, PatternFilter, Permission, Resource, ResourceType};
use crate::kafka::context::{Call, Context};

/// Kafka's code for "any".
const ANY: i8 = 1;

/// As both DescribeAcls and DeleteAcls have it.
pub(super) struct FilterOnTheWire {
    pub(super) resource: i8,
    pub(super) name: Option<ByteString>,
    pub(super) pattern: i8,
    pub(super) principal: Option<ByteString>,
    pub(super) host: Option<ByteString>,
    pub(super) operation: i8,
    pub(super) permission: i8,
}

/// Whether entries are kept here at all, and the caller may do that with them.
pub(super) fn authorize(context: &Context, call: &Call, operation: Operation) -> Result<(), Refusal> {
    if !context.authorizer.enabled {
        let message = "access is not controlled here: set acls.enabled in the collector's configuration";
        return Err(Refusal::new(ErrorCode::SecurityDisabled, message));
    }
    let allowed = context.authorize(call, operation, Resource::CLUSTER);
    allowed.map_err(|code| Refusal::new(code, format!("{operation:?} is not allowed on the cluster")))
}

pub(super) fn decode_filter(filter: FilterOnTheWire) -> Result<AclFilter, Refusal> {
    Ok(AclFilter {
        resource: any_or("resource type", filter.resource, ResourceType::from_code)?,
        pattern: code("pattern type", filter.pattern, PatternFilter::from_code)?,
        name: filter.name.map(String::from),
        principal: filter.principal.map(String::from),
        host: filter.host.map(String::from),
        operation: any_or("operation", filter.operation, Operation::from_code)?,
        permission: any_or("permission type", filter.permission, Permission::from_code)?,
    })
}

pub(super) fn code<T>(what: &'static str, code: i8, from_code: fn(i8) -> Option<T>) -> Result<T, InvalidAcl> {
    from_code(code).ok_or(InvalidAcl::Code { what, code })
}

fn any_or<T>(what: &'static str, found: i8, from_code: fn(i8) -> Option<T>) -> Result<Option<T>, InvalidAcl> {
    if found == ANY {
        return Ok(None);
    }
    code(what, found, from_code).map(Some)
}
