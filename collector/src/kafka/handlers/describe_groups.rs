//! DescribeGroups 0-6: a group with its members. A group that does not exist is "Dead", and GROUP_ID_NOT_FOUND from
//! version 6 on (KIP-1043).

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use tailrace_shared::kafka::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::group::{GroupDescription, GroupError, MemberDescription};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

const NOT_FOUND_SINCE: i16 = 6;

pub(in crate::kafka) async fn describe_groups(
    context: &Context,
    call: &Call,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let describe = |group: ByteString| {
        if let Err(code) = context.authorize(call, Operation::Describe, Resource::group(&group)) {
            return refused(group, code);
        }
        match context.groups.describe(&group) {
            Some(found) => {
                let mut answer = described(found);
                if request.include_authorized_operations {
                    answer.authorized_operations = context.allowed_operations(call, Resource::group(&answer.group_id));
                }
                answer
            }
            None => unknown(group, call.version),
        }
    };
    DescribeGroupsResponse {
        groups: request.groups.into_iter().map(describe).collect(),
        ..Default::default()
    }
}

fn described(group: GroupDescription) -> DescribedGroup {
    let member = |member: MemberDescription| DescribedGroupMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    DescribedGroup {
        group_id: group.listing.group,
        group_state: group.listing.phase.name().into(),
        protocol_type: group.listing.protocol_type,
        protocol_data: group.protocol,
        members: group.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn refused(group_id: ByteString, code: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        group_id,
        error_code: code.code(),
        ..Default::default()
    }
}

fn unknown(group_id: ByteString, version: i16) -> DescribedGroup {
    let mut answer = DescribedGroup {
        group_id,
        group_state: "Dead".into(),
        ..Default::default()
    };
    if version >= NOT_FOUND_SINCE {
        answer.error_code = GroupError::NotFound.code().code();
        answer.error_message = GroupError::NotFound.message();
    }
    answer
}
