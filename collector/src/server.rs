//! The composition root: takes the ports, opens the broker, starts the listeners, and stops everything in order.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::disk::{Disk, RealDisk};
use tailrace_shared::sasl::InvalidCredential;
use tailrace_shared::telemetry::Readiness;
use tailrace_shared::telemetry::http::{BindError, Limits as HttpLimits, Server as HttpServer};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, BrokerOptions, DataDir, DataDirError, OpenError};
use crate::catalog::CreateTopicError;
use crate::catalog::topic_config::InvalidConfig;
use crate::config::{CollectorConfig, WalConfig};
use crate::group::{Coordinator, OffsetsLogError};
use crate::http;
use crate::kafka::{Connections, Context, Limits, MemoryBudget, Throttle};
use crate::metrics::CollectorMetrics;
use crate::offsets_topic::OffsetsTopic;
use crate::security::Authorizer;
use crate::security::tokens::{Tokens, TokensError};
use crate::security::users::Users;
use crate::store::LocalStore;
use crate::wal::WalOptions;

mod broker_configs;
mod listeners;

pub use listeners::ListenerError;

use listeners::Bound;

/// How many passwords are hashed at once, so that logins never take all processors.
const PASSWORD_CHECKS_AT_ONCE: usize = 2;

/// What readiness waits for.
const RECOVERY: &str = "recovery";

