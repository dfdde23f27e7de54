//! FindCoordinator 0-6: this broker coordinates every group. There are no transactions and no share groups yet.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::find_coordinator::{Coordinator, KEY_TYPE_GROUP};
use tailrace_shared::kafka::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};

/// From this version on a request asks for several keys at once (KIP-699).
const SEVERAL_KEYS_SINCE: i16 = 4;

pub(in crate::kafka) async fn find_coordinator(
    context: &Context,
    call: &Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let key_type = request.key_type;
    if call.version >= SEVERAL_KEYS_SINCE {
        let found = request
            .coordinator_keys
            .into_iter()
            .map(|key| find(context, call, key, key_type));
        return FindCoordinatorResponse {
            coordinators: found.collect(),
            ..Default::default()
        };
    }
    let found = find(context, call, request.key, key_type);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

fn find(context: &Context, call: &Call, key: ByteString, key_type: i8) -> Coordinator {
    let refused = |key, code: ErrorCode, message: &'static str| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.code(),
        error_message: Some(message.into()),
        ..Default::default()
    };
    if key_type != KEY_TYPE_GROUP {
        let message = "only consumer groups have a coordinator here: there are no transactions yet";
        return refused(key, ErrorCode::InvalidRequest, message);
    }
    if let Err(code) = context.authorize(call, Operation::Describe, Resource::group(&key)) {
        return refused(key, code, "Describe is not allowed on this group");
    }
    Coordinator {
        key,
        node_id: context.broker.node_id(),
        host: call.endpoint.host.clone(),
        port: call.endpoint.port.into(),
        ..Default::default()
    }
}
