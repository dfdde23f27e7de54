//! filebeat.yml: inputs of the types `log`, `filestream` and `container`, and `output.kafka`.

use std::path::Path;

use toml::Value;

use super::draft::{Draft, Input, strings, table, topic};
use super::settings::{Settings, Text};
use crate::frame::Charset;

/// What is not needed here: how often Filebeat looks, how it keeps its state, what it does once at a start.
const NOT_NEEDED: [&str; 14] = [
    "id",
    "name",
    "scan_frequency",
    "backoff",
    "max_backoff",
    "backoff_factor",
    "harvester_limit",
    "harvester_buffer_size",
    "clean_inactive",
    "clean_removed",
    "close_inactive",
    "close_removed",
    "close_renamed",
    "file_identity",
];
const NOT_NEEDED_BELOW: [&str; 6] = [
    "prospector.scanner.",
    "close.",
    "logging.",
    "setup.",
    "filebeat.registry.",
    "queue.",
];

pub(super) fn draft(settings: &Settings, draft: &mut Draft) {
    output(settings, draft);
    let default_topic = settings.text("output.kafka.topic");
    for input in ["filebeat.inputs", "filebeat.prospectors"]
        .into_iter()
        .flat_map(|name| settings.list(name))
    {
        let kind = input.text("type").map_or_else(|| "log".to_owned(), |kind| kind.text);
        if input.text("enabled").is_some_and(|enabled| enabled.text == "false") {
            draft.note(
                input.line(),
                format_args!("an input of type {kind}: left out, it is not enabled"),
            );
        } else if ["log", "filestream", "container", "docker"].contains(&&*kind) {
            files(input, &kind, default_topic.as_ref(), settings, draft);
        } else if kind == "journald" {
            journal(input, default_topic.as_ref(), draft);
        } else {
            draft.note(
                input.line(),
                format_args!("an input of type {kind}: not carried over, it is none of files or journals"),
            );
        }
    }
    for prefix in NOT_NEEDED_BELOW {
        settings.below(prefix);
    }
}

fn output(settings: &Settings, draft: &mut Draft) {
    draft.bootstrap = settings
        .texts("output.kafka.hosts")
        .into_iter()
        .map(|host| with_port(&host.text))
        .collect();
    if draft.bootstrap.is_empty() {
        draft.bootstrap = vec!["collector:9092".to_owned()];
        draft.note(0, "there is no output.kafka: collector.bootstrap is to be set by hand");
    }
    let mut tls = Vec::new();
    let authorities = settings.texts("output.kafka.ssl.certificate_authorities");
    if let Some(first) = authorities.first() {
        tls.push(("ca", Value::String(first.text.clone())));
        if authorities.len() > 1 {
            draft.note(
                first.line,
                "output.kafka.ssl.certificate_authorities: only the first; ca may hold several certificates",
            );
        }
    }
    for (theirs, ours) in [("certificate", "cert"), ("key", "key")] {
        if let Some(path) = settings.text(&format!("output.kafka.ssl.{theirs}")) {
            tls.push((ours, Value::String(path.text)));
        }
    }
    if !tls.is_empty() || settings.is_set("output.kafka.ssl.enabled") {
        draft.tls = Some(tls);
    }
    if let Some(user) = settings.text("output.kafka.username") {
        let mechanism = settings.text("output.kafka.sasl.mechanism");
        let mechanism = mechanism.map_or_else(|| "PLAIN".to_owned(), |mechanism| mechanism.text);
        let password = settings.text("output.kafka.password");
        draft.sasl = Some(vec![
            ("mechanism", Value::String(mechanism)),
            ("user", Value::String(user.text)),
            (
                "password",
                Value::String(password.map_or_else(String::new, |password| environment(&password.text))),
            ),
        ]);
    }
    for (name, what) in [
        ("output.kafka.required_acks", "acknowledged by all replicas, always"),
        ("output.kafka.compression", "zstd, always"),
        ("output.kafka.version", "found out by itself"),
    ] {
        if let Some(text) = settings.text(name) {
            draft.note(text.line, format_args!("{name}: {what}"));
        }
    }
}

