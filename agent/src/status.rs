//! What the operator sees: metrics and the state of each file.

use std::path::PathBuf;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tailrace_shared::telemetry::Readiness;
use tokio::sync::{mpsc, oneshot};

use crate::deliver::{DeliverStats, STUCK_AFTER};
use crate::spool::{FullReason, SpoolStats};
use crate::watch::Signal;

/// What is counted by topic has this label.
pub const TOPIC_LABEL: &str = "topic";

tailrace_shared::metrics! {
    /// What the reading side counts.
    pub struct ReadMetrics {
        read_bytes: Counter["topic"] = "tailrace_agent_read_bytes_total", "Bytes read from files, line ends included, and of messages received.";
        read_lines: Counter["topic"] = "tailrace_agent_read_lines_total", "Lines read and messages received; one that is split counts as several.";
        lines_split: Counter["topic"] = "tailrace_agent_lines_split_total", "Records that end because a line is longer than max_line_bytes, or a message than max_message_bytes; the rest follows.";
        lines_unfinished: Counter["topic"] = "tailrace_agent_lines_unfinished_total", "Records that end because a line was not finished in time, or a message not before its connection ended; the rest, if any comes, follows.";
        events_cut: Counter["topic"] = "tailrace_agent_events_cut_total", "Records that end because more lines belong together than multiline.max_lines or max_line_bytes allow; the rest follows.";
        topic_otherwise: Counter["topic"] = "tailrace_agent_topic_otherwise_total", "Records that went to topic.otherwise, because a field in the name of their topic was missing or there are topic.max_topics already.";
        rate_limit_waits: Counter["topic"] = "tailrace_agent_rate_limit_waits_total", "How often reading has waited because of rate_limit.";
        parse_errors: Counter["topic"] = "tailrace_agent_parse_errors_total", "Events sent as they are, with the reason, because they could not be parsed or their time not be told.";
        events_dropped: Counter["topic", "reason"] = "tailrace_agent_events_dropped_total", "Events that were not sent because of drop, keep, sample or rate_limit.";
        unread_bytes: Gauge["topic"] = "tailrace_agent_unread_bytes", "Bytes known to be in followed files that were not read yet.";
        lost_bytes: Counter["topic"] = "tailrace_agent_lost_bytes_total", "Bytes known to have been in files that were deleted or cut before they were read.";
        files_followed: Gauge["topic"] = "tailrace_agent_files_followed", "Files that are followed.";
        rotations: Counter["topic"] = "tailrace_agent_rotations_total", "Followed files that were renamed or deleted.";
        rotated_unseen: Counter["topic"] = "tailrace_agent_rotated_unseen_total", "Files that were rotated before they were seen, and found and read from their start.";
        truncations: Counter["topic"] = "tailrace_agent_truncations_total", "Followed files that were cut or written over, and read again from their start.";
        torn_files: Counter["topic"] = "tailrace_agent_torn_files_total", "Files that lost bytes already read, as in a power failure, and were followed on from where they end.";
        read_errors: Counter["topic"] = "tailrace_agent_read_errors_total", "Failed attempts to open or read a file.";
        scans: Counter[] = "tailrace_agent_scans_total", "Walks through all directories.";
        stretches: Counter[] = "tailrace_agent_stretches_total", "Stretches handed to the spool.";
        blocked: Gauge[] = "tailrace_agent_reading_blocked", "1 while reading waits for the spool to take more.";
    }
}

tailrace_shared::metrics! {
    /// What is counted of what others send.
    pub struct ReceiveMetrics {
        connections: Gauge["topic"] = "tailrace_agent_syslog_connections", "Senders that are connected.";
        connections_refused: Counter["topic"] = "tailrace_agent_syslog_connections_refused_total", "Connections closed at once because there were connections_max.";
        handshakes_failed: Counter["topic"] = "tailrace_agent_syslog_handshakes_failed_total", "Connections that did not become one of TLS.";
        datagrams_dropped: Counter["topic"] = "tailrace_agent_syslog_datagrams_dropped_total", "Datagrams that the kernel dropped because its buffer was full: messages that are lost.";
        queued: Gauge["source"] = "tailrace_agent_receiving_queued", "Pieces of what was received, of some ten kilobytes, that wait to become records; 16 at most.";
        blocked: Gauge["source"] = "tailrace_agent_receiving_blocked", "1 while what is received waits for the spool to take more.";
    }
}

