//! Reads journals of systemd, by letting `journalctl` follow them. A journal's own cursor is its position: it is spooled with
//! the records, so that each entry becomes a record once.
//!
//! ```text
//! journalctl (process) -- bytes --> follow (task) -- Piece --> gather (thread) -- Stretch --> pump (task) --> spool
//! ```

mod entries;
mod export;
mod follow;
mod selection;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::batch::StretchError;
use crate::frame::Event;
use crate::gather::Gatherer;
pub use crate::gather::{Seams, Settings};
use crate::records::Template;
use crate::routing::Origin;
use crate::status::JournaldMetrics;
use crate::tail::StartAt;

use entries::{Journaled, SEVERITY};
pub use export::{Entries, EntryView, ExportError, Parser};
use follow::Follower;
pub use selection::Selection;

/// Fields of an entry that become headers, or members of a JSON object: the journal's names and ours.
pub const FIELDS: [(&str, &str); 4] = [
    ("_SYSTEMD_UNIT", "unit"),
    ("SYSLOG_IDENTIFIER", "identifier"),
    ("_PID", "pid"),
    ("PRIORITY", SEVERITY),
];

/// How many pieces may wait to be gathered.
const QUEUE_DEPTH: usize = 4;

/// One `[[journald]]` of the configuration.
#[derive(Debug, Clone)]
pub struct Input {
    /// What its cursor is kept under.
    pub name: Arc<str>,
    /// What its entries become.
    pub records: Template,
    /// Which they are.
    pub selection: Selection,
    /// Fields that become headers too, under the journal's names.
    pub more_fields: Vec<String>,
    /// Where to begin if there is no cursor.
    pub start_at: StartAt,
    /// Longer messages are split.
    pub max_len: usize,
}

/// `journalctl` cannot be run.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot run {program} for [[journald]]: {source}; install systemd's journalctl where the agent runs, or say where it is \
     (journald.journalctl)"
)]
pub struct NoJournalctl {
    /// As configured.
    pub program: String,
    /// What the system said.
    pub source: io::Error,
}

/// A journal that is read, until it is stopped.
pub struct Journal {
    stop: CancellationToken,
    template: watch::Sender<Template>,
}

impl Input {
    /// Whether its `journalctl` can be run.
    ///
    /// # Errors
    /// When it is not there, or may not be run.
    pub fn check_program(&self) -> Result<(), NoJournalctl> {
        let program = &self.selection.journalctl;
        let version = std::process::Command::new(program).arg("--version").output();
        version.map(|_| ()).map_err(|source| NoJournalctl {
            program: program.display().to_string(),
            source,
        })
    }

    /// The last entry that is selected, in words, and what `journalctl` has to say of the journal.
    ///
    /// # Errors
    /// What has kept it from being read, in words.
    pub async fn glance(&self) -> Result<(Option<String>, String), String> {
        let last = follow::read_all(self.selection.last(&self.journal_names())).await;
        let (entries, said) = last.map_err(|error| error.to_string())?;
        let last = entries.iter_from(0).last();
        let last = last.map(|entry| String::from_utf8_lossy(entry.message.unwrap_or_default()).into_owned());
        Ok((last, said))
    }

    /// What its entries have in common.
    #[must_use]
    pub fn origin(&self, host: &str) -> Origin {
        entries::origin(&self.records, host, &self.name)
    }

    /// Gives the events of what `journalctl --output=export` wrote.
    ///
    /// # Errors
    /// When it is no export.
    pub fn cut(&self, export: &[u8], take: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<(), ExportError> {
        let mut entries = Entries::default();
        let parsed = Parser::new(self.journal_names()).feed(export, &mut entries);
        for entry in entries.iter_from(0) {
            if entries::give(&entry, &self.names(), self.max_len, &mut *take).is_break() {
                break;
            }
        }
        parsed
    }

    /// What its fields are called in the journal.
    fn journal_names(&self) -> Vec<String> {
        let usual = FIELDS.iter().map(|(journal, _)| (*journal).to_owned());
        usual.chain(self.more_fields.iter().cloned()).collect()
    }

    /// What they are called in records.
    fn names(&self) -> Vec<String> {
        let usual = FIELDS.iter().map(|(_, ours)| (*ours).to_owned());
        usual.chain(self.more_fields.iter().cloned()).collect()
    }

    /// Begins to read behind `cursor`; what is returned with it gathers what is read, on a thread of its own.
    ///
    /// # Errors
    /// When the system has no more of what a thread needs to wait with.
    pub fn start(
        self,
        cursor: Option<&str>,
        settings: &Settings,
        seams: Seams,
        metrics: &JournaldMetrics,
    ) -> io::Result<(Journal, impl FnOnce() -> Result<(), StretchError> + Send + 'static)> {
        let (pieces, read) = mpsc::channel(QUEUE_DEPTH);
        let (fields, names) = (self.journal_names(), self.names());
        let origin = self.origin(&settings.host);
        let (topic, limit) = (Arc::clone(&self.records.topic), Arc::clone(&self.records.limit));
        let clock = Arc::clone(&seams.clock);
        let (template, current) = watch::channel(self.records);
        let journaled = Journaled {
            input: Arc::clone(&self.name),
            host: Arc::clone(&settings.host),
            template: current,
            origin,
            names,
            max_len: self.max_len,
            moved_to: None,
            clock: Arc::clone(&seams.clock),
            read_metrics: seams.read_metrics.clone(),
            metrics: metrics.clone(),
        };
        let source = format!("journald {}", self.name);
        let gather = Gatherer::new(journaled, read, &source, settings, seams).on_a_thread()?;
        let stop = CancellationToken::new();
        let follower = Follower {
            input: self.name,
            topic,
            selection: self.selection,
            fields,
            start_at: self.start_at,
            last: cursor.map(str::to_owned),
            pieces,
            limit,
            clock,
            metrics: metrics.clone(),
        };
        tokio::spawn(follower.run(stop.clone()));
        Ok((Journal { stop, template }, gather))
    }
}

impl Journal {
    /// Other records of the same entries, from now on.
    pub fn set_template(&self, template: Template) {
        self.template.send_modify(|running| running.replace(template));
    }

    /// Reads nothing more. What was read goes on its way to the spool.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}
