//! DescribeConfigs 1-4: every config of a topic or of this broker, with its default, source and synonyms.

use std::collections::HashSet;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
    RESOURCE_BROKER, RESOURCE_TOPIC,
};
use tailrace_shared::kafka::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::catalog::TopicConfig;
use crate::catalog::acl::{Operation, Resource};
use crate::catalog::topic_config::{ConfigSource, DescribedConfig, describe};
use crate::kafka::context::{BrokerConfig, Call, Context};

pub(in crate::kafka) async fn describe_configs(
    context: &Context,
    call: &Call,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let asked = Asked {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request
        .resources
        .into_iter()
        .map(|resource| describe_resource(context, call, resource, asked));
    DescribeConfigsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

/// What the client wants to see of each config.
#[derive(Clone, Copy)]
struct Asked {
    synonyms: bool,
    documentation: bool,
}

fn describe_resource(
    context: &Context,
    call: &Call,
    resource: DescribeConfigsResource,
    asked: Asked,
) -> DescribeConfigsResult {
    let described = match resource.resource_type {
        RESOURCE_TOPIC => topic_configs(context, call, &resource.resource_name, asked),
        RESOURCE_BROKER => broker_configs(context, call, &resource.resource_name, asked),
        _ => Err((
            ErrorCode::InvalidRequest,
            "only topics and brokers have configs here".into(),
        )),
    };
    let wanted: Option<HashSet<ByteString>> = resource.configuration_keys.map(|keys| keys.into_iter().collect());
    let is_wanted =
        |config: &DescribeConfigsResourceResult| wanted.as_ref().is_none_or(|keys| keys.contains(&config.name));
    let (error_code, error_message, configs) = match described {
        Ok(configs) => (ErrorCode::None, None, configs.into_iter().filter(is_wanted).collect()),
        Err((code, message)) => (code, Some(message), Vec::new()),
    };
    DescribeConfigsResult {
        error_code: error_code.code(),
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs,
    }
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, ByteString)>;

fn topic_configs(context: &Context, call: &Call, name: &str, asked: Asked) -> Described {
    authorize(context, call, Resource::topic(name))?;
    let topic = context.broker.topic(name);
    let topic = topic.ok_or_else(|| (ErrorCode::UnknownTopicOrPartition, "there is no such topic".into()))?;
    let configs = describe(&topic.meta.configs, context.broker.topic_defaults());
    Ok(configs
        .into_iter()
        .map(|config| on_the_wire(config.key.name, config, false, asked))
        .collect())
}

fn authorize(context: &Context, call: &Call, resource: Resource<'_>) -> Result<(), (ErrorCode, ByteString)> {
    let allowed = context.authorize(call, Operation::DescribeConfigs, resource);
    allowed.map_err(|code| (code, "DescribeConfigs is not allowed".into()))
}

/// The broker's own, and the topic defaults under the broker's names for them, as Kafka has them.
fn broker_configs(context: &Context, call: &Call, name: &str, asked: Asked) -> Described {
    authorize(context, call, Resource::CLUSTER)?;
    if name.parse() != Ok(context.broker.node_id()) {
        return Err((ErrorCode::InvalidRequest, "there is no such broker".into()));
    }
    let defaults = describe(&TopicConfig::default(), context.broker.topic_defaults()).into_iter();
    let defaults = defaults.map(|config| on_the_wire(config.key.broker_name, config, true, asked));
    let own = context
        .broker_configs
        .iter()
        .map(|config| own_on_the_wire(config, asked));
    Ok(own.chain(defaults).collect())
}

fn own_on_the_wire(config: &BrokerConfig, asked: Asked) -> DescribeConfigsResourceResult {
    let said = Some((&config.value, config.source));
    let built_in = (config.source != ConfigSource::Default).then_some((&config.default, ConfigSource::Default));
    let synonyms = said.into_iter().chain(built_in).filter(|_| asked.synonyms);
    let synonyms = synonyms.map(|(value, source)| DescribeConfigsSynonym {
        name: config.name.into(),
        value: Some(value.as_str().into()),
        source: source_code(source),
    });
    DescribeConfigsResourceResult {
        name: config.name.into(),
        value: Some(config.value.as_str().into()),
        read_only: true,
        config_source: source_code(config.source),
        is_sensitive: false,
        synonyms: synonyms.collect(),
        config_type: config.kind as i8,
        documentation: asked.documentation.then(|| config.documentation.into()),
    }
}

fn on_the_wire(
    name: &'static str,
    config: DescribedConfig,
    read_only: bool,
    asked: Asked,
) -> DescribeConfigsResourceResult {
    let synonyms = config.synonyms.into_iter().filter(|_| asked.synonyms);
    let synonyms = synonyms.map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: Some(synonym.value.into()),
        source: source_code(synonym.source),
    });
    DescribeConfigsResourceResult {
        name: name.into(),
        value: Some(config.value.into()),
        read_only,
        config_source: source_code(config.source),
        is_sensitive: false,
        synonyms: synonyms.collect(),
        config_type: config.key.kind as i8,
        documentation: asked.documentation.then(|| config.key.documentation.into()),
    }
}

fn source_code(source: ConfigSource) -> i8 {
    source as i8
}
