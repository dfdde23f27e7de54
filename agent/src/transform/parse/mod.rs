//! How fields are found in an event.

pub(super) mod json;
mod logfmt;
mod pattern;
mod preset;
mod syslog;

pub use preset::Preset;
pub use syslog::SEVERITIES;

use super::Fields;
use crate::line_regex::LineRegex;

/// What an event is.
#[derive(Debug, Clone)]
pub enum Parser {
    /// A JSON object.
    Json,
    /// `key=value key="another value"`.
    Logfmt,
    /// Syslog; the older headers are found by the expression.
    Syslog(LineRegex),
    /// Whatever matches; its named groups are the fields.
    Pattern(LineRegex),
    /// Values between delimiters, with these names in their order.
    Csv {
        /// The names.
        columns: Vec<String>,
        /// What is between values.
        delimiter: u8,
    },
}

impl Parser {
    /// The fields, or why there are none.
    pub(super) fn parse<'a>(&self, line: &'a [u8]) -> Result<Fields<'a>, String> {
        match self {
            Self::Json => json::object(line),
            Self::Logfmt => logfmt::pairs(line),
            Self::Syslog(older) => syslog::message(older, line),
            Self::Pattern(regex) => pattern::groups(regex, line),
            Self::Csv { columns, delimiter } => csv_record(line, columns, *delimiter),
        }
    }
}

fn csv_record<'a>(line: &[u8], columns: &[String], delimiter: u8) -> Result<Fields<'a>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(line);
    let mut record = csv::ByteRecord::new();
    reader
        .read_byte_record(&mut record)
        .map_err(|error| format!("csv: {error}"))?;
    if record.len() != columns.len() {
        return Err(format!("csv: {} values, and not {}", record.len(), columns.len()));
    }
    let mut fields = Fields::default();
    for (column, value) in columns.iter().zip(&record) {
        let value = String::from_utf8_lossy(value).into_owned();
        fields.put(column.clone().into(), super::Field::Text(value.into()));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_between_delimiters_have_the_names_of_their_columns() {
        let columns = ["a", "b"].map(str::to_owned).to_vec();
        let fields = csv_record(b"1;\"two \"\"2\"\"; or more\"", &columns, b';').unwrap();
        let all: Vec<_> = fields
            .iter()
            .map(|(name, field)| format!("{name}={}", field.text()))
            .collect();
        assert_eq!(all, ["a=1", "b=two \"2\"; or more"]);
        assert_eq!(
            csv_record(b"1", &columns, b';').unwrap_err(),
            "csv: 1 values, and not 2"
        );
    }

    proptest! {
        #[test]
        fn nothing_that_a_line_may_be_stops_a_parser(line in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            r#"[{}":,a=\\ \[\]\-0-9.]{0,60}"#.prop_map(String::into_bytes),
            r#"<13>1 - - - - - \[a( [ab\]]?=?"[b\\\]"]{0,9}"){0,3}\]?.{0,9}"#.prop_map(String::into_bytes),
        ]) {
            let csv = Parser::Csv { columns: vec!["a".to_owned()], delimiter: b',' };
            for parser in [Parser::Json, Parser::Logfmt, Preset::Syslog.parser(), csv] {
                if let Ok(fields) = parser.parse(&line) {
                    let mut out = Vec::new();
                    for (name, field) in fields.iter() {
                        out.push(if out.is_empty() { b'{' } else { b',' });
                        json::write_string(&mut out, name);
                        out.push(b':');
                        field.write_json(&mut out);
                    }
                    if !out.is_empty() {
                        out.push(b'}');
                        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{:?}", out);
                    }
                }
            }
        }
    }
}