fn with_port(host: &str) -> String {
    let host = environment(host);
    match host.contains(':') {
        true => host,
        false => format!("{host}:9092"),
    }
}

/// `${NAME:default}` is `${NAME:-default}` here.
fn environment(text: &str) -> String {
    match (text.split_once("${"), text.contains(":-")) {
        (Some((before, variable)), false) if variable.contains(':') && variable.contains('}') => {
            format!("{before}${{{}", variable.replacen(':', ":-", 1))
        }
        _ => text.to_owned(),
    }
}

fn journal(input: &Settings, default_topic: Option<&Text>, draft: &mut Draft) {
    let id = input.text("id").map_or_else(|| "journald".to_owned(), |id| id.text);
    let named = input.text("topic").or_else(|| default_topic.cloned());
    let named = named.filter(|named| !named.text.contains('%'));
    let mut ours = Input::default();
    ours.keys
        .push(("topic", topic(named.as_ref().map_or("journald", |named| &*named.text))));
    let texts = |name: &str| -> Vec<String> { input.texts(name).into_iter().map(|text| text.text).collect() };
    match &*texts("paths") {
        [] => {}
        // A file is read with those beside it.
        [path] => {
            let path = Path::new(path);
            let directory = if path.extension().is_some() {
                path.parent()
            } else {
                Some(path)
            };
            let directory = directory.unwrap_or(path).display().to_string();
            ours.keys.push(("directory", Value::String(directory)));
        }
        _ => draft.note(
            input.line(),
            "an input of type journald: paths: only one directory each; write others by hand",
        ),
    }
    let (patterns, units): (Vec<_>, Vec<_>) = texts("units")
        .into_iter()
        .partition(|unit| unit.contains(['*', '?', '[']));
    if !patterns.is_empty() {
        draft.note(
            input.line(),
            format_args!(
                "input journald: units {}: left out, they are patterns; write them as journald.transform.keep",
                patterns.join(", ")
            ),
        );
    }
    ours.add_texts("units", units);
    ours.add_texts("identifiers", texts("syslog_identifiers"));
    let matches = ["include_matches", "include_matches.match"].into_iter().flat_map(texts);
    let matches = matches.chain(texts("transports").into_iter().map(|name| format!("_TRANSPORT={name}")));
    ours.add_texts("matches", matches.map(|text| journal_field(&text)).collect());
    let says_tail = |name: &str| input.text(name).is_some_and(|place| place.text == "tail");
    if says_tail("seek") || says_tail("cursor_seek_fallback") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    for name in ["type", "enabled", "backoff", "max_backoff"] {
        input.text(name);
    }
    draft.note_left(input, "input journald: ");
    draft.add_journal(ours, &id);
}

/// `systemd.unit=a` is `_SYSTEMD_UNIT=a` there too.
fn journal_field(text: &str) -> String {
    let known = [
        ("systemd.unit", "_SYSTEMD_UNIT"),
        ("syslog.identifier", "SYSLOG_IDENTIFIER"),
        ("systemd.transport", "_TRANSPORT"),
        ("host.hostname", "_HOSTNAME"),
        ("process.name", "_COMM"),
        ("syslog.priority", "PRIORITY"),
    ];
    match text.split_once('=') {
        Some((name, value)) => {
            let found = known
                .iter()
                .find(|(theirs, _)| *theirs == name.trim_start_matches("journald."));
            format!("{}={value}", found.map_or(name, |(_, journal)| journal))
        }
        None => text.to_owned(),
    }
}

