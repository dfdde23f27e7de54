//! Fluent Bit's configuration, in both of its languages: inputs of the types `tail`, `systemd` and `syslog`, outputs of the type `kafka`, and the
//! parsers and filters that we have as well.

mod classic;
mod filters;
mod parsers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Value;

use super::draft::{Draft, Input, address, strings, topic};
use super::settings::{Settings, Text};
use super::tree::Node;
use crate::frame::Charset;
use filters::{Source, Tagged, matches};
use parsers::Parsers;

/// What is not needed here: how often it looks, how it buffers, how it keeps its positions.
const NOT_NEEDED: [&str; 22] = [
    "alias",
    "buffer_chunk_size",
    "buffer_max_size",
    "db",
    "db.compare_filename",
    "db.journal_mode",
    "db.locking",
    "db.sync",
    "docker_mode_flush",
    "event_batch_size",
    "file_cache_advise",
    "inotify_watcher",
    "log_level",
    "mem_buf_limit",
    "read_newly_discovered_files_from_head",
    "refresh_interval",
    "rotate_wait",
    "static_batch_size",
    "storage.pause_on_chunks_overlimit",
    "storage.type",
    "threaded",
    "watcher_interval",
];

/// Whichever of the two languages it is in.
pub(super) fn settings(text: &str) -> Result<Settings, String> {
    let is_classic = text.lines().any(|line| line.trim_start().starts_with('['));
    match is_classic {
        true => Ok(Settings::of(classic::tree(text))),
        false => Node::from_yaml(text).map(|node| Settings::of(classic::lowered(node))),
    }
}

pub(super) fn draft(settings: &Settings, draft: &mut Draft) {
    let parsers = Parsers {
        single: settings.list("parsers"),
        multiline: settings.list("multiline_parsers"),
    };
    let outputs = outputs(settings, draft);
    let mut inputs = Vec::new();
    let mut count = BTreeMap::new();
    for input in settings.list("pipeline.inputs") {
        let kind = kind_of(input);
        let number = count.entry(kind.clone()).or_insert(0);
        // What has no tag is called like this.
        let tag = format!("{kind}.{number}");
        *number += 1;
        match &*kind {
            "tail" => inputs.extend(files(input, &tag, &parsers, &outputs, draft)),
            "systemd" => inputs.push(journal(input, &tag, &outputs, draft)),
            "syslog" => inputs.extend(syslog(input, &tag, &outputs, draft)),
            _ => draft.note(
                input.line(),
                format_args!("an input of type {kind}: not carried over, it is none of files, journals or syslog"),
            ),
        }
    }
    for filter in settings.list("pipeline.filters") {
        filters::apply(filter, &mut inputs, draft);
    }
    for Tagged { ours, source, .. } in inputs {
        match source {
            Source::Files => draft.inputs.push(ours),
            Source::Journald(name) => draft.add_journal(ours, &name),
            Source::Syslog => draft.syslog.push(ours),
        }
    }
    for (name, file) in settings.below("@include") {
        draft.note(
            file.line,
            format_args!("@include{name} {}: ask for that file by itself", file.text),
        );
    }
    settings.below("service.");
}

/// One output to Kafka, and what goes there.
struct Output {
    is_for: String,
    topic: Option<String>,
    is_raw: bool,
}

fn outputs(settings: &Settings, draft: &mut Draft) -> Vec<Output> {
    let mut outputs = Vec::new();
    for output in settings.list("pipeline.outputs") {
        match &*kind_of(output) {
            "kafka" => outputs.extend(kafka(output, draft)),
            kind => draft.note(
                output.line(),
                format_args!("an output of type {kind}: not carried over"),
            ),
        }
    }
    if draft.bootstrap.is_empty() {
        draft.bootstrap = vec!["collector:9092".to_owned()];
        draft.note(
            0,
            "there is no output of type kafka: collector.bootstrap is to be set by hand",
        );
    }
    outputs
}

