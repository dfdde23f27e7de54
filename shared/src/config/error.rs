//! The one error of configuration, as it is shown to a person.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The longest excerpt of a line that is shown, in characters.
const EXCERPT_LEN_MAX: usize = 160;

/// Why a configuration was refused: where, what, and how to mend it.
///
/// ```text
/// agent.toml:12:1: unknown key `incldue` (at `files.incldue`)
///    |
/// 12 | incldue = ["/var/log/*.log"]
///    | ^^^^^^^
///    = did you mean `include`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file that was read.
    pub file: PathBuf,
    /// Where in the file, if it is about a place in it.
    pub position: Option<Box<Position>>,
    /// The dotted key it is about; empty if none.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// A place in a text, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters of the line it covers.
    pub width: usize,
    /// The line itself, cut if it is very long.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(position) = &self.position {
            write!(f, "{}:{}:", position.line, position.column)?;
        }
        write!(f, " {}", self.problem)?;
        if !self.key.is_empty() {
            write!(f, " (at `{}`)", self.key)?;
        }
        let number = self
            .position
            .as_ref()
            .map_or(String::new(), |position| position.line.to_string());
        let margin = " ".repeat(number.len());
        if let Some(position) = &self.position {
            let indent = " ".repeat(position.column - 1);
            let marks = "^".repeat(position.width);
            write!(
                f,
                "\n{margin} |\n{number} | {}\n{margin} | {indent}{marks}",
                position.text
            )?;
        }
        match &self.remedy {
            Some(remedy) => write!(f, "\n{margin} = {remedy}"),
            None => Ok(()),
        }
    }
}

/// An error on its way to becoming a [`ConfigError`]: it knows the span, not yet the file.
#[derive(Debug)]
pub(super) struct Problem {
    span: Option<Range<usize>>,
    message: String,
    remedy: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            span: None,
            message: message.into(),
            remedy: None,
        }
    }

    pub(super) fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone().unwrap_or_default()
    }

    pub(super) fn in_file(self, file: &Path) -> ConfigError {
        self.in_text(file, "", &[])
    }

    pub(super) fn in_text(self, file: &Path, text: &str, key: &[String]) -> ConfigError {
        ConfigError {
            file: file.to_owned(),
            position: self.span.and_then(|span| Position::of(span, text)).map(Box::new),
            key: key.join("."),
            problem: self.message,
            remedy: self.remedy,
        }
    }
}

impl Position {
    fn of(span: Range<usize>, text: &str) -> Option<Self> {
        let before = text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(line_start..)?.lines().next().unwrap_or_default();
        let column = text.get(line_start..span.start)?.chars().count() + 1;
        let covered = text.get(span)?.lines().next().unwrap_or_default().chars().count();
        let shown: String = line
            .chars()
            .take(EXCERPT_LEN_MAX)
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        let width = covered.min((shown.chars().count() + 1).saturating_sub(column)).max(1);
        Some(Self {
            line: before.matches('\n').count() + 1,
            column,
            width,
            text: shown,
        })
    }
}
