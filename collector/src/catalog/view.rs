//! The catalog at one version: what every document up to it adds up to. Pure; a change makes the next view.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

use super::acl::{AclBinding, AclSet};
use super::change::Change;
use super::credentials::{Credentials, StoredCredential};
use super::quotas::{QuotaEntry, Quotas};
use super::topic_config::TopicConfig;
use super::topic_name::{collide, may_collide};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicMeta {
    /// Never used for another topic, not even for one of the same name.
    pub id: Uuid,
    /// The name, unique among the topics of a view.
    pub name: String,
    /// How many partitions it has: `0..partitions`.
    pub partitions: i32,
    /// What is set on it.
    pub configs: TopicConfig,
    /// When it was created.
    pub created_at_ms: TimestampMs,
}

/// All topics, and what was claimed so far, at one version. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogView {
    version: u64,
    cluster_id: String,
    next_producer_id: i64,
    last_incarnation: u64,
    brokers: BTreeMap<i32, u64>,
    topics: BTreeMap<Uuid, Arc<TopicMeta>>,
    ids_by_name: BTreeMap<String, Uuid>,
    acls: Arc<AclSet>,
    credentials: Arc<Credentials>,
    quotas: Arc<Quotas>,
}

/// A change that does not fit the view: the document that holds it is damaged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misfit(String);

