//! From tables of the configuration to inputs.

use std::path::Path;
use std::sync::Arc;

use tailrace_shared::tls::TlsServer;

use super::StartError;
use crate::command;
use crate::config::{
    AgentConfig, CommandConfig, FilesConfig, Glob, JournaldConfig, RateLimitConfig, StdinConfig, SyslogConfig,
    TransformConfig,
};
use crate::discover::{Pattern, PatternError, Selection, exclusions};
use crate::frame::{Framing, Multiline};
use crate::journald;
use crate::reader::Input;
use crate::receive;
use crate::records::Template;

/// How standard input is called in logs.
const STDIN: &str = "stdin";

/// What of a configuration works, and is hardly meant, at this moment. `check` fails for it; a start only says it, because
/// what is a directory now may be a file later.
#[must_use]
pub fn doubts(config: &AgentConfig) -> Vec<String> {
    let included = config.files.iter().flat_map(|files| &files.include);
    let directories = included.filter(|glob| Path::new(glob.as_str()).is_dir());
    let doubt = |glob: &Glob| {
        let all = Path::new(glob.as_str()).join("*.log");
        format!(
            "files.include = \"{}\" is a directory, and nothing in it is followed; did you mean \"{}\"?",
            glob.as_str(),
            all.display()
        )
    };
    directories.map(doubt).collect()
}

/// The inputs of a configuration, its globs compiled.
pub fn inputs(config: &AgentConfig) -> Result<Vec<Input>, StartError> {
    let base = std::env::current_dir().map_err(StartError::CurrentDir)?;
    config.files.iter().map(|files| Ok(input(files, &base)?)).collect()
}

/// The inputs of a configuration that others send to, their certificates read.
pub fn syslog_inputs(config: &AgentConfig) -> Result<Vec<receive::Input>, StartError> {
    let input = |syslog: &SyslogConfig| {
        let tls = syslog.tls.clone().map(TlsServer::load).transpose();
        Ok(receive::Input {
            records: template_of(syslog),
            udp: syslog.udp.clone(),
            tcp: syslog.tcp.clone(),
            tls: tls.map_err(StartError::SyslogTls)?.map(Arc::new),
            connections_max: syslog.connections_max,
            max_len: syslog.max_message_bytes.as_usize(),
        })
    };
    config.syslog.iter().map(input).collect()
}

/// The inputs of a configuration that read journals.
#[must_use]
pub fn journald_inputs(config: &AgentConfig) -> Vec<journald::Input> {
    let input = |journald: &JournaldConfig| journald::Input {
        name: journald.name.as_str().into(),
        records: template_of_journal(journald),
        selection: journald.selection(),
        more_fields: journald.fields.clone(),
        start_at: journald.start_at,
        max_len: journald.max_message_bytes.as_usize(),
    };
    config.journald.iter().map(input).collect()
}

/// The inputs of a configuration that run commands, and the one that reads standard input behind them.
#[must_use]
pub fn command_inputs(config: &AgentConfig) -> Vec<command::Input> {
    let input = |command: &CommandConfig| command::Input {
        name: command.name().into(),
        records: template_of_command(command),
        source: command::Source::Program {
            words: command.command.clone(),
            every: command.every.map(|every| every.0),
        },
        max_len: command.max_line_bytes.as_usize(),
        partial_line_timeout: config.read.partial_line_timeout.0,
    };
    let of_stdin = |stdin: &StdinConfig| command::Input {
        name: STDIN.into(),
        records: template_of_stdin(stdin),
        source: command::Source::StandardInput,
        max_len: stdin.max_line_bytes.as_usize(),
        partial_line_timeout: config.read.partial_line_timeout.0,
    };
    let programs = config.command.iter().map(input);
    programs.chain(config.stdin.as_ref().map(of_stdin)).collect()
}

/// What becomes of the lines of each of these.
#[must_use]
pub fn templates_of_commands(config: &AgentConfig) -> Vec<Template> {
    let programs = config.command.iter().map(template_of_command);
    programs.chain(config.stdin.as_ref().map(template_of_stdin)).collect()
}

fn template_of_stdin(stdin: &StdinConfig) -> Template {
    Template {
        topic: stdin.topic.as_str().into(),
        routing: stdin.topic.routing(),
        labels: stdin.labels.clone(),
        limit: Arc::new(RateLimitConfig::limit(stdin.rate_limit)),
        format: stdin.format,
        transform: stdin.transform.as_ref().map(TransformConfig::compiled),
    }
}

/// What becomes of the lines of a command.
fn template_of_command(command: &CommandConfig) -> Template {
    Template {
        topic: command.topic.as_str().into(),
        routing: command.topic.routing(),
        labels: command.labels.clone(),
        limit: Arc::new(RateLimitConfig::limit(command.rate_limit)),
        format: command.format,
        transform: command.transform.as_ref().map(TransformConfig::compiled),
    }
}

/// What becomes of the entries of a journal: something is done in any case, for they say more than their message.
#[must_use]
pub fn template_of_journal(journald: &JournaldConfig) -> Template {
    let transform = journald.transform.as_ref().map(TransformConfig::compiled);
    Template {
        topic: journald.topic.as_str().into(),
        routing: journald.topic.routing(),
        labels: journald.labels.clone(),
        limit: Arc::new(RateLimitConfig::limit(journald.rate_limit)),
        format: journald.format,
        transform: Some(transform.unwrap_or_default()),
    }
}

/// What becomes of the messages of an input.
#[must_use]
pub fn template_of(syslog: &SyslogConfig) -> Template {
    Template {
        topic: syslog.topic.as_str().into(),
        routing: syslog.topic.routing(),
        labels: syslog.labels.clone(),
        limit: Arc::new(RateLimitConfig::limit(syslog.rate_limit)),
        format: syslog.format,
        transform: syslog.transform.as_ref().map(TransformConfig::compiled),
    }
}

fn input(files: &FilesConfig, base: &Path) -> Result<Input, PatternError> {
    let parse = |glob: &Glob| Pattern::parse(glob.as_str(), base);
    let exclude: Vec<_> = files.exclude.iter().map(|glob| glob.as_str().to_owned()).collect();
    Ok(Input {
        records: Template {
            topic: files.topic.as_str().into(),
            routing: files.topic.routing(),
            labels: files.labels.clone(),
            limit: Arc::new(RateLimitConfig::limit(files.rate_limit)),
            format: files.format,
            transform: match &files.transform {
                Some(transform) => Some(transform.compiled()),
                None => files.container.then(Arc::default),
            },
        },
        selection: Selection {
            include: files.include.iter().map(parse).collect::<Result<_, _>>()?,
            exclude: exclusions(&exclude, base)?,
        },
        framing: Framing {
            max_len: files.max_line_bytes.as_usize(),
            multiline: files.multiline.clone().map(Multiline::from),
            charset: files.encoding.0,
            container: files.container,
        },
        start_at: files.start_at,
        ignore_older: files.ignore_older.map(|older| older.0),
    })
}
