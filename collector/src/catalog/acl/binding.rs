//! One entry: a principal, from a host, is allowed or denied an operation on the resources that a pattern names.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{CLUSTER_NAME, WILDCARD};

/// Declares an enum of Kafka's codes.
macro_rules! codes {
    ($(#[$attribute:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Kafka's number for it.
            #[must_use]
            pub fn code(self) -> i8 {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// What Kafka's number stands for; `None` for one that an entry cannot have.
            #[must_use]
            pub fn from_code(code: i8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What an entry is about (`ResourceType`).
    ResourceType {
        /// A topic, by name.
        Topic = 2,
        /// A consumer group, by id.
        Group = 3,
        /// The cluster as a whole.
        Cluster = 4,
        /// A transactional id.
        TransactionalId = 5,
        /// A delegation token. There are none here.
        DelegationToken = 6,
        /// A user, for delegation tokens.
        User = 7,
    }
}

codes! {
    /// How an entry's name is to be taken (`PatternType`, KIP-290).
    Pattern {
        /// The resource of this name, or all of them if it is `*`.
        Literal = 3,
        /// Every resource whose name begins so.
        Prefixed = 4,
    }
}

codes! {
    /// What is done (`AclOperation`).
    Operation {
        /// Anything.
        All = 2,
        /// Reading records, being a member of a group.
        Read = 3,
        /// Writing records.
        Write = 4,
        /// Creating topics.
        Create = 5,
        /// Deleting topics, records, groups and their offsets.
        Delete = 6,
        /// Changing partitions, entries, credentials.
        Alter = 7,
        /// Seeing that it is there, and its state.
        Describe = 8,
        /// What brokers do among themselves.
        ClusterAction = 9,
        /// Seeing configs.
        DescribeConfigs = 10,
        /// Changing configs.
        AlterConfigs = 11,
        /// Taking a producer id. Since Kafka 2.8 `Write` on any topic is enough.
        IdempotentWrite = 12,
        /// For delegation tokens.
        CreateTokens = 13,
        /// For delegation tokens.
        DescribeTokens = 14,
    }
}

codes! {
    /// What an entry decides (`AclPermissionType`). Denied wins.
    Permission {
        /// It may not.
        Deny = 2,
        /// It may.
        Allow = 3,
    }
}

impl ResourceType {
    /// What can be done to a resource of this type, as Kafka lists it.
    #[must_use]
    pub fn operations(self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
            DescribeTokens, IdempotentWrite, Read, Write,
        };
        match self {
            Self::Topic => &[
                Read,
                Write,
                Create,
                Describe,
                Delete,
                Alter,
                DescribeConfigs,
                AlterConfigs,
            ],
            Self::Group => &[Read, Describe, Delete],
            Self::Cluster => &[
                Create,
                ClusterAction,
                DescribeConfigs,
                AlterConfigs,
                IdempotentWrite,
                Alter,
                Describe,
            ],
            Self::TransactionalId => &[Describe, Write],
            Self::DelegationToken => &[Describe],
            Self::User => &[CreateTokens, DescribeTokens],
        }
    }
}

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Resource<'a> {
    /// The cluster.
    pub const CLUSTER: Resource<'static> = Resource {
        kind: ResourceType::Cluster,
        name: CLUSTER_NAME,
    };

    /// A topic.
    #[must_use]
    pub fn topic(name: &'a str) -> Self {
        let kind = ResourceType::Topic;
        Self { kind, name }
    }

    /// A consumer group.
    #[must_use]
    pub fn group(name: &'a str) -> Self {
        let kind = ResourceType::Group;
        Self { kind, name }
    }
}

/// One access control entry. In the catalog's documents it stands as it does here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclBinding {
    /// The type of the resources.
    pub resource: ResourceType,
    /// How `name` is to be taken.
    pub pattern: Pattern,
    /// Which resources.
    pub name: String,
    /// Who: `User:name`, or `User:*` for everyone.
    pub principal: String,
    /// From where: an IP address, or `*`.
    pub host: String,
    /// Does what.
    pub operation: Operation,
    /// And whether it may.
    pub permission: Permission,
}

/// An entry that would never do what it seems to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAcl {
    /// Nothing is named.
    #[error("the resource has no name; * is every one")]
    NoName,
    /// More than any name may have.
    #[error("a {what} of {len} bytes is too long: {NAME_BYTES_MAX} at most")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// There is one cluster.
    #[error("the cluster is called {CLUSTER_NAME}, not {0}")]
    ClusterName(String),
    /// Other types exist for nobody here.
    #[error("the principal {0} is not of the form User:name")]
    Principal(String),
    /// Connections are known by address only.
    #[error("the host {0} is neither an IP address nor *")]
    Host(String),
    /// A code that an entry cannot have.
    #[error("{what} {code} is not one that an entry can have")]
    Code {
        /// Which field.
        what: &'static str,
        /// What it says.
        code: i8,
    },
}

const NAME_BYTES_MAX: usize = 1024;

impl AclBinding {
    /// Whether it can mean something.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), InvalidAcl> {
        if self.name.is_empty() {
            return Err(InvalidAcl::NoName);
        }
        for (what, text) in [("resource name", &self.name), ("principal", &self.principal)] {
            if text.len() > NAME_BYTES_MAX {
                return Err(InvalidAcl::TooLong { what, len: text.len() });
            }
        }
        if self.resource == ResourceType::Cluster && self.name != CLUSTER_NAME && self.name != WILDCARD {
            return Err(InvalidAcl::ClusterName(self.name.clone()));
        }
        if self.principal.strip_prefix("User:").is_none_or(str::is_empty) {
            return Err(InvalidAcl::Principal(self.principal.clone()));
        }
        if self.host != WILDCARD && self.host.parse::<IpAddr>().is_err() {
            return Err(InvalidAcl::Host(self.host.clone()));
        }
        Ok(())
    }
}
