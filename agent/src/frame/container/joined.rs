//! Joins lines of a container into events. A line of the other stream ends an event.

use super::super::multiline::{Multiline, State};
use super::{Cut, Text};

/// Events, of which the last may go on.
#[derive(Debug)]
pub(super) struct Joined<'a, 'r> {
    multiline: &'r Multiline,
    max_len: usize,
    pub(super) texts: Vec<Text<'a>>,
    /// Of the last one, if lines can be joined to it.
    state: Option<State>,
}

impl<'a, 'r> Joined<'a, 'r> {
    pub(super) fn new(multiline: &'r Multiline, max_len: usize) -> Self {
        Self {
            multiline,
            max_len,
            texts: Vec::new(),
            state: None,
        }
    }

    /// Whether more lines may belong to the last event.
    pub(super) fn is_open(&self) -> bool {
        self.state.is_some_and(|state| !state.is_complete())
    }

    /// No line will be joined to the last event.
    pub(super) fn end(&mut self, cut: Cut) {
        self.state = None;
        if let Some(last) = self.texts.last_mut() {
            last.cut = cut;
        }
    }

    /// Joins a line to the last event, or begins another with it.
    pub(super) fn add(&mut self, text: Text<'a>) {
        if self.join(&text, true) {
            return;
        }
        let may_go_on = text.cut == Cut::Terminated && text.runtime.is_some() && text.bytes.len() <= self.max_len;
        self.state = may_go_on.then(|| State::begin(&self.multiline.rule, &text.bytes));
        self.texts.push(text);
    }

    /// Joins a line to the last event if it belongs to it, and there is room for it.
    pub(super) fn join(&mut self, text: &Text<'_>, has_room: bool) -> bool {
        let (Some(state), Some(last)) = (&mut self.state, self.texts.last_mut()) else {
            return false;
        };
        let of_one_stream = match (last.runtime, text.runtime) {
            (Some(last), Some(next)) => last.stream == next.stream,
            _ => false,
        };
        if state.is_complete() || !of_one_stream || !state.takes(&self.multiline.rule, &text.bytes) {
            return false;
        }
        let has_room = has_room
            && last.lines < self.multiline.max_lines
            && last.bytes.len() + 1 + text.bytes.len() <= self.max_len;
        if !has_room {
            self.end(Cut::TooManyLines);
            return false;
        }
        let bytes = last.bytes.to_mut();
        bytes.push(b'\n');
        bytes.extend_from_slice(&text.bytes);
        last.lines += text.lines;
        if text.cut != Cut::Terminated {
            self.end(text.cut);
        }
        true
    }
}
