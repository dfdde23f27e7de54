//! What becomes of one file: which input takes it or why none does, and how far it is.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tailrace_shared::disk::{Disk, OpenMode, RealDisk};

use super::running::Running;
use crate::config::{AgentConfig, FilesConfig};
use crate::discover::{Pattern, PatternError, exclusions};
use crate::roots::Within;

/// In words, a line for each finding.
///
/// # Errors
/// When a glob of the configuration cannot be used.
pub fn explain(config: &AgentConfig, path: &Path, base: &Path) -> Result<String, PatternError> {
    let mut findings = Vec::new();
    findings.extend(look(path, &*Within::some(Arc::new(RealDisk), &config.read.roots)));
    if path.starts_with(&config.data_dir) {
        findings.push("it lies below data_dir, which is never followed".to_owned());
    }
    let mut taken_by = None;
    for (index, files) in config.files.iter().enumerate() {
        let number = index + 1;
        let Some(include) = matching(files, path, base)? else {
            continue;
        };
        let topic = files.topic.as_str();
        if let Some(exclude) = excluding(files, path, base)? {
            findings.push(format!(
                "[[files]] {number} (topic {topic}) excludes it by \"{exclude}\""
            ));
        } else if let Some(first) = taken_by {
            findings.push(format!(
                "[[files]] {number} (topic {topic}) would take it too, by \"{include}\", but number {first} comes before it"
            ));
        } else {
            findings.push(format!("[[files]] {number} (topic {topic}) takes it, by \"{include}\""));
            taken_by = Some(number);
        }
    }
    if taken_by.is_none() {
        findings.push(
            "no [[files]] takes it; one that was rotated is followed all the same, if it was under its old name"
                .to_owned(),
        );
    }
    findings.push(progress(config, path));
    Ok(format!("{}\n  {}\n", path.display(), findings.join("\n  ")))
}

/// What speaks against its being read, and how large it is.
fn look(path: &Path, disk: &dyn Disk) -> Vec<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return vec!["it is not there".to_owned()],
        Err(error) => return vec![format!("this user cannot look at it: {error}")],
    };
    let mut findings = Vec::new();
    if let Ok(target) = fs::canonicalize(path)
        && target != path
    {
        findings.push(format!("it is {}, by a link", target.display()));
    }
    if !metadata.is_file() {
        findings.push("it is no regular file, and only these are followed".to_owned());
    } else if let Err(error) = disk.open(path, OpenMode::Read) {
        findings.push(format!("it cannot be read: {error}"));
    } else {
        findings.push(format!("it has {} bytes", metadata.len()));
    }
    findings
}

fn matching<'a>(files: &'a FilesConfig, path: &Path, base: &Path) -> Result<Option<&'a str>, PatternError> {
    for glob in &files.include {
        if Pattern::parse(glob.as_str(), base)?.matches(path) {
            return Ok(Some(glob.as_str()));
        }
    }
    Ok(None)
}

fn excluding<'a>(files: &'a FilesConfig, path: &Path, base: &Path) -> Result<Option<&'a str>, PatternError> {
    for glob in &files.exclude {
        let exclude = exclusions(&[glob.as_str().to_owned()], base)?;
        if path.ancestors().any(|part| exclude.is_match(part)) {
            return Ok(Some(glob.as_str()));
        }
    }
    Ok(None)
}

fn progress(config: &AgentConfig, path: &Path) -> String {
    let files = match Running::at(&config.http.listen).files() {
        Ok(files) => files,
        Err(error) => return error.to_string(),
    };
    let Some(file) = files.into_iter().find(|file| file.path == path) else {
        return "the agent that runs does not follow it".to_owned();
    };
    let error = file.last_error.map(|error| format!("; its last error: {error}"));
    format!(
        "the agent that runs has read {} of {} bytes, {} are left, for topic {} (lane {}){}",
        file.position,
        file.size,
        file.lag,
        file.topic,
        file.lane,
        error.unwrap_or_default()
    )
}
