//! A cluster as a client sees it: addresses to start from, a metadata cache that is refreshed on demand, and one
//! connection per broker and lane that comes back when it is needed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bytestring::ByteString;
use parking_lot::{Mutex, RwLock};
use rand::seq::SliceRandom;

use super::metadata::address;
use super::{ClientError, Connection, ConnectionOptions, Metadata, Topic};
use crate::kafka::messages::metadata::MetadataRequestTopic;
use crate::kafka::messages::{FindCoordinatorRequest, MetadataRequest};
use crate::kafka::{ErrorCode, Request};

/// Which of the connections to a broker to use. A request that waits at the broker holds up those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// For what is answered at once.
    Prompt,
    /// For fetches that wait for data, and rebalances that wait for members.
    LongPoll,
}

/// How to find and use a cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Addresses (`host:port`) of some brokers.
    pub bootstrap: Vec<String>,
    /// For each connection.
    pub connection: ConnectionOptions,
    /// Whether asking for a topic may create it, if the brokers allow that.
    pub create_topics: bool,
}

/// A handle to a cluster; clones share its cache and its connections.
#[derive(Debug, Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: ClusterOptions,
    metadata: RwLock<Arc<Metadata>>,
    /// Held while metadata is asked for, so that many who miss ask once.
    refreshing: tokio::sync::Mutex<()>,
    pool: Mutex<HashMap<(String, Lane), SharedSlot>>,
}

/// Locked while its connection is being made.
type SharedSlot = Arc<tokio::sync::Mutex<Slot>>;

/// The place of one connection.
#[derive(Debug, Default)]
struct Slot {
    connection: Option<Arc<Connection>>,
    /// So that all who waited for one attempt share its failure instead of each making another.
    last_failure: Option<(Instant, ClientError)>,
}

impl Cluster {
    /// A handle; connects to nothing yet.
    #[must_use]
    pub fn new(options: ClusterOptions) -> Self {
        let shared = Shared {
            options,
            metadata: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
            pool: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What is known now; empty before the first refresh.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.shared.metadata.read())
    }

    /// Asks a broker about these topics (and about the cluster, even if there are none) and updates the cache.
    pub async fn refresh(&self, topics: &[ByteString]) -> Result<Arc<Metadata>, ClientError> {
        let asked = Instant::now();
        let _one_at_a_time = self.shared.refreshing.lock().await;
        let known = self.metadata();
        let learnt_meanwhile = |name| known.topics.get(name).is_some_and(|topic: &Topic| topic.learnt > asked);
        if !topics.is_empty() && topics.iter().all(learnt_meanwhile) {
            return Ok(known);
        }
        self.ask_metadata(Some(topics)).await
    }

    /// Asks a broker about all topics that there are.
    pub async fn refresh_all(&self) -> Result<Arc<Metadata>, ClientError> {
        let _one_at_a_time = self.shared.refreshing.lock().await;
        self.ask_metadata(None).await
    }

    /// A topic, from the cache if it is there.
    pub async fn topic(&self, name: &ByteString) -> Result<Topic, ClientError> {
        if let Some(topic) = self.metadata().topics.get(name) {
            return Ok(topic.clone());
        }
        let metadata = self.refresh(std::slice::from_ref(name)).await?;
        metadata
            .topics
            .get(name)
            .cloned()
            .ok_or_else(|| ClientError::UnknownTopic {
                topic: name.to_string(),
            })
    }

    /// What is known, refreshed if it lacks the leader of one of these partitions; it may lack it even so.
    pub async fn metadata_of(&self, topic: &ByteString, partitions: &[i32]) -> Result<Arc<Metadata>, ClientError> {
        let known = self.metadata();
        if partitions
            .iter()
            .all(|partition| known.leader_address(topic, *partition).is_some())
        {
            return Ok(known);
        }
        self.refresh(std::slice::from_ref(topic)).await
    }

    /// Forgets a topic: an answer said that what we know is out of date.
    pub fn forget(&self, topic: &str) {
        let mut metadata = self.shared.metadata.write();
        if metadata.topics.contains_key(topic) {
            Arc::make_mut(&mut metadata).topics.remove(topic);
        }
    }

    /// A connection to the leader of a partition. Where it cannot be reached, the next call looks for a new one.
    pub async fn broker_for(
        &self,
        topic: &ByteString,
        partition: i32,
        lane: Lane,
    ) -> Result<Arc<Connection>, ClientError> {
        let metadata = self.metadata_of(topic, &[partition]).await?;
        let address = metadata.leader_address(topic, partition).map(str::to_owned);
        let address = address.ok_or_else(|| ClientError::NoLeader {
            topic: topic.to_string(),
            partition,
        })?;
        self.connect(&address, lane).await.inspect_err(|_| self.forget(topic))
    }

