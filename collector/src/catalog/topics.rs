//! Creating, growing, altering and deleting topics.

use std::sync::Arc;

use rand::RngCore;
use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

use super::change::Change;
use super::commit::{Catalog, Plan};
use super::error::CatalogError;
use super::id::random_uuid;
use super::topic_config::{InvalidConfig, TopicConfig};
use super::topic_name::check_topic_name;
use super::view::{CatalogView, TopicMeta};

/// The most partitions a topic may have; each costs every broker some memory.
pub const MAX_PARTITIONS: i32 = 10_000;

/// A topic to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// How many partitions, 1 to [`MAX_PARTITIONS`].
    pub partitions: i32,
    /// What differs from the defaults, as the client sent it.
    pub configs: Vec<(String, String)>,
}

/// A topic was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateTopicError {
    /// The name is taken.
    #[error("topic {} exists already", .0.name)]
    Exists(Arc<TopicMeta>),
    /// The name is not legal, or cannot be told from another in metrics.
    #[error("invalid topic name: {0}")]
    InvalidName(String),
    /// None, or too many.
    #[error("a topic has 1 to {MAX_PARTITIONS} partitions, not {0}")]
    InvalidPartitions(i32),
    /// A config is unknown or its value not legal.
    #[error(transparent)]
    InvalidConfig(#[from] InvalidConfig),
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A topic was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTopicError {
    /// No topic has this id.
    #[error("there is no topic with id {0}")]
    Unknown(Uuid),
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// No partitions were added.
#[derive(Debug, thiserror::Error)]
pub enum GrowTopicError {
    /// No topic has this id.
    #[error("there is no topic with id {0}")]
    Unknown(Uuid),
    /// Not more than there are, or too many.
    #[error("the topic has {current} partitions and can grow to at most {MAX_PARTITIONS}, not to {requested}")]
    InvalidPartitions {
        /// How many it has.
        current: i32,
        /// How many it was to have.
        requested: i32,
    },
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A topic's configs were not altered.
#[derive(Debug, thiserror::Error)]
pub enum AlterTopicError {
    /// No topic has this id.
    #[error("there is no topic with id {0}")]
    Unknown(Uuid),
    /// A config is unknown or its value not legal.
    #[error(transparent)]
    InvalidConfig(#[from] InvalidConfig),
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Catalog {
    /// Creates a topic with a fresh id.
    pub async fn create_topic(&self, new: NewTopic) -> Result<Arc<TopicMeta>, CreateTopicError> {
        let mut topic = check_new(new, self.now_ms())?;
        let (view, id) = self.commit(|view, rng| plan_create(view, &mut topic, rng)).await?;
        let created = view.topic_by_id(id).cloned();
        Ok(created.unwrap_or_else(|| Arc::new(topic)))
    }

    /// Checks all that [`Catalog::create_topic`] would, and creates nothing.
    pub fn check_create_topic(&self, new: NewTopic) -> Result<(), CreateTopicError> {
        let topic = check_new(new, self.now_ms())?;
        check_free(&self.view(), &topic.name)
    }

    /// Deletes a topic; its name is free at once, its id for ever taken.
    pub async fn delete_topic(&self, id: Uuid) -> Result<(), DeleteTopicError> {
        let deleted = self.commit(|view, _| match view.topic_by_id(id) {
            Some(_) => Ok(Plan::Change(Change::TopicDeleted { id }, ())),
            None => Err(DeleteTopicError::Unknown(id)),
        });
        deleted.await.map(drop)
    }

    /// Grows a topic to this many partitions.
    pub async fn grow_topic(&self, id: Uuid, partitions: i32) -> Result<Arc<TopicMeta>, GrowTopicError> {
        let grown = self.commit(|view, _| {
            let topic = view.topic_by_id(id).ok_or(GrowTopicError::Unknown(id))?;
            if partitions <= topic.partitions || partitions > MAX_PARTITIONS {
                return Err(GrowTopicError::InvalidPartitions {
                    current: topic.partitions,
                    requested: partitions,
                });
            }
            Ok(Plan::Change(Change::PartitionsGrown { id, partitions }, ()))
        });
        let (view, ()) = grown.await?;
        view.topic_by_id(id).cloned().ok_or(GrowTopicError::Unknown(id))
    }

    /// Alters a topic's configs: `edit` gets what is set now and makes of it what shall be set.
    pub async fn alter_topic(
        &self,
        id: Uuid,
        edit: impl Fn(&mut TopicConfig) -> Result<(), InvalidConfig>,
    ) -> Result<Arc<TopicMeta>, AlterTopicError> {
        let altered = self.commit(|view, _| {
            let topic = view.topic_by_id(id).ok_or(AlterTopicError::Unknown(id))?;
            let mut configs = topic.configs.clone();
            edit(&mut configs)?;
            if configs == topic.configs {
                return Ok::<_, AlterTopicError>(Plan::Nothing(()));
            }
            Ok(Plan::Change(Change::TopicConfigsSet { id, configs }, ()))
        });
        let (view, ()) = altered.await?;
        view.topic_by_id(id).cloned().ok_or(AlterTopicError::Unknown(id))
    }
}

/// The topic without its id.
fn check_new(new: NewTopic, now_ms: TimestampMs) -> Result<TopicMeta, CreateTopicError> {
    check_topic_name(&new.name).map_err(CreateTopicError::InvalidName)?;
    if !(1..=MAX_PARTITIONS).contains(&new.partitions) {
        return Err(CreateTopicError::InvalidPartitions(new.partitions));
    }
    Ok(TopicMeta {
        id: Uuid::nil(),
        configs: TopicConfig::new(new.configs)?,
        name: new.name,
        partitions: new.partitions,
        created_at_ms: now_ms,
    })
}

/// The id is drawn once: an attempt whose outcome was unknown is recognised by it when it turns out to have landed.
fn plan_create(
    view: &CatalogView,
    topic: &mut TopicMeta,
    rng: &mut dyn RngCore,
) -> Result<Plan<Uuid>, CreateTopicError> {
    if topic.id.is_nil() {
        topic.id = random_uuid(rng);
    }
    if view.topic_by_id(topic.id).is_some() {
        return Ok(Plan::Nothing(topic.id));
    }
    check_free(view, &topic.name)?;
    Ok(Plan::Change(Change::TopicCreated(topic.clone()), topic.id))
}

fn check_free(view: &CatalogView, name: &str) -> Result<(), CreateTopicError> {
    if let Some(existing) = view.topic(name) {
        return Err(CreateTopicError::Exists(Arc::clone(existing)));
    }
    match view.colliding(name) {
        Some(other) => Err(CreateTopicError::InvalidName(format!(
            "{name} and the existing topic {other} differ only in '.' and '_', which metrics cannot tell apart"
        ))),
        None => Ok(()),
    }
}