tailrace_shared::metrics! {
    /// What is counted of the system's journals.
    pub struct JournaldMetrics {
        entry_time: FloatGauge["topic"] = "tailrace_agent_journald_entry_timestamp_seconds", "When the last entry that was read was written, as a Unix time, or 0.";
        restarts: Counter["topic"] = "tailrace_agent_journald_restarts_total", "How often journalctl ended and was started again; the log says why.";
    }
}

tailrace_shared::metrics! {
    /// What is counted of commands that are run.
    pub struct CommandMetrics {
        failures: Counter["topic"] = "tailrace_agent_command_failures_total", "How often a command could not be run, failed, or ended though it should not; the log says why.";
    }
}

tailrace_shared::metrics! {
    /// What the spool and delivery count; brought up to date before each scrape.
    pub struct DeliveryMetrics {
        records_acknowledged: Counter[] = "tailrace_agent_records_acknowledged_total", "Records that brokers have acknowledged.";
        batches_in_flight: Gauge[] = "tailrace_agent_batches_in_flight", "Batches sent that were not answered yet.";
        topic_waiting_bytes: Gauge["topic"] = "tailrace_agent_topic_waiting_bytes", "Bytes of a topic in the spool that are not acknowledged.";
        stuck_batches: Gauge["topic"] = "tailrace_agent_stuck_batches", "Batches in the spool that have not moved for half a minute; the agent's log says why.";
        batches_waiting: Gauge[] = "tailrace_agent_batches_waiting", "Batches in the spool that are not acknowledged.";
        oldest_unacknowledged_seconds: FloatGauge[] = "tailrace_agent_oldest_unacknowledged_seconds", "Age of the oldest batch that is not acknowledged, or 0.";
        unreachable_seconds: FloatGauge[] = "tailrace_agent_unreachable_seconds", "How long no broker could be reached, or 0.";
        send_retries: Counter[] = "tailrace_agent_send_retries_total", "Batches that were sent, not taken, and are sent again. While no broker can be reached none are sent.";
        records_possibly_doubled: Counter[] = "tailrace_agent_records_possibly_doubled_total", "Records sent again where nothing could tell whether they were in the log already.";
        batches_split: Counter[] = "tailrace_agent_batches_split_total", "Batches that were too large for their topic, and were sent in parts.";
        batches_dead_lettered: Counter[] = "tailrace_agent_batches_dead_lettered_total", "Batches that no broker would take, put into the dead-letter directory.";
        records_dead_lettered: Counter[] = "tailrace_agent_records_dead_lettered_total", "Records in those batches.";
        spool_dropped_records: Counter[] = "tailrace_agent_spool_dropped_records_total", "Records given up for newer ones, because the spool was full.";
        spool_waiting_bytes: Gauge[] = "tailrace_agent_spool_waiting_bytes", "Bytes in the spool that are not acknowledged.";
        spool_file_bytes: Gauge[] = "tailrace_agent_spool_file_bytes", "What the spool takes on the disk.";
        spool_full: Gauge[] = "tailrace_agent_spool_full", "1 while the spool takes no more, so that reading waits.";
    }
}

