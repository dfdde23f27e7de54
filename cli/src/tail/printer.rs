//! Batches to stdout, up to where printing is to end.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tailrace_shared::client::FetchedBatch;
use tokio::io::Stdout;

use super::render::Renderer;
use crate::output;

/// So much is gathered before it is written.
const WRITE_AT: usize = 256 << 10;

/// Writes what is wanted of batches.
pub(super) struct Printer {
    renderer: Renderer,
    /// Offsets at which to end, by partition; none to go on for ever.
    ends: Option<BTreeMap<i32, i64>>,
    stdout: Stdout,
    buffer: Vec<u8>,
}

impl Printer {
    pub(super) fn new(renderer: Renderer, ends: Option<BTreeMap<i32, i64>>) -> Self {
        Self {
            renderer,
            ends,
            stdout: tokio::io::stdout(),
            buffer: Vec::new(),
        }
    }

    /// Writes the records of these batches, and returns when the operating system has them.
    pub(super) async fn print(&mut self, batches: Vec<FetchedBatch>) -> Result<()> {
        for batch in batches {
            let place = || {
                format!(
                    "partition {}, batch at offset {}",
                    batch.partition, batch.batch.header.base_offset
                )
            };
            for record in batch.records().with_context(place)? {
                let record = record.with_context(place)?;
                if self.is_before_end(batch.partition, record.offset) {
                    self.renderer.render(batch.partition, &record, &mut self.buffer)?;
                }
                if self.buffer.len() >= WRITE_AT {
                    self.flush().await?;
                }
            }
        }
        self.flush().await
    }

    /// Whether everything was printed, if the next records are at these offsets.
    pub(super) fn is_done(&self, positions: &BTreeMap<i32, i64>) -> bool {
        let is_done = |(partition, position): (&i32, &i64)| !self.is_before_end(*partition, *position);
        self.ends.is_some() && positions.iter().all(is_done)
    }

    /// How far these offsets were printed: a batch may go on behind the end.
    pub(super) fn printed(&self, mut positions: BTreeMap<i32, i64>) -> BTreeMap<i32, i64> {
        for (partition, end) in self.ends.iter().flatten() {
            if let Some(position) = positions.get_mut(partition) {
                *position = (*position).min(*end);
            }
        }
        positions
    }

    fn is_before_end(&self, partition: i32, offset: i64) -> bool {
        self.ends
            .as_ref()
            .is_none_or(|ends| ends.get(&partition).is_some_and(|end| offset < *end))
    }

    async fn flush(&mut self) -> Result<()> {
        let written = output::write(&mut self.stdout, &self.buffer).await;
        self.buffer.clear();
        written
    }
}
