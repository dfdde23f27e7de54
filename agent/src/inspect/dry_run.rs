//! `tailrace-agent test`: what would be sent of some lines, without sending it. One JSON object a line.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tailrace_shared::record::Batches;

use crate::batch::{Batcher, Size, StretchError};
use crate::command;
use crate::frame::{End, Event, mark_of};
use crate::journald::{self, ExportError};
use crate::reader::Input;
use crate::receive;
use crate::records::{Sent, Settled, Template};
use crate::routing::Origin;
use crate::stretch::{Route, Routes};

/// Why that could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// Standard input, or standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The sample.
    #[error("standard input is not what `journalctl --output=export` writes: {0}")]
    Export(#[from] ExportError),
    /// A record could not be built, which should never be seen.
    #[error(transparent)]
    Build(#[from] StretchError),
}

/// One record as it would be sent.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    topic: &'a str,
    timestamp_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    headers: serde_json::Map<String, serde_json::Value>,
    value: &'a str,
}

/// One event that would not be sent.
#[derive(Debug, Serialize)]
struct NotSent<'a> {
    not_sent_because_of: &'a str,
    event: &'a str,
}

struct NoBroker;

impl Routes for NoBroker {
    fn route(&self, _topic: &str, lane: u16) -> Route {
        Route::Lane(lane)
    }
}

/// More than this is no sample.
const SAMPLE_MAX: u64 = 64 << 20;

/// Shows what becomes of a sample, or of its first 64 MiB.
pub struct DryRun<'a> {
    /// The name of this machine.
    pub host: &'a str,
    /// The time at which it is read.
    pub now_ms: i64,
    /// Where it is shown.
    pub out: &'a mut dyn Write,
}

impl DryRun<'_> {
    /// What `input` makes of a file with these bytes.
    ///
    /// # Errors
    /// When the sample cannot be read, or nothing can be written.
    pub fn of_file(self, input: &Input, path: &Path, sample: impl Read) -> Result<(), DryRunError> {
        let origin = input.origin(self.host, path, 0);
        self.show(&input.records, &origin, sample, |bytes, take| {
            input.framing.cut(bytes, mark_of(bytes), false, End::Final, take);
        })
    }

    /// What becomes of them if they are sent by TCP to an input with this template.
    ///
    /// # Errors
    /// When the sample cannot be read, or nothing can be written.
    pub fn of_syslog(
        self,
        template: &Template,
        max_len: usize,
        source_ip: &str,
        sample: impl Read,
    ) -> Result<(), DryRunError> {
        let origin = receive::origin(template, self.host, source_ip);
        self.show(template, &origin, sample, |bytes, take| {
            receive::Framing::new(max_len).cut(bytes, true, |message, cut| {
                take(Event::plain(bytes.get(message).unwrap_or_default(), 1, cut))
            });
        })
    }

    /// What becomes of what `journalctl --output=export` writes.
    ///
    /// # Errors
    /// When the sample cannot be read or is no export, or nothing can be written.
    pub fn of_journal(self, input: &journald::Input, sample: impl Read) -> Result<(), DryRunError> {
        let origin = input.origin(self.host);
        let mut failed = None;
        self.show(&input.records, &origin, sample, |bytes, take| {
            failed = input.cut(bytes, take).err();
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What becomes of them if a command writes them.
    ///
    /// # Errors
    /// When the sample cannot be read, or nothing can be written.
    pub fn of_command(self, input: &command::Input, sample: impl Read) -> Result<(), DryRunError> {
        let origin = input.source.origin(&input.records, self.host, &input.name);
        self.show(&input.records, &origin, sample, |bytes, take| {
            input.framing().cut(bytes, None, false, End::Final, take);
        })
    }

    fn show(
        self,
        template: &Template,
        origin: &Origin,
        sample: impl Read,
        cut: impl FnOnce(&[u8], &mut dyn FnMut(Event<'_>) -> ControlFlow<()>),
    ) -> Result<(), DryRunError> {
        let mut bytes = Vec::new();
        sample.take(SAMPLE_MAX).read_to_end(&mut bytes)?;
        let mut batcher = Batcher::new(Arc::new(NoBroker), Size::default());
        let mut failed = None;
        cut(
            &bytes,
            &mut |event| match show(template, origin, &mut batcher, &event, self.now_ms, self.out) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        );
        failed.map_or(Ok(()), Err)
    }
}

fn show(
    template: &Template,
    origin: &Origin,
    batcher: &mut Batcher,
    event: &Event<'_>,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), DryRunError> {
    let settled = origin.settled().map(|to| Settled::new(batcher, to));
    if let Sent::Not(dropped) = template.append(batcher, origin, settled, None, event, now_ms)? {
        let not_sent = NotSent {
            not_sent_because_of: dropped.name(),
            event: &String::from_utf8_lossy(event.bytes),
        };
        write_line(out, &not_sent)?;
    }
    for batch in batcher.finish()? {
        for view in Batches::split(batch.bytes, usize::MAX) {
            for record in view
                .map_err(StretchError::from)?
                .records(1 << 30)
                .map_err(StretchError::from)?
            {
                let record = record.map_err(StretchError::from)?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let header = |(name, value): (&[u8], Option<&[u8]>)| (text(name), value.map(text).into());
                let shown = Shown {
                    topic: &batch.topic,
                    timestamp_ms: record.timestamp,
                    key: record.key.as_deref().map(text),
                    headers: record.headers.iter().map(header).collect(),
                    value: &text(&record.value.unwrap_or_default()),
                };
                write_line(out, &shown)?;
            }
        }
    }
    Ok(())
}

fn write_line(out: &mut dyn Write, shown: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, shown)?;
    out.write_all(b"\n")
}
