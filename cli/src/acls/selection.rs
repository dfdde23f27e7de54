//! Which entries are meant, as a person says it: names that end in `*` are prefixes, and `*` alone is every name.

use clap::Args;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use tailrace_collector::catalog::acl::{CLUSTER_NAME, Operation, Pattern, ResourceType, WILDCARD};

/// What entries are about.
#[derive(Debug, Clone, Args)]
pub(super) struct Resources {
    /// A topic; nginx* is every topic whose name begins with nginx, and * every topic. May be given several times.
    #[arg(long, short, value_name = "NAME")]
    topic: Vec<String>,
    /// A consumer group, in the same way.
    #[arg(long, short, value_name = "NAME")]
    group: Vec<String>,
    /// The cluster as a whole: creating topics, entries, credentials.
    #[arg(long)]
    cluster: bool,
}

/// Resources by type, pattern and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) resource: ResourceType,
    pub(super) pattern: Pattern,
    pub(super) name: String,
}

impl Resources {
    pub(super) fn named(&self) -> Vec<Named> {
        let topics = self.topic.iter().map(|name| Named::new(ResourceType::Topic, name));
        let groups = self.group.iter().map(|name| Named::new(ResourceType::Group, name));
        let cluster = self.cluster.then(|| Named::new(ResourceType::Cluster, CLUSTER_NAME));
        topics.chain(groups).chain(cluster).collect()
    }
}

impl Named {
    fn new(resource: ResourceType, name: &str) -> Self {
        let (pattern, name) = match name.strip_suffix(WILDCARD) {
            Some(prefix) if !prefix.is_empty() => (Pattern::Prefixed, prefix),
            _ => (Pattern::Literal, name),
        };
        Self {
            resource,
            pattern,
            name: name.to_owned(),
        }
    }

    /// As it is written on the command line.
    pub(super) fn to_text(&self) -> String {
        let star = if self.pattern == Pattern::Prefixed {
            WILDCARD
        } else {
            ""
        };
        match self.resource {
            ResourceType::Cluster => "cluster".to_owned(),
            resource => format!("{} {}{star}", word(resource), self.name),
        }
    }
}

/// Reads `describe-configs` and the like.
pub(super) fn parse_operation(text: &str) -> Result<Operation, String> {
    let name = text.replace('-', "_");
    Operation::deserialize(name.as_str().into_deserializer())
        .map_err(|error: Error| error.to_string().replace('_', "-").replace("variant", "operation"))
}

/// `ann` is short for `User:ann`.
pub(super) fn parse_principal(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        None if !text.is_empty() => Ok(format!("User:{text}")),
        Some(("User", name)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("write a name, or User:NAME".to_owned()),
    }
}

/// An enum of the entries as a person writes it.
pub(super) fn word(value: impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok();
    let text = text.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    text.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_makes_a_prefix_and_alone_means_all() {
        let topic = |name: &str| Named::new(ResourceType::Topic, name);
        assert_eq!(
            (topic("nginx").pattern, topic("nginx").name.as_str()),
            (Pattern::Literal, "nginx")
        );
        assert_eq!(
            (topic("ng*").pattern, topic("ng*").name.as_str()),
            (Pattern::Prefixed, "ng")
        );
        assert_eq!((topic("*").pattern, topic("*").name.as_str()), (Pattern::Literal, "*"));
        assert_eq!(topic("ng*").to_text(), "topic ng*");
        assert_eq!(Named::new(ResourceType::Cluster, CLUSTER_NAME).to_text(), "cluster");
    }

    #[test]
    fn operations_and_principals_are_words() {
        assert_eq!(parse_operation("describe-configs"), Ok(Operation::DescribeConfigs));
        assert_eq!(word(Operation::DescribeConfigs), "describe-configs");
        let unknown = parse_operation("reed").unwrap_err();
        assert!(
            unknown.contains("reed") && unknown.contains("describe-configs"),
            "{unknown}"
        );
        assert_eq!(parse_principal("ann").as_deref(), Ok("User:ann"));
        assert_eq!(parse_principal("User:*").as_deref(), Ok("User:*"));
        assert!(parse_principal("Group:x").is_err() && parse_principal("").is_err());
    }
}
