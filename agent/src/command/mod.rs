//! Reads lines that programs write: those that the agent runs, and the one whose output is its standard input. They cannot
//! be read again, so they go to the spool as they come; until it takes more, they wait in a pipe, and then the program does.
//!
//! ```text
//! program (process) -- bytes --> run (task) -- Piece --> gather (thread) -- Stretch --> pump (task) --> spool
//! ```

mod lines;
mod run;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::batch::StretchError;
use crate::frame::{Charset, Framing};
use crate::gather::Gatherer;
pub use crate::gather::{Seams, Settings};
use crate::records::Template;
use crate::routing::Origin;
use crate::status::CommandMetrics;
use crate::stretch::lane_of;

use lines::{Writer, Written};
use run::Runner;

/// In metrics of what is gathered.
const SOURCE: &str = "command";

/// How many pieces may wait to be gathered.
const QUEUE_DEPTH: usize = 16;

/// Who writes.
#[derive(Debug, Clone)]
pub enum Source {
    /// A program that is run.
    Program {
        /// The program and its arguments.
        words: Vec<String>,
        /// How often it is run; or once and for all, and again when it ends.
        every: Option<Duration>,
    },
    /// Whoever has the other end of standard input.
    StandardInput,
}

/// One `[[command]]` of the configuration, or `[stdin]`.
#[derive(Debug, Clone)]
pub struct Input {
    /// Who writes.
    pub source: Source,
    /// What it is called in records.
    pub name: Arc<str>,
    /// What its lines become.
    pub records: Template,
    /// Longer lines are split.
    pub max_len: usize,
    /// How long an unfinished line waits for its rest.
    pub partial_line_timeout: Duration,
}

impl Input {
    /// How its lines are cut.
    #[must_use]
    pub fn framing(&self) -> Framing {
        Framing {
            max_len: self.max_len,
            multiline: None,
            charset: Charset::Bytes,
            container: false,
        }
    }
}

/// How standard input has ended.
pub type StdinEnd = Result<(), Arc<io::Error>>;

/// Commands that are run, until they are stopped.
pub struct Commands {
    stop: CancellationToken,
    templates: watch::Sender<Vec<Template>>,
    ended: watch::Receiver<Option<StdinEnd>>,
}

impl Source {
    /// What its lines have in common.
    #[must_use]
    pub fn origin(&self, template: &Template, host: &str, name: &str) -> Origin {
        let of_program = [("host", host), ("command", name)];
        match self {
            Self::Program { .. } => template.origin(&of_program, lane_of(host, Path::new(&format!("command/{name}")))),
            Self::StandardInput => template.origin(&[("host", host)], lane_of(host, Path::new("stdin"))),
        }
    }
}

impl Commands {
    /// Runs them; what is returned with it gathers what they write, on a thread of its own.
    ///
    /// # Errors
    /// When the system has no more of what a thread needs to wait with.
    pub fn start(
        inputs: Vec<Input>,
        settings: &Settings,
        seams: Seams,
        metrics: &CommandMetrics,
    ) -> io::Result<(Self, impl FnOnce() -> Result<(), StretchError> + Send + 'static)> {
        let (pieces, written) = mpsc::channel(QUEUE_DEPTH);
        let writer = |input: &Input| Writer {
            name: Arc::clone(&input.name),
            origin: input.source.origin(&input.records, &settings.host, &input.name),
            source: input.source.clone(),
            framing: input.framing(),
        };
        let writers = inputs.iter().map(writer).collect();
        let (templates, current) = watch::channel(inputs.iter().map(|input| input.records.clone()).collect());
        let lines = Written {
            host: Arc::clone(&settings.host),
            templates: current,
            writers,
            mid_line: false,
            clock: Arc::clone(&seams.clock),
            metrics: seams.read_metrics.clone(),
        };
        let clock = Arc::clone(&seams.clock);
        let gather = Gatherer::new(lines, written, SOURCE, settings, seams).on_a_thread()?;
        let stop = CancellationToken::new();
        let (tell_end, ended) = watch::channel(None);
        for (number, input) in inputs.into_iter().enumerate() {
            let runner = Runner {
                number,
                input,
                pieces: pieces.clone(),
                clock: Arc::clone(&clock),
                metrics: metrics.clone(),
            };
            match runner.input.source {
                Source::Program { .. } => tokio::spawn(runner.run(stop.clone())),
                Source::StandardInput => tokio::spawn(runner.read_standard_input(stop.clone(), tell_end.clone())),
            };
        }
        let commands = Self { stop, templates, ended };
        Ok((commands, gather))
    }

    /// Other records of the same lines, from now on.
    pub fn set_templates(&self, templates: Vec<Template>) {
        self.templates
            .send_modify(|running| Template::replace_all(running, templates));
    }

    /// Completes once there is nothing more on standard input, if that is read.
    pub async fn standard_input_ended(&self) -> StdinEnd {
        let mut ended = self.ended.clone();
        let told = ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        match told {
            Some(end) => end,
            // It was stopped before.
            None => std::future::pending().await,
        }
    }

    /// Ends them. What they have written goes on its way to the spool.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}
