//! CreateAcls 1-3: adds access control entries, those that can mean something, all at once; durable when it is answered.

use tailrace_shared::kafka::messages::create_acls::{AclCreation, AclCreationResult};
use tailrace_shared::kafka::messages::{CreateAclsRequest, CreateAclsResponse};

use super::acl_wire::{authorize, code};
use super::refusal::{Refusal, outcome};
use crate::catalog::acl::{AclBinding, InvalidAcl, Operation, Pattern, Permission, ResourceType};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn create_acls(
    context: &Context,
    call: &Call,
    request: CreateAclsRequest,
) -> CreateAclsResponse {
    let allowed = authorize(context, call, Operation::Alter);
    let decode = |creation| allowed.clone().and_then(|()| Ok(decode(creation)?));
    let decoded: Vec<Result<AclBinding, Refusal>> = request.creations.into_iter().map(decode).collect();
    let good: Vec<AclBinding> = decoded.iter().flatten().cloned().collect();
    let created = context.broker.create_acls(good).await.map_err(Refusal::from);
    let result = |decoded: Result<AclBinding, Refusal>| {
        let (error_code, error_message) = outcome(decoded.and(created.clone()));
        AclCreationResult {
            error_code,
            error_message,
        }
    };
    CreateAclsResponse {
        results: decoded.into_iter().map(result).collect(),
        ..Default::default()
    }
}

fn decode(creation: AclCreation) -> Result<AclBinding, InvalidAcl> {
    let entry = AclBinding {
        resource: code("resource type", creation.resource_type, ResourceType::from_code)?,
        pattern: code("pattern type", creation.resource_pattern_type, Pattern::from_code)?,
        name: creation.resource_name.to_string(),
        principal: creation.principal.to_string(),
        host: creation.host.to_string(),
        operation: code("operation", creation.operation, Operation::from_code)?,
        permission: code("permission type", creation.permission_type, Permission::from_code)?,
    };
    entry.check().map(|()| entry)
}
