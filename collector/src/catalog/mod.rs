//! Topics, access control entries, users' credentials, quotas, producer id blocks and incarnations: versioned documents in the store, each written with put-if-absent.
//!
//! A [`Catalog`] holds the newest [`CatalogView`] that it knows. A write plans a [`change`] on that view, puts it under
//! the next number, and if another broker was faster reads on and plans again ([`commit`]); so any number of brokers
//! share one store, and no change is lost. [`series`] is how the numbered objects are written and read, [`document`]
//! what is in them, [`topics`] and [`claims`] the operations. `docs/FORMATS.md` has the bytes.

pub mod acl;
mod acls;
mod change;
mod claims;
mod commit;
mod credentials;
mod document;
mod error;
mod id;
#[cfg(test)]
mod lying_store;
mod quotas;
mod series;
#[cfg(test)]
mod tests;
pub mod topic_config;
mod topic_name;
mod topics;
mod view;

pub use acls::{ACLS_MAX, CreateAclsError};
pub use commit::Catalog;
pub use credentials::{AlterCredentialsError, CREDENTIALS_MAX, CredentialKey, Credentials};
pub use error::CatalogError;
pub use quotas::{AlterQuotasError, Limit, QUOTAS_MAX, Quota, QuotaEdit, QuotaEntity, QuotaKind, QuotaName, Quotas};
pub use topic_config::{TopicConfig, TopicSettings};
pub use topic_name::check_topic_name;
pub use topics::{AlterTopicError, CreateTopicError, DeleteTopicError, GrowTopicError, MAX_PARTITIONS, NewTopic};
pub use view::{CatalogView, TopicMeta};
