//! `tailrace-agent import`: the configuration of another agent, as far as it is about files, journals and syslog, as ours;
//! and how far that agent has read, so that a switch neither repeats nor skips a line.

mod draft;
mod filebeat;
mod fluent_bit;
mod positions;
mod promtail;
mod rainer;
mod rsyslog;
mod settings;
mod tree;
mod vector;

use std::path::Path;

use draft::Draft;
pub use draft::Note;
pub use positions::{PositionsError, Progress, TakenOver, Which, read, take_over};
use settings::Settings;

use crate::config::AgentConfig;

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// filebeat.yml, and the registry below its data directory.
    Filebeat,
    /// fluent-bit.conf or fluent-bit.yaml, and the DB of an input of type tail or systemd.
    FluentBit,
    /// The configuration of Promtail, and its positions.yaml.
    Promtail,
    /// rsyslog.conf, as far as it is about imfile, imjournal and syslog, and its work directory.
    Rsyslog,
    /// vector.yaml or vector.toml, and the checkpoints.json (of journald: checkpoint.txt) of a source below its data_dir.
    Vector,
}

/// A configuration that came from another tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Imported {
    /// Ours.
    pub toml: String,
    /// What did not come over, by its line.
    pub notes: Vec<Note>,
}

/// Why nothing could be made of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is not what it should be.
    #[error("this is no YAML, or no TOML: {0}")]
    NotUnderstood(String),
    /// There is nothing in it for us.
    #[error("it collects nothing that is known here: {0}")]
    Nothing(&'static str),
    /// A defect: what was made of it is refused.
    #[error("what was made of it is not understood, which is a defect: {0}")]
    Refused(String),
}

/// Makes ours of another tool's.
pub fn import(tool: Tool, text: &str) -> Result<Imported, ImportError> {
    let settings = match tool {
        Tool::Filebeat | Tool::Promtail => Settings::parse_yaml(text),
        Tool::FluentBit => fluent_bit::settings(text),
        Tool::Rsyslog => Ok(Settings::default()),
        // Nothing that says anything is both.
        Tool::Vector => Settings::parse_toml(text).or_else(|_| Settings::parse_yaml(text)),
    };
    let settings = settings.map_err(ImportError::NotUnderstood)?;
    let mut draft = Draft::default();
    match tool {
        Tool::Filebeat => filebeat::draft(&settings, &mut draft),
        Tool::FluentBit => fluent_bit::draft(&settings, &mut draft),
        Tool::Promtail => promtail::draft(&settings, &mut draft),
        Tool::Rsyslog => rsyslog::draft(text, &mut draft),
        Tool::Vector => vector::draft(&settings, &mut draft),
    }
    draft.note_left(&settings, "");
    if draft.inputs.is_empty() && draft.journald.is_empty() && draft.syslog.is_empty() {
        return Err(ImportError::Nothing(match tool {
            Tool::Filebeat => "there is no input of type log, filestream, container or journald in filebeat.inputs",
            Tool::FluentBit => {
                "there is no input of type tail, systemd or syslog; ask for each included file by itself"
            }
            Tool::Promtail => "no scrape_configs has a static_configs with __path__, or a journal",
            Tool::Rsyslog => {
                "there is no input of type imfile, imudp or imtcp, nor imjournal; ask for each file of /etc/rsyslog.d by itself"
            }
            Tool::Vector => "there is no source of type file, journald or syslog",
        }));
    }
    let toml = draft.to_string();
    tailrace_shared::config::parse::<AgentConfig>(Path::new("agent.toml"), toml.as_bytes(), &any_value)
        .map_err(|error| ImportError::Refused(error.to_string()))?;
    let mut notes = draft.notes;
    notes.sort();
    notes.dedup();
    Ok(Imported { toml, notes })
}

/// Whether ours can be used is asked without knowing what the environment will hold.
fn any_value(_name: &str) -> Option<String> {
    Some("collector:9092".to_owned())
}

#[cfg(test)]
mod tests;
