//! A configuration of ours that is being put together, and what is to be said of it.

use std::fmt::{self, Display};

use toml::Value;

use super::settings::Settings;
use crate::config::TopicName;
use crate::line_regex::LineRegex;

/// What did not come over as it was, and the line that it was in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// In the other tool's file.
    pub line: usize,
    /// Its name there, and what became of it.
    pub text: String,
}

/// `[collector]`, all `[[files]]`, all `[[journald]]` and all `[[syslog]]`.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) bootstrap: Vec<String>,
    pub(super) tls: Option<Vec<(&'static str, Value)>>,
    pub(super) sasl: Option<Vec<(&'static str, Value)>>,
    pub(super) inputs: Vec<Input>,
    pub(super) journald: Vec<Input>,
    pub(super) syslog: Vec<Input>,
    pub(super) notes: Vec<Note>,
}

/// One `[[files]]`, `[[journald]]` or `[[syslog]]`: keys and values in their order, and those of its transform.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) keys: Vec<(&'static str, Value)>,
    pub(super) transform: Vec<(&'static str, Value)>,
}

impl Input {
    /// One more condition of `drop` or `keep`, on the whole event.
    pub(super) fn condition(&mut self, key: &'static str, pattern: Value) {
        self.add_condition(key, table([("matches".to_owned(), pattern)]));
    }

    /// The same, on a field of it.
    pub(super) fn condition_on(&mut self, field: &str, key: &'static str, pattern: Value) {
        let field = ("field".to_owned(), Value::String(field.to_owned()));
        self.add_condition(key, table([field, ("matches".to_owned(), pattern)]));
    }

    fn add_condition(&mut self, key: &'static str, condition: Value) {
        match self.transform.iter_mut().find(|(other, _)| *other == key) {
            Some((_, Value::Array(conditions))) => conditions.push(condition),
            _ => self.transform.push((key, Value::Array(vec![condition]))),
        }
    }

    /// Files that were not written to for so long are left alone: a time with its unit, or seconds. Zero says nothing.
    pub(super) fn ignore_older(&mut self, time: &str) {
        let number = time.trim_end_matches(|letter: char| letter.is_alphabetic());
        if number.trim_matches(['0', '.']).is_empty() {
            return;
        }
        let unit = if number == time { "s" } else { "" };
        self.keys.push(("ignore_older", Value::String(format!("{time}{unit}"))));
    }

    /// More of a list, if there are any.
    pub(super) fn add_texts(&mut self, key: &'static str, texts: Vec<String>) {
        let texts = texts.into_iter().map(Value::String);
        match self.keys.iter_mut().find(|(other, _)| *other == key) {
            Some((_, Value::Array(there))) => there.extend(texts),
            _ if texts.len() == 0 => {}
            _ => self.keys.push((key, Value::Array(texts.collect()))),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().chain(&self.transform).any(|(other, _)| *other == key)
    }
}

impl Draft {
    pub(super) fn note(&mut self, line: usize, text: impl Display) {
        self.notes.push(Note {
            line,
            text: text.to_string(),
        });
    }

    /// One more journal, by what it is called elsewhere: its position goes by that.
    pub(super) fn add_journal(&mut self, mut ours: Input, wanted: &str) {
        ours.keys.push(("name", Value::String(wanted.to_owned())));
        self.journald.push(ours);
    }

    /// What nobody wanted of some settings.
    pub(super) fn note_left(&mut self, settings: &Settings, prefix: &str) {
        for (line, name) in settings.left() {
            self.note(line, format_args!("{prefix}{name}: not carried over"));
        }
    }

    /// A pattern, if ours understands it too.
    pub(super) fn pattern(&mut self, line: usize, name: &str, pattern: &str) -> Option<Value> {
        match LineRegex::new(pattern) {
            Ok(_) => Some(Value::String(pattern.to_owned())),
            Err(error) => {
                self.note(
                    line,
                    format_args!("{name}: left out, its pattern is not understood here: {error}"),
                );
                None
            }
        }
    }
}

/// A name that Kafka allows, made of any.
pub(super) fn topic(name: &str) -> Value {
    let legal = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => letter,
        _ => '-',
    };
    let name: String = name.chars().map(legal).collect();
    let name = name.trim_matches('-');
    match TopicName::try_from(name.to_owned()) {
        Ok(name) => Value::String(name.as_str().to_owned()),
        Err(_) => Value::String("logs".to_owned()),
    }
}

/// Host and port, where an address of IPv6 stands between brackets.
pub(super) fn address(host: &str, port: &str) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

pub(super) fn strings<I: IntoIterator<Item = String>>(texts: I) -> Value {
    Value::Array(texts.into_iter().map(Value::String).collect())
}

pub(super) fn table<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Value {
    Value::Table(pairs.into_iter().collect())
}

impl Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[collector]")?;
        writeln!(f, "bootstrap = {}", strings(self.bootstrap.iter().cloned()))?;
        for (name, keys) in [("tls", &self.tls), ("sasl", &self.sasl)] {
            if let Some(keys) = keys {
                writeln!(f, "\n[collector.{name}]")?;
                write_keys(f, keys)?;
            }
        }
        let files = self.inputs.iter().map(|input| ("files", input));
        let journald = self.journald.iter().map(|input| ("journald", input));
        let syslog = self.syslog.iter().map(|input| ("syslog", input));
        for (name, input) in files.chain(journald).chain(syslog) {
            writeln!(f, "\n[[{name}]]")?;
            write_keys(f, &input.keys)?;
            if !input.transform.is_empty() {
                writeln!(f, "\n[{name}.transform]")?;
                write_keys(f, &input.transform)?;
            }
        }
        Ok(())
    }
}

fn write_keys(f: &mut fmt::Formatter<'_>, keys: &[(&'static str, Value)]) -> fmt::Result {
    keys.iter().try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))
}
