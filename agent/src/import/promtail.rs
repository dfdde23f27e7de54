//! Promtail's configuration: `scrape_configs` with `static_configs` or a `journal`, and the stages of their pipelines that we have as well.

use toml::Value;

use super::draft::{Draft, Input, strings, table, topic};
use super::settings::{Settings, Text};
use crate::journald::FIELDS;

pub(super) fn draft(settings: &Settings, draft: &mut Draft) {
    draft.bootstrap = vec!["collector:9092".to_owned()];
    for client in settings.list("clients") {
        draft.note(
            client.line(),
            "clients: Promtail sends to Loki; set collector.bootstrap by hand",
        );
        client.below("");
    }
    for scrape in settings.list("scrape_configs") {
        let job = scrape
            .text("job_name")
            .map_or_else(|| "logs".to_owned(), |job| job.text);
        let stages: Vec<_> = scrape.list("pipeline_stages");
        for group in scrape.list("static_configs") {
            files(group, &job, &stages, draft);
        }
        if scrape.has("journal") {
            journal(scrape, &job, &stages, draft);
        }
        for stage in stages {
            draft.note_left(stage, &format!("{job}: pipeline_stages."));
        }
        draft.note_left(scrape, &format!("{job}: "));
    }
    for prefix in ["server.", "positions."] {
        settings.below(prefix);
    }
}

fn files(group: &Settings, job: &str, stages: &[&Settings], draft: &mut Draft) {
    group.texts("targets");
    let Some(path) = group.text("labels.__path__") else {
        return;
    };
    let labels = group.below("labels.");
    let exclude = labels.iter().find(|(name, _)| name == "__path_exclude__");
    let name = labels
        .iter()
        .find(|(name, _)| name == "job")
        .map_or(job, |(_, text)| &*text.text);
    let mut ours = Input::default();
    ours.keys.push(("topic", topic(name)));
    ours.keys.push(("include", strings([path.text])));
    if let Some((_, exclude)) = exclude {
        ours.keys.push(("exclude", strings([exclude.text.clone()])));
    }
    let kept: Vec<_> = labels
        .iter()
        .filter(|(name, _)| !is_reserved(name))
        .map(|(name, text)| (name.clone(), Value::String(text.text.clone())))
        .collect();
    if !kept.is_empty() {
        ours.keys.push(("labels", table(kept)));
    }
    for stage in stages {
        apply(stage, &mut ours, draft);
    }
    draft.inputs.push(ours);
}

fn journal(scrape: &Settings, job: &str, stages: &[&Settings], draft: &mut Draft) {
    let mut ours = Input::default();
    ours.keys.push(("topic", topic(job)));
    if let Some(path) = scrape.text("journal.path") {
        ours.keys.push(("directory", Value::String(path.text)));
    }
    let matches = scrape
        .text("journal.matches")
        .map_or_else(String::new, |matches| matches.text);
    ours.add_texts("matches", matches.split_whitespace().map(str::to_owned).collect());
    if scrape.is_set("journal.json") {
        ours.keys.push(("format", Value::String("json".to_owned())));
    }
    let labels = scrape.below("journal.labels.").into_iter();
    let labels = labels.map(|(name, text)| (name, Value::String(text.text)));
    let is_field = |name: &str| FIELDS.iter().any(|(_, ours)| *ours == name);
    let (taken, labels): (Vec<_>, Vec<_>) = labels.partition(|(name, _)| is_reserved(name) || is_field(name));
    for (name, _) in taken {
        draft.note(
            scrape.line(),
            format_args!("{job}: label {name}: left out, that is what a field of entries is called"),
        );
    }
    if !labels.is_empty() {
        ours.keys.push(("labels", table(labels)));
    }
    draft.note(
        scrape.line(),
        format_args!("{job}: max_age: all that is in the journal is read here, however old"),
    );
    scrape.text("journal.max_age");
    for relabel in scrape.list("relabel_configs") {
        let from = relabel
            .texts("source_labels")
            .into_iter()
            .map(|text| text.text)
            .collect::<String>();
        let field = FIELDS
            .iter()
            .find(|(journal, _)| from == format!("__journal_{}", journal.to_ascii_lowercase()));
        let to = relabel.text("target_label").map_or_else(String::new, |to| to.text);
        // It is a header anyway.
        let is_plain = !["regex", "replacement", "action", "separator"]
            .iter()
            .any(|name| relabel.has(name));
        if !is_plain || field.is_none_or(|(_, ours)| *ours != to) {
            draft.note(
                relabel.line(),
                format_args!("{job}: relabel_configs: {from} as {to}: not carried over"),
            );
        }
        relabel.below("");
    }
    for stage in stages {
        apply(stage, &mut ours, draft);
    }
    for key in ["container", "multiline"] {
        if ours.has(key) {
            draft.note(
                scrape.line(),
                format_args!("{job}: {key}: left out, an entry of a journal is an event"),
            );
            ours.keys.retain(|(other, _)| *other != key);
        }
    }
    draft.add_journal(ours, job);
}

