//! Makes records of messages, sender by sender.

use std::sync::Arc;

use tailrace_shared::clock::Clock;
use tokio::sync::watch;

use super::origins::Origins;
use super::{Chunk, Message};
use crate::batch::{Batcher, StretchError};
use crate::frame::Event;
use crate::gather::Intake;
use crate::records::{Records, Template};
use crate::status::ReadMetrics;

pub(super) struct Messages {
    pub(super) templates: watch::Receiver<Vec<Template>>,
    pub(super) origins: Origins,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: ReadMetrics,
}

impl Intake for Messages {
    type Piece = Chunk;

    fn events(chunk: &Chunk) -> usize {
        chunk.messages.len()
    }

    /// As many as are of one sender.
    fn append(&mut self, batcher: &mut Batcher, chunk: &Chunk, taken: usize) -> Result<usize, StretchError> {
        if self.templates.has_changed().unwrap_or(false) {
            self.templates.mark_unchanged();
            self.origins.clear();
        }
        let messages: &[Message] = chunk.messages.get(taken..).unwrap_or_default();
        let templates = self.templates.borrow();
        let (Some(first), Some(template)) = (messages.first(), templates.get(chunk.input)) else {
            return Ok(messages.len());
        };
        let origin = self.origins.of(chunk.input, template, first.sender);
        let now_ms = self.clock.now_ms();
        let mut records = Records::new(batcher, template, &self.metrics, &origin, now_ms);
        let mut taken = 0;
        for message in messages.iter().take_while(|message| message.sender == first.sender) {
            let bytes = chunk.bytes.get(message.bytes.clone()).unwrap_or_default();
            taken += 1;
            records.count_bytes(bytes.len());
            if records.take(Event::plain(bytes, 1, message.cut)).is_break() {
                break;
            }
        }
        records.finish()?;
        Ok(taken)
    }

    fn rest(&mut self) {
        self.origins.clear();
    }
}
