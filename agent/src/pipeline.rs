//! The composition root: from configuration to a running agent, and its orderly stop.
//!
//! ```text
//! reading thread -- Stretch --> pump (task) -- append --> spool (thread) <-- marks -- delivery (tasks) --> brokers
//! ```
//!
//! What is read waits for the spool, what is spooled waits for the brokers; nothing in between is without a limit. To
//! stop, the links are closed from left to right, so that what was read is spooled, and what was spooled has a moment to
//! be acknowledged. What is not is sent again by the next process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tailrace_shared::client::{Cluster, ClusterOptions, ConnectionOptions};
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::disk::{Disk, RealDisk};
use tailrace_shared::telemetry::Readiness;
use tailrace_shared::telemetry::http::{BindError, Limits as HttpLimits, Server, router};
use tailrace_shared::telemetry::metrics::Exporter;
use tailrace_shared::telemetry::process::ProcessMetrics;
use tailrace_shared::tls::TlsError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::batch::{Size, StretchError};
use crate::config::{AgentConfig, WatchMode};
use crate::deliver::{Brokers, Deliver, DeliverOptions, DeliverStats, KafkaBrokers};
use crate::discover::PatternError;
use crate::position::checksum;
use crate::reader::{self, Reader, Reload, Settings};
use crate::receive::{self, Bound, ListenError, Receiver};
use crate::reload::apart;
use crate::spool::{OpenError, Opened, Recovered, Spool, SpoolStats};
use crate::status::{self, FileStatus, FilesQuery};
use crate::stretch::{QUEUE_DEPTH, Stretch};
use crate::tail::Limits;
use crate::watch::{Signal, Watch};

mod inputs;
mod metrics;

pub use inputs::{doubts, inputs, syslog_inputs, template_of};
use metrics::Metrics;

/// How long what was read may take to be spooled when the agent stops.
const SPOOL_GRACE: Duration = Duration::from_secs(5);
/// How long what was spooled may take to be acknowledged then. Together well below systemd's 90 seconds.
const DELIVERY_GRACE: Duration = Duration::from_secs(10);
/// How long a reload is waited for: a spool that takes no more holds it up.
const RELOAD_GRACE: Duration = Duration::from_secs(10);
/// How often `/readyz` learns of what it waits for.
const READINESS_EVERY: Duration = Duration::from_secs(1);
/// File descriptors for all but followed files and connected senders.
const OTHER_DESCRIPTORS: u64 = 256;

/// What the agent stands on; tests bring their own.
#[derive(Clone)]
pub struct Seams {
    /// Followed files and the spool.
    pub disk: Arc<dyn Disk>,
    /// All time.
    pub clock: Arc<dyn Clock>,
    /// Directories and files that are never followed, beside the agent's own data: those of whoever embeds it, such as
    /// its output (`/proc/self/fd/1`).
    pub off_limits: Vec<PathBuf>,
    /// Whether to serve the operator's HTTP.
    pub http: bool,
    /// Who takes the batches, if not the cluster of the configuration.
    pub brokers: Option<Arc<dyn Brokers>>,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock::new()),
            off_limits: Vec::new(),
            http: true,
            brokers: None,
        }
    }
}

