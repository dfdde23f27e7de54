//! What a record is: the event with headers, or a JSON object.

use std::collections::BTreeMap;

use serde::Deserialize;
use tailrace_shared::record::RecordHeaders;

use crate::transform::{AGENTS_OWN, Outcome, PROBLEM, write_string};

/// What a record's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The line, byte for byte; host, path and labels are record headers.
    #[default]
    Raw,
    /// A JSON object of the event's fields, or of the event itself (`message`) if it was not parsed, and of `host`, `path` and
    /// the labels. Bytes that are not UTF-8 become U+FFFD.
    Json,
}

/// Names that labels may not have.
pub const RESERVED_LABELS: [&str; 4] = ["message", "host", "path", "source_ip"];

/// Constants by their names.
pub type Labels = BTreeMap<String, String>;

/// How the events of one origin become records: all that is the same for each, encoded once.
#[derive(Debug)]
pub enum Encoding {
    /// The event as it is, with these headers.
    Raw(RecordHeaders),
    /// A JSON object that has these members too: their names, and their values as JSON.
    Json(Vec<(String, Vec<u8>)>),
}

impl Encoding {
    /// For the events of one origin: what the agent knows of each, and what the configuration says.
    #[must_use]
    pub fn new(format: Format, constants: &[(&str, &str)], labels: &Labels) -> Self {
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let pairs = constants.iter().copied().chain(labels);
        match format {
            Format::Raw => Self::Raw(RecordHeaders::encode(
                pairs.map(|(key, value)| (key, Some(value.as_bytes()))),
            )),
            Format::Json => {
                let member = |(key, value): (&str, &str)| {
                    let mut json = Vec::new();
                    write_string(&mut json, value);
                    (key.to_owned(), json)
                };
                Self::Json(pairs.map(member).collect())
            }
        }
    }
}

/// Members of a JSON object.
struct Members<'a>(&'a mut Vec<u8>);

impl<'a> Members<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        out.push(b'{');
        Self(out)
    }

    fn put(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_string(self.0, name);
        self.0.push(b':');
        value(self.0);
    }

    fn end(self) {
        self.0.push(b'}');
    }
}

/// The fields of an event, or the event itself if it has none, and what the agent knows of it.
pub(super) fn write_object(out: &mut Vec<u8>, constants: &[(String, Vec<u8>)], outcome: &Outcome<'_>) {
    let mut members = Members::begin(out);
    if !outcome.is_parsed {
        members.put("message", |out| {
            write_string(out, &String::from_utf8_lossy(outcome.line))
        });
    }
    for (name, field) in outcome.fields.iter() {
        members.put(name, |out| field.write_json(out));
    }
    for (name, value) in constants {
        match outcome.fields.has(name) {
            true => members.put(&format!("{AGENTS_OWN}{name}"), |out| out.extend_from_slice(value)),
            false => members.put(name, |out| out.extend_from_slice(value)),
        }
    }
    if let Some(reason) = &outcome.problem {
        members.put(PROBLEM, |out| write_string(out, reason));
    }
    members.end();
}
