//! What an event may be asked.

use super::Fields;
use crate::line_regex::LineRegex;

/// A question about a field, or about the whole event.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Which field; the event itself if none is named.
    pub field: Option<String>,
    /// All of these must hold. Of a field that is not there only [`Test::Exists`] can.
    pub tests: Vec<Test>,
}

/// What must hold of a value.
#[derive(Debug, Clone)]
pub enum Test {
    /// It is one of these.
    Is(Vec<String>),
    /// It matches.
    Matches(LineRegex),
    /// It is there, or it is not.
    Exists(bool),
    /// It is a number, and not smaller.
    AtLeast(f64),
    /// It is a number, and smaller.
    Below(f64),
}

impl Condition {
    pub(super) fn is_met(&self, line: &[u8], fields: &Fields<'_>) -> bool {
        match &self.field {
            None => self.tests.iter().all(|test| test.holds(Some(line))),
            Some(name) => {
                let field = fields.get(name);
                let text = field.as_ref().map(|field| field.text());
                let value = text.as_ref().map(|text| text.as_bytes());
                self.tests.iter().all(|test| test.holds(value))
            }
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else {
            return matches!(self, Self::Exists(false));
        };
        let number = || std::str::from_utf8(value).ok()?.trim().parse::<f64>().ok();
        match self {
            Self::Is(values) => values.iter().any(|one| one.as_bytes() == value),
            Self::Matches(regex) => regex.is_match(value),
            Self::Exists(expected) => *expected,
            Self::AtLeast(limit) => number().is_some_and(|number| number >= *limit),
            Self::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::json;
    use super::*;

    #[test]
    fn all_tests_of_a_condition_must_hold() {
        let line = br#"{"level":"warn","status":503,"tags":["a"]}"#;
        let fields = json::object(line).unwrap();
        let meets = |field: Option<&str>, tests: &[Test]| {
            let field = field.map(str::to_owned);
            let tests = tests.to_vec();
            Condition { field, tests }.is_met(line, &fields)
        };
        let is = |value: &str| Test::Is(vec!["x".to_owned(), value.to_owned()]);
        let matches = |pattern: &str| Test::Matches(LineRegex::new(pattern).unwrap());
        assert!(meets(Some("level"), &[is("warn")]));
        assert!(!meets(Some("level"), &[is("war")]));
        assert!(meets(Some("status"), &[Test::AtLeast(500.0), Test::Below(504.0)]));
        assert!(!meets(Some("status"), &[Test::AtLeast(500.0), Test::Below(503.0)]));
        assert!(!meets(Some("level"), &[Test::Below(503.0)]));
        assert!(meets(Some("tags"), &[matches("\"a\"")]));
        assert!(meets(None, &[matches("503")]));
        assert!(meets(Some("nothing"), &[Test::Exists(false)]));
        assert!(!meets(Some("nothing"), &[is("warn")]));
        assert!(!meets(Some("level"), &[Test::Exists(false)]));
        assert!(meets(Some("level"), &[Test::Exists(true), matches("^w")]));
    }
}
