//! Heartbeat 0-4: a member is alive, and learns whether it must rejoin.

use tailrace_shared::kafka::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::group::Caller;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::code_of;

pub(in crate::kafka) async fn heartbeat(
    context: &Context,
    call: &Call,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let caller = Caller {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    let allowed = context.authorize(call, Operation::Read, Resource::group(&request.group_id));
    let error_code = match allowed {
        Ok(()) => code_of(&context.groups.heartbeat(&request.group_id, &caller)),
        Err(code) => code.code(),
    };
    HeartbeatResponse {
        error_code,
        ..Default::default()
    }
}
