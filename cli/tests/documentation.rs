//! What the documents say is so: every metric is in docs/OPERATIONS.md, alerts use only metrics that exist, and the files
//! that docs/ARCHITECTURE.md points to are there.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tailrace_agent::status::{CommandMetrics, DeliveryMetrics, JournaldMetrics, ReadMetrics, ReceiveMetrics};
use tailrace_collector::metrics::CollectorMetrics;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn metrics() -> BTreeSet<&'static str> {
    let all = [
        CollectorMetrics::DEFINITIONS,
        ReadMetrics::DEFINITIONS,
        DeliveryMetrics::DEFINITIONS,
        ReceiveMetrics::DEFINITIONS,
        JournaldMetrics::DEFINITIONS,
        CommandMetrics::DEFINITIONS,
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

#[test]
fn files_that_the_architecture_points_to_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = ["", "agent/src", "collector/src", "shared/src", "cli/src"];
    let text = read("docs/ARCHITECTURE.md");
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|quoted| !quoted.starts_with('/') && !quoted.contains([' ', '{', '<', ':']));
    let paths: Vec<_> = paths
        .filter(|path| path.contains('/') || path.ends_with(".rs"))
        .collect();
    assert!(paths.len() > 40, "{paths:?}");
    let missing: Vec<_> = paths
        .into_iter()
        .filter(|path| !sources.iter().any(|source| root.join(source).join(path).exists()))
        .collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md points to {missing:?}");
}
