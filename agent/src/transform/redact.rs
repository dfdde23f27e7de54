//! Takes out what nobody should see.

use regex::bytes::Captures;
use serde::Deserialize;

use crate::line_regex::{LineRegex, lossy};

/// What is taken out, and what comes in its place.
#[derive(Debug, Clone)]
pub struct Redaction {
    /// Of what matches; only the first of its groups that takes part, if there is one.
    pub pattern: LineRegex,
    /// What comes in its place.
    pub with: Vec<u8>,
    /// Only numbers whose last digit is the check digit of a payment card.
    pub luhn: bool,
}

/// What is known without a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Numbers of payment cards.
    Card,
    /// Addresses of mail.
    Email,
    /// Keys, tokens, and what follows the word password.
    Secrets,
}

const CARD: &str = r"\b\d(?:[ -]?\d){12,18}\b";
const EMAIL: &str = r"(?-u:[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)";
const TOKENS: &str = concat!(
    r"(?s)(?-u:\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)",
    r"|(?-u:\bgh[pousr]_[A-Za-z0-9]{36,})|(?-u:\bgithub_pat_\w{22,})|(?-u:\bglpat-[\w-]{20,})",
    r"|(?-u:\bxox[abeprs]-[A-Za-z0-9-]{10,})",
    r"|(?-u:\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)",
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
);
const AUTHORIZATION: &str = r"(?i-u:\b(?:bearer|basic)\s+([\w.~+/=-]{8,}))";
const NAMED: &str = concat!(
    r"(?i-u:(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key))",
    r#"(?-u:(?:\\?["'])?\s*[:=]\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|\\?["']?([^\s"',;&})\]\\]+)))"#,
);

impl Known {
    /// How it is found.
    #[must_use]
    pub fn redactions(self) -> Vec<Redaction> {
        let (patterns, with): (&[&str], &[u8]) = match self {
            Self::Card => (&[CARD], b"[card]"),
            Self::Email => (&[EMAIL], b"[email]"),
            Self::Secrets => (&[TOKENS, AUTHORIZATION, NAMED], b"[secret]"),
        };
        // A test compiles each of them.
        let patterns = patterns.iter().filter_map(|pattern| LineRegex::new(pattern).ok());
        let redaction = |pattern| Redaction {
            pattern,
            with: with.to_vec(),
            luhn: self == Self::Card,
        };
        patterns.map(redaction).collect()
    }
}

impl Redaction {
    /// The line without it; `None` if there is nothing to take out.
    pub(super) fn apply(&self, line: &[u8]) -> Option<Vec<u8>> {
        let regex = self.pattern.over_bytes();
        // A byte that is not UTF-8 must not hide what comes after it, even if it is replaced itself.
        let lossy = lossy(line).filter(|line| regex.is_match(line.as_bytes()));
        let line = lossy.as_ref().map_or(line, |line| line.as_bytes());
        if lossy.is_none() && !regex.is_match(line) {
            return None;
        }
        let mut redacted = Vec::with_capacity(line.len());
        let mut copied = 0;
        for found in regex.captures_iter(line) {
            let Some(range) = self.range(&found) else {
                continue;
            };
            redacted.extend_from_slice(line.get(copied..range.start).unwrap_or_default());
            redacted.extend_from_slice(&self.with);
            copied = range.end;
        }
        redacted.extend_from_slice(line.get(copied..).unwrap_or_default());
        Some(redacted)
    }

    fn range(&self, found: &Captures<'_>) -> Option<std::ops::Range<usize>> {
        let part = found.iter().skip(1).flatten().next().or_else(|| found.get(0))?;
        (!self.luhn || has_check_digit(part.as_bytes())).then(|| part.range())
    }
}

/// Luhn's: of every second digit from the right the double counts, and its digits' sum.
fn has_check_digit(number: &[u8]) -> bool {
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).rev();
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            match place % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(known: Known, line: &str) -> String {
        let mut line = line.as_bytes().to_vec();
        for redaction in known.redactions() {
            line = redaction.apply(&line).unwrap_or(line);
        }
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn every_pattern_that_is_known_compiles() {
        let counts = [Known::Card, Known::Email, Known::Secrets].map(|known| known.redactions().len());
        assert_eq!(counts, [1, 1, 3]);
    }

    #[test]
    fn cards_are_numbers_with_their_check_digit() {
        let line = "paid with 4111 1111 1111 1111, 5500-0000-0000-0004 and 378282246310005";
        assert_eq!(redacted(Known::Card, line), "paid with [card], [card] and [card]");
        let line = "order 4111111111111112 at 1795480800123";
        assert_eq!(redacted(Known::Card, line), line);
    }

    #[test]
    fn addresses_of_mail() {
        let line = "from=<ann.o+x@mail.example.org>, to \"bob@example.com\" @home a@b";
        assert_eq!(redacted(Known::Email, line), "from=<[email]>, to \"[email]\" @home a@b");
    }

    #[test]
    fn broken_bytes_hide_nothing() {
        let redaction = Redaction {
            pattern: LineRegex::new("password=(.*)$").unwrap(),
            with: b"***".to_vec(),
            luhn: false,
        };
        assert_eq!(redaction.apply(b"password=\xffhunter2").unwrap(), b"password=***");
        assert_eq!(
            redaction.apply(b"\xff password=hunter2").unwrap(),
            "\u{fffd} password=***".as_bytes()
        );
        assert_eq!(redaction.apply(b"\xff"), None);
    }

    #[test]
    fn secrets_by_their_look_or_by_the_word_before_them() {
        let cases = [
            ("key AKIAIOSFODNN7EXAMPLE used", "key [secret] used"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret]"),
            ("Authorization: Bearer abc.def-ghi=", "Authorization: Bearer [secret]"),
            ("login password=hunter2&user=ann", "login password=[secret]&user=ann"),
            (
                r#"{"user":"ann","api_key":"12ab","n":1}"#,
                r#"{"user":"ann","api_key":"[secret]","n":1}"#,
            ),
            ("DB_PASSWORD: 'x y'", "DB_PASSWORD: '[secret]'"),
            (r#"{"password":12345}"#, r#"{"password":[secret]}"#),
            (r#"{"password": "a}\"b", "n":1}"#, r#"{"password": "[secret]", "n":1}"#),
            (
                r#"{"m":"{\"token\":\"ab\",\"n\":1}"}"#,
                r#"{"m":"{\"token\":\"[secret]\",\"n\":1}"}"#,
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nz",
                "[secret]\nz",
            ),
            ("the password was wrong", "the password was wrong"),
        ];
        for (line, expected) in cases {
            assert_eq!(redacted(Known::Secrets, line), expected);
        }
    }
}
