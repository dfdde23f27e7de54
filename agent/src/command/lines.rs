//! Makes records of lines.

use std::sync::Arc;

use tailrace_shared::clock::Clock;
use tokio::sync::watch;

use super::Source;
use super::run::Piece;
use crate::batch::{Batcher, StretchError};
use crate::frame::{End, Framing};
use crate::gather::Intake;
use crate::records::{Records, Template};
use crate::routing::Origin;
use crate::status::ReadMetrics;

/// Who writes.
pub(super) struct Writer {
    pub(super) source: Source,
    pub(super) name: Arc<str>,
    pub(super) origin: Origin,
    pub(super) framing: Framing,
}

pub(super) struct Written {
    pub(super) host: Arc<str>,
    pub(super) templates: watch::Receiver<Vec<Template>>,
    pub(super) writers: Vec<Writer>,
    /// Whether what was taken of the piece at hand ends in the middle of a line.
    pub(super) mid_line: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: ReadMetrics,
}

impl Intake for Written {
    type Piece = Piece;

    /// Its bytes: how many lines they are shows as they are taken.
    fn events(piece: &Piece) -> usize {
        piece.bytes.len()
    }

    fn append(&mut self, batcher: &mut Batcher, piece: &Piece, taken: usize) -> Result<usize, StretchError> {
        if self.templates.has_changed().unwrap_or(false) {
            let templates = self.templates.borrow_and_update();
            for (writer, template) in self.writers.iter_mut().zip(&*templates) {
                writer.origin = writer.source.origin(template, &self.host, &writer.name);
            }
        }
        let rest = piece.bytes.get(taken..).unwrap_or_default();
        let templates = self.templates.borrow();
        let (Some(writer), Some(template)) = (self.writers.get(piece.input), templates.get(piece.input)) else {
            return Ok(rest.len());
        };
        let now_ms = self.clock.now_ms();
        let mut records = Records::new(batcher, template, &self.metrics, &writer.origin, now_ms);
        let mid_line = if taken == 0 { piece.mid_line } else { self.mid_line };
        let consumed = writer
            .framing
            .cut(rest, None, mid_line, End::Final, |event| records.take(event));
        records.count_bytes(consumed.len);
        records.finish()?;
        self.mid_line = consumed.mid_line;
        Ok(consumed.len.max(1))
    }
}
