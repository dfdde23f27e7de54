//! The composition root: from configuration to a running agent, and its orderly stop.
//!
//! ```text
//! reading thread -- Stretch --> pump (task) -- append --> spool (thread) <-- marks -- delivery (tasks) --> brokers
//! ```
//!
//! Syslog, journals and commands each have a thread like the reading one, and a queue of their own to the pump.
//!
//! What is read waits for the spool, what is spooled waits for the brokers; nothing in between is without a limit. To
//! stop, the links are closed from left to right, so that what was read is spooled, and what was spooled has a moment to
//! be acknowledged. What is not is sent again by the next process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::client::{Cluster, ClusterOptions, ConnectionOptions};
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::disk::{Disk, RealDisk};
use tailrace_shared::telemetry::Readiness;
use tailrace_shared::telemetry::http::{Limits as HttpLimits, Server, router};
use tailrace_shared::telemetry::metrics::Exporter;
use tailrace_shared::telemetry::process::ProcessMetrics;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::command::Commands;
use crate::config::{AgentConfig, WatchMode};
use crate::deliver::{Brokers, Deliver, DeliverOptions, DeliverStats, KafkaBrokers};
use crate::gather;
use crate::journald::{self, Journal};
use crate::position::checksum;
use crate::reader::{self, Reader, Reload};
use crate::receive::{Bound, Receiver};
use crate::reload::apart;
use crate::roots::Within;
use crate::spool::{Opened, Recovered, Spool, SpoolStats};
use crate::status::{self, FileStatus, FilesQuery};
use crate::stretch::QUEUE_DEPTH;
use crate::watch::{Signal, Watch};

mod errors;
mod inputs;
mod metrics;
mod settings;
mod sources;

pub use errors::{Failure, ReloadError, StartError};
pub use inputs::{
    command_inputs, doubts, inputs, journald_inputs, syslog_inputs, template_of, template_of_journal,
    templates_of_commands,
};
use metrics::Metrics;
use settings::settings;
use sources::{pump, start_commands, start_journals, start_receiver, start_thread};

/// How long what was read may take to be spooled when the agent stops.
const SPOOL_GRACE: Duration = Duration::from_secs(5);
/// How long what was spooled may take to be acknowledged then. Together well below systemd's 90 seconds.
const DELIVERY_GRACE: Duration = Duration::from_secs(10);
/// How long a reload is waited for: a spool that takes no more holds it up.
const RELOAD_GRACE: Duration = Duration::from_secs(10);
/// How often `/readyz` learns of what it waits for.
const READINESS_EVERY: Duration = Duration::from_secs(1);

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

type FailureSender = watch::Sender<Option<Failure>>;

