//! What AlterConfigs and IncrementalAlterConfigs have in common: edits of topics' configs, checked as a whole before any of
//! a resource is made. Only topics are configured at run time; the broker's configuration is its file.

use std::collections::HashMap;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC};

use crate::catalog::TopicConfig;
use crate::catalog::acl::{self, Operation};
use crate::catalog::topic_config::{ConfigType, InvalidConfig, lookup};
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

/// A resource, and what is to be done to its configs.
pub(super) struct Resource {
    pub(super) resource_type: i8,
    pub(super) resource_name: ByteString,
    /// Everything goes back to its default first.
    pub(super) replaces_all: bool,
    pub(super) edits: Vec<Edit>,
}

/// A change of one key.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Set(ByteString, ByteString),
    Reset(ByteString),
    Append(ByteString, ByteString),
    Subtract(ByteString, ByteString),
    /// There is no value, where one is needed.
    NoValue(ByteString),
    /// An operation that Kafka does not have.
    Unknown(ByteString, i8),
}

/// What came of a resource.
pub(super) struct Edited {
    pub(super) code: ErrorCode,
    pub(super) message: Option<ByteString>,
    pub(super) resource_type: i8,
    pub(super) resource_name: ByteString,
}

type Refusal = (ErrorCode, Option<ByteString>);

