//! Which lines belong together. A rule looks at lines only, one after the other from the first of the event, so that it
//! says the same whenever it is asked.

use std::time::Duration;

use super::trace::{Languages, Within};
use crate::line_regex::LineRegex;

/// How lines are joined into events.
#[derive(Debug, Clone)]
pub struct Multiline {
    /// Which belong together.
    pub rule: Rule,
    /// An event has at most so many.
    pub max_lines: u64,
    /// How long the last event of a file waits for more.
    pub timeout: Duration,
}

/// What makes a line belong to the event before it.
#[derive(Debug, Clone)]
pub enum Rule {
    /// It does unless it matches `start`, or the line before it `end`.
    Start {
        /// The first line of an event.
        start: LineRegex,
        /// Its last line.
        end: Option<LineRegex>,
    },
    /// The line before it does not match.
    End(LineRegex),
    /// It matches.
    Continuation(LineRegex),
    /// The line before it matches.
    Continued(LineRegex),
    /// It is indented, or one of the lines that a stack trace of these languages has.
    Trace(Languages),
}

/// What is known of an event by the lines that it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    within: Within,
    is_complete: bool,
}

impl State {
    /// Of an event with this first line.
    pub(super) fn begin(rule: &Rule, line: &[u8]) -> Self {
        let within = match rule {
            Rule::Trace(languages) => Within::begin(*languages, line),
            _ => Within::default(),
        };
        Self {
            within,
            is_complete: rule.ends_with(line),
        }
    }

    /// Whether no line can belong to it any more.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the next line belongs to it; if so, that is now the last one.
    pub(super) fn takes(&mut self, rule: &Rule, line: &[u8]) -> bool {
        let belongs = match rule {
            Rule::Start { start, .. } => !start.is_match(line),
            Rule::Continuation(pattern) => pattern.is_match(line),
            Rule::End(_) | Rule::Continued(_) => true,
            Rule::Trace(languages) => match self.within.next(*languages, line) {
                Some(within) => {
                    self.within = within;
                    true
                }
                None => false,
            },
        };
        self.is_complete = belongs && rule.ends_with(line);
        belongs
    }
}

impl Rule {
    fn ends_with(&self, line: &[u8]) -> bool {
        match self {
            Self::Start { end, .. } => end.as_ref().is_some_and(|end| end.is_match(line)),
            Self::End(pattern) => pattern.is_match(line),
            Self::Continued(pattern) => !pattern.is_match(line),
            Self::Continuation(_) | Self::Trace(_) => false,
        }
    }
}