/// Why the collector did not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A Kafka port.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// Nobody could give anybody a right.
    #[error(
        "acls.enabled is set and acls.super_users is empty, so nobody could add the first entry; name who may, for \
         example super_users = [\"User:admin\"]"
    )]
    NoSuperUser,
    /// The operator's port.
    #[error(transparent)]
    Http(#[from] BindError),
    /// `[topics]` holds a value that no topic may have.
    #[error("[topics]: {0}")]
    Topics(#[from] InvalidConfig),
    /// `[wal]` holds sizes that cannot work together.
    #[error("[wal]: {0}")]
    Wal(String),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The directory for segments, checkpoints and the catalog.
    #[error("cannot use {}: {source}; is data_dir there, and may this user write to it?", path.display())]
    Store {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What is in the data directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The topic that holds the groups.
    #[error("cannot create the groups' topic: {0}")]
    OffsetsTopic(#[from] CreateTopicError),
    /// What the groups' topic holds.
    #[error("cannot read the groups' topic: {0}")]
    Groups(#[from] OffsetsLogError),
    /// A user of the configuration file.
    #[error("[[users]]: {0}")]
    Users(#[from] InvalidCredential),
    /// The keys that tokens are signed with.
    #[error("kafka.oauth: {0}")]
    Tokens(#[from] TokensError),
    /// The metrics' own declarations disagree.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A running collector.
pub struct Collector {
    broker: Arc<Broker>,
    kafka_addrs: Vec<SocketAddr>,
    http_addr: SocketAddr,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<()>>,
    http: JoinHandle<()>,
    groups: JoinHandle<()>,
}

/// What can be said of a configuration without starting anything.
///
/// # Errors
/// What [`Collector::start`] would say.
pub fn check(config: &CollectorConfig) -> Result<(), StartError> {
    config.topics.as_topic_config()?;
    let mut options = WalOptions::new(PathBuf::new(), Arc::new(RealDisk), Arc::new(SystemClock::new()));
    set_sizes(&mut options, &config.wal);
    options.check().map_err(StartError::Wal)?;
    if config.acls.enabled && config.acls.super_users.is_empty() {
        return Err(StartError::NoSuperUser);
    }
    Ok(listeners::check(config)?)
}

impl Collector {
    /// Starts on the machine's own disk and clock. Returns once clients are served; until then `/readyz` says what is
    /// still to be done.
    ///
    /// # Errors
    /// When a port is taken, the directory cannot be used, or what is in it cannot be recovered.
    pub async fn start(config: &CollectorConfig) -> Result<Self, StartError> {
        check(config)?;
        let (clock, disk) = (Arc::new(SystemClock::new()), Arc::new(RealDisk));
        let topic_defaults = config.topics.as_topic_config()?;
        let tokens = config.kafka.oauth.clone().map(Tokens::load).transpose()?;
        let request_memory = MemoryBudget::new(config.kafka.request_memory.as_usize());
        let fetch_memory = MemoryBudget::new(config.kafka.fetch_memory.as_usize());
        let connections = Connections::at_most(config.kafka.connections_max, config.kafka.connections_per_address_max);
        let bound = listeners::bind(config, &request_memory, &connections).await?;
        let server = HttpServer::bind(&config.http.listen, HttpLimits::default()).await?;
        let http_addr = server.local_addr();

        let stop = CancellationToken::new();
        let readiness = Readiness::waiting_for(&[RECOVERY]);
        let throttle = Arc::new(Throttle::default());
        let http_state = http::State::new(
            connections.open(),
            request_memory,
            fetch_memory.clone(),
            Arc::clone(&throttle),
        )?;
        let metrics = http_state.metrics();
        let router = http_state.router(readiness.clone());
        let http = tokio::spawn(server.serve(router, stop.clone().cancelled_owned()));

        let options = broker_options(
            config,
            disk,
            Arc::<SystemClock>::clone(&clock),
            topic_defaults,
            &metrics,
        )?;
        let broker = Broker::open(options).await?;
        let log = Arc::new(OffsetsTopic::open(&broker).await?);
        let groups = Coordinator::open(log, Arc::<SystemClock>::clone(&clock), config.groups.options()).await?;
        let endpoints = bound.iter().map(|bound| Arc::clone(&bound.endpoint)).collect();
        http_state.watch(Arc::clone(&broker), Arc::clone(&groups), endpoints);

        let context = Arc::new(context(
            config,
            &broker,
            &groups,
            metrics,
            fetch_memory,
            throttle,
            tokens,
        )?);
        let kafka_addrs: Vec<SocketAddr> = bound.iter().map(|bound| bound.address).collect();
        let listeners = bound.into_iter().map(|Bound { listener, endpoint, .. }| {
            tokio::spawn(listener.run(Arc::clone(&context), endpoint, stop.clone()))
        });
        let listeners = listeners.collect();
        let groups = tokio::spawn(groups.run());
        readiness.ready(RECOVERY);
        tracing::info!(kafka = ?kafka_addrs, http = %http_addr, data_dir = %config.data_dir.display(), "ready");
        Ok(Self {
            broker,
            kafka_addrs,
            http_addr,
            stop,
            listeners,
            http,
            groups,
        })
    }

    /// Where Kafka clients connect: the listener of `[kafka]` itself, then the others in their order.
    #[must_use]
    pub fn kafka_addrs(&self) -> &[SocketAddr] {
        &self.kafka_addrs
    }

    /// Where `/metrics` is.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Takes no more requests, moves everything into segments, and returns when there is nothing left to recover.
    pub async fn stop(self) {
        self.stop.cancel();
        self.groups.abort();
        for task in self.listeners.into_iter().chain([self.http, self.groups]) {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(%error, "a task panicked");
            }
        }
        match self.broker.shut_down().await {
            Ok(()) => tracing::info!("stopped; nothing is left to recover"),
            Err(error) => tracing::warn!(%error, "stopped; the next start will replay the WAL"),
        }
    }
}

fn broker_options(
    config: &CollectorConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    topic_defaults: crate::catalog::TopicConfig,
    metrics: &Arc<CollectorMetrics>,
) -> Result<BrokerOptions, StartError> {
    let data_dir = DataDir::claim(Arc::clone(&disk), config.data_dir.clone())?;
    let path = config.data_dir.join("store");
    let store = LocalStore::open(disk, &path).map_err(|source| StartError::Store { path, source })?;
    let mut options = BrokerOptions::new(data_dir, Arc::new(store.clone()), clock);
    options.adopts = Some(Arc::new(store));
    options.node_id = config.node_id;
    options.topic_defaults = topic_defaults;
    options.rng = StdRng::from_os_rng();
    set_sizes(&mut options.wal, &config.wal);
    options.compaction.key_memory = config.topics.compaction_memory.0;
    let metrics = Arc::clone(metrics);
    options.wal.on_commit = Arc::new(move |commit| {
        metrics.commit_seconds.with([]).observe(commit.took.as_secs_f64());
        metrics.commit_bytes.with([]).inc_by(commit.bytes);
    });
    Ok(options)
}

fn set_sizes(options: &mut WalOptions, config: &WalConfig) {
    options.file_bytes = config.file_bytes.0;
    options.budget_bytes = config.budget_bytes.0;
    options.cache_bytes = config.cache_bytes.0;
}

fn context(
    config: &CollectorConfig,
    broker: &Arc<Broker>,
    groups: &Arc<Coordinator>,
    metrics: Arc<CollectorMetrics>,
    fetch_memory: MemoryBudget,
    throttle: Arc<Throttle>,
    tokens: Option<Tokens>,
) -> Result<Context, InvalidCredential> {
    let passwords = config
        .users
        .iter()
        .map(|user| (user.name.as_str(), user.password.expose()));
    Ok(Context {
        users: Users::new(passwords)?,
        tokens,
        password_checks: Semaphore::new(PASSWORD_CHECKS_AT_ONCE),
        authorizer: Authorizer {
            enabled: config.acls.enabled,
            super_users: config.acls.super_users.clone(),
            allow_without_entries: config.acls.allow_without_entries,
        },
        broker: Arc::clone(broker),
        groups: Arc::clone(groups),
        throttle,
        metrics,
        limits: Limits {
            fetch_bytes_max: config.kafka.fetch_bytes_max.as_usize(),
            auto_create_topics: config.topics.auto_create,
            default_partitions: config.topics.partitions,
        },
        broker_configs: broker_configs::broker_configs(config),
        fetch_memory,
    })
}