fn files(input: &Settings, kind: &str, default_topic: Option<&Text>, all: &Settings, draft: &mut Draft) {
    let mut paths: Vec<_> = input
        .texts("paths")
        .into_iter()
        .map(|path| environment(&path.text))
        .collect();
    // As inputs of the type `docker` say it.
    let directory = input.text("containers.path");
    let directory = directory.map_or_else(|| "/var/lib/docker/containers".to_owned(), |path| path.text);
    let ids = input.texts("containers.ids").into_iter();
    paths.extend(ids.map(|id| format!("{directory}/{}/*-json.log", id.text)));
    if paths.is_empty() {
        draft.note(
            input.line(),
            format_args!("an input of type {kind}: left out, it has no paths"),
        );
        return;
    }
    let mut ours = Input::default();
    ours.keys.push(("topic", topic_of(default_topic, &paths, draft)));
    ours.keys.push(("include", strings(paths)));
    exclude(input, &mut ours, draft);
    labels(input, &mut ours);
    // What Filebeat sends is a JSON document, unless it was told to send the line.
    let plain = all.text("output.kafka.codec.format.string");
    if plain.is_none_or(|format| !format.text.contains("message")) {
        ours.keys.push(("format", Value::String("json".to_owned())));
    }
    if let Some(bytes) = input.text("max_bytes").or_else(|| input.text("message_max_bytes")) {
        match bytes.text.parse::<u64>() {
            Ok(bytes) => ours.keys.push((
                "max_line_bytes",
                Value::String(format!("{}B", bytes.clamp(64, 16 << 20))),
            )),
            Err(_) => draft.note(
                bytes.line,
                format_args!("max_bytes: \"{}\" is no number of bytes", bytes.text),
            ),
        }
    }
    encoding(input, &mut ours, draft);
    if let Some(older) = input.text("ignore_older") {
        ours.ignore_older(&older.text);
    }
    if input.is_set("tail_files") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    let mut is_container = matches!(kind, "container" | "docker");
    let mut parses_json = input.has("json");
    multiline(input, "multiline.", &mut ours, draft);
    for parser in input.list("parsers") {
        is_container |= parser.has("container");
        parses_json |= parser.has("ndjson");
        multiline(parser, "multiline.", &mut ours, draft);
        for prefix in ["container", "ndjson"] {
            parser.text(prefix);
            parser.below(&format!("{prefix}."));
        }
        draft.note_left(parser, "parsers.");
    }
    if is_container {
        ours.keys.push(("container", Value::Boolean(true)));
        ours.keys.retain(|(key, _)| *key != "encoding");
    }
    if parses_json {
        ours.transform.push(("parse", Value::String("json".to_owned())));
        input.below("json.");
    }
    lines(input, &mut ours, draft);
    let stream = input.text("stream").or_else(|| input.text("containers.stream"));
    if let Some(stream) = stream.filter(|stream| stream.text != "all") {
        let condition = [("field", "stream"), ("is", &*stream.text)].map(|(key, text)| (key.to_owned(), text.into()));
        match ours.has("keep") {
            true => draft.note(
                stream.line,
                "stream: left out beside include_lines; write both into one condition of keep",
            ),
            false => ours.transform.push(("keep", Value::Array(vec![table(condition)]))),
        }
    }
    draft.inputs.push(ours);
    for name in NOT_NEEDED {
        input.text(name);
    }
    for prefix in NOT_NEEDED_BELOW {
        input.below(prefix);
    }
    draft.note_left(input, "");
}

/// The output's, unless it depends on the event; or else what the first file is called.
fn topic_of(default: Option<&Text>, paths: &[String], draft: &mut Draft) -> Value {
    if let Some(default) = default {
        if !default.text.contains("%{") {
            return topic(&default.text);
        }
        draft.note(
            default.line,
            format_args!(
                "output.kafka.topic: \"{}\" depends on the event; each [[files]] has a topic of its own here",
                default.text
            ),
        );
    }
    let directory = paths
        .first()
        .and_then(|path| Path::new(path).parent()?.file_name()?.to_str());
    topic(directory.unwrap_or("logs"))
}

/// `\.gz$` is `*.gz`.
fn exclude(input: &Settings, ours: &mut Input, draft: &mut Draft) {
    let mut globs = Vec::new();
    for name in ["exclude_files", "prospector.scanner.exclude_files"] {
        for pattern in input.texts(name) {
            let suffix = pattern.text.strip_prefix("\\.").and_then(|rest| rest.strip_suffix('$'));
            match suffix.filter(|suffix| suffix.chars().all(|letter| letter.is_ascii_alphanumeric())) {
                Some(suffix) => globs.push(format!("*.{suffix}")),
                None => draft.note(
                    pattern.line,
                    format_args!(
                        "{name}: \"{}\" is a regular expression; write it as a glob in exclude",
                        pattern.text
                    ),
                ),
            }
        }
    }
    if !globs.is_empty() {
        ours.keys.push(("exclude", strings(globs)));
    }
}

