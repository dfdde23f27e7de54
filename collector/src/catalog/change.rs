//! The changes that documents hold, as they stand in the JSON.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::acl::AclBinding;
use super::credentials::{StoredCredential, StoredKey};
use super::quotas::QuotaEntry;
use super::topic_config::TopicConfig;
use super::view::TopicMeta;

/// One change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    /// The first of all.
    ClusterCreated {
        /// 22 characters.
        cluster_id: String,
        /// Random, so that a wiped directory cannot hand out an id that some producer still holds.
        first_producer_id: i64,
    },
    /// A topic with a fresh id.
    TopicCreated(TopicMeta),
    /// The topic is gone, and its name is free.
    TopicDeleted {
        /// Which.
        id: Uuid,
    },
    /// The topic has more partitions.
    PartitionsGrown {
        /// Which.
        id: Uuid,
        /// The new count.
        partitions: i32,
    },
    /// The topic's configs were replaced.
    TopicConfigsSet {
        /// Which.
        id: Uuid,
        /// All that are set now.
        configs: TopicConfig,
    },
    /// Access control entries came and went.
    AclsChanged {
        /// Which are there now and were not.
        add: Vec<AclBinding>,
        /// Which were there and are not now.
        remove: Vec<AclBinding>,
    },
    /// Users' credentials came and went.
    CredentialsChanged {
        /// Those that are new, or replace another.
        set: Vec<StoredCredential>,
        /// Those that are gone.
        remove: Vec<StoredKey>,
    },
    /// Quotas came and went.
    QuotasChanged {
        /// Entities with all quotas that they have now; with none, an entity is gone.
        set: Vec<QuotaEntry>,
    },
    /// A broker started.
    IncarnationClaimed {
        /// Which broker.
        broker_id: i32,
        /// Its incarnation, never claimed before by any broker.
        incarnation: u64,
    },
    /// A broker may hand out `start..end`.
    ProducerIdsClaimed {
        /// The first.
        start: i64,
        /// One past the last.
        end: i64,
    },
}