fn is_reserved(label: &str) -> bool {
    label.starts_with("__") || crate::batch::RESERVED_LABELS.contains(&label)
}

/// One stage. What is not taken of it is left, and said.
fn apply(stage: &Settings, ours: &mut Input, draft: &mut Draft) {
    if !ours.has("container") && ["cri", "docker"].into_iter().any(|name| stage.has(name)) {
        for name in ["cri", "docker"] {
            stage.text(name);
            stage.below(&format!("{name}."));
        }
        ours.keys.push(("container", Value::Boolean(true)));
    }
    multiline(stage, ours, draft);
    if let Some(expression) = stage.text("drop.expression")
        && !stage.has("drop.source")
        && let Some(pattern) = draft.pattern(expression.line, "drop.expression", &expression.text)
    {
        stage.text("drop.drop_counter_reason");
        ours.condition("drop", pattern);
    }
    let parsed_already = ours.has("parse");
    if let Some(expression) = stage.text("regex.expression").filter(|_| !parsed_already)
        && let Some(pattern) = draft.pattern(expression.line, "regex.expression", &expression.text)
    {
        ours.transform.push(("parse", table([("regex".to_owned(), pattern)])));
    }
    if stage.has("json") && !parsed_already {
        json(stage, ours, draft);
    }
    if ours.has("parse")
        && !ours.has("time")
        && let Some(source) = stage.text("timestamp.source")
    {
        time(stage, &source, ours, draft);
    }
}

fn multiline(stage: &Settings, ours: &mut Input, draft: &mut Draft) {
    let Some(first) = stage.text("multiline.firstline").filter(|_| !ours.has("multiline")) else {
        return;
    };
    let Some(start) = draft.pattern(first.line, "multiline.firstline", &first.text) else {
        return;
    };
    let mut pairs = vec![("start".to_owned(), start)];
    let lines = stage.text("multiline.max_lines");
    if let Some(lines) = lines.and_then(|lines| lines.text.parse::<i64>().ok()) {
        pairs.push(("max_lines".to_owned(), Value::Integer(lines.clamp(2, 1_000_000))));
    }
    let wait = stage.text("multiline.max_wait_time");
    let wait = wait.map_or_else(|| "3s".to_owned(), |wait| wait.text);
    pairs.push(("timeout".to_owned(), Value::String(wait)));
    ours.keys.push(("multiline", table(pairs)));
}

/// All members of the object become fields here, and some get another name.
fn json(stage: &Settings, ours: &mut Input, draft: &mut Draft) {
    ours.transform.push(("parse", Value::String("json".to_owned())));
    let mut renamed = Vec::new();
    for (name, path) in stage.below("json.expressions.") {
        let is_member = path
            .text
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_');
        if !is_member {
            draft.note(
                path.line,
                format_args!(
                    "json.expressions.{name}: \"{}\" is more than the name of a member",
                    path.text
                ),
            );
        } else if !path.text.is_empty() && path.text != name {
            renamed.push((path.text, Value::String(name)));
        }
    }
    if !renamed.is_empty() {
        ours.transform.push(("rename", table(renamed)));
    }
}

/// What a field is called before it is renamed, which is after its time is read.
fn original(ours: &Input, name: &str) -> String {
    let renamed = ours.transform.iter().find_map(|(key, value)| match value {
        Value::Table(renamed) if *key == "rename" => Some(renamed),
        _ => None,
    });
    let mut renamed = renamed.into_iter().flatten();
    let original = renamed.find(|(_, theirs)| theirs.as_str() == Some(name));
    original.map_or_else(|| name.to_owned(), |(original, _)| original.clone())
}

fn time(stage: &Settings, source: &Text, ours: &mut Input, draft: &mut Draft) {
    let format = stage
        .text("timestamp.format")
        .map_or_else(String::new, |format| format.text);
    let ours_format = match &*format {
        "RFC3339" | "RFC3339Nano" => None,
        "Unix" => Some("unix"),
        "UnixMs" => Some("unix_ms"),
        "UnixUs" => Some("unix_us"),
        "UnixNs" => Some("unix_ns"),
        other => {
            draft.note(
                source.line,
                format_args!(
                    "timestamp: the format \"{other}\" is Go's; write it as strftime does in files.transform.time"
                ),
            );
            return;
        }
    };
    let field = ("field".to_owned(), Value::String(original(ours, &source.text)));
    let format = ours_format.map(|format| ("format".to_owned(), Value::String(format.to_owned())));
    ours.transform.push(("time", table([field].into_iter().chain(format))));
}