fn kafka(output: &Settings, draft: &mut Draft) -> Option<Output> {
    let brokers: Vec<_> = separated(output, "brokers")
        .iter()
        .map(|broker| with_port(broker))
        .collect();
    if draft.bootstrap.is_empty() {
        draft.bootstrap = brokers;
        security(output, draft);
    } else if !brokers.iter().any(|broker| draft.bootstrap.contains(broker)) {
        draft.note(
            output.line(),
            "an output of type kafka: left out, an agent sends to one cluster",
        );
        return None;
    }
    let topics = separated(output, "topics");
    if topics.len() > 1 {
        draft.note(
            output.line(),
            "topics: only the first; each [[files]] has a topic of its own here",
        );
    }
    let format = output.text("format");
    let is_raw = format.as_ref().is_some_and(|format| format.text == "raw");
    match format.filter(|format| !["raw", "json"].contains(&&*format.text)) {
        Some(format) => draft.note(format.line, format_args!("format {}: json here", format.text)),
        None if !is_raw => draft.note(
            output.line(),
            "the line itself is the member `message` here, and not `log`",
        ),
        None => {}
    }
    for name in [
        "raw_log_key",
        "retry_limit",
        "queue_full_retries",
        "workers",
        "alias",
        "client_id",
        "log_level",
    ] {
        output.text(name);
    }
    output.below("rdkafka.");
    let is_for = output.text("match").map_or_else(String::new, |is_for| is_for.text);
    draft.note_left(output, "output kafka: ");
    Some(Output {
        is_for,
        topic: topics.into_iter().next(),
        is_raw,
    })
}

/// What kind of input, filter or output it is.
fn kind_of(settings: &Settings) -> String {
    settings
        .text("name")
        .map_or_else(String::new, |name| name.text.to_ascii_lowercase())
}

/// What stands between commas, and in lists.
fn separated(settings: &Settings, name: &str) -> Vec<String> {
    let texts = settings.texts(name);
    let all = texts.iter().flat_map(|text| text.text.split(','));
    all.map(|one| one.trim().to_owned())
        .filter(|one| !one.is_empty())
        .collect()
}

fn with_port(broker: &str) -> String {
    match broker.contains(':') {
        true => broker.to_owned(),
        false => format!("{broker}:9092"),
    }
}

fn security(output: &Settings, draft: &mut Draft) {
    let get = |name: &str| output.text(&format!("rdkafka.{name}")).map(|text| text.text);
    let protocol = get("security.protocol").unwrap_or_default().to_ascii_uppercase();
    if protocol.ends_with("SSL") {
        let paths = [
            ("ca", "ssl.ca.location"),
            ("cert", "ssl.certificate.location"),
            ("key", "ssl.key.location"),
        ];
        let tls = paths
            .into_iter()
            .filter_map(|(key, name)| Some((key, Value::String(get(name)?))));
        draft.tls = Some(tls.collect());
    }
    if protocol.starts_with("SASL") {
        let mechanism = get("sasl.mechanism").or_else(|| get("sasl.mechanisms"));
        let text = |text: Option<String>| Value::String(text.unwrap_or_default());
        draft.sasl = Some(vec![
            ("mechanism", text(mechanism)),
            ("user", text(get("sasl.username"))),
            ("password", text(get("sasl.password"))),
        ]);
    }
}

fn files(
    input: &Settings,
    default_tag: &str,
    parsers: &Parsers<'_>,
    outputs: &[Output],
    draft: &mut Draft,
) -> Option<Tagged> {
    let paths = separated(input, "path");
    if paths.is_empty() {
        draft.note(input.line(), "an input of type tail: left out, it has no path");
        return None;
    }
    let Tagged { tag, mut ours, .. } = begun(input, default_tag, outputs, draft);
    ours.keys.push(("include", strings(paths)));
    let excluded = separated(input, "exclude_path");
    if !excluded.is_empty() {
        ours.keys.push(("exclude", strings(excluded)));
    }
    if let Some(older) = input.text("ignore_older") {
        ours.ignore_older(&older.text);
    }
    if !input.is_set("read_from_head") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    events(input, parsers, &mut ours, draft);
    encoding(input, &mut ours, draft);
    if let Some(skip) = input.text("skip_long_lines") {
        draft.note(
            skip.line,
            "skip_long_lines: lines longer than max_line_bytes are split, and nothing is skipped",
        );
    }
    if let Some(key) = input.text("path_key").filter(|key| key.text != "path") {
        draft.note(
            key.line,
            format_args!("path_key: the path is `path` here, and not `{}`", key.text),
        );
    }
    for name in NOT_NEEDED {
        input.text(name);
    }
    draft.note_left(input, "input tail: ");
    Some(Tagged {
        tag,
        ours,
        source: Source::Files,
    })
}

/// With topic and format of the first output that is for it.
fn begun(input: &Settings, default_tag: &str, outputs: &[Output], draft: &mut Draft) -> Tagged {
    let tag = input.text("tag").map_or_else(|| default_tag.to_owned(), |tag| tag.text);
    let output = outputs.iter().find(|output| matches(&output.is_for, &tag));
    if output.is_none() && !outputs.is_empty() {
        draft.note(
            input.line(),
            format_args!("tag {tag}: no output of type kafka matches it"),
        );
    }
    let mut ours = Input::default();
    let named = output.and_then(|output| output.topic.as_deref());
    ours.keys.push(("topic", topic(named.unwrap_or(&tag))));
    if !output.is_some_and(|output| output.is_raw) {
        ours.keys.push(("format", Value::String("json".to_owned())));
    }
    Tagged {
        tag,
        ours,
        source: Source::Syslog,
    }
}