fn labels(input: &Settings, ours: &mut Input) {
    let mut labels: Vec<_> = input
        .below("fields.")
        .into_iter()
        .filter(|(name, _)| !crate::batch::RESERVED_LABELS.contains(&&**name))
        .map(|(name, text)| (name, Value::String(environment(&text.text))))
        .collect();
    input.text("fields_under_root");
    let tags: Vec<_> = input.texts("tags").into_iter().map(|tag| tag.text).collect();
    if !tags.is_empty() {
        labels.push(("tags".to_owned(), Value::String(tags.join(","))));
    }
    if !labels.is_empty() {
        ours.keys.push(("labels", table(labels)));
    }
}

fn encoding(input: &Settings, ours: &mut Input, draft: &mut Draft) {
    let Some(encoding) = input.text("encoding") else {
        return;
    };
    let name = match &*encoding.text {
        "plain" | "utf-8" => return,
        "utf-16-bom" => "auto",
        "utf-16le-bom" => "utf-16le",
        "utf-16be-bom" => "utf-16be",
        name => name,
    };
    match Charset::named(name) {
        Ok(_) => ours.keys.push(("encoding", Value::String(name.to_owned()))),
        Err(error) => draft.note(encoding.line, format_args!("encoding: {error}")),
    }
}

fn multiline(settings: &Settings, prefix: &str, ours: &mut Input, draft: &mut Draft) {
    let get = |name: &str| settings.text(&format!("{prefix}{name}"));
    let kind = get("type").map_or_else(|| "pattern".to_owned(), |kind| kind.text);
    let Some(pattern) = get("pattern").filter(|_| !ours.has("multiline")) else {
        return;
    };
    let negate = get("negate").is_some_and(|negate| negate.text == "true");
    let is_after = get("match").is_none_or(|side| side.text != "before");
    if kind != "pattern" {
        draft.note(pattern.line, format_args!("{prefix}type: \"{kind}\" is not known here"));
        return;
    }
    let Some(value) = draft.pattern(pattern.line, &format!("{prefix}pattern"), &pattern.text) else {
        return;
    };
    let key = match (negate, is_after) {
        (false, true) => "continuation",
        (false, false) => "continued",
        (true, true) => "start",
        (true, false) => "end",
    };
    let mut pairs = vec![(key.to_owned(), value)];
    if let Some(flush) = get("flush_pattern") {
        let end = draft.pattern(flush.line, &format!("{prefix}flush_pattern"), &flush.text);
        match end {
            Some(end) if key == "start" => pairs.push(("end".to_owned(), end)),
            _ => draft.note(
                flush.line,
                format_args!("{prefix}flush_pattern: only together with a first line"),
            ),
        }
    }
    let max_lines = get("max_lines")
        .and_then(|lines| lines.text.parse().ok())
        .unwrap_or(500);
    pairs.push((
        "max_lines".to_owned(),
        Value::Integer(i64::clamp(max_lines, 2, 1_000_000)),
    ));
    let timeout = get("timeout").map_or_else(|| "5s".to_owned(), |timeout| timeout.text);
    pairs.push(("timeout".to_owned(), Value::String(timeout)));
    ours.keys.push(("multiline", table(pairs)));
}

/// `include_lines` and `exclude_lines`, which see whole events as `keep` and `drop` do.
fn lines(input: &Settings, ours: &mut Input, draft: &mut Draft) {
    for (theirs, key) in [("exclude_lines", "drop"), ("include_lines", "keep")] {
        for pattern in input.texts(theirs) {
            if let Some(pattern) = draft.pattern(pattern.line, theirs, &pattern.text) {
                ours.condition(key, pattern);
            }
        }
    }
}
