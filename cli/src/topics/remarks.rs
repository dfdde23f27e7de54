//! What a person should know of settings that were taken.

use bytestring::ByteString;
use tailrace_shared::client::Cluster;
use tailrace_shared::kafka::messages::DescribeConfigsRequest;
use tailrace_shared::kafka::messages::describe_configs::{DescribeConfigsResource, RESOURCE_TOPIC};

/// How the collector's documentation of a setting begins that is taken and changes nothing.
const NO_EFFECT: &str = "Accepted for compatibility. ";

/// Says which of the settings have no effect, and why. Brokers that are too old to document their settings say nothing.
pub(super) async fn without_effect(cluster: &Cluster, topic: &str, keys: Vec<String>) {
    if keys.is_empty() {
        return;
    }
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: topic.into(),
            configuration_keys: Some(keys.into_iter().map(ByteString::from).collect()),
        }],
        include_documentation: true,
        ..Default::default()
    };
    let Ok(broker) = cluster.any_broker().await else { return };
    let Ok(answer) = broker.send(&request).await else {
        return;
    };
    for config in answer.results.into_iter().flat_map(|result| result.configs) {
        if let Some(why) = config
            .documentation
            .as_deref()
            .and_then(|text| text.strip_prefix(NO_EFFECT))
        {
            eprintln!("tailrace: {} has no effect here: {why}", config.name);
        }
    }
}
