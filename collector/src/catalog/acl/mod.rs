//! Access control entries, as Kafka has them: kept in the catalog, so that they are as durable as topics.
//!
//! A [`AclBinding`] says who may or may not do what to which resource; an [`AclFilter`] picks some of them, to describe
//! or to delete; an [`AclSet`] is all there are, and decides.

mod binding;
mod filter;
mod set;
#[cfg(test)]
mod tests;

pub use binding::{AclBinding, InvalidAcl, Operation, Pattern, Permission, Resource, ResourceType};
pub use filter::{AclFilter, PatternFilter};
pub use set::{Access, AclSet, Decision};

/// The name of the only resource of type [`ResourceType::Cluster`].
pub const CLUSTER_NAME: &str = "kafka-cluster";
/// Stands for every principal.
pub const EVERYONE: &str = "User:*";
/// Stands for every host, and as the name of a literal resource for all of its type.
pub const WILDCARD: &str = "*";
