//! JoinGroup 0-9: classic consumer groups, with static members (KIP-345) and known member ids (KIP-394).

use std::time::Duration;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::join_group::JoinGroupResponseMember;
use tailrace_shared::kafka::messages::{JoinGroupRequest, JoinGroupResponse};
use uuid::Uuid;

use crate::catalog::acl::{Operation, Resource};
use crate::group::{GroupError, JoinReply, JoinRequest, JoinedMember};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

pub(in crate::kafka) async fn join_group(
    context: &Context,
    call: &Call,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let group = request.group_id.clone();
    if let Err(code) = context.authorize(call, Operation::Read, Resource::group(&group)) {
        return refused(member_id, code);
    }
    match context.groups.join(&group, event(call, request)).await {
        Ok(reply) => joined(reply),
        Err(GroupError::MemberIdRequired(given)) => refused(given, ErrorCode::MemberIdRequired),
        Err(error) => refused(member_id, error.code()),
    }
}

fn event(call: &Call, request: JoinGroupRequest) -> JoinRequest {
    let named_after = request.group_instance_id.as_ref().unwrap_or(&call.client_id);
    let new_member_id = format!("{named_after}-{}", Uuid::new_v4()).into();
    // Version 0 has no rebalance timeout: the session's counts for both.
    let rebalance_timeout_ms = if request.rebalance_timeout_ms < 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    };
    JoinRequest {
        member_id: request.member_id,
        new_member_id,
        instance_id: request.group_instance_id,
        client_id: call.client_id.clone(),
        client_host: format!("/{}", call.peer.ip()).into(),
        session_timeout: millis(request.session_timeout_ms),
        rebalance_timeout: millis(rebalance_timeout_ms),
        protocol_type: request.protocol_type,
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name, protocol.metadata))
            .collect(),
        knows_member_id_required: call.version >= MEMBER_ID_REQUIRED_SINCE,
        knows_skip_assignment: call.version >= SKIP_ASSIGNMENT_SINCE,
    }
}

fn joined(reply: JoinReply) -> JoinGroupResponse {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        metadata: member.metadata,
    };
    JoinGroupResponse {
        generation_id: reply.generation,
        protocol_type: reply.protocol_type,
        protocol_name: Some(reply.protocol.unwrap_or_default()),
        leader: reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: reply.member_id,
        members: reply.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn refused(member_id: ByteString, code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: code.code(),
        member_id,
        ..Default::default()
    }
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
