//! The layers of docs/ARCHITECTURE.md, kept by a test: a module may use those below it and no others.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of a crate, and which other modules of that crate it may use.
type Layers = &'static [(&'static str, &'static [&'static str])];

const SHARED: Layers = &[
    ("clock", &[]),
    ("disk", &[]),
    ("record", &[]),
    ("kafka", &[]),
    ("murmur2", &[]),
    ("sasl", &[]),
    (
        "client",
        &["clock", "config", "kafka", "record", "reloading", "sasl", "tls"],
    ),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("reloading", &[]),
    ("tls", &["clock", "reloading"]),
    ("service", &[]),
    ("terminal", &[]),
];

const AGENT: Layers = &[
    ("discover", &[]),
    ("line_regex", &[]),
    ("frame", &["line_regex"]),
    ("position", &[]),
    ("rate_limit", &[]),
    ("roots", &[]),
    ("stretch", &["position"]),
    ("watch", &["discover"]),
    ("transform", &["frame", "line_regex", "position"]),
    ("batch", &["position", "stretch", "transform"]),
    ("routing", &["batch", "stretch", "transform"]),
    (
        "tail",
        &["discover", "frame", "position", "routing", "stretch", "watch"],
    ),
    ("spool", &["position", "stretch"]),
    ("deliver", &["position", "spool", "stretch"]),
    (
        "config",
        &[
            "batch",
            "discover",
            "frame",
            "journald",
            "line_regex",
            "rate_limit",
            "routing",
            "spool",
            "tail",
            "transform",
        ],
    ),
    (
        "import",
        &[
            "batch",
            "config",
            "discover",
            "frame",
            "journald",
            "line_regex",
            "position",
            "spool",
            "stretch",
            "tail",
            "transform",
        ],
    ),
    ("status", &["deliver", "spool", "watch"]),
    (
        "records",
        &["batch", "frame", "rate_limit", "routing", "status", "transform"],
    ),
    ("gather", &["batch", "position", "status", "stretch"]),
    ("child", &[]),
    (
        "command",
        &[
            "batch",
            "child",
            "frame",
            "gather",
            "rate_limit",
            "records",
            "routing",
            "status",
            "stretch",
        ],
    ),
    (
        "receive",
        &[
            "batch",
            "frame",
            "gather",
            "rate_limit",
            "records",
            "routing",
            "status",
            "stretch",
        ],
    ),
    (
        "journald",
        &[
            "batch",
            "child",
            "frame",
            "gather",
            "position",
            "rate_limit",
            "records",
            "routing",
            "status",
            "stretch",
            "tail",
            "transform",
        ],
    ),
    (
        "reader",
        &[
            "batch", "discover", "frame", "position", "records", "routing", "status", "stretch", "tail", "watch",
        ],
    ),
    ("landlock", &["config"]),
    ("reload", &["config"]),
    (
        "inspect",
        &[
            "batch", "command", "config", "discover", "frame", "journald", "reader", "receive", "records", "roots",
            "routing", "status", "stretch",
        ],
    ),
];

const COLLECTOR: Layers = &[
    ("topic_partition", &[]),
    ("store", &[]),
    ("metrics", &[]),
    ("wal", &["topic_partition"]),
    ("segment", &["store", "topic_partition"]),
    ("catalog", &["store"]),
    ("partition", &["segment", "topic_partition", "wal"]),
    ("group", &[]),
    (
        "broker",
        &["catalog", "partition", "segment", "store", "topic_partition", "wal"],
    ),
    ("offsets_topic", &["broker", "catalog", "group", "partition"]),
    (
        "kafka",
        &[
            "broker",
            "catalog",
            "group",
            "metrics",
            "partition",
            "security",
            "topic_partition",
            "wal",
        ],
    ),
    ("security", &["catalog"]),
    ("http", &["broker", "group", "kafka", "metrics"]),
    ("config", &["catalog", "group", "security"]),
];

/// What composes the others may use all of them.
const ROOTS: &[&str] = &["lib", "main", "pipeline", "server"];

#[test]
fn modules_use_only_what_lies_below_them() {
    for (name, layers) in [("shared", SHARED), ("agent", AGENT), ("collector", COLLECTOR)] {
        let source = crate_dir(name).join("src");
        let allowed: BTreeMap<&str, &[&str]> = layers.iter().copied().collect();
        let mut looked_at = 0;
        for module in modules(&source) {
            if ROOTS.contains(&module.as_str()) {
                continue;
            }
            let below = allowed.get(module.as_str());
            let below = below.unwrap_or_else(|| panic!("{name}/src/{module} has no place in the layers: give it one"));
            for (file, used) in uses(&source, &module) {
                looked_at += 1;
                let is_module = used == module || allowed.contains_key(used.as_str());
                let fits = used == module || below.contains(&used.as_str());
                assert!(
                    !is_module || fits,
                    "{} uses crate::{used}, which does not lie below {module}",
                    file.display()
                );
            }
        }
        assert!(looked_at > 0, "nothing of {name} was looked at");
    }
}

#[test]
fn crates_depend_one_way() {
    for (name, below) in [
        ("shared", &[][..]),
        ("agent", &["tailrace-shared"][..]),
        ("collector", &["tailrace-shared"][..]),
        ("cli", &["tailrace-agent", "tailrace-collector", "tailrace-shared"][..]),
    ] {
        let manifest = fs::read_to_string(crate_dir(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for dependency in dependencies.filter(|dependency| dependency.starts_with("tailrace-")) {
            assert!(below.contains(&dependency), "{name} depends on {dependency}");
        }
    }
}

fn crate_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The top modules of a crate: files and folders of `src`.
fn modules(source: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(source).unwrap();
    entries
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

/// Each `crate::name` in a module's files, but for its tests.
fn uses(source: &Path, module: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![source.join(module), source.join(format!("{module}.rs"))];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            if path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("test"))
            {
                continue;
            }
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            found.extend(names_after_crate(code).map(|name| (path.clone(), name)));
        }
    }
    found
}

fn names_after_crate(code: &str) -> impl Iterator<Item = String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let after = lines.flat_map(|line| line.split("crate::").skip(1));
    after.flat_map(|rest| {
        let inside = rest
            .strip_prefix('{')
            .map_or(rest, |list| list.split('}').next().unwrap_or_default());
        let takes_several = rest.starts_with('{');
        let names = inside.split(',').take(if takes_several { usize::MAX } else { 1 });
        names.map(|name| {
            name.trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
    })
}
