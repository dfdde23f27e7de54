//! Fluent Bit's filters that we have as well: grep, and what adds, removes and renames.

use toml::Value;

use super::super::draft::{Draft, Input, table};
use super::super::settings::{Settings, Text};
use super::parsers::bare;
use crate::batch::RESERVED_LABELS;

/// One of our inputs, and the tag that Fluent Bit gives it.
pub(super) struct Tagged {
    pub(super) tag: String,
    pub(super) ours: Input,
    pub(super) source: Source,
}

/// Which of our tables it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Files,
    /// With the name of its position.
    Journald(String),
    Syslog,
}

/// Whether what has this tag goes to where this is said: `*` stands for anything.
pub(super) fn matches(pattern: &str, tag: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == tag,
        Some((before, after)) => {
            // A tag of ours may have a star itself, for what a path becomes.
            let rest = tag.strip_prefix(before);
            rest.is_some_and(|rest| after.is_empty() || (0..=rest.len()).any(|at| ends(after, rest, at)))
        }
    }
}

fn ends(pattern: &str, rest: &str, at: usize) -> bool {
    rest.get(at..).is_some_and(|rest| matches(pattern, rest))
}

/// Applies a filter to the inputs that it is for.
pub(super) fn apply(filter: &Settings, inputs: &mut [Tagged], draft: &mut Draft) {
    let name = super::kind_of(filter);
    let is_for = filter.text("match").map_or_else(String::new, |is_for| is_for.text);
    for not_needed in ["alias", "log_level"] {
        filter.text(not_needed);
    }
    let mut for_these = inputs
        .iter_mut()
        .filter(|input| matches(&is_for, &input.tag))
        .peekable();
    if for_these.peek().is_none() {
        draft.note(
            filter.line(),
            format_args!("filter {name}: left out, it matches no input that came over"),
        );
        filter.below("");
        return;
    }
    if filter.has("condition") {
        draft.note(
            filter.line(),
            format_args!("filter {name}: left out, it has a condition"),
        );
        filter.below("");
        return;
    }
    for input in for_these {
        let ours = &mut input.ours;
        match &*name {
            "grep" => grep(filter, ours, draft),
            "record_modifier" => {
                labels(filter, "record", ours, draft);
                remove(filter, "remove_key", ours, draft);
            }
            "modify" => {
                labels(filter, "add", ours, draft);
                labels(filter, "set", ours, draft);
                remove(filter, "remove", ours, draft);
                rename(filter, ours, draft);
            }
            "kubernetes" if input.source == Source::Files => {
                super::parsers::container(ours);
                filter.below("");
                let said =
                    "filter kubernetes: namespace, pod and container come from the path; pod labels do not come over";
                draft.note(filter.line(), said);
            }
            _ => {
                filter.below("");
                draft.note(filter.line(), format_args!("filter {name}: not carried over"));
            }
        }
    }
    draft.note_left(filter, &format!("filter {name}: "));
}

/// Whatever is said under this name, which may be several times.
fn all(filter: &Settings, name: &str, draft: &mut Draft) -> Vec<Text> {
    let mut texts = Vec::new();
    if filter.text(name).is_none() {
        texts = filter.texts(name);
    }
    for (rest, text) in filter.below(name) {
        match rest.is_empty() {
            true => texts.push(text),
            false => draft.note(text.line, format_args!("{name}{rest}: not carried over")),
        }
    }
    texts
}

/// The first word, and the rest.
fn words(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim())
}

/// `Exclude KEY PATTERN` and `Regex KEY PATTERN`. Of the latter all have to match there, and one here.
fn grep(filter: &Settings, ours: &mut Input, draft: &mut Draft) {
    let operator = filter
        .text("logical_op")
        .map_or_else(String::new, |operator| operator.text.to_ascii_lowercase());
    let drop = all(filter, "exclude", draft);
    let keep = all(filter, "regex", draft);
    let is_legacy = ["", "legacy"].contains(&&*operator);
    if !is_legacy && drop.len() + keep.len() > 1 || keep.len() > 1 || !keep.is_empty() && ours.has("keep") {
        draft.note(
            filter.line(),
            "filter grep: left out, how its conditions go together cannot be said here",
        );
        return;
    }
    let drop = drop.into_iter().map(|text| ("drop", text));
    for (key, Text { line, text }) in drop.chain(keep.into_iter().map(|text| ("keep", text))) {
        let (field, pattern) = words(&text);
        let field = field.trim_start_matches('$');
        let Some(value) = draft.pattern(line, "filter grep", bare(pattern)) else {
            continue;
        };
        let is_plain = !field.contains(['[', '\'', '"']);
        match field {
            "log" | "message" if !ours.has("parse") => ours.condition(key, value),
            "stream" => ours.condition_on(field, key, value),
            _ if is_plain && ours.has("parse") => ours.condition_on(field, key, value),
            _ => draft.note(
                line,
                format_args!("filter grep: left out, there is no field \"{field}\" here"),
            ),
        }
    }
}

fn labels(filter: &Settings, name: &str, ours: &mut Input, draft: &mut Draft) {
    for Text { line, text } in all(filter, name, draft) {
        let (label, value) = words(&text);
        if RESERVED_LABELS.contains(&label) {
            draft.note(line, format_args!("{label}: left out, the agent sets `{label}` itself"));
            continue;
        }
        let value = Value::String(value.to_owned());
        match ours.keys.iter_mut().find(|(key, _)| *key == "labels") {
            Some((_, Value::Table(labels))) => drop(labels.insert(label.to_owned(), value)),
            _ => ours.keys.push(("labels", table([(label.to_owned(), value)]))),
        }
    }
}

fn remove(filter: &Settings, name: &str, ours: &mut Input, draft: &mut Draft) {
    let removed = all(filter, name, draft);
    if let Some(first) = removed.first().filter(|_| !ours.has("parse")) {
        draft.note(
            first.line,
            format_args!("{name}: left out, there are no fields where nothing is parsed"),
        );
    } else if !removed.is_empty() {
        let names = removed.into_iter().map(|text| Value::String(text.text));
        match ours.transform.iter_mut().find(|(key, _)| *key == "remove") {
            Some((_, Value::Array(all))) => all.extend(names),
            _ => ours.transform.push(("remove", Value::Array(names.collect()))),
        }
    }
}

fn rename(filter: &Settings, ours: &mut Input, draft: &mut Draft) {
    let renamed = all(filter, "rename", draft);
    if let Some(first) = renamed.first().filter(|_| !ours.has("parse")) {
        draft.note(
            first.line,
            "rename: left out, there are no fields where nothing is parsed",
        );
    } else if !renamed.is_empty() {
        let pair = |text: &Text| {
            let (from, to) = words(&text.text);
            (from.to_owned(), Value::String(to.to_owned()))
        };
        let pairs = renamed.iter().map(pair);
        match ours.transform.iter_mut().find(|(key, _)| *key == "rename") {
            Some((_, Value::Table(all))) => all.extend(pairs),
            _ => ours.transform.push(("rename", table(pairs))),
        }
    }
}
