//! Configuration files: TOML that is checked strictly, and errors that say where, what and how to mend it.
//!
//! A binary describes its file as a struct with `#[serde(deny_unknown_fields)]` and calls [`load`]. On the way:
//! * inside strings, `${NAME}` becomes the environment variable, `${NAME:-default}` has a default, and `$${` is a
//!   literal `${`;
//! * any key that takes a string may be given as `KEY_file`, the path of a file that holds the value (relative to the
//!   configuration file, one trailing newline dropped), so that a secret need not stand in the configuration;
//! * sizes, durations, addresses and secrets have types of their own: [`ByteSize`], [`HumanDuration`], [`ListenAddr`]
//!   and [`Secret`].

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

mod document;
mod error;
mod explain;
mod substitute;
#[cfg(test)]
mod tests;
mod values;

pub use error::{ConfigError, Position};
pub use explain::suggest;
pub use values::{ByteSize, HumanDuration, ListenAddr, ParseValueError, Secret, within};

use document::Document;
use error::Problem;

const FILE_LEN_MAX: u64 = 1 << 20;
const VALUE_FILE_LEN_MAX: u64 = 64 << 10;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a configuration file, with the process's environment.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let bytes = read_at_most(path, FILE_LEN_MAX).map_err(|error| {
        let problem = Problem::new(format!("cannot read the configuration: {error}"));
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "check the path given with --config",
            io::ErrorKind::PermissionDenied => "let the user that this runs as read it",
            _ => "check that it is a regular, readable file",
        };
        problem.remedy(remedy).in_file(path)
    })?;
    parse(path, &bytes, &|name| std::env::var(name).ok())
}

/// Reads configuration from bytes; `path` is named in errors, and is what `KEY_file` paths are relative to.
pub fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8], environment: Environment) -> Result<T, ConfigError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let problem = Problem::new("the file is not UTF-8").at(valid.len()..valid.len());
        problem
            .remedy("save it as UTF-8; TOML knows no other encoding")
            .in_text(path, &valid, &[])
    })?;
    let mut document = Document::parse(text).map_err(|(problem, key)| problem.in_text(path, text, &key))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let read = document
        .substitute(environment)
        .and_then(|()| document.deserialize(directory));
    read.map_err(|problem| {
        let key = document.key_at(problem.span());
        problem.in_text(path, text, &key)
    })
}

fn read_at_most(path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(len_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > len_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {len_max} bytes"),
        ));
    }
    Ok(bytes)
}
