//! Makes records of entries.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tailrace_shared::clock::Clock;
use tokio::sync::watch;

use super::export::EntryView;
use super::follow::Piece;
use crate::batch::{Batcher, StretchError};
use crate::frame::{Cut, End, Event, Lines, Said};
use crate::gather::Intake;
use crate::position::JournalCursor;
use crate::records::{Records, Template};
use crate::routing::Origin;
use crate::status::{JournaldMetrics, ReadMetrics};
use crate::stretch::lane_of;
use crate::transform::SEVERITIES;

/// How an event calls the field that says how important it is, as messages of syslog do.
pub(super) const SEVERITY: &str = "severity";

pub(super) struct Journaled {
    pub(super) input: Arc<str>,
    pub(super) host: Arc<str>,
    pub(super) template: watch::Receiver<Template>,
    pub(super) origin: Origin,
    /// What the fields of an entry are called in records.
    pub(super) names: Vec<String>,
    pub(super) max_len: usize,
    pub(super) moved_to: Option<Arc<str>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) read_metrics: ReadMetrics,
    pub(super) metrics: JournaldMetrics,
}

/// What the entries of the input of this name have in common.
pub(super) fn origin(template: &Template, host: &str, input: &str) -> Origin {
    let lane = lane_of(host, Path::new(&format!("journald/{input}")));
    template.origin(&[("host", host)], lane)
}

impl Intake for Journaled {
    type Piece = Piece;

    fn events(piece: &Piece) -> usize {
        match piece {
            Piece::Entries(entries) => entries.len(),
            Piece::Begin(_) => 1,
        }
    }

    fn append(&mut self, batcher: &mut Batcher, piece: &Piece, taken: usize) -> Result<usize, StretchError> {
        let entries = match piece {
            Piece::Entries(entries) => entries,
            Piece::Begin(cursor) => {
                self.moved_to = Some(cursor.as_str().into());
                return Ok(1);
            }
        };
        if self.template.has_changed().unwrap_or(false) {
            self.origin = origin(&self.template.borrow_and_update(), &self.host, &self.input);
        }
        let template = self.template.borrow();
        let now_ms = self.clock.now_ms();
        let mut records = Records::new(batcher, &template, &self.read_metrics, &self.origin, now_ms);
        let mut appended = 0;
        let mut last = None;
        for entry in entries.iter_from(taken) {
            appended += 1;
            records.count_bytes(entry.message.map_or(0, <[u8]>::len));
            last = Some((entry.cursor, entry.time_ms));
            if give(&entry, &self.names, self.max_len, |event| records.take(event)).is_break() {
                break;
            }
        }
        records.finish()?;
        if let Some((cursor, time_ms)) = last {
            self.moved_to = Some(cursor.into());
            let entry_time = self.metrics.entry_time.with([&template.topic]);
            #[allow(clippy::cast_precision_loss, reason = "a time in milliseconds is far below 2^53")]
            entry_time.set(time_ms as f64 / 1000.0);
        }
        Ok(appended)
    }

    fn take_cursors(&mut self) -> Vec<JournalCursor> {
        let moved = self.moved_to.take();
        let cursor = moved.map(|cursor| JournalCursor {
            input: Arc::clone(&self.input),
            cursor,
        });
        cursor.into_iter().collect()
    }

    fn has_moved(&self) -> bool {
        self.moved_to.is_some()
    }
}

/// Gives an entry as an event, or as several if it is long: all of them, for a cursor stands behind whole entries.
pub(super) fn give(
    entry: &EntryView<'_>,
    names: &[String],
    max_len: usize,
    mut take: impl FnMut(Event<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let field = |(field, value)| match names.get(field).map_or("", String::as_str) {
        SEVERITY => (SEVERITY, severity(value)),
        name => (name, value),
    };
    let fields: Vec<_> = entry.fields.iter().copied().map(field).collect();
    let said = Said {
        time_ms: entry.time_ms,
        fields: &fields,
    };
    let problem = match entry.message {
        None => Some("journald: the entry has no message"),
        Some(_) => {
            (entry.left_out > 0).then_some("journald: the message is longer than 4 MiB, and its rest is left out")
        }
    };
    let mut after = ControlFlow::Continue(());
    let mut rest = entry.message.unwrap_or_default();
    let lines = Lines::new(rest, false, max_len, End::Final);
    loop {
        let len = if rest.len() > max_len {
            lines.piece_len(rest)
        } else {
            rest.len()
        };
        let (bytes, behind) = rest.split_at(len);
        let event = Event {
            said: Some(&said),
            problem,
            ..Event::plain(
                bytes,
                1,
                if behind.is_empty() {
                    Cut::Terminated
                } else {
                    Cut::TooLong
                },
            )
        };
        if take(event).is_break() {
            after = ControlFlow::Break(());
        }
        rest = behind;
        if rest.is_empty() {
            return after;
        }
    }
}

/// The name of a priority, which the journal has as a number.
fn severity(priority: &str) -> &str {
    let number = priority.parse::<usize>().ok();
    number
        .and_then(|number| SEVERITIES.get(number))
        .copied()
        .unwrap_or(priority)
}
