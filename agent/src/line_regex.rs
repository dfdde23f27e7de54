//! Regular expressions over lines. A line is bytes, and an expression is text: bytes that are not UTF-8 count as U+FFFD, so
//! that one such byte does not hide the rest of its line.

use std::borrow::Cow;

use regex::bytes::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

/// A regular expression, whose time is linear in the line.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct LineRegex(Regex);

impl LineRegex {
    /// Compiles a pattern; one that would take much memory is refused.
    ///
    /// # Errors
    /// When it is no regular expression, shown with the place of the mistake.
    pub fn new(pattern: &str) -> Result<Self, String> {
        const COMPILED_MAX: usize = 1 << 20;
        if pattern.is_empty() {
            return Err("an empty pattern matches every line".to_owned());
        }
        let compiled = RegexBuilder::new(pattern).size_limit(COMPILED_MAX).build();
        compiled.map(Self).map_err(|error| error.to_string())
    }

    /// The expression itself, for which bytes that are not UTF-8 match nothing but `(?-u:.)`.
    #[must_use]
    pub fn over_bytes(&self) -> &Regex {
        &self.0
    }

    /// Whether a line matches.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.0.is_match(line) || lossy(line).is_some_and(|line| self.0.is_match(line.as_bytes()))
    }

    /// What `read` makes of the groups that match.
    pub fn captures<R>(&self, line: &[u8], read: impl Fn(&Captures<'_>) -> R) -> Option<R> {
        if let Some(found) = self.0.captures(line) {
            return Some(read(&found));
        }
        let line = lossy(line)?;
        self.0.captures(line.as_bytes()).map(|found| read(&found))
    }
}

impl TryFrom<String> for LineRegex {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        Self::new(&pattern)
    }
}

/// The line with U+FFFD for bytes that are not UTF-8; `None` if it has none.
pub(crate) fn lossy(line: &[u8]) -> Option<String> {
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_utf_8_hides_nothing() {
        let regex = LineRegex::new("^a.c (ü+)$").unwrap();
        assert!(regex.is_match("abc ü".as_bytes()));
        assert!(regex.is_match(b"a\xffc \xc3\xbc"));
        assert!(!regex.is_match(b"a\xff\xffc \xc3\xbc"));
        let group = |found: &Captures<'_>| found.get(1).map(|group| group.as_bytes().to_vec());
        let found = regex.captures(b"a\xffc \xc3\xbc", group);
        assert_eq!(found.unwrap().unwrap(), "ü".as_bytes());
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        assert!(LineRegex::new("(").unwrap_err().contains("unclosed group"));
        assert!(LineRegex::new("").unwrap_err().contains("every line"));
        assert!(LineRegex::new(r"\w{1000}{1000}").unwrap_err().contains("size limit"));
    }
}
