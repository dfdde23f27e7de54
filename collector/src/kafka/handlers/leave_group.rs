//! LeaveGroup 0-5: one member before version 3, several from then on (KIP-345).

use tailrace_shared::kafka::messages::leave_group::MemberResponse;
use tailrace_shared::kafka::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::code_of;

const SEVERAL_MEMBERS_SINCE: i16 = 3;

pub(in crate::kafka) async fn leave_group(
    context: &Context,
    call: &Call,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let group = &request.group_id;
    if let Err(code) = context.authorize(call, Operation::Read, Resource::group(group)) {
        return LeaveGroupResponse {
            error_code: code.code(),
            ..Default::default()
        };
    }
    if call.version < SEVERAL_MEMBERS_SINCE {
        let result = context.groups.leave(group, &request.member_id, None);
        return LeaveGroupResponse {
            error_code: code_of(&result),
            ..Default::default()
        };
    }
    let mut members = Vec::with_capacity(request.members.len());
    for member in request.members {
        let result = context
            .groups
            .leave(group, &member.member_id, member.group_instance_id.as_ref());
        members.push(MemberResponse {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            error_code: code_of(&result),
        });
    }
    LeaveGroupResponse {
        members,
        ..Default::default()
    }
}
