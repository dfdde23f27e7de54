//! Heartbeat 0-4: a member is alive, and learns whether it must rejoin.

use tailrace_shared::kafka::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::group::Caller;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::code_of;

pub(in crate::kafka) async fn heartbeat(context: &Context, _: &Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let caller = Caller {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    let result = context.groups.heartbeat(&request.group_id, &caller);
    HeartbeatResponse {
        error_code: code_of(&result),
        ..Default::default()
    }
}