fn journal(input: &Settings, default_tag: &str, outputs: &[Output], draft: &mut Draft) -> Tagged {
    let mut begun = begun(input, default_tag, outputs, draft);
    // Its database does not say of which input it is, so it goes by that file's name.
    let database = input.text("db").map(|database| PathBuf::from(database.text));
    let name = database
        .as_deref()
        .and_then(Path::file_stem)
        .map(|name| name.to_string_lossy().into_owned());
    begun.source = Source::Journald(name.unwrap_or_else(|| begun.tag.clone()));
    let ours = &mut begun.ours;
    if let Some(path) = input.text("path") {
        ours.keys.push(("directory", Value::String(path.text)));
    }
    let kind = input.text("systemd_filter_type");
    // Several of one name, or a list.
    let named = input.below("systemd_filter").into_iter().map(|(_, filter)| filter);
    let mut filters: Vec<_> = named.filter(|filter| filter.text.contains('=')).collect();
    if filters.is_empty() {
        filters = input.texts("systemd_filter");
    }
    let fields = filters
        .iter()
        .filter_map(|filter| filter.text.split_once('='))
        .map(|(field, _)| field);
    let is_or = kind.is_none_or(|kind| kind.text.eq_ignore_ascii_case("or"));
    if is_or && fields.collect::<BTreeSet<_>>().len() > 1 {
        draft.note(
            input.line(),
            "systemd_filter: left out, it asks for one of several fields; write an input of its own for each",
        );
    } else {
        ours.add_texts("matches", filters.into_iter().map(|filter| filter.text).collect());
    }
    if input.is_set("read_from_tail") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    for name in NOT_NEEDED
        .into_iter()
        .chain(["max_fields", "max_entries", "lowercase", "strip_underscores"])
    {
        input.text(name);
    }
    draft.note_left(input, "input systemd: ");
    begun
}

fn syslog(input: &Settings, default_tag: &str, outputs: &[Output], draft: &mut Draft) -> Option<Tagged> {
    let mode = input
        .text("mode")
        .map_or_else(|| "unix_udp".to_owned(), |mode| mode.text);
    let protocol = match &*mode {
        "udp" => "udp",
        "tcp" => "tcp",
        _ => {
            draft.note(
                input.line(),
                format_args!("an input of type syslog: left out, its mode is {mode}"),
            );
            return None;
        }
    };
    let mut begun = begun(input, default_tag, outputs, draft);
    let get = |name: &str, default: &str| input.text(name).map_or_else(|| default.to_owned(), |text| text.text);
    let address = address(&get("listen", "0.0.0.0"), &get("port", "5140"));
    begun.ours.keys.push((protocol, Value::String(address)));
    begun.ours.transform.push(("parse", Value::String("syslog".to_owned())));
    for name in [
        "parser",
        "buffer_chunk_size",
        "buffer_max_size",
        "receive_buffer_size",
        "mem_buf_limit",
    ] {
        input.text(name);
    }
    draft.note_left(input, "input syslog: ");
    Some(begun)
}

fn events(input: &Settings, parsers: &Parsers<'_>, ours: &mut Input, draft: &mut Draft) {
    for names in input.texts("multiline.parser") {
        parsers.join(&names, ours, draft);
    }
    if input.is_set("docker_mode") {
        parsers::container(ours);
    }
    if input.is_set("multiline")
        && let Some(name) = input.text("parser_firstline")
    {
        parsers.first_line(&name, ours, draft);
    }
    input.text("multiline_flush");
    if let Some(name) = input.text("parser") {
        parsers.parse(&name, ours, draft);
    }
}

fn encoding(input: &Settings, ours: &mut Input, draft: &mut Draft) {
    let Some(Text { line, text }) = input
        .text("unicode.encoding")
        .or_else(|| input.text("generic.encoding"))
    else {
        return;
    };
    let name = text.to_ascii_lowercase();
    match Charset::named(&name) {
        Ok(_) if ours.has("container") => draft.note(line, "encoding: left out, container runtimes write UTF-8"),
        Ok(_) => ours.keys.push(("encoding", Value::String(name))),
        Err(error) => draft.note(line, format_args!("encoding: {error}")),
    }
}