/// What became of a new configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Whether what can be taken on holds already; if not, it does once the spool takes what was read before.
    pub holds: bool,
    /// What waits for a restart.
    pub needs_restart: Vec<&'static str>,
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
    journals: Vec<Journal>,
    commands: Option<Commands>,
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
        let journald = journald_inputs(config);
        journald.iter().try_for_each(journald::Input::check_program)?;

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
                disk: Within::some(Arc::clone(&seams.disk), &config.read.roots),
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
        let gather_seams = |stretches| gather::Seams {
            clock: Arc::clone(&seams.clock),
            routes: delivery.routes(),
            stretches,
            read_metrics: metrics.read.clone(),
            receive_metrics: metrics.receive.clone(),
        };
        let (stretches, received) = mpsc::channel(QUEUE_DEPTH);
        let receiver = start_receiver(bound, config, gather_seams(stretches), failed.clone())?;
        if let Some(receiver) = &receiver {
            metrics.export_queued(&mut exporter, receiver);
        }
        let (stretches, journaled) = mpsc::channel(QUEUE_DEPTH);
        let journal_seams = gather_seams(stretches);
        let journals = start_journals(
            journald,
            &recovered.cursors,
            config,
            journal_seams,
            &metrics.journald,
            &failed,
        )?;
        let (stretches, written) = mpsc::channel(QUEUE_DEPTH);
        let commands = start_commands(config, gather_seams(stretches), &metrics.command, failed)?;
        let pump = tokio::spawn(pump([read, received, journaled, written], Arc::clone(&spool)));

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
            journals,
            commands,
            pump,
            spool,
            delivery,
            http,
            stop_http,
            failure,
        })
    }

    /// Takes on what can be of a new configuration without a restart: `[[files]]` and `[read]`, and what becomes of the
    /// messages of `[[syslog]]`, of entries of `[[journald]]`, and of lines of `[[command]]` and `[stdin]`. No position is lost, and what is open stays open.
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
        if let Some(commands) = &self.commands {
            commands.set_templates(templates_of_commands(&config));
        }
        for (journal, journald) in self.journals.iter().zip(&config.journald) {
            journal.set_template(template_of_journal(journald));
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
        first(self.failure.clone()).await
    }

    /// Completes once standard input has ended, if nothing else is collected; otherwise never.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn collected(&self) -> Result<(), Failure> {
        match &self.commands {
            Some(commands) if self.config.collects_only_stdin() => {
                commands.standard_input_ended().await.map_err(Failure::StandardInput)
            }
            _ => std::future::pending().await,
        }
    }

    /// Stops reading and receiving, spools what was read, and gives what was spooled a moment to be acknowledged.
    pub async fn stop(mut self) {
        self.close();
        self.spool_rest().await;
        self.end().await;
    }

    /// Gives what was read a moment to be spooled.
    async fn spool_rest(&mut self) {
        if self.pump.is_finished() {
            return;
        }
        let is_full = self.spool.stats().full.is_some();
        let grace = if is_full { Duration::ZERO } else { SPOOL_GRACE };
        if tokio::time::timeout(grace, &mut self.pump).await.is_err() {
            tracing::warn!("the spool takes no more; what was read last will be read again at the next start");
            if self.receiver.is_some() || self.commands.is_some() {
                tracing::warn!("what was received by syslog or from commands and waits for the spool is lost");
            }
            self.pump.abort();
        }
    }

    /// Stops reading and receiving, and waits until all that was read is acknowledged, however long that takes, or until
    /// `asked_to_stop`.
    ///
    /// # Errors
    /// When not all of it is in a topic.
    pub async fn finish(mut self, asked_to_stop: impl Future<Output = ()>) -> Result<(), Failure> {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        self.close();
        let failure = self.failure.clone();
        let acknowledged = async {
            if let Err(error) = (&mut self.pump).await {
                tracing::error!(%error, "spooling panicked");
                return Err(Failure::Panic);
            }
            while self.delivery.stats().batches_waiting > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        let is_complete = tokio::select! {
            biased;
            failure = first(failure.clone()) => return Err(failure),
            acknowledged = acknowledged => acknowledged.map(|()| true)?,
            () = asked_to_stop => false,
        };
        if !is_complete {
            self.spool_rest().await;
        }
        let stats = self.delivery.stats();
        self.end().await;
        let failure = failure.borrow().clone();
        match (failure, stats.records_dead_lettered + stats.records_dropped) {
            (Some(failure), _) => Err(failure),
            _ if !is_complete => Err(Failure::Unacknowledged),
            (None, 0) => Ok(()),
            (None, records) => Err(Failure::Undelivered(records)),
        }
    }

    /// Nothing more is read.
    fn close(&self) {
        self.signal.stop();
        if let Some(receiver) = &self.receiver {
            receiver.stop();
        }
        self.journals.iter().for_each(Journal::stop);
        self.commands.iter().for_each(Commands::stop);
    }

    /// Nothing more is sent.
    async fn end(self) {
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

async fn first(mut failure: watch::Receiver<Option<Failure>>) -> Failure {
    loop {
        if let Some(failure) = failure.borrow_and_update().clone() {
            return failure;
        }
        if failure.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the agent was dropped, and it stops too.
    stopped.wait_for(|stopped| *stopped).await.ok();
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