impl CatalogView {
    /// How many documents led here.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The cluster's id, 22 characters; empty only before the first document.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMeta>> {
        self.topic_by_id(*self.ids_by_name.get(name)?)
    }

    /// The topic of this id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicMeta>> {
        self.topics.get(&id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicMeta>> {
        self.ids_by_name.values().filter_map(|id| self.topics.get(id))
    }

    /// All access control entries.
    #[must_use]
    pub fn acls(&self) -> &Arc<AclSet> {
        &self.acls
    }

    /// All users' credentials.
    #[must_use]
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// All quotas.
    #[must_use]
    pub fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// Each broker that ever claimed an incarnation, with its latest.
    pub fn incarnations(&self) -> impl Iterator<Item = (i32, u64)> {
        self.brokers.iter().map(|(&broker, &incarnation)| (broker, incarnation))
    }

    /// The highest incarnation that any broker claimed; 0 before the first.
    #[must_use]
    pub fn last_incarnation(&self) -> u64 {
        self.last_incarnation
    }

    pub(super) fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The topic whose name metrics could not tell from this one.
    pub(super) fn colliding(&self, name: &str) -> Option<&str> {
        let mut names = self.ids_by_name.keys().filter(|_| may_collide(name));
        names.find(|other| collide(name, other)).map(String::as_str)
    }

    /// The view after a document of changes.
    pub(super) fn after(&self, changes: &[Change]) -> Result<Self, Misfit> {
        let mut next = self.clone();
        next.version += 1;
        for change in changes {
            next.apply(change)?;
        }
        Ok(next)
    }

    fn apply(&mut self, change: &Change) -> Result<(), Misfit> {
        match change {
            Change::ClusterCreated {
                cluster_id,
                first_producer_id,
            } => {
                ensure(self.cluster_id.is_empty(), || "the cluster is created twice".to_owned())?;
                cluster_id.clone_into(&mut self.cluster_id);
                self.next_producer_id = *first_producer_id;
            }
            Change::TopicCreated(topic) => self.insert_topic(topic.clone())?,
            Change::TopicDeleted { id } => {
                let deleted = self.topics.remove(id).ok_or_else(|| unknown_topic(*id))?;
                self.ids_by_name.remove(&deleted.name);
            }
            Change::PartitionsGrown { id, partitions } => {
                let topic = self.topic_mut(*id)?;
                ensure(*partitions > topic.partitions, || {
                    format!("topic {} shrinks to {partitions} partitions", topic.name)
                })?;
                topic.partitions = *partitions;
            }
            Change::TopicConfigsSet { id, configs } => configs.clone_into(&mut self.topic_mut(*id)?.configs),
            Change::AclsChanged { add, remove } => {
                let stays = |entry: &&AclBinding| !remove.contains(entry);
                let acls = self.acls.iter().filter(stays).chain(add).cloned().collect();
                self.acls = Arc::new(acls);
            }
            Change::CredentialsChanged { set, remove } => {
                let credentials = Arc::make_mut(&mut self.credentials);
                for key in remove {
                    let key = key.to_key().ok_or_else(|| no_credential(key))?;
                    credentials.remove(&key);
                }
                for stored in set {
                    credentials.extend([stored.to_credential().ok_or_else(|| no_credential(stored))?]);
                }
            }
            Change::QuotasChanged { set } => {
                let quotas = Arc::make_mut(&mut self.quotas);
                set.iter().cloned().for_each(|entry| quotas.set(entry));
            }
            Change::IncarnationClaimed { broker_id, incarnation } => {
                ensure(*incarnation > self.last_incarnation, || {
                    format!("incarnation {incarnation} is claimed twice")
                })?;
                self.last_incarnation = *incarnation;
                self.brokers.insert(*broker_id, *incarnation);
            }
            Change::ProducerIdsClaimed { start, end } => {
                ensure(*start >= self.next_producer_id && end > start, || {
                    format!("producer ids {start}..{end} are claimed twice")
                })?;
                self.next_producer_id = *end;
            }
        }
        Ok(())
    }

    fn insert_topic(&mut self, topic: TopicMeta) -> Result<(), Misfit> {
        let taken = self.topics.contains_key(&topic.id) || self.ids_by_name.contains_key(&topic.name);
        ensure(!taken, || {
            format!("topic {} ({}) is created twice", topic.name, topic.id)
        })?;
        ensure(topic.partitions > 0, || {
            format!("topic {} has no partitions", topic.name)
        })?;
        self.ids_by_name.insert(topic.name.clone(), topic.id);
        self.topics.insert(topic.id, Arc::new(topic));
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut TopicMeta, Misfit> {
        let topic = self.topics.get_mut(&id).ok_or_else(|| unknown_topic(id))?;
        Ok(Arc::make_mut(topic))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Misfit> {
    if holds { Ok(()) } else { Err(Misfit(otherwise())) }
}

fn no_credential(stored: &impl std::fmt::Debug) -> Misfit {
    Misfit(format!("{stored:?} is no credential"))
}

fn unknown_topic(id: Uuid) -> Misfit {
    Misfit(format!("there is no topic with id {id}"))
}

/// A view as a snapshot holds it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewState {
    cluster_id: String,
    next_producer_id: i64,
    last_incarnation: u64,
    brokers: BTreeMap<i32, u64>,
    topics: Vec<TopicMeta>,
    #[serde(default)]
    acls: Vec<AclBinding>,
    #[serde(default)]
    credentials: Vec<StoredCredential>,
    #[serde(default)]
    quotas: Vec<QuotaEntry>,
}

impl ViewState {
    pub(super) fn of(view: &CatalogView) -> Self {
        Self {
            cluster_id: view.cluster_id.clone(),
            next_producer_id: view.next_producer_id,
            last_incarnation: view.last_incarnation,
            brokers: view.brokers.clone(),
            topics: view.topics().map(|topic| TopicMeta::clone(topic)).collect(),
            acls: view.acls.iter().cloned().collect(),
            credentials: view
                .credentials
                .iter()
                .map(|(key, one)| StoredCredential::of(key, one))
                .collect(),
            quotas: view.quotas.entries(),
        }
    }

    pub(super) fn into_view(self, version: u64) -> Result<CatalogView, Misfit> {
        let mut view = CatalogView {
            version,
            cluster_id: self.cluster_id,
            next_producer_id: self.next_producer_id,
            last_incarnation: self.last_incarnation,
            brokers: self.brokers,
            acls: Arc::new(self.acls.into_iter().collect()),
            ..CatalogView::default()
        };
        let credentials = Arc::make_mut(&mut view.credentials);
        for stored in &self.credentials {
            credentials.extend([stored.to_credential().ok_or_else(|| no_credential(stored))?]);
        }
        let quotas = Arc::make_mut(&mut view.quotas);
        self.quotas.into_iter().for_each(|entry| quotas.set(entry));
        for topic in self.topics {
            view.insert_topic(topic)?;
        }
        Ok(view)
    }
}
