//! Vector's configuration: sources of the types `file`, `journald` and `syslog`, and the sink of type `kafka`.

use toml::Value;

use super::draft::{Draft, Input, strings, table, topic};
use super::settings::{Settings, Text};
use crate::frame::Charset;

/// What is not needed here: how often Vector looks, what it adds to events, how it buffers them.
const NOT_NEEDED: [&str; 12] = [
    "data_dir",
    "file_key",
    "host_key",
    "offset_key",
    "glob_minimum_cooldown_ms",
    "ignore_not_found",
    "max_read_bytes",
    "oldest_first",
    "rotate_wait_secs",
    "fingerprint.strategy",
    "fingerprint.lines",
    "fingerprint.ignored_header_bytes",
];

pub(super) fn draft(settings: &Settings, draft: &mut Draft) {
    let sinks = settings.sections("sinks.");
    let kind = |sink: &str| settings.text(&format!("sinks.{sink}.type")).map(|kind| kind.text);
    let kafka = sinks.iter().find(|(_, sink)| kind(sink).as_deref() == Some("kafka"));
    let mut to = Destination::default();
    match kafka {
        Some((_, sink)) => to = destination(settings, &format!("sinks.{sink}."), draft),
        None => {
            draft.bootstrap = vec!["collector:9092".to_owned()];
            draft.note(
                0,
                "there is no sink of type kafka: collector.bootstrap is to be set by hand",
            );
        }
    }
    for (line, source) in settings.sections("sources.") {
        let prefix = format!("sources.{source}.");
        match settings.text(&format!("{prefix}type")) {
            Some(kind) if kind.text == "file" => files(settings, &prefix, &source, &to, draft),
            Some(kind) if kind.text == "journald" => journal(settings, &prefix, &source, &to, draft),
            Some(kind) if kind.text == "syslog" => syslog(settings, &prefix, &source, &to, draft),
            _ => draft.note(
                line,
                format_args!("sources.{source}: not carried over, it is none of files, journals or syslog"),
            ),
        }
    }
    for name in ["data_dir", "api.enabled", "api.address"] {
        settings.text(name);
    }
}

/// What the sink says of records.
#[derive(Default)]
struct Destination {
    topic: Option<Text>,
    is_json: bool,
}

fn destination(settings: &Settings, prefix: &str, draft: &mut Draft) -> Destination {
    let get = |name: &str| settings.text(&format!("{prefix}{name}"));
    settings.texts(&format!("{prefix}inputs"));
    let brokers = get("bootstrap_servers").map_or_else(String::new, |brokers| brokers.text);
    draft.bootstrap = brokers.split(',').map(|broker| broker.trim().to_owned()).collect();
    let path = |key, name: &str| Some((key, Value::String(get(name)?.text)));
    let tls: Vec<_> = [("ca", "tls.ca_file"), ("cert", "tls.crt_file"), ("key", "tls.key_file")]
        .into_iter()
        .filter_map(|(key, name)| path(key, name))
        .collect();
    if settings.is_set(&format!("{prefix}tls.enabled")) {
        draft.tls = Some(tls);
    }
    if settings.is_set(&format!("{prefix}sasl.enabled")) {
        let text = |name: &str| Value::String(get(name).map_or_else(String::new, |text| text.text));
        draft.sasl = Some(vec![
            ("mechanism", text("sasl.mechanism")),
            ("user", text("sasl.username")),
            ("password", text("sasl.password")),
        ]);
    }
    let codec = get("encoding.codec").map_or_else(String::new, |codec| codec.text);
    for name in [
        "compression",
        "acknowledgements",
        "acknowledgements.enabled",
        "healthcheck",
        "healthcheck.enabled",
    ] {
        get(name);
    }
    for below in ["librdkafka_options.", "buffer.", "batch."] {
        settings.below(&format!("{prefix}{below}"));
    }
    Destination {
        topic: get("topic"),
        is_json: codec == "json",
    }
}

fn files(settings: &Settings, prefix: &str, source: &str, to: &Destination, draft: &mut Draft) {
    let get = |name: &str| settings.text(&format!("{prefix}{name}"));
    let mut ours = Input::default();
    ours.keys.push(("topic", topic_of(to, source, draft)));
    for key in ["include", "exclude"] {
        let globs: Vec<_> = settings
            .texts(&format!("{prefix}{key}"))
            .into_iter()
            .map(|glob| glob.text)
            .collect();
        if !globs.is_empty() {
            ours.keys.push((key, strings(globs)));
        }
    }
    if to.is_json {
        ours.keys.push(("format", Value::String("json".to_owned())));
    }
    if let Some(bytes) = get("max_line_bytes").and_then(|bytes| bytes.text.replace('_', "").parse::<u64>().ok()) {
        ours.keys.push((
            "max_line_bytes",
            Value::String(format!("{}B", bytes.clamp(64, 16 << 20))),
        ));
    }
    if let Some(charset) = get("encoding.charset") {
        match Charset::named(&charset.text) {
            Ok(_) => ours.keys.push(("encoding", Value::String(charset.text))),
            Err(error) => draft.note(charset.line, format_args!("encoding.charset: {error}")),
        }
    }
    let older = get("ignore_older_secs").or_else(|| get("ignore_older"));
    if let Some(older) = older {
        ours.ignore_older(&older.text.replace('_', ""));
    }
    if get("read_from").is_some_and(|from| from.text == "end") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    multiline(settings, prefix, &mut ours, draft);
    for name in NOT_NEEDED {
        get(name);
    }
    match (ours.has("include"), get("type")) {
        (false, Some(kind)) => draft.note(
            kind.line,
            format_args!("sources.{source}: left out, it includes nothing"),
        ),
        _ => draft.inputs.push(ours),
    }
}