impl DeliveryMetrics {
    /// Shows the state of this moment.
    pub fn show(&self, spool: &SpoolStats, delivery: &DeliverStats) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let counters = [
            (&self.records_acknowledged, delivery.records_acked),
            (&self.send_retries, delivery.retries),
            (&self.records_possibly_doubled, delivery.records_possibly_doubled),
            (&self.batches_split, delivery.batches_split),
            (&self.batches_dead_lettered, delivery.batches_dead_lettered),
            (&self.records_dead_lettered, delivery.records_dead_lettered),
            (&self.spool_dropped_records, delivery.records_dropped),
        ];
        for (counter, total) in counters {
            let counter = counter.with([]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        self.batches_in_flight.with([]).set(whole(delivery.batches_in_flight));
        self.batches_waiting.with([]).set(whole(delivery.batches_waiting));
        let oldest = delivery.oldest_unacked.unwrap_or_default();
        self.oldest_unacknowledged_seconds.with([]).set(oldest.as_secs_f64());
        let outage = delivery.outage.as_ref().map_or(Duration::ZERO, |outage| outage.age);
        self.unreachable_seconds.with([]).set(outage.as_secs_f64());
        for (topic, waiting) in &delivery.topics {
            let stuck = waiting.stuck.as_ref().map_or(0, |stuck| stuck.batches);
            self.topic_waiting_bytes.with([&**topic]).set(whole(waiting.bytes));
            self.stuck_batches.with([&**topic]).set(whole(stuck));
        }
        self.spool_waiting_bytes.with([]).set(whole(spool.waiting_bytes));
        self.spool_file_bytes.with([]).set(whole(spool.file_bytes));
        self.spool_full.with([]).set(i64::from(spool.full.is_some()));
    }
}

/// Ready is an agent that reads and delivers. One topic that is stuck beside others that are not is for metrics, alerts
/// and the log: a rollout that waits for it would keep the others waiting too.
pub fn show_readiness(readiness: &Readiness, spool: &SpoolStats, delivery: &DeliverStats) {
    let parts = [
        ("collector", collector_missing(delivery)),
        ("delivery", delivery_stuck(delivery)),
        ("reading", spool.full.map(reading_blocked)),
    ];
    for (part, missing) in parts {
        match missing {
            Some(reason) => readiness.wait(part, reason),
            None => readiness.ready(part),
        }
    }
}

/// A collector that was there may be away for as long as a restart takes.
fn collector_missing(delivery: &DeliverStats) -> Option<String> {
    let outage = delivery.outage.as_ref()?;
    let is_short = outage.was_reached && outage.age < STUCK_AFTER;
    (!is_short).then(|| format!("cannot reach it for {} s: {}", outage.age.as_secs(), outage.reason))
}

/// Only if every topic that lines were read for is.
fn delivery_stuck(delivery: &DeliverStats) -> Option<String> {
    if delivery.outage.is_some() {
        return None;
    }
    let stuck = delivery.topics.iter().map(|(topic, waiting)| {
        let stuck = waiting.stuck.as_ref()?;
        Some(format!(
            "{} batches of topic {topic} have not moved for a while: {}",
            stuck.batches, stuck.reason
        ))
    });
    let stuck: Vec<_> = stuck.collect::<Option<_>>()?;
    (!stuck.is_empty()).then(|| stuck.join("; "))
}

fn reading_blocked(full: FullReason) -> String {
    let reason = match full {
        FullReason::Limit => "spool.max_bytes is used up by what is not acknowledged",
        FullReason::Batches => "it holds as many batches that are not acknowledged as it can list",
        FullReason::DiskFull => "the disk has no room for it",
    };
    format!("the spool takes no more: {reason}")
}

/// What `/files` shows of a followed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// Its name now.
    pub path: PathBuf,
    /// Where its lines go.
    pub topic: String,
    /// The lane of the topic.
    pub lane: u16,
    /// Everything before this byte was read.
    pub position: u64,
    /// Its length, as far as is known.
    pub size: u64,
    /// Bytes that were not read yet.
    pub lag: u64,
    /// Whether it has no name any more and is being read to its end.
    pub deleted: bool,
    /// What went wrong last, if it still does.
    pub last_error: Option<String>,
}

/// One question for the state of all files, to be answered by the reading thread.
pub type FilesRequest = oneshot::Sender<Vec<FileStatus>>;

/// How many such questions may wait.
const FILES_REQUESTS_MAX: usize = 4;

/// Asks the reading thread for the state of all files.
#[derive(Debug, Clone)]
pub struct FilesQuery {
    requests: mpsc::Sender<FilesRequest>,
    signal: Signal,
}

impl FilesQuery {
    /// The asking end, and the end that the reading thread answers from.
    #[must_use]
    pub fn channel(signal: Signal) -> (Self, mpsc::Receiver<FilesRequest>) {
        let (requests, receiver) = mpsc::channel(FILES_REQUESTS_MAX);
        (Self { requests, signal }, receiver)
    }

    /// All files, by name; `None` if nobody reads any more.
    pub async fn ask(&self) -> Option<Vec<FileStatus>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.ok()?;
        self.signal.wake();
        answer.await.ok()
    }
}

/// `GET /files`: the state of each file, as JSON.
pub fn router(query: FilesQuery) -> Router {
    async fn files(State(query): State<FilesQuery>) -> Result<Json<Vec<FileStatus>>, StatusCode> {
        query.ask().await.map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }
    Router::new().route("/files", get(files)).with_state(query)
}

#[cfg(test)]
mod tests {
    use tailrace_shared::telemetry::metrics::Exporter;

    use super::*;
    use crate::deliver::{Outage, Stuck, WaitingTopic};

