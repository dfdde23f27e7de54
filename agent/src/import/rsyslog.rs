//! rsyslog's configuration: inputs of the types `imfile`, `imudp` and `imtcp`, and the module `imjournal`, in both of its languages, and actions of the type
//! `omkafka`.

use toml::Value;

use super::draft::{Draft, Input, strings, table, topic};
use super::rainer::{What, parse};
use super::settings::Settings;

/// What is not needed here, or is about what rsyslog does with what it has read.
const NOT_NEEDED: [&str; 10] = [
    "type",
    "ruleset",
    "persiststateinterval",
    "persiststateaftersubmission",
    "maxlinesatonce",
    "maxsubmitatonce",
    "reopenontruncate",
    "deletestateonfiledelete",
    "escapelf",
    "needparse",
];

pub(super) fn draft(text: &str, draft: &mut Draft) {
    let statements = parse(text);
    let mut topic = None;
    for statement in &statements {
        match &statement.what {
            What::Object(kind, settings) if kind == "action" && is_of(settings, "omkafka") => {
                topic = settings.text("topic").map(|topic| topic.text).or(topic);
                output(settings, draft);
            }
            _ => {}
        }
    }
    if draft.bootstrap.is_empty() {
        draft.bootstrap = vec!["collector:9092".to_owned()];
        draft.note(
            0,
            "there is no action of type omkafka: collector.bootstrap is to be set by hand",
        );
    }
    let mut old = Old::default();
    for statement in &statements {
        let line = statement.line;
        match &statement.what {
            What::Object(kind, settings) if kind == "input" && is_of(settings, "imfile") => {
                files(settings, topic.as_deref(), draft);
            }
            What::Object(kind, settings) if kind == "input" && is_of(settings, "imudp") => {
                ports(settings, "udp", topic.as_deref(), draft);
            }
            What::Object(kind, settings)
                if kind == "input" && (is_of(settings, "imtcp") || is_of(settings, "imptcp")) =>
            {
                ports(settings, "tcp", topic.as_deref(), draft);
            }
            What::Object(kind, settings) if kind == "action" && is_of(settings, "omkafka") => {}
            What::Object(kind, settings) if kind == "module" && settings.has_below("streamdriver.") => {
                draft.note(
                    line,
                    "module: senders speak TLS; write it as tls = { cert = ..., key = ... } of [[syslog]]",
                );
            }
            What::Object(kind, settings)
                if kind == "module" && settings.text("load").is_some_and(|load| load.text == "imjournal") =>
            {
                journal(settings, topic.as_deref(), draft);
            }
            What::Object(kind, _) if ["global", "module", "ruleset", "template"].contains(&&**kind) => {}
            What::Object(kind, settings) => {
                let of = settings
                    .text("type")
                    .map_or_else(String::new, |of| format!(" of type {}", of.text));
                draft.note(line, format_args!("{kind}{of}: not carried over"));
            }
            What::Directive(name, value) => old.take(line, name, value, topic.as_deref(), draft),
            What::Other(text) => draft.note(line, format_args!("{text}: not carried over")),
        }
    }
}

fn is_of(settings: &Settings, kind: &str) -> bool {
    settings
        .text("type")
        .is_some_and(|of| of.text.eq_ignore_ascii_case(kind))
}

fn output(settings: &Settings, draft: &mut Draft) {
    let brokers = settings
        .texts("broker")
        .into_iter()
        .map(|broker| match broker.text.contains(':') {
            true => broker.text,
            false => format!("{}:9092", broker.text),
        });
    draft.bootstrap.extend(brokers);
    for parameter in settings.texts("confparam") {
        // Its value may be a password.
        let name = parameter.text.split('=').next().unwrap_or_default();
        if ["sasl", "ssl", "security"]
            .iter()
            .any(|secret| name.starts_with(secret))
        {
            draft.note(
                parameter.line,
                format_args!("confParam {name}: write it as [collector.tls] and [collector.sasl]"),
            );
        }
    }
}

fn files(settings: &Settings, topic_of_all: Option<&str>, draft: &mut Draft) {
    let Some(file) = settings.text("file") else {
        draft.note(settings.line(), "input: left out, it names no file");
        return;
    };
    let tag = settings.text("tag").map(|tag| tag.text);
    let mut ours = begun(file.text, tag.as_deref(), topic_of_all);
    for name in ["facility", "severity"] {
        settings.text(name);
    }
    multiline(settings, &mut ours, draft);
    if settings.is_set("freshstarttail") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    if let Some(older) = settings.text("ignoreolderthan") {
        ours.ignore_older(&older.text);
    }
    for name in NOT_NEEDED {
        settings.text(name);
    }
    draft.note_left(settings, "input: ");
    draft.inputs.push(ours);
}