/// Edits each resource by itself: one that is refused keeps none of the others from being changed.
pub(super) async fn edit_all(
    context: &Context,
    call: &Call,
    resources: Vec<Resource>,
    validate_only: bool,
) -> Vec<Edited> {
    let mut named: HashMap<(i8, ByteString), usize> = HashMap::new();
    for resource in &resources {
        *named
            .entry((resource.resource_type, resource.resource_name.clone()))
            .or_default() += 1;
    }
    let mut results = Vec::with_capacity(resources.len());
    for resource in resources {
        let key = (resource.resource_type, resource.resource_name.clone());
        let edited = match named.get(&key) {
            Some(1) => edit(context, call, &resource, validate_only).await,
            _ => refuse(ErrorCode::InvalidRequest, "it is named more than once in this request"),
        };
        let (code, message) = edited.err().unwrap_or((ErrorCode::None, None));
        results.push(Edited {
            code,
            message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    results
}

async fn edit(context: &Context, call: &Call, resource: &Resource, validate_only: bool) -> Result<(), Refusal> {
    match resource.resource_type {
        RESOURCE_TOPIC => edit_topic(context, call, resource, validate_only).await,
        RESOURCE_BROKER => refuse(
            ErrorCode::InvalidRequest,
            "a broker's configuration is its file, collector.toml: change it there, and start it again",
        ),
        _ => refuse(ErrorCode::InvalidRequest, "only topics are configured at run time here"),
    }
}

async fn edit_topic(context: &Context, call: &Call, resource: &Resource, validate_only: bool) -> Result<(), Refusal> {
    let name = &resource.resource_name;
    let allowed = context.authorize(call, Operation::AlterConfigs, acl::Resource::topic(name));
    allowed.map_err(|code| (code, Some("AlterConfigs is not allowed".into())))?;
    let Some(topic) = context.broker.topic(name) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, "there is no such topic");
    };
    if topic.meta.name == OFFSETS_TOPIC {
        return refuse(
            ErrorCode::InvalidRequest,
            "the groups' own topic keeps itself; nothing can be set on it",
        );
    }
    let defaults = context.broker.topic_defaults();
    let apply = |configs: &mut TopicConfig| resource.apply(configs, defaults);
    if validate_only {
        return apply(&mut topic.meta.configs.clone()).map_err(|error| (error.code(), error.message()));
    }
    let altered = context.broker.alter_topic(topic.meta.id, apply).await;
    altered.map(drop).map_err(|error| (error.code(), error.message()))
}

fn refuse(code: ErrorCode, message: &'static str) -> Result<(), Refusal> {
    Err((code, Some(ByteString::from_static(message))))
}

impl Resource {
    fn apply(&self, configs: &mut TopicConfig, defaults: &TopicConfig) -> Result<(), InvalidConfig> {
        if self.replaces_all {
            *configs = TopicConfig::default();
        }
        self.edits.iter().try_for_each(|edit| edit.apply(configs, defaults))
    }
}

impl Edit {
    /// Sets a key; only a key that is named with a value can be.
    pub(super) fn set(name: ByteString, value: Option<ByteString>) -> Self {
        match value {
            Some(value) => Self::Set(name, value),
            None => Self::NoValue(name),
        }
    }

    fn apply(&self, configs: &mut TopicConfig, defaults: &TopicConfig) -> Result<(), InvalidConfig> {
        match self {
            Self::Set(key, value) => configs.set(key, Some(value)),
            Self::Reset(key) => configs.set(key, None),
            Self::Append(key, more) => edit_list(configs, defaults, key, |list| {
                let missing: Vec<_> = values(more).filter(|value| !list.contains(value)).collect();
                list.extend(missing);
            }),
            Self::Subtract(key, less) => edit_list(configs, defaults, key, |list| {
                list.retain(|value| !values(less).any(|gone| gone == *value));
            }),
            Self::NoValue(key) => invalid(
                key,
                "no value is given; to go back to the default, delete the key".to_owned(),
            ),
            Self::Unknown(key, operation) => invalid(key, format!("there is no operation {operation}")),
        }
    }
}

/// Edits the list that is in force, whether it was set on the topic or not.
fn edit_list(
    configs: &mut TopicConfig,
    defaults: &TopicConfig,
    key: &str,
    edit: impl FnOnce(&mut Vec<String>),
) -> Result<(), InvalidConfig> {
    let built_in = match lookup(key) {
        Some(known) if known.kind == ConfigType::List => known.default,
        Some(_) => return invalid(key, "it is no list: set it, or delete it".to_owned()),
        // The table says what there is instead.
        None => return configs.set(key, None),
    };
    let in_force = configs.get(key).or_else(|| defaults.get(key)).unwrap_or(built_in);
    let mut list = values(in_force).collect();
    edit(&mut list);
    configs.set(key, Some(&list.join(",")))
}

fn values(list: &str) -> impl Iterator<Item = String> {
    let values = list.split(',').map(str::trim).filter(|value| !value.is_empty());
    values.map(str::to_owned)
}

fn invalid(key: &str, reason: String) -> Result<(), InvalidConfig> {
    Err(InvalidConfig {
        key: key.to_owned(),
        value: String::new(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(edits: &[Edit]) -> Result<TopicConfig, InvalidConfig> {
        let mut configs = TopicConfig::new([("retention.ms".to_owned(), "5".to_owned())])?;
        let defaults = TopicConfig::default();
        edits.iter().try_for_each(|edit| edit.apply(&mut configs, &defaults))?;
        Ok(configs)
    }

    #[test]
    fn what_is_not_named_stays() {
        let configs = after(&[Edit::Set("max.message.bytes".into(), "99".into())]).unwrap();
        assert_eq!(
            (configs.get("retention.ms"), configs.get("max.message.bytes")),
            (Some("5"), Some("99"))
        );
        assert_eq!(
            after(&[Edit::Reset("retention.ms".into())]).unwrap(),
            TopicConfig::default()
        );
    }

    #[test]
    fn lists_grow_and_shrink_from_what_is_in_force() {
        let key = || ByteString::from_static("cleanup.policy");
        let both = after(&[Edit::Append(key(), "compact, delete".into())]).unwrap();
        assert_eq!(both.get("cleanup.policy"), Some("delete,compact"));
        let one = after(&[
            Edit::Append(key(), "compact".into()),
            Edit::Subtract(key(), "delete".into()),
        ])
        .unwrap();
        assert_eq!(one.get("cleanup.policy"), Some("compact"));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let refused = |edit: Edit| after(&[edit]).unwrap_err().reason;
        assert!(refused(Edit::Append("retention.ms".into(), "1".into())).contains("no list"));
        assert!(refused(Edit::Append("retention.m".into(), "1".into())).contains("did you mean `retention.ms`"));
        assert!(refused(Edit::set("retention.ms".into(), None)).contains("delete the key"));
        assert!(refused(Edit::Unknown("retention.ms".into(), 7)).contains("no operation 7"));
        assert!(refused(Edit::Subtract("cleanup.policy".into(), "delete".into())).contains("list of"));
    }
}
