//! What the documents say is so: every metric is in docs/OPERATIONS.md, and alerts use only metrics that exist.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tailrace_agent::status::{DeliveryMetrics, ReadMetrics};
use tailrace_collector::metrics::CollectorMetrics;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn metrics() -> BTreeSet<&'static str> {
    let all = [
        CollectorMetrics::DEFINITIONS,
        ReadMetrics::DEFINITIONS,
        DeliveryMetrics::DEFINITIONS,
    ];
    all.concat().iter().map(|metric| metric.name).collect()
}

/// Every word of a text that looks like a metric of ours.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| word.starts_with("tailrace_agent_") || word.starts_with("tailrace_collector_"))
        .collect()
}

#[test]
fn every_metric_is_in_the_operators_guide() {
    let guide = read("docs/OPERATIONS.md");
    let missing: Vec<_> = metrics()
        .into_iter()
        .filter(|name| !guide.contains(&format!("| `{name}` |")))
        .collect();
    assert!(missing.is_empty(), "docs/OPERATIONS.md does not explain {missing:?}");
}

#[test]
fn guide_and_alerts_name_only_metrics_that_exist() {
    for path in ["docs/OPERATIONS.md", "deploy/prometheus/alerts.yml"] {
        let text = read(path);
        let unknown: Vec<_> = mentioned(&text)
            .into_iter()
            .filter(|name| !metrics().contains(name))
            .collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
}
