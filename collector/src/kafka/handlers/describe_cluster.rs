//! DescribeCluster 0-2 (KIP-700): the one broker that there is. Authorized operations are not answered yet.

use tailrace_shared::kafka::messages::describe_cluster::DescribeClusterBroker;
use tailrace_shared::kafka::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn describe_cluster(
    context: &Context,
    _: &Call,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: context.broker.cluster_id().into(),
        controller_id: context.broker.node_id(),
        brokers: vec![DescribeClusterBroker {
            broker_id: context.broker.node_id(),
            host: context.advertised_host.clone(),
            port: context.advertised_port.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}
