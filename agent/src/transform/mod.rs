//! What happens to an event before it becomes a record, always in this order: what nobody should see is *redacted*, fields are
//! *parsed*, the *time* is taken from one of them, what is not wanted is *dropped* or not *kept* or not in the *sample*,
//! and fields are *renamed* and *removed*.
//!
//! All of it depends on the event alone, so a restart that reads an event again does the same with it. What cannot be
//! parsed goes on as it is, with the reason.

mod condition;
mod fields;
mod parse;
mod redact;
mod sample;
mod time;

use std::borrow::Cow;

pub use condition::{Condition, Test};
pub use fields::{AGENTS_OWN, Field, Fields};
pub(crate) use parse::json::write_string;
pub use parse::{Parser, Preset, SEVERITIES};
pub use redact::{Known, Redaction};
pub use sample::Sample;
pub use time::{TimeField, TimeFormat};

use crate::frame::Event;

/// The header, or the member of a JSON object, that says why an event could not be parsed.
pub const PROBLEM: &str = "parse_error";

/// What is to be done with the events of an input.
#[derive(Debug, Default)]
pub struct Transform {
    /// Before anything else looks at the event.
    pub redact: Vec<Redaction>,
    /// How fields are found.
    pub parse: Option<Parser>,
    /// Where the time is.
    pub time: Option<TimeField>,
    /// An event that meets one of these is not sent.
    pub drop: Vec<Condition>,
    /// Nor is one that meets none of these, if there are any.
    pub keep: Vec<Condition>,
    /// Of some events only so many are sent.
    pub sample: Option<Sample>,
    /// Fields that get another name: the old, the new.
    pub rename: Vec<(String, String)>,
    /// Fields that are left out.
    pub remove: Vec<String>,
    /// Fields whose values are numbers, where they look like it.
    pub numbers: Vec<String>,
    /// Fields that become headers.
    pub headers: Vec<String>,
}

/// What is to be sent of an event.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// When it happened.
    pub timestamp_ms: i64,
    /// The event, redacted.
    pub line: &'a [u8],
    /// What was found in it, and what was said of it.
    pub fields: Fields<'a>,
    /// Whether the fields say all that the event does.
    pub is_parsed: bool,
    /// What was said of it, which becomes headers or is among the fields.
    pub said: &'a [(&'a str, &'a str)],
    /// Fields that have another name now: the old, the new.
    pub renamed: &'a [(String, String)],
    /// Which of these become headers.
    pub headers: &'a [String],
    /// Why it could not be parsed, or its time not be told.
    pub problem: Option<String>,
}

/// Why an event is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It meets a condition of `drop`.
    Drop,
    /// It meets none of `keep`.
    Keep,
    /// It is not in the sample.
    Sample,
    /// There were too many before it.
    RateLimit,
}

impl Dropped {
    /// Every reason there is.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Keep, Self::Sample, Self::RateLimit];

    /// The name of the setting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Keep => "keep",
            Self::Sample => "sample",
            Self::RateLimit => "rate_limit",
        }
    }
}

impl Transform {
    /// Whether a decision depends on this field.
    #[must_use]
    pub fn asks_for(&self, field: &str) -> bool {
        let of = self.sample.iter().filter_map(|sample| sample.of.as_ref());
        let by = self.sample.iter().filter_map(|sample| sample.by.as_ref());
        let conditions = self.drop.iter().chain(&self.keep).chain(of);
        conditions
            .filter_map(|condition| condition.field.as_ref())
            .chain(by)
            .any(|asked| asked == field)
    }

    /// Gives `send` what is to be sent of an event that was read at `now_ms`.
    pub fn apply<R>(&self, event: &Event<'_>, now_ms: i64, send: impl FnOnce(Outcome<'_>) -> R) -> Result<R, Dropped> {
        let mut line = Cow::Borrowed(event.bytes);
        for redaction in &self.redact {
            if let Some(redacted) = redaction.apply(&line) {
                line = Cow::Owned(redacted);
            }
        }
        let (mut fields, mut problem) = (Fields::default(), event.problem.map(str::to_owned));
        match self.parse.as_ref().map(|parser| parser.parse(&line)) {
            Some(Ok(found)) => fields = found,
            Some(Err(reason)) => problem = problem.or(Some(reason)),
            None => {}
        }
        let is_parsed = !fields.is_empty();
        let said = event.said.map_or(&[][..], |said| said.fields);
        for (name, text) in said {
            fields.put_unless_taken(name, text);
        }
        let mut timestamp_ms = event.said.map_or(now_ms, |said| time::not_ahead(said.time_ms, now_ms));
        if let Some(time) = self.time.as_ref().filter(|_| problem.is_none()) {
            match time.read(&fields, now_ms) {
                Ok(time) => timestamp_ms = time,
                Err(reason) => problem = Some(reason),
            }
        }
        let meets = |condition: &Condition| condition.is_met(&line, &fields);
        if self.drop.iter().any(meets) {
            return Err(Dropped::Drop);
        }
        if !self.keep.is_empty() && !self.keep.iter().any(meets) {
            return Err(Dropped::Keep);
        }
        if self.sample.as_ref().is_some_and(|sample| !sample.takes(&line, &fields)) {
            return Err(Dropped::Sample);
        }
        for (from, to) in &self.rename {
            fields.rename(from, to);
        }
        for name in &self.remove {
            fields.remove(name);
        }
        for name in &self.numbers {
            fields.make_number(name);
        }
        Ok(send(Outcome {
            timestamp_ms,
            line: &line,
            fields,
            is_parsed,
            said,
            renamed: &self.rename,
            headers: &self.headers,
            problem,
        }))
    }
}

#[cfg(test)]
mod tests;
