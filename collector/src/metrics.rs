//! What the collector counts, under the names that dashboards and alerts rely on. `docs/OPERATIONS.md` explains each.

use tailrace_shared::metrics;

metrics! {
    /// Everything the collector counts.
    pub struct CollectorMetrics {
        produced_bytes: Counter["topic"] = "tailrace_collector_produced_bytes_total", "Bytes of batches appended.";
        produced_records: Counter["topic"] = "tailrace_collector_produced_records_total", "Records appended.";
        duplicate_batches: Counter["topic"] = "tailrace_collector_duplicate_batches_total",
            "Batches that an idempotent producer sent again and that were dropped.";
        refused_batches: Counter["topic", "error"] = "tailrace_collector_refused_batches_total",
            "Produce requests for a partition that were refused, by Kafka error.";
        fetched_bytes: Counter["topic"] = "tailrace_collector_fetched_bytes_total", "Bytes of batches fetched.";
        fetched_records: Counter["topic"] = "tailrace_collector_fetched_records_total", "Records fetched.";
        request_seconds: Histogram["api"] = "tailrace_collector_request_seconds",
            "Time from a request's last byte to its answer, long polls included.";
        closed_connections: Counter["reason"] = "tailrace_collector_closed_connections_total",
            "Connections that the collector closed because of what the client sent, or did not do.";
        denied: Counter["api"] = "tailrace_collector_denied_total",
            "Accesses that access control entries do not allow, by API.";
        logins: Counter["mechanism", "outcome"] = "tailrace_collector_logins_total",
            "Logins that succeeded and that failed.";
        certificate_expiry_seconds: Gauge["listener"] = "tailrace_collector_certificate_expiry_timestamp_seconds",
            "When the certificate of a TLS listener expires, as a Unix time.";
        throttle_seconds: Histogram["quota"] = "tailrace_collector_throttle_seconds",
            "Time for which a client was throttled after a request, because of a quota.";
        metered_clients: Gauge[] = "tailrace_collector_metered_clients",
            "Clients whose use of a quota is remembered; at 65,536 further ones share what is left of theirs.";
        connections: Gauge[] = "tailrace_collector_connections", "Open Kafka connections.";
        request_memory_bytes: Gauge[] = "tailrace_collector_request_memory_bytes",
            "Memory held by requests that are not answered yet.";
        fetch_memory_bytes: Gauge[] = "tailrace_collector_fetch_memory_bytes",
            "Memory held by fetched batches that are not sent yet.";
        commit_seconds: Histogram[] = "tailrace_collector_commit_seconds",
            "Time of a WAL commit: one write and one fdatasync.";
        commit_bytes: Counter[] = "tailrace_collector_commit_bytes_total", "Bytes written to the WAL, padding included.";
        wal_backlog_bytes: Gauge[] = "tailrace_collector_wal_backlog_bytes",
            "Bytes in the WAL that are not in segments yet. Appends wait when it reaches wal.budget_bytes.";
        wal_queue_bytes: Gauge[] = "tailrace_collector_wal_queue_bytes", "Bytes waiting for the next commit.";
        disk_full: Gauge[] = "tailrace_collector_disk_full", "1 while appends are refused because the disk is full.";
        log_start_offset: Gauge["topic", "partition"] = "tailrace_collector_log_start_offset", "First offset kept.";
        log_end_offset: Gauge["topic", "partition"] = "tailrace_collector_log_end_offset", "One past the last offset.";
        log_size_bytes: Gauge["topic", "partition"] = "tailrace_collector_log_size_bytes",
            "Bytes of a partition, in the WAL and in segments.";
        compaction_replaced_bytes: Counter[] = "tailrace_collector_compaction_replaced_bytes_total",
            "Bytes in segments that compaction replaced.";
        compaction_written_bytes: Counter[] = "tailrace_collector_compaction_written_bytes_total",
            "Bytes that compaction wrote in their place.";
        compaction_failing_partitions: Gauge[] = "tailrace_collector_compaction_failing_partitions",
            "Partitions that could not be compacted when it was last tried.";
        group_lag: Gauge["group", "topic", "partition"] = "tailrace_collector_group_lag_records",
            "Records between a group's committed offset and the end of the partition.";
        group_members: Gauge["group"] = "tailrace_collector_group_members", "Members of a consumer group.";
    }
}