    #[test]
    fn totals_become_counters_that_only_rise() {
        let exporter = Exporter::default();
        let metrics = DeliveryMetrics::register(exporter.registry()).unwrap();
        for records_acked in [3, 10] {
            let delivery = DeliverStats {
                records_acked,
                oldest_unacked: Some(Duration::from_millis(1500)),
                ..DeliverStats::default()
            };
            metrics.show(&SpoolStats::default(), &delivery);
        }
        let text = exporter.render().unwrap();
        for line in [
            "tailrace_agent_records_acknowledged_total 10",
            "tailrace_agent_oldest_unacknowledged_seconds 1.5",
            "tailrace_agent_spool_full 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_is_stuck_is_shown_until_it_moves() {
        let exporter = Exporter::default();
        let metrics = DeliveryMetrics::register(exporter.registry()).unwrap();
        let readiness = Readiness::default();
        let stuck = Stuck {
            batches: 3,
            bytes: 200,
            age: Duration::from_secs(60),
            reason: "TOPIC_AUTHORIZATION_FAILED (29)".into(),
        };
        for (stuck, batches, missing) in [
            (
                Some(stuck),
                3,
                vec![(
                    "delivery",
                    "3 batches of topic app have not moved for a while: TOPIC_AUTHORIZATION_FAILED (29)".to_owned(),
                )],
            ),
            (None, 0, vec![]),
        ] {
            let waiting = WaitingTopic {
                batches: 5,
                bytes: 400,
                stuck,
            };
            let delivery = DeliverStats {
                topics: [("app".into(), waiting)].into(),
                ..DeliverStats::default()
            };
            metrics.show(&SpoolStats::default(), &delivery);
            show_readiness(&readiness, &SpoolStats::default(), &delivery);
            assert_eq!(readiness.missing(), missing);
            let text = exporter.render().unwrap();
            let expected = format!("tailrace_agent_stuck_batches{{topic=\"app\"}} {batches}\n");
            assert!(text.contains(&expected), "{text}");
            assert!(
                text.contains("tailrace_agent_topic_waiting_bytes{topic=\"app\"} 400\n"),
                "{text}"
            );
        }
    }

    /// What `/readyz` says of these.
    fn waits_for(
        full: Option<FullReason>,
        outage: Option<Outage>,
        topics: &[(&str, bool)],
    ) -> Vec<(&'static str, String)> {
        let spool = SpoolStats {
            full,
            ..SpoolStats::default()
        };
        let stuck = Stuck {
            batches: 3,
            bytes: 200,
            age: Duration::from_secs(60),
            reason: "no leader".to_owned().into(),
        };
        let topic = |(name, is_stuck): &(&str, bool)| {
            let stuck = is_stuck.then(|| stuck.clone());
            let waiting = WaitingTopic {
                batches: 3,
                bytes: 200,
                stuck,
            };
            ((*name).into(), waiting)
        };
        let delivery = DeliverStats {
            outage,
            topics: topics.iter().map(topic).collect(),
            ..DeliverStats::default()
        };
        let readiness = Readiness::default();
        show_readiness(&readiness, &spool, &delivery);
        readiness.missing()
    }

    #[test]
    fn an_agent_is_ready_while_it_reads_and_can_deliver_something() {
        let outage = |secs, was_reached| {
            Some(Outage {
                age: Duration::from_secs(secs),
                reason: "refused".to_owned().into(),
                was_reached,
            })
        };
        assert_eq!(waits_for(None, None, &[]), []);
        assert_eq!(waits_for(None, None, &[("a", true), ("b", false)]), []);
        assert_eq!(waits_for(None, outage(5, true), &[("a", true)]), [], "a restart");
        let cases = [
            (None, outage(0, false), vec![], "collector", "refused"),
            (
                None,
                outage(31, true),
                vec![("a", true)],
                "collector",
                "for 31 s: refused",
            ),
            (Some(FullReason::Limit), None, vec![], "reading", "spool.max_bytes"),
            (Some(FullReason::DiskFull), None, vec![], "reading", "no room"),
            (
                None,
                None,
                vec![("a", true), ("b", true)],
                "delivery",
                "topic b have not moved for a while: no leader",
            ),
        ];
        for (full, outage, topics, part, reason) in cases {
            let missing = waits_for(full, outage, &topics);
            assert!(
                matches!(&missing[..], [(named, said)] if *named == part && said.contains(reason)),
                "{missing:?}"
            );
        }
    }

    #[test]
    fn every_metric_has_the_prefix_and_a_sentence() {
        for definition in ReadMetrics::DEFINITIONS.iter().chain(DeliveryMetrics::DEFINITIONS) {
            assert!(definition.name.starts_with("tailrace_agent_"), "{}", definition.name);
            assert!(definition.help.ends_with('.'), "{}", definition.name);
        }
    }
}