/// What is sent by syslog: an input of ours for each port.
fn ports(settings: &Settings, protocol: &'static str, topic_of_all: Option<&str>, draft: &mut Draft) {
    let address = settings.text("address");
    let address = address
        .filter(|address| address.text != "*")
        .map(|address| address.text);
    for port in settings.texts("port") {
        draft
            .syslog
            .push(received(protocol, address.as_deref(), &port.text, topic_of_all));
    }
    for name in [
        "type",
        "ruleset",
        "name",
        "ratelimit.interval",
        "ratelimit.burst",
        "maxsessions",
        "keepalive",
    ] {
        settings.text(name);
    }
    draft.note_left(settings, &format!("input {protocol}: "));
}

fn received(protocol: &'static str, address: Option<&str>, port: &str, topic_of_all: Option<&str>) -> Input {
    let mut ours = Input::default();
    ours.keys.push(("topic", topic(topic_of_all.unwrap_or("syslog"))));
    let address = super::draft::address(address.unwrap_or("0.0.0.0"), port);
    ours.keys.push((protocol, Value::String(address)));
    ours
}

fn journal(settings: &Settings, topic_of_all: Option<&str>, draft: &mut Draft) {
    let mut ours = Input::default();
    ours.keys.push(("topic", topic(topic_of_all.unwrap_or("journal"))));
    if settings.is_set("ignorepreviousmessages") {
        ours.keys.push(("start_at", Value::String("end".to_owned())));
    }
    for name in [
        "load",
        "statefile",
        "persiststateinterval",
        "filecreatemode",
        "usepid",
        "usepidfromsystem",
        "ignorenonvalidstatefile",
        "workaroundjournalbug",
    ] {
        settings.text(name);
    }
    draft.note_left(settings, "module imjournal: ");
    draft.add_journal(ours, "imjournal");
}

fn begun(file: String, tag: Option<&str>, topic_of_all: Option<&str>) -> Input {
    let mut ours = Input::default();
    let tag = tag.map(|tag| tag.trim_end_matches(':'));
    ours.keys.push(("topic", topic(topic_of_all.or(tag).unwrap_or("logs"))));
    ours.keys.push(("include", strings([file])));
    if let Some(tag) = tag {
        let label = ("tag".to_owned(), Value::String(tag.to_owned()));
        ours.keys.push(("labels", table([label])));
    }
    ours
}

fn multiline(settings: &Settings, ours: &mut Input, draft: &mut Draft) {
    let mut pairs = Vec::new();
    for (name, key) in [("startmsg.regex", "start"), ("endmsg.regex", "end")] {
        if let Some(pattern) = settings.text(name)
            && let Some(value) = draft.pattern(pattern.line, name, &pattern.text)
        {
            pairs.push((key.to_owned(), value));
        }
    }
    match settings.text("readmode") {
        Some(mode) if mode.text == "2" && pairs.is_empty() => {
            pairs.push(("mode".to_owned(), Value::String("indent".to_owned())));
        }
        Some(mode) if mode.text == "1" => draft.note(
            mode.line,
            "input: readMode 1: events between empty lines are not known here",
        ),
        _ => {}
    }
    let timeout = settings.text("readtimeout").filter(|timeout| timeout.text != "0");
    if pairs.is_empty() {
        return;
    }
    // It waits for ever unless it is told not to.
    let timeout = timeout.map_or_else(|| "1h".to_owned(), |timeout| format!("{}s", timeout.text));
    pairs.push(("timeout".to_owned(), Value::String(timeout)));
    ours.keys.push(("multiline", table(pairs)));
}

/// `$InputFileName` and the like: what is said holds until `$InputRunFileMonitor`.
#[derive(Default)]
struct Old {
    file: Option<String>,
    tag: Option<String>,
}

impl Old {
    fn take(&mut self, line: usize, name: &str, value: &str, topic_of_all: Option<&str>, draft: &mut Draft) {
        match name {
            "inputfilename" => self.file = Some(value.to_owned()),
            "inputfiletag" => self.tag = Some(value.to_owned()),
            "inputrunfilemonitor" => match self.file.take() {
                Some(file) => {
                    let tag = self.tag.take();
                    draft.inputs.push(begun(file, tag.as_deref(), topic_of_all));
                }
                None => draft.note(
                    line,
                    "$InputRunFileMonitor: left out, there is no $InputFileName before it",
                ),
            },
            "udpserverrun" => draft.syslog.push(received("udp", None, value, topic_of_all)),
            "inputtcpserverrun" => draft.syslog.push(received("tcp", None, value, topic_of_all)),
            "modload" if value == "imjournal" => journal(&Settings::default(), topic_of_all, draft),
            "modload"
            | "imjournalstatefile"
            | "omitlocallogging"
            | "workdirectory"
            | "inputfilestatefile"
            | "inputfilepollinterval"
            | "inputfilepersiststateinterval"
            | "inputfileseverity"
            | "inputfilefacility" => {}
            _ => draft.note(line, format_args!("${name}: not carried over")),
        }
    }
}
