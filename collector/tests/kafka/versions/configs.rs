//! Configurations.

use tailrace_shared::kafka::messages::describe_configs::DescribeConfigsResource;
use tailrace_shared::kafka::messages::*;

use super::OK;
use crate::support::*;

pub(super) async fn list_config_resources(client: &mut Client, version: i16) {
    let answer = client.ask(&ListConfigResourcesRequest::default(), version).await;
    assert_eq!(answer.error_code, OK);
    let has = |name: &str, kind| {
        let mut found = answer.config_resources.iter();
        found.any(|resource| resource.resource_name == name && resource.resource_type == kind)
    };
    assert_eq!((has("logs", 2), has("1", 4)), (version >= 1, version >= 1));
    if version >= 1 {
        for (kind, expected) in [(4, "NONE"), (32, "NONE"), (99, "UNSUPPORTED_VERSION")] {
            let resource_types = vec![kind];
            let answer = client
                .ask(&ListConfigResourcesRequest { resource_types }, version)
                .await;
            assert_eq!(name_of(answer.error_code), expected);
            assert_eq!(answer.config_resources.len(), usize::from(kind == 4));
        }
    }
}

pub(super) async fn describe_configs(client: &mut Client, version: i16) {
    let resource = |resource_type, name: &str, keys: Option<&str>| DescribeConfigsResource {
        resource_type,
        resource_name: text(name),
        configuration_keys: keys.map(|key| vec![text(key)]),
    };
    let long = "x".repeat(32_000);
    let request = DescribeConfigsRequest {
        resources: vec![
            resource(2, "logs", None),
            resource(2, "logs", Some("retention.ms")),
            resource(4, "1", None),
            resource(2, &long, None),
            resource(4, "77", None),
            resource(8, "", None),
        ],
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer.results.iter().map(|result| name_of(result.error_code)).collect();
    let (unknown, invalid) = ("UNKNOWN_TOPIC_OR_PARTITION", "INVALID_REQUEST");
    assert_eq!(
        codes,
        ["NONE", "NONE", "NONE", unknown, invalid, invalid],
        "version {version}"
    );
    let configs = &answer.results[0].configs;
    assert!(configs.len() > 20 && configs.iter().all(|config| !config.synonyms.is_empty()));
    assert_eq!(answer.results[1].configs.len(), 1);
    assert!(
        answer.results[2]
            .configs
            .iter()
            .any(|config| config.name == "log.retention.ms")
    );
}

pub(super) async fn alter_configs(client: &mut Client, version: i16) {
    use tailrace_shared::kafka::messages::alter_configs::{AlterConfigsResource, AlterableConfig};
    let name = format!("altered-{version}");
    client.create_topic(&name).await;
    let resource = |resource_type, name: &str, key: &str, value: Option<&str>| AlterConfigsResource {
        resource_type,
        resource_name: text(name),
        configs: vec![AlterableConfig {
            name: text(key),
            value: value.map(text),
        }],
    };
    let mut request = AlterConfigsRequest {
        resources: vec![
            resource(2, &name, "retention.ms", Some("7")),
            resource(2, "nothing", "retention.ms", Some("7")),
            resource(4, "1", "log.retention.ms", Some("7")),
            resource(2, "__consumer_offsets", "retention.ms", Some("7")),
            resource(2, "logs", "retention.ms", None),
        ],
        validate_only: true,
    };
    let expected = [
        "NONE",
        "UNKNOWN_TOPIC_OR_PARTITION",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "INVALID_CONFIG",
    ];
    for (validate_only, in_force) in [(true, None), (false, Some("7"))] {
        request.validate_only = validate_only;
        let answer = client.ask(&request, version).await;
        let codes: Vec<_> = answer
            .responses
            .iter()
            .map(|result| name_of(result.error_code))
            .collect();
        assert_eq!(codes, expected, "version {version}");
        assert_eq!(set_on(client, &name, "retention.ms").await.as_deref(), in_force);
    }
    request.resources = vec![resource(2, &name, "max.message.bytes", Some("1000"))];
    client.ask(&request, version).await;
    assert_eq!(set_on(client, &name, "retention.ms").await, None, "it replaces all");
    let refused = client.produce(&name, 0, batch(&[&[7; 2_000]])).await;
    assert_eq!(name_of(refused.error_code), "MESSAGE_TOO_LARGE", "it is in force");
}

pub(super) async fn incremental_alter_configs(client: &mut Client, version: i16) {
    use tailrace_shared::kafka::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
    let name = format!("edited-{version}");
    client.create_topic(&name).await;
    let resource = |edits: &[(&str, i8, Option<&str>)]| AlterConfigsResource {
        resource_type: 2,
        resource_name: text(&name),
        configs: edits
            .iter()
            .map(|(key, operation, value)| AlterableConfig {
                name: text(key),
                config_operation: *operation,
                value: value.map(text),
            })
            .collect(),
    };
    let (set, delete, append) = (0, 1, 2);
    for (edits, expected) in [
        (
            &[
                ("retention.ms", set, Some("7")),
                ("cleanup.policy", append, Some("compact")),
            ][..],
            "NONE",
        ),
        (&[("retention.ms", delete, None)], "NONE"),
        (
            &[("max.message.bytes", set, Some("9")), ("retention.m", set, Some("7"))],
            "INVALID_CONFIG",
        ),
        (&[("retention.ms", 9, Some("7"))], "INVALID_CONFIG"),
    ] {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource(edits)],
            validate_only: false,
        };
        let answer = client.ask(&request, version).await;
        assert_eq!(name_of(answer.responses[0].error_code), expected, "version {version}");
    }
    let policy = set_on(client, &name, "cleanup.policy").await;
    assert_eq!(policy.as_deref(), Some("delete,compact"));
    assert_eq!(set_on(client, &name, "retention.ms").await, None);
    assert_eq!(set_on(client, &name, "max.message.bytes").await, None, "all or nothing");
    let twice = IncrementalAlterConfigsRequest {
        resources: vec![resource(&[]), resource(&[])],
        validate_only: false,
    };
    let answer = client.ask(&twice, version).await;
    let codes: Vec<_> = answer
        .responses
        .iter()
        .map(|result| name_of(result.error_code))
        .collect();
    assert_eq!(codes, ["INVALID_REQUEST", "INVALID_REQUEST"]);
}

/// What is set on the topic itself for a key.
async fn set_on(client: &mut Client, topic: &str, key: &str) -> Option<String> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: text(topic),
            configuration_keys: Some(vec![text(key)]),
        }],
        ..Default::default()
    };
    let answer = client.newest(&request).await;
    let config = &answer.results[0].configs[0];
    let is_set = config.config_source == 1;
    is_set.then(|| config.value.as_ref().unwrap().to_string())
}
