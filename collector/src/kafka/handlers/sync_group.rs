//! SyncGroup 0-5: hands out the leader's assignment once it is durable.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::group::{Caller, SyncRequest};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

pub(in crate::kafka) async fn sync_group(
    context: &Context,
    call: &Call,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    if let Err(code) = context.authorize(call, Operation::Read, Resource::group(&request.group_id)) {
        return refused(code);
    }
    let assignments = request
        .assignments
        .into_iter()
        .map(|given| (given.member_id, given.assignment));
    let event = SyncRequest {
        caller: Caller {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
        },
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: assignments.collect(),
    };
    match context.groups.sync(&request.group_id, event).await {
        Ok(reply) => SyncGroupResponse {
            protocol_type: reply.protocol_type,
            protocol_name: reply.protocol,
            assignment: reply.assignment,
            ..Default::default()
        },
        Err(error) => refused(error.code()),
    }
}

fn refused(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: code.code(),
        ..Default::default()
    }
}
