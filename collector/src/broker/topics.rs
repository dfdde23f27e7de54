//! The topics of this broker: the catalog's view of them together with their open partitions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::Broker;
use crate::catalog::topic_config::InvalidConfig;
use crate::catalog::{
    AlterTopicError, CreateTopicError, DeleteTopicError, GrowTopicError, NewTopic, TopicConfig, TopicMeta,
    TopicSettings,
};
use crate::partition::recovery::Recovered;
use crate::partition::retention::RetentionPolicy;
use crate::partition::{Engine, Partition, PartitionSettings};
use crate::segment::compaction::CompactionPolicy;
use crate::topic_partition::TopicPartition;

/// A topic at one version of the catalog, and its partitions.
#[derive(Debug, Clone)]
pub struct Topic {
    /// As the catalog has it.
    pub meta: Arc<TopicMeta>,
    /// The configs in force.
    pub settings: TopicSettings,
    partitions: Vec<Arc<Partition>>,
}

/// All topics, by id and by name.
#[derive(Debug, Default)]
pub(super) struct TopicTable {
    by_id: HashMap<Uuid, Arc<Topic>>,
    ids: BTreeMap<String, Uuid>,
}

impl Topic {
    /// Opens the partitions that the catalog names, each from what was recovered of it.
    pub(super) fn open(
        meta: Arc<TopicMeta>,
        defaults: &TopicConfig,
        engine: &Arc<Engine>,
        mut recovered: impl FnMut(TopicPartition) -> Recovered,
    ) -> Self {
        let mut topic = Self {
            settings: TopicSettings::resolve(&meta.configs, defaults),
            partitions: Vec::new(),
            meta,
        };
        topic.open_missing(engine, &mut recovered);
        topic
    }

    /// The partition at an index.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// All partitions, by index.
    #[must_use]
    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    /// This topic as another version of the catalog has it.
    fn update(&self, meta: Arc<TopicMeta>, defaults: &TopicConfig, engine: &Arc<Engine>) -> Self {
        let mut topic = Self {
            settings: TopicSettings::resolve(&meta.configs, defaults),
            partitions: self.partitions.clone(),
            meta,
        };
        for partition in &topic.partitions {
            partition.set_settings(topic.partition_settings());
        }
        topic.open_missing(engine, &mut |_| Recovered::default());
        topic
    }

    fn partition_settings(&self) -> PartitionSettings {
        let settings = &self.settings;
        let retention = RetentionPolicy {
            max_age_ms: settings.retention_ms,
            max_bytes: settings.retention_bytes,
        };
        let compaction = CompactionPolicy {
            dirty_ratio_min: settings.min_cleanable_dirty_ratio,
            lag_ms_min: settings.min_compaction_lag_ms,
            lag_ms_max: settings.max_compaction_lag_ms,
            delete_retention_ms: settings.delete_retention_ms,
            wal_ms_max: settings.segment_ms,
            wal_bytes_max: settings.segment_bytes,
        };
        PartitionSettings {
            retention: if settings.delete {
                retention
            } else {
                RetentionPolicy::default()
            },
            compaction: settings.compact.then_some(compaction),
            log_append_time: settings.log_append_time,
        }
    }

    fn open_missing(&mut self, engine: &Arc<Engine>, recovered: &mut impl FnMut(TopicPartition) -> Recovered) {
        let opened = i32::try_from(self.partitions.len()).unwrap_or(i32::MAX);
        let settings = self.partition_settings();
        let topic = self.meta.id;
        self.partitions.extend((opened..self.meta.partitions).map(|partition| {
            let id = TopicPartition { topic, partition };
            Partition::open(id, recovered(id), settings, Arc::clone(engine))
        }));
    }
}

impl TopicTable {
    pub(super) fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.ids.insert(topic.meta.name.clone(), topic.meta.id);
        self.by_id.insert(topic.meta.id, Arc::clone(&topic));
        topic
    }

    fn remove(&mut self, id: Uuid) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.ids.remove(&topic.meta.name);
        Some(topic)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn all(&self) -> Vec<Arc<Topic>> {
        self.ids.values().filter_map(|id| self.by_id.get(id).cloned()).collect()
    }
}

impl Broker {
    /// All topics, by name.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().all()
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        let topics = self.topics.read();
        topics.by_id.get(topics.ids.get(name)?).cloned()
    }

    /// The topic of this id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.topics.read().by_id.get(&id).cloned()
    }

    /// A partition by its topic's id and its index.
    #[must_use]
    pub fn partition(&self, id: TopicPartition) -> Option<Arc<Partition>> {
        self.topics
            .read()
            .by_id
            .get(&id.topic)?
            .partition(id.partition)
            .cloned()
    }

    /// The configs that the collector's configuration sets for all topics.
    #[must_use]
    pub fn topic_defaults(&self) -> &TopicConfig {
        &self.topic_defaults
    }

    /// Says whether [`Self::create_topic`] would create this topic.
    pub fn check_create_topic(&self, new: NewTopic) -> Result<(), CreateTopicError> {
        self.catalog.check_create_topic(new)
    }

    /// Creates a topic; it takes batches at once.
    pub async fn create_topic(&self, new: NewTopic) -> Result<Arc<Topic>, CreateTopicError> {
        let _one_at_a_time = self.topic_changes.lock().await;
        let meta = self.catalog.create_topic(new).await?;
        let topic = Topic::open(meta, &self.topic_defaults, &self.engine, |_| Recovered::default());
        Ok(self.topics.write().insert(topic))
    }

    /// Deletes a topic. Its batches are gone at once, and its bytes after the grace period.
    pub async fn delete_topic(&self, id: Uuid) -> Result<(), DeleteTopicError> {
        let _one_at_a_time = self.topic_changes.lock().await;
        self.catalog.delete_topic(id).await?;
        let deleted = self.topics.write().remove(id);
        for partition in deleted.iter().flat_map(|topic| topic.partitions()) {
            partition.delete();
        }
        Ok(())
    }

    /// Adds partitions to a topic.
    pub async fn grow_topic(&self, id: Uuid, partitions: i32) -> Result<Arc<Topic>, GrowTopicError> {
        let _one_at_a_time = self.topic_changes.lock().await;
        let meta = self.catalog.grow_topic(id, partitions).await?;
        Ok(self.adopt(meta))
    }

    /// Changes a topic's configs; they are in force on return.
    pub async fn alter_topic(
        &self,
        id: Uuid,
        edit: impl Fn(&mut TopicConfig) -> Result<(), InvalidConfig>,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let _one_at_a_time = self.topic_changes.lock().await;
        let meta = self.catalog.alter_topic(id, edit).await?;
        Ok(self.adopt(meta))
    }

    fn adopt(&self, meta: Arc<TopicMeta>) -> Arc<Topic> {
        let mut topics = self.topics.write();
        let topic = match topics.by_id.get(&meta.id) {
            Some(known) => known.update(meta, &self.topic_defaults, &self.engine),
            None => Topic::open(meta, &self.topic_defaults, &self.engine, |_| Recovered::default()),
        };
        topics.insert(topic)
    }

    /// The partitions of all topics.
    pub(super) fn partitions(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.read();
        topics
            .by_id
            .values()
            .flat_map(|topic| topic.partitions().iter().cloned())
            .collect()
    }
}
