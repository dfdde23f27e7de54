//! All metrics of an agent: of each topic there are some from the start, and some are taken just before each scrape.

use std::collections::BTreeMap;
use std::sync::Arc;

use tailrace_shared::telemetry::metrics::Exporter;

use crate::config::AgentConfig;
use crate::deliver::Deliver;
use crate::receive::{self, Bound, Receiver, datagrams_dropped};
use crate::spool::Spool;
use crate::status::{CommandMetrics, DeliveryMetrics, JournaldMetrics, ReadMetrics, ReceiveMetrics, TOPIC_LABEL};
use crate::transform::Dropped;

#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) read: ReadMetrics,
    pub(super) receive: ReceiveMetrics,
    pub(super) journald: JournaldMetrics,
    pub(super) command: CommandMetrics,
    pub(super) delivery: DeliveryMetrics,
}

impl Metrics {
    pub(super) fn register(exporter: &Exporter) -> Result<Self, prometheus::Error> {
        Ok(Self {
            read: ReadMetrics::register(exporter.registry())?,
            receive: ReceiveMetrics::register(exporter.registry())?,
            journald: JournaldMetrics::register(exporter.registry())?,
            command: CommandMetrics::register(exporter.registry())?,
            delivery: DeliveryMetrics::register(exporter.registry())?,
        })
    }

    pub(super) fn start_at_zero(&self, config: &AgentConfig) {
        let received = config.syslog.iter().map(|syslog| &syslog.topic);
        for topic in received.clone() {
            self.receive.start_at_zero(TOPIC_LABEL, topic.as_str());
        }
        let journals = config.journald.iter().map(|journald| &journald.topic);
        for topic in journals.clone() {
            self.journald.start_at_zero(TOPIC_LABEL, topic.as_str());
        }
        let commands = config.command.iter().map(|command| &command.topic);
        let stdin = config.stdin.iter().map(|stdin| &stdin.topic);
        for topic in commands.clone() {
            self.command.start_at_zero(TOPIC_LABEL, topic.as_str());
        }
        let read = config.files.iter().map(|files| &files.topic);
        for topic in read.chain(received).chain(journals).chain(commands).chain(stdin) {
            self.read.start_at_zero(TOPIC_LABEL, topic.as_str());
            for why in Dropped::ALL {
                self.read.events_dropped.with([topic.as_str(), why.name()]).inc_by(0);
            }
            self.delivery.start_at_zero(TOPIC_LABEL, topic.surely());
        }
    }

    /// Shows the spool and delivery as they are just before each scrape.
    pub(super) fn export_delivery(&self, exporter: &mut Exporter, spool: &Arc<Spool>, delivery: &Deliver) {
        let metrics = self.delivery.clone();
        let (spool, stats) = (Arc::clone(spool), delivery.stats_source());
        exporter.before_scrape(move || metrics.show(&spool.stats(), &stats()));
    }

    /// Shows what waits to be gathered as it is just before each scrape.
    pub(super) fn export_queued(&self, exporter: &mut Exporter, receiver: &Receiver) {
        let (metrics, queued) = (self.receive.clone(), receiver.queued());
        exporter.before_scrape(move || {
            let queued = i64::try_from(queued()).unwrap_or(i64::MAX);
            metrics.queued.with([receive::SOURCE]).set(queued);
        });
    }

    /// Shows what the kernel has dropped, in the same way.
    pub(super) fn export_dropped(&self, exporter: &mut Exporter, bound: &Bound) {
        let metrics = self.receive.clone();
        let sockets = bound.datagram_sockets();
        if sockets.is_empty() {
            return;
        }
        exporter.before_scrape(move || {
            let dropped = datagrams_dropped();
            let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
            for (number, topic) in &sockets {
                *totals.entry(topic).or_default() += dropped.get(number).copied().unwrap_or(0);
            }
            for (topic, total) in totals {
                let counter = metrics.datagrams_dropped.with([topic]);
                counter.inc_by(total.saturating_sub(counter.get()));
            }
        });
    }
}
