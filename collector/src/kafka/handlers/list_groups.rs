//! ListGroups 0-5: every group, by state and type if asked. All groups are classic ones.

use bytestring::ByteString;
use tailrace_shared::kafka::messages::list_groups::ListedGroup;
use tailrace_shared::kafka::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::group::GroupListing;
use crate::kafka::context::{Call, Context};

/// The only type of group there is (KIP-848 has others).
const CLASSIC: &str = "classic";

pub(in crate::kafka) async fn list_groups(
    context: &Context,
    call: &Call,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let among = |wanted: &[ByteString], name: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let asked_for = |group: &GroupListing| {
        among(&request.states_filter, group.phase.name()) && among(&request.types_filter, CLASSIC)
    };
    let sees_all = context.allows(call, Operation::Describe, Resource::CLUSTER);
    let sees =
        |group: &GroupListing| sees_all || context.allows(call, Operation::Describe, Resource::group(&group.group));
    let listed = |group: GroupListing| ListedGroup {
        group_id: group.group,
        protocol_type: group.protocol_type,
        group_state: group.phase.name().into(),
        group_type: CLASSIC.into(),
    };
    let groups = context
        .groups
        .list()
        .into_iter()
        .filter(|group| asked_for(group) && sees(group))
        .map(listed)
        .collect();
    ListGroupsResponse {
        groups,
        ..Default::default()
    }
}
