//! The collector's HTTP side: `/metrics`, `/healthz` and `/readyz`.
//!
//! What is counted as it happens is counted where it happens; what is a state (offsets, lag, backlog) is looked up just
//! before each scrape, so that it costs nothing between scrapes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use parking_lot::Mutex;
use tailrace_shared::telemetry::Readiness;
use tailrace_shared::telemetry::http::router;
use tailrace_shared::telemetry::metrics::Exporter;
use tailrace_shared::telemetry::process::ProcessMetrics;

use crate::broker::Broker;
use crate::group::Coordinator;
use crate::kafka::{Endpoint, MemoryBudget, Throttle};
use crate::metrics::CollectorMetrics;

/// What the pages show.
#[derive(Clone)]
pub struct State {
    metrics: Arc<CollectorMetrics>,
    exporter: Arc<Exporter>,
    watched: Arc<OnceLock<Watched>>,
}

/// What is looked up before each scrape.
struct Watched {
    broker: Arc<Broker>,
    groups: Arc<Coordinator>,
    endpoints: Vec<Arc<Endpoint>>,
}

impl State {
    /// Pages of a collector that still recovers; see [`State::watch`].
    ///
    /// # Errors
    /// When two metrics have the same name.
    pub fn new(
        connections: Arc<AtomicUsize>,
        requests: MemoryBudget,
        fetches: MemoryBudget,
        throttle: Arc<Throttle>,
    ) -> prometheus::Result<Self> {
        let mut exporter = Exporter::default();
        ProcessMetrics::export(&mut exporter)?;
        let metrics = Arc::new(CollectorMetrics::register(exporter.registry())?);
        let watched: Arc<OnceLock<Watched>> = Arc::default();
        let seen = Mutex::new(Seen::default());
        exporter.before_scrape({
            let (metrics, watched) = (Arc::clone(&metrics), Arc::clone(&watched));
            move || {
                metrics
                    .connections
                    .with([])
                    .set(whole(connections.load(Ordering::Relaxed)));
                metrics.request_memory_bytes.with([]).set(whole(requests.held_bytes()));
                metrics.fetch_memory_bytes.with([]).set(whole(fetches.held_bytes()));
                metrics.metered_clients.with([]).set(whole(throttle.clients()));
                if let Some(Watched {
                    broker,
                    groups,
                    endpoints,
                }) = watched.get()
                {
                    endpoints
                        .iter()
                        .for_each(|endpoint| show_certificate(&metrics, endpoint));
                    let mut now = Seen::default();
                    show_broker(&metrics, broker, &mut now);
                    show_groups(&metrics, broker, groups, &mut now);
                    std::mem::replace(&mut *seen.lock(), now.clone()).forget_all_but(&now, &metrics);
                }
            }
        });
        Ok(Self {
            metrics,
            exporter: Arc::new(exporter),
            watched,
        })
    }

    /// Where the collector counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<CollectorMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Shows this broker, these groups and these listeners from now on.
    pub fn watch(&self, broker: Arc<Broker>, groups: Arc<Coordinator>, endpoints: Vec<Arc<Endpoint>>) {
        // Set once, by the composition root.
        drop(self.watched.set(Watched {
            broker,
            groups,
            endpoints,
        }));
    }

    /// The pages.
    pub fn router(&self, readiness: Readiness) -> Router {
        router(Arc::clone(&self.exporter), readiness)
    }
}

/// The label values that the last scrape showed, so that those of deleted topics and groups can be taken back.
#[derive(Debug, Default, Clone)]
struct Seen {
    partitions: HashSet<(String, String)>,
    lags: HashSet<(String, String, String)>,
    groups: HashSet<String>,
}

impl Seen {
    fn forget_all_but(&self, now: &Self, metrics: &CollectorMetrics) {
        for (topic, partition) in self.partitions.difference(&now.partitions) {
            for family in [
                &metrics.log_start_offset,
                &metrics.log_end_offset,
                &metrics.log_size_bytes,
            ] {
                family.forget([topic, partition]);
            }
        }
        for (group, topic, partition) in self.lags.difference(&now.lags) {
            metrics.group_lag.forget([group, topic, partition]);
        }
        for group in self.groups.difference(&now.groups) {
            metrics.group_members.forget([group]);
        }
    }
}

fn show_certificate(metrics: &CollectorMetrics, endpoint: &Endpoint) {
    if let Some(expires_at) = endpoint.tls.as_ref().and_then(|tls| tls.expires_at()) {
        metrics
            .certificate_expiry_seconds
            .with([&endpoint.name])
            .set(expires_at / 1000);
    }
}

fn show_broker(metrics: &CollectorMetrics, broker: &Broker, seen: &mut Seen) {
    let wal = broker.wal_stats();
    metrics.wal_backlog_bytes.with([]).set(whole(wal.backlog_bytes));
    metrics.wal_queue_bytes.with([]).set(whole(wal.queue_bytes));
    metrics.disk_full.with([]).set(wal.disk_full.into());
    let compaction = broker.compaction_stats();
    let (replaced, written) = (
        metrics.compaction_replaced_bytes.with([]),
        metrics.compaction_written_bytes.with([]),
    );
    replaced.inc_by(compaction.replaced_bytes.saturating_sub(replaced.get()));
    written.inc_by(compaction.written_bytes.saturating_sub(written.get()));
    let failing = whole(compaction.failing_partitions);
    metrics.compaction_failing_partitions.with([]).set(failing);
    for topic in broker.topics() {
        let name = topic.meta.name.as_str();
        for partition in topic.partitions() {
            let index = partition.id().partition.to_string();
            let stats = partition.stats();
            metrics.log_start_offset.with([name, &index]).set(stats.log_start);
            metrics.log_end_offset.with([name, &index]).set(stats.high_watermark);
            metrics.log_size_bytes.with([name, &index]).set(whole(stats.bytes));
            seen.partitions.insert((name.to_owned(), index));
        }
    }
}

fn show_groups(metrics: &CollectorMetrics, broker: &Broker, groups: &Coordinator, seen: &mut Seen) {
    for listing in groups.list() {
        let group = &listing.group;
        let members = groups.describe(group).map_or(0, |described| described.members.len());
        metrics.group_members.with([group]).set(whole(members));
        seen.groups.insert(group.to_string());
        for (topic, partition, committed) in groups.offsets(group) {
            let found = broker.topic(&topic);
            let Some(found) = found.as_ref().and_then(|found| found.partition(partition)) else {
                continue;
            };
            let index = partition.to_string();
            let lag = found.high_watermark().saturating_sub(committed.offset).max(0);
            metrics.group_lag.with([group, &topic, &index]).set(lag);
            seen.lags.insert((group.to_string(), topic.to_string(), index));
        }
    }
}

fn whole(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