fn journal(settings: &Settings, prefix: &str, source: &str, to: &Destination, draft: &mut Draft) {
    let get = |name: &str| settings.text(&format!("{prefix}{name}"));
    let texts = |name: &str| {
        settings
            .texts(&format!("{prefix}{name}"))
            .into_iter()
            .map(|text| text.text)
    };
    let mut ours = Input::default();
    ours.keys.push(("topic", topic_of(to, source, draft)));
    // A name without a suffix is a service.
    let unit = |name: String| {
        if name.contains('.') {
            name
        } else {
            format!("{name}.service")
        }
    };
    let units = texts("include_units").chain(texts("units")).map(unit);
    let mut matches: Vec<_> = units.map(|unit| format!("_SYSTEMD_UNIT={unit}")).collect();
    for field in settings.names_below(&format!("{prefix}include_matches.")) {
        matches.extend(texts(&format!("include_matches.{field}")).map(|value| format!("{field}={value}")));
    }
    ours.add_texts("matches", matches);
    for unit in texts("exclude_units").map(unit) {
        ours.condition_on("unit", "drop", Value::String(format!("^{}$", regex::escape(&unit))));
    }
    let paths = [
        ("directory", "journal_directory"),
        ("namespace", "journal_namespace"),
        ("journalctl", "journalctl_path"),
    ];
    for (key, theirs) in paths {
        if let Some(text) = get(theirs) {
            ours.keys.push((key, Value::String(text.text)));
        }
    }
    if to.is_json {
        ours.keys.push(("format", Value::String("json".to_owned())));
    }
    if settings.is_set(&format!("{prefix}since_now")) {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    if let Some(kind) = get("type")
        && get("current_boot_only").is_none_or(|only| only.text != "false")
    {
        draft.note(
            kind.line,
            format_args!("sources.{source}: current_boot_only: entries of earlier boots are read here too"),
        );
    }
    for name in ["batch_size", "data_dir", "emit_cursor"] {
        get(name);
    }
    draft.add_journal(ours, source);
}

/// Its events are always parsed.
fn syslog(settings: &Settings, prefix: &str, source: &str, to: &Destination, draft: &mut Draft) {
    let get = |name: &str| settings.text(&format!("{prefix}{name}"));
    let (Some(mode), Some(address)) = (get("mode"), get("address")) else {
        return;
    };
    let protocol = if mode.text == "udp" { "udp" } else { "tcp" };
    let mut ours = Input::default();
    ours.keys.push(("topic", topic_of(to, source, draft)));
    ours.keys.push((protocol, Value::String(address.text)));
    if to.is_json {
        ours.keys.push(("format", Value::String("json".to_owned())));
    }
    ours.transform.push(("parse", Value::String("syslog".to_owned())));
    draft.syslog.push(ours);
}

/// The sink's, unless it depends on the event; or else what the source is called.
fn topic_of(to: &Destination, source: &str, draft: &mut Draft) -> Value {
    match &to.topic {
        Some(text) if !text.text.contains("{{") => topic(&text.text),
        Some(text) => {
            draft.note(
                text.line,
                format_args!(
                    "topic: \"{}\" depends on the event; each [[files]] has a topic of its own here",
                    text.text
                ),
            );
            topic(source)
        }
        None => topic(source),
    }
}

fn multiline(settings: &Settings, prefix: &str, ours: &mut Input, draft: &mut Draft) {
    let get = |name: &str| settings.text(&format!("{prefix}multiline.{name}"));
    let Some(condition) = get("condition_pattern") else {
        return;
    };
    let Some(pattern) = draft.pattern(condition.line, "multiline.condition_pattern", &condition.text) else {
        return;
    };
    let mode = get("mode").map_or_else(String::new, |mode| mode.text);
    let key = match &*mode {
        "continue_through" => "continuation",
        "continue_past" => "continued",
        "halt_before" => "start",
        "halt_with" => "end",
        _ => {
            draft.note(
                condition.line,
                format_args!("multiline.mode: \"{mode}\" is not known here"),
            );
            return;
        }
    };
    // What begins an event is there what does not belong to the one before; here it is by the condition alone.
    get("start_pattern");
    let timeout = get("timeout_ms").map_or_else(|| "1000".to_owned(), |timeout| timeout.text.replace('_', ""));
    let pairs = [
        (key.to_owned(), pattern),
        ("timeout".to_owned(), Value::String(format!("{timeout}ms"))),
    ];
    ours.keys.push(("multiline", table(pairs)));
}