    /// Connections to the leaders of these partitions, each with those that it leads.
    pub async fn brokers_for(
        &self,
        topic: &ByteString,
        partitions: impl IntoIterator<Item = i32>,
        lane: Lane,
    ) -> Result<Vec<(Arc<Connection>, Vec<i32>)>, ClientError> {
        let mut leaders: Vec<(Arc<Connection>, Vec<i32>)> = Vec::new();
        for partition in partitions {
            let leader = self.broker_for(topic, partition, lane).await?;
            match leaders.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &leader)) {
                Some((_, led)) => led.push(partition),
                None => leaders.push((leader, vec![partition])),
            }
        }
        Ok(leaders)
    }

    /// A connection to some broker: an open one if there is one, else the first that can be reached.
    pub async fn any_broker(&self) -> Result<Arc<Connection>, ClientError> {
        let mut addresses: Vec<String> = self.metadata().brokers.values().cloned().collect();
        addresses.shuffle(&mut rand::rng());
        let mut bootstrap = self.shared.options.bootstrap.clone();
        bootstrap.shuffle(&mut rand::rng());
        addresses.extend(
            bootstrap
                .into_iter()
                .filter(|address| !addresses.contains(address))
                .collect::<Vec<_>>(),
        );

        for address in &addresses {
            if let Some(open) = self.open_connection(address) {
                return Ok(open);
            }
        }
        let mut last = ClientError::NoAddress;
        for address in &addresses {
            match self.connect(address, Lane::Prompt).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        match addresses.len() {
            0 | 1 => Err(last),
            tried => Err(ClientError::NoBroker {
                tried,
                last: Box::new(last),
            }),
        }
    }

    /// A connection to the coordinator of a consumer group.
    pub async fn coordinator(&self, group: &ByteString, lane: Lane) -> Result<Arc<Connection>, ClientError> {
        let broker = self.any_broker().await?;
        let mut request = FindCoordinatorRequest::default();
        if broker.version_of::<FindCoordinatorRequest>()? < FIRST_WITH_KEYS {
            request.key = group.clone();
        } else {
            request.coordinator_keys = vec![group.clone()];
        }
        let answer = broker.send(&request).await?;
        let refused = |code, message: Option<ByteString>| {
            refusal::<FindCoordinatorRequest>(broker.address(), format!("group {group}"), code, message)
        };
        check(answer.error_code, |code| refused(code, answer.error_message.clone()))?;
        let Some(found) = answer.coordinators.into_iter().next() else {
            return self.connect(&address(&answer.host, answer.port), lane).await;
        };
        check(found.error_code, |code| refused(code, found.error_message.clone()))?;
        self.connect(&address(&found.host, found.port), lane).await
    }

    /// A connection to one address, opened if need be.
    pub async fn connect(&self, address: &str, lane: Lane) -> Result<Arc<Connection>, ClientError> {
        let asked = Instant::now();
        let slot = Arc::clone(self.shared.pool.lock().entry((address.to_owned(), lane)).or_default());
        let mut slot = slot.lock().await;
        if let Some(open) = slot.connection.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(open));
        }
        slot.connection = None;
        if let Some((_, failure)) = slot.last_failure.as_ref().filter(|(when, _)| *when > asked) {
            return Err(failure.clone());
        }
        match Connection::connect(address, &self.shared.options.connection).await {
            Ok(connection) => Ok(Arc::clone(slot.connection.insert(Arc::new(connection)))),
            Err(failure) => {
                slot.last_failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    fn open_connection(&self, address: &str) -> Option<Arc<Connection>> {
        let slot = self
            .shared
            .pool
            .lock()
            .get(&(address.to_owned(), Lane::Prompt))
            .map(Arc::clone)?;
        let slot = slot.try_lock().ok()?;
        slot.connection
            .as_ref()
            .filter(|connection| !connection.is_closed())
            .map(Arc::clone)
    }

    async fn ask_metadata(&self, topics: Option<&[ByteString]>) -> Result<Arc<Metadata>, ClientError> {
        let broker = self.any_broker().await?;
        let named = |name: &ByteString| MetadataRequestTopic {
            name: Some(name.clone()),
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: self.shared.options.create_topics && topics.is_some(),
            ..Default::default()
        };
        let answer = broker.send(&request).await?;
        let refused = answer.topics.iter().find(|topic| topic.error_code != 0).map(|topic| {
            let subject = format!("topic {}", topic.name.as_deref().unwrap_or_default());
            refusal::<MetadataRequest>(broker.address(), subject, ErrorCode::from_code(topic.error_code), None)
        });
        let updated = Arc::new(self.metadata().updated(answer, Instant::now()));
        self.drop_strangers(&updated);
        *self.shared.metadata.write() = Arc::clone(&updated);
        // With all topics asked for, one that is just going away is nobody's failure.
        match refused {
            Some(error) if topics.is_some() => Err(error),
            _ => Ok(updated),
        }
    }

    /// Closes connections to addresses that are neither brokers nor bootstrap any more, so that the pool stays bounded.
    fn drop_strangers(&self, metadata: &Metadata) {
        let brokers: HashSet<&String> = metadata
            .brokers
            .values()
            .chain(&self.shared.options.bootstrap)
            .collect();
        self.shared
            .pool
            .lock()
            .retain(|(address, _), _| brokers.contains(address));
    }
}

/// FindCoordinator takes several groups at a time from this version on.
const FIRST_WITH_KEYS: i16 = 4;

/// `Ok` for code 0.
pub(super) fn check(code: i16, refused: impl FnOnce(ErrorCode) -> ClientError) -> Result<(), ClientError> {
    ErrorCode::from_code(code).into_result().map_err(refused)
}

/// What a broker's "no" to a request looks like.
pub(super) fn refusal<R: Request>(
    address: &str,
    subject: String,
    code: ErrorCode,
    message: Option<ByteString>,
) -> ClientError {
    let address = address.to_owned();
    ClientError::Refused {
        address,
        api: R::API,
        subject,
        code,
        message: message.map(|message| message.to_string()),
    }
}