/// Why the agent did not start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A glob.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The current directory, which relative globs are taken from.
    #[error("cannot tell the current directory: {0}; use absolute patterns, or start the agent elsewhere")]
    CurrentDir(io::Error),
    /// The operator's port.
    #[error(transparent)]
    Http(#[from] BindError),
    /// A port for what others send.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What senders of syslog are met with.
    #[error("[syslog.tls]: {0}")]
    SyslogTls(TlsError),
    /// What connections to the collector need.
    #[error("[collector.tls]: {0}")]
    Tls(#[from] TlsError),
    /// What an earlier process left.
    #[error(transparent)]
    Spool(#[from] OpenError),
    /// No thread could be had.
    #[error("cannot start a thread: {0}; raise the limit on threads (TasksMax in systemd)")]
    Thread(io::Error),
    /// The metrics' own declarations disagree.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why an agent has stopped by itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// Nothing can be made durable any more.
    #[error("the disk of the spool failed: {0}; check the disk, then start the agent again: nothing was lost")]
    Disk(Arc<io::Error>),
    /// The reading thread ended.
    #[error("reading stopped: {0}")]
    Reader(Arc<StretchError>),
    /// The receiving thread ended.
    #[error("receiving stopped: {0}")]
    Receiver(Arc<StretchError>),
    /// A defect.
    #[error("a thread panicked; the log says where")]
    Panic,
}

type FailureSender = watch::Sender<Option<Failure>>;

/// What became of a new configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Whether what can be taken on holds already; if not, it does once the spool takes what was read before.
    pub holds: bool,
    /// What waits for a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Why a new configuration was not taken on. The old one holds.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It would not have started either.
    #[error(transparent)]
    Config(#[from] StartError),
    /// Another reload still waits.
    #[error("the last reload still waits for the spool, which takes no more")]
    Busy,
}

/// A running agent.
pub struct Agent {
    config: AgentConfig,
    seams: Seams,
    reloads: mpsc::Sender<Reload>,
    metrics: Metrics,
    signal: Signal,
    files: FilesQuery,
    receiver: Option<Receiver>,
    pump: JoinHandle<()>,
    spool: Arc<Spool>,
    delivery: Deliver,
    http: Option<(SocketAddr, JoinHandle<()>)>,
    stop_http: watch::Sender<bool>,
    failure: watch::Receiver<Option<Failure>>,
}

impl Agent {
    /// Recovers the spool, and starts to read and to deliver. No broker needs to be there yet.
    pub async fn start(config: &AgentConfig, seams: Seams) -> Result<Self, StartError> {
        let inputs = inputs(config)?;
        for doubt in doubts(config) {
            tracing::warn!("{doubt}");
        }
        let signal = Signal::default();
        let (files, questions) = FilesQuery::channel(signal.clone());
        let mut exporter = Exporter::default();
        ProcessMetrics::export(&mut exporter)?;
        let metrics = Metrics::register(&exporter)?;
        metrics.start_at_zero(config);
        let server = match seams.http {
            true => Some(Server::bind(&config.http.listen, HttpLimits::default()).await?),
            false => None,
        };

        let bound = Bound::new(syslog_inputs(config)?).await?;

        let (failed, failure) = watch::channel(None);
        let (opened, recovered) = open_spool(config, &seams).await?;
        let (spool, delivery) = start_delivery(config, &seams, opened, &recovered, failed.clone())?;
        metrics.export_delivery(&mut exporter, &spool, &delivery);
        metrics.export_dropped(&mut exporter, &bound);

        let (stretches, read) = mpsc::channel(QUEUE_DEPTH);
        let (reloads, coming) = mpsc::channel(1);
        let reader = Reader::new(
            inputs,
            settings(config, &seams),
            recovered.positions,
            reader::Seams {
                disk: Arc::clone(&seams.disk),
                clock: Arc::clone(&seams.clock),
                routes: delivery.routes(),
                stretches,
                reloads: coming,
                questions,
                signal: signal.clone(),
                watch: match config.read.watch {
                    WatchMode::Events => Watch::new(signal.clone()),
                    WatchMode::Poll => Watch::off(signal.clone()),
                },
                metrics: metrics.read.clone(),
            },
        );
        start_thread("reader", failed.clone(), Failure::Reader, || reader.run())?;
        let (stretches, received) = mpsc::channel(QUEUE_DEPTH);
        let receive_seams = receive::Seams {
            clock: Arc::clone(&seams.clock),
            routes: delivery.routes(),
            stretches,
            read_metrics: metrics.read.clone(),
            metrics: metrics.receive.clone(),
        };
        let receiver = start_receiver(bound, config, receive_seams, failed)?;
        if let Some(receiver) = &receiver {
            metrics.export_queued(&mut exporter, receiver);
        }
        let pump = tokio::spawn(pump(read, received, Arc::clone(&spool)));

        let (stop_http, stopped) = watch::channel(false);
        let http = server.map(|server| {
            let readiness = Readiness::default();
            tokio::spawn(watch_readiness(
                readiness.clone(),
                {
                    let (spool, delivery) = (Arc::clone(&spool), delivery.stats_source());
                    move || (spool.stats(), delivery())
                },
                stop_http.subscribe(),
            ));
            let pages = router(Arc::new(exporter), readiness).merge(status::router(files.clone()));
            let address = server.local_addr();
            (address, tokio::spawn(server.serve(pages, until(stopped))))
        });
        tracing::info!(
            data_dir = %config.data_dir.display(),
            http = http.as_ref().map(|(address, _)| tracing::field::display(*address)),
            "started"
        );
        Ok(Self {
            config: config.clone(),
            seams,
            reloads,
            metrics,
            signal,
            files,
            receiver,
            pump,
            spool,
            delivery,
            http,
            stop_http,
            failure,
        })
    }

    /// Takes on what can be of a new configuration without a restart: `[[files]]` and `[read]`, and what becomes of the
    /// messages of `[[syslog]]`. No position is lost, and what is open stays open.
    ///
    /// # Errors
    /// When it cannot be used; then nothing has changed.
    pub async fn reload(&mut self, new: AgentConfig) -> Result<Reloaded, ReloadError> {
        let (config, needs_restart) = apart(&self.config, new);
        let inputs = inputs(&config)?;
        for doubt in doubts(&config) {
            tracing::warn!("{doubt}");
        }
        let templates = config.syslog.iter().map(template_of).collect();
        self.metrics.start_at_zero(&config);
        let (done, held) = oneshot::channel();
        let settings = settings(&config, &self.seams);
        let reload = Reload { inputs, settings, done };
        self.reloads.try_send(reload).map_err(|_| ReloadError::Busy)?;
        self.signal.wake();
        if let Some(receiver) = &self.receiver {
            receiver.set_templates(templates);
        }
        self.config = config;
        let holds = matches!(tokio::time::timeout(RELOAD_GRACE, held).await, Ok(Ok(())));
        Ok(Reloaded { holds, needs_restart })
    }

    /// Completes once the reading thread has done a step, which is soon unless it hangs.
    pub async fn alive(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(50);
        let before = self.signal.looks();
        while self.signal.looks() == before {
            self.signal.wake();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Where the operator's HTTP is served.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(address, _)| *address)
    }

    /// The files that are followed at this moment, by name.
    pub async fn files(&self) -> Vec<FileStatus> {
        self.files.ask().await.unwrap_or_default()
    }

    /// Completes if the agent stops by itself: then the process should end, and say why.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.failure.clone();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops reading and receiving, spools what was read, and gives what was spooled a moment to be acknowledged.
    pub async fn stop(self) {
        self.signal.stop();
        if let Some(receiver) = &self.receiver {
            receiver.stop();
        }
        let mut pump = self.pump;
        let is_full = self.spool.stats().full.is_some();
        let grace = if is_full { Duration::ZERO } else { SPOOL_GRACE };
        if tokio::time::timeout(grace, &mut pump).await.is_err() {
            tracing::warn!("the spool takes no more; what was read last will be read again at the next start");
            if self.receiver.is_some() {
                tracing::warn!("what was received by syslog and waits for the spool is lost");
            }
            pump.abort();
        }
        self.delivery.stop(DELIVERY_GRACE).await;
        let spool = self.spool;
        if let Err(error) = tokio::task::spawn_blocking(move || spool.stop()).await {
            tracing::error!(%error, "stopping the spool panicked");
        }
        self.stop_http.send_replace(true);
        if let Some((_, http)) = self.http
            && let Err(error) = http.await
        {
            tracing::error!(%error, "serving HTTP panicked");
        }
        tracing::info!("stopped");
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the agent was dropped, and it stops too.
    stopped.wait_for(|stopped| *stopped).await.ok();
}

/// Makes stretches durable, one after the other: the next ones gather meanwhile. What is read from files does not keep what
/// is received waiting, nor the other way round.
async fn pump(mut read: mpsc::Receiver<Stretch>, mut received: mpsc::Receiver<Stretch>, spool: Arc<Spool>) {
    loop {
        let stretch = tokio::select! {
            Some(stretch) = read.recv() => stretch,
            Some(stretch) = received.recv() => stretch,
            else => return,
        };
        if spool.append(stretch).await.is_err() {
            return;
        }
    }
}

fn start_delivery(
    config: &AgentConfig,
    seams: &Seams,
    opened: Opened,
    recovered: &Recovered,
    failed: FailureSender,
) -> Result<(Arc<Spool>, Deliver), StartError> {
    let connection = ConnectionOptions {
        security: config.collector.security()?,
        ..ConnectionOptions::default()
    };
    let brokers = seams.brokers.clone().unwrap_or_else(|| {
        Arc::new(KafkaBrokers::new(Cluster::new(ClusterOptions {
            bootstrap: config.collector.bootstrap.clone(),
            connection,
            create_topics: true,
        })))
    });
    let (disk, clock) = (Arc::clone(&seams.disk), Arc::clone(&seams.clock));
    let lane_seed = u64::from(checksum(config.host.as_bytes()));
    let options = DeliverOptions::new(disk, config.data_dir.clone(), clock, lane_seed);
    let on_fatal = Box::new(move |error| {
        failed.send_replace(Some(Failure::Disk(Arc::new(error))));
    });
    Deliver::start(opened, recovered, brokers, options, on_fatal).map_err(StartError::Thread)
}

/// Until the HTTP server stops.
async fn watch_readiness(
    readiness: Readiness,
    stats: impl Fn() -> (SpoolStats, DeliverStats) + Send,
    stopped: watch::Receiver<bool>,
) {
    let stopped = until(stopped);
    tokio::pin!(stopped);
    loop {
        let (spool, delivery) = stats();
        status::show_readiness(&readiness, &spool, &delivery);
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(READINESS_EVERY) => {}
        }
    }
}

/// Runs something for as long as the agent runs. Whatever ends it before ends the agent.
fn start_thread(
    name: &str,
    failed: FailureSender,
    failure: fn(Arc<StretchError>) -> Failure,
    run: impl FnOnce() -> Result<(), StretchError> + Send + 'static,
) -> Result<(), StartError> {
    let run = move || {
        let failure = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => failure(Arc::new(error)),
            Err(_) => Failure::Panic,
        };
        failed.send_replace(Some(failure));
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(|_| ()).map_err(StartError::Thread)
}

fn start_receiver(
    bound: Bound,
    config: &AgentConfig,
    seams: receive::Seams,
    failed: FailureSender,
) -> Result<Option<Receiver>, StartError> {
    if bound.is_empty() {
        return Ok(None);
    }
    let settings = receive::Settings {
        host: config.host.as_str().into(),
        linger: config.read.linger.0,
        size: size(config),
    };
    let (receiver, gather) = bound.start(settings, seams).map_err(StartError::Thread)?;
    start_thread("receiver", failed, Failure::Receiver, gather)?;
    tracing::info!(addresses = ?receiver.addresses(), "taking syslog");
    Ok(Some(receiver))
}

async fn open_spool(config: &AgentConfig, seams: &Seams) -> Result<(Opened, Recovered), StartError> {
    let options = config.spool.options();
    let (disk, data_dir) = (Arc::clone(&seams.disk), config.data_dir.clone());
    let open = move || Spool::open(disk, &data_dir, &options);
    let (opened, recovered) = match tokio::task::spawn_blocking(open).await {
        Ok(opened) => opened?,
        Err(error) => return Err(StartError::Thread(error.into())),
    };
    for damage in &recovered.damage {
        tracing::warn!(%damage, "a part of the spool was damaged and has been set aside");
    }
    Ok((opened, recovered))
}

fn settings(config: &AgentConfig, seams: &Seams) -> Settings {
    let read = &config.read;
    let mut off_limits = seams.off_limits.clone();
    off_limits.push(config.data_dir.clone());
    Settings {
        host: config.host.as_str().into(),
        off_limits,
        scan_interval: read.scan_interval.0,
        linger: read.linger.0,
        tail: Limits {
            open_files: read.open_files.min(descriptors_for_files(config)),
            partial_line_timeout: read.partial_line_timeout.0,
            drain_for: read.drain_for.0,
            poll_interval: poll_interval(read.linger.0),
            ..Limits::default()
        },
        size: size(config),
    }
}

/// Whoever wants lines sooner than usual wants them noticed sooner too.
fn poll_interval(linger: Duration) -> Duration {
    (linger / 2).clamp(Duration::from_millis(1), Limits::default().poll_interval)
}

/// A stretch fits into a file of the spool even if nothing in it can be compressed.
fn size(config: &AgentConfig) -> Size {
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let default = Size::default();
    Size {
        batch_bytes: bytes(config.read.batch_bytes.0),
        stretch_bytes: default.stretch_bytes.min(bytes(config.spool.file_bytes.0 / 2)),
        ..default
    }
}

/// How many files may be open at once, after the process has allowed itself as many as it may.
fn descriptors_for_files(config: &AgentConfig) -> usize {
    let connected = config.syslog.iter().filter(|syslog| syslog.tcp.is_some());
    let senders = connected.map(|syslog| syslog.connections_max as u64);
    let others = senders.sum::<u64>() + OTHER_DESCRIPTORS;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit on open files");
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) => usize::try_from(limit.saturating_sub(others).max(16)).unwrap_or(usize::MAX),
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lingers_less_polls_more_often() {
        let polled = [0, 1, 4, 20, 60_000].map(|linger| poll_interval(Duration::from_millis(linger)).as_millis());
        assert_eq!(polled, [1, 1, 2, 10, 10]);
    }
}
