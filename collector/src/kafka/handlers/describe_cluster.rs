//! DescribeCluster 0-2 (KIP-700): the one broker that there is.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_cluster::{DescribeClusterBroker, ENDPOINT_TYPE_BROKERS};
use tailrace_shared::kafka::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::catalog::acl::Resource;
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn describe_cluster(
    context: &Context,
    call: &Call,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if request.endpoint_type != ENDPOINT_TYPE_BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some("this is a broker: there are no controllers of their own".into()),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let mut answer = DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: context.broker.cluster_id().into(),
        controller_id: context.broker.node_id(),
        brokers: vec![DescribeClusterBroker {
            broker_id: context.broker.node_id(),
            host: call.endpoint.host.clone(),
            port: call.endpoint.port.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        answer.cluster_authorized_operations = context.allowed_operations(call, Resource::CLUSTER);
    }
    answer
}
