//! Fluent Bit's parsers: those that everybody has with it, and those of the file itself.

use toml::Value;

use super::super::draft::{Draft, Input, table};
use super::super::settings::{Settings, Text};
use crate::transform::TimeFormat;

/// How our presets call what comes with Fluent Bit.
const KNOWN: [(&str, &str); 8] = [
    ("json", "json"),
    ("logfmt", "logfmt"),
    ("nginx", "nginx"),
    ("apache", "apache"),
    ("apache2", "apache"),
    ("syslog-rfc3164", "syslog"),
    ("syslog-rfc3164-local", "syslog"),
    ("syslog-rfc5424", "syslog"),
];

/// All that is defined in the file.
pub(super) struct Parsers<'a> {
    pub(super) single: Vec<&'a Settings>,
    pub(super) multiline: Vec<&'a Settings>,
}

impl<'a> Parsers<'a> {
    /// Fields of each event.
    pub(super) fn parse(&self, name: &Text, ours: &mut Input, draft: &mut Draft) {
        let wanted = name.text.to_ascii_lowercase();
        if ["docker", "cri"].contains(&&*wanted) {
            container(ours);
            return;
        }
        if ours.has("parse") {
            draft.note(
                name.line,
                format_args!("parser {}: left out, there is one already", name.text),
            );
            return;
        }
        let Some(parser) = named(&self.single, &name.text) else {
            match KNOWN.iter().find(|(theirs, _)| *theirs == wanted) {
                Some((_, preset)) => ours.transform.push(("parse", Value::String((*preset).to_owned()))),
                None => unknown(name, draft),
            }
            return;
        };
        let format = parser.text("format").map_or_else(String::new, |format| format.text);
        match &*format.to_ascii_lowercase() {
            preset @ ("json" | "logfmt") => ours.transform.push(("parse", Value::String(preset.to_owned()))),
            "regex" => {
                let Some(value) = pattern_of(parser, "regex", draft) else {
                    return;
                };
                ours.transform.push(("parse", table([("regex".to_owned(), value)])));
            }
            _ => {
                draft.note(
                    name.line,
                    format_args!("parser {}: the format \"{format}\" is not known here", name.text),
                );
                return;
            }
        }
        time(parser, ours, draft);
        for not_needed in ["time_keep", "time_strict", "types"] {
            parser.text(not_needed);
        }
    }

    /// `multiline.parser`: one of the built-in ones, or one of the file.
    pub(super) fn join(&self, names: &Text, ours: &mut Input, draft: &mut Draft) {
        for name in names.text.split(',').map(str::trim) {
            match name {
                "docker" | "cri" => container(ours),
                "java" | "python" | "go" if !ours.has("multiline") => {
                    ours.keys.push(("multiline", Value::String(name.to_owned())));
                }
                "java" | "python" | "go" => {
                    // Together they are what "auto" is.
                    ours.keys.retain(|(key, _)| *key != "multiline");
                    ours.keys.push(("multiline", Value::String("auto".to_owned())));
                }
                _ => match named(&self.multiline, name) {
                    Some(parser) => rules(parser, ours, draft),
                    None => unknown(
                        &Text {
                            line: names.line,
                            text: name.to_owned(),
                        },
                        draft,
                    ),
                },
            }
        }
    }

    /// `parser_firstline`: what matches begins an event.
    pub(super) fn first_line(&self, name: &Text, ours: &mut Input, draft: &mut Draft) {
        let Some(parser) = named(&self.single, &name.text) else {
            unknown(name, draft);
            return;
        };
        parser.text("format");
        if let Some(start) = pattern_of(parser, "regex", draft) {
            multiline(ours, name.line, [("start".to_owned(), start)], draft);
        }
    }
}

/// Which lines belong together, if nothing has said so before.
fn multiline<const N: usize>(ours: &mut Input, line: usize, pairs: [(String, Value); N], draft: &mut Draft) {
    match ours.has("multiline") {
        true => draft.note(line, "multiline: left out, another one is said already"),
        false => ours.keys.push(("multiline", table(pairs))),
    }
}

fn named<'a>(parsers: &[&'a Settings], name: &str) -> Option<&'a Settings> {
    let is_it = |parser: &&&Settings| parser.text("name").is_some_and(|of| of.text == name);
    parsers.iter().find(is_it).copied()
}

fn unknown(name: &Text, draft: &mut Draft) {
    draft.note(
        name.line,
        format_args!(
            "parser {}: it is in another file; write it as files.transform.parse or files.multiline",
            name.text
        ),
    );
}

/// Lines that a container runtime has wrapped.
pub(super) fn container(ours: &mut Input) {
    if !ours.has("container") {
        ours.keys.push(("container", Value::Boolean(true)));
    }
}

/// A pattern may stand between slashes.
fn pattern_of(settings: &Settings, name: &str, draft: &mut Draft) -> Option<Value> {
    let pattern = settings.text(name)?;
    draft.pattern(pattern.line, name, bare(&pattern.text))
}

pub(super) fn bare(pattern: &str) -> &str {
    let inner = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    inner.unwrap_or(pattern)
}

fn time(parser: &Settings, ours: &mut Input, draft: &mut Draft) {
    let (Some(key), Some(format)) = (parser.text("time_key"), parser.text("time_format")) else {
        return;
    };
    // `%L` are the digits of a second's parts there.
    let written = format.text.replace(".%L", "%.f");
    match TimeFormat::pattern(&written) {
        Ok(_) => {
            let pairs = [("field", key.text), ("format", written)];
            let pairs = pairs.map(|(name, text)| (name.to_owned(), Value::String(text)));
            ours.transform.push(("time", table(pairs)));
        }
        // Without a year, for one; ours may read it without being told how.
        Err(error) => draft.note(format.line, format_args!("time_format: left out: {error}")),
    }
}

/// `rule "state" "/pattern/" "next state"`: a first line, and what goes on.
fn rules(parser: &Settings, ours: &mut Input, draft: &mut Draft) {
    let mut rules: Vec<(usize, String, String)> = Vec::new();
    for rule in parser.list("rules") {
        let get = |name: &str| rule.text(name).map_or_else(String::new, |text| text.text);
        rules.push((rule.line(), get("state"), get("regex")));
        get("next_state");
    }
    for (_, rule) in parser.below("rule") {
        let mut quoted = rule.text.split('"').skip(1).step_by(2);
        let (state, pattern) = (quoted.next().unwrap_or_default(), quoted.next().unwrap_or_default());
        rules.push((rule.line, state.to_owned(), pattern.to_owned()));
    }
    parser.text("type");
    let timeout = parser
        .text("flush_timeout")
        .map_or_else(|| "2000".to_owned(), |timeout| timeout.text);
    let (first, rest): (Vec<_>, Vec<_>) = rules.into_iter().partition(|(_, state, _)| state == "start_state");
    let (key, (line, _, pattern)) = match (&*first, &*rest) {
        (_, [only]) => ("continuation", only),
        ([only], []) => ("start", only),
        _ => {
            draft.note(
                parser.line(),
                "multiline_parser: left out, it does not have one or two rules; write it as files.multiline",
            );
            return;
        }
    };
    let Some(value) = draft.pattern(*line, "rule", bare(pattern)) else {
        return;
    };
    let timeout = Value::String(format!("{}ms", timeout.trim_end_matches("ms")));
    let pairs = [(key.to_owned(), value), ("timeout".to_owned(), timeout)];
    multiline(ours, *line, pairs, draft);
}
