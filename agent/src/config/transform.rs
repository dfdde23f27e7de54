//! `files.transform`: what is done with events before they are sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::values::name_or_table;
use crate::frame::STREAM;
use crate::line_regex::LineRegex;
use crate::transform::{Condition, Known, Parser, Preset, Redaction, Sample, Test, TimeField, TimeFormat, Transform};

/// What is done with events, in the order of the keys.
#[derive(Debug, Clone)]
pub struct TransformConfig(Arc<Transform>);

impl TransformConfig {
    /// As it is carried out.
    #[must_use]
    pub fn compiled(&self) -> Arc<Transform> {
        Arc::clone(&self.0)
    }

    /// Whether an event may have other fields than those that it comes with.
    #[must_use]
    pub fn finds_fields(&self) -> bool {
        self.0.parse.is_some() || !self.0.rename.is_empty()
    }
}

impl<'de> Deserialize<'de> for TransformConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let checked = table.check_fields();
        checked.and_then(|()| table.compiled()).map_err(D::Error::custom)
    }
}

/// Of events that have fields even if none are parsed.
pub(super) fn with_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TransformConfig>, D::Error> {
    let table = Table::deserialize(deserializer)?;
    table.compiled().map(Some).map_err(D::Error::custom)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    /// What nobody should see: `card`, `email`, `secrets`, or a table with a pattern.
    redact: Vec<RedactConfig>,
    /// How fields are found: the name of a format that is known, or a table.
    #[serde(deserialize_with = "parse")]
    parse: Option<ParseConfig>,
    /// Where the time is: the name of a field, or a table.
    #[serde(deserialize_with = "time")]
    time: Option<TimeConfig>,
    /// Events that meet one of these are not sent.
    drop: Vec<ConditionConfig>,
    /// If there are any, events that meet none of these are not sent.
    keep: Vec<ConditionConfig>,
    /// Only a share of the events is sent.
    sample: Option<SampleConfig>,
    /// Fields with a new name: `old = "new"`.
    rename: BTreeMap<String, String>,
    /// Fields that are left out.
    remove: Vec<String>,
    /// Fields that are numbers, with `format = "json"`.
    numbers: Vec<String>,
    /// Fields that become record headers.
    headers: Vec<String>,
}

impl Table {
    fn compiled(self) -> Result<TransformConfig, String> {
        self.compile().map(|transform| TransformConfig(Arc::new(transform)))
    }

    /// Whether whatever needs fields can have some.
    fn check_fields(&self) -> Result<(), String> {
        let needs_fields = [
            ("time", self.time.is_some()),
            ("rename", !self.rename.is_empty()),
            ("remove", !self.remove.is_empty()),
            ("numbers", !self.numbers.is_empty()),
            ("headers", !self.headers.is_empty()),
        ];
        let of = self.sample.as_ref().and_then(|sample| sample.of.as_ref());
        let by = self.sample.as_ref().and_then(|sample| sample.by.as_ref());
        let conditions = self.drop.iter().chain(&self.keep).chain(of);
        let by_field = conditions
            .filter_map(|condition| condition.field.as_ref())
            .chain(by)
            // That is known of a container, whatever is in its lines.
            .find(|field| *field != STREAM);
        let needs = needs_fields
            .iter()
            .find(|(_, needed)| *needed)
            .map(|(key, _)| (*key).to_owned());
        let needs = needs.or_else(|| by_field.map(|field| format!("a condition on `{field}`")));
        if let (None, Some(needs)) = (&self.parse, needs) {
            return Err(format!("{needs} needs fields: say with `parse` how they are found"));
        }
        Ok(())
    }

    fn compile(self) -> Result<Transform, String> {
        let preset = self.parse.as_ref().and_then(|parse| parse.preset);
        let mut numbers = self.numbers;
        numbers.extend(
            preset
                .into_iter()
                .flat_map(Preset::numbers)
                .map(|name| (*name).to_owned()),
        );
        let conditions = |list: Vec<ConditionConfig>| {
            list.into_iter()
                .map(ConditionConfig::compile)
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Transform {
            redact: self.redact.into_iter().flat_map(|redact| redact.0).collect(),
            parse: self.parse.map(|parse| parse.parser),
            time: match self.time {
                Some(time) => Some(time.compile(preset)),
                None => preset
                    .and_then(Preset::time)
                    .map(|format| TimeConfig::of("time").with(format)),
            },
            drop: conditions(self.drop)?,
            keep: conditions(self.keep)?,
            sample: self.sample.map(SampleConfig::compile).transpose()?,
            rename: self.rename.into_iter().collect(),
            remove: self.remove,
            numbers,
            headers: self.headers,
        })
    }
}

/// One or several redactions.
#[derive(Debug, Clone)]
struct RedactConfig(Vec<Redaction>);

impl From<Known> for RedactConfig {
    fn from(known: Known) -> Self {
        Self(known.redactions())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedactTable {
    /// What is taken out: its first group, or all that matches.
    pattern: LineRegex,
    /// What comes in its place. Default `[redacted]`.
    #[serde(default = "redacted")]
    with: String,
}

fn redacted() -> String {
    "[redacted]".to_owned()
}

impl TryFrom<RedactTable> for RedactConfig {
    type Error = String;

    fn try_from(table: RedactTable) -> Result<Self, String> {
        Ok(Self(vec![Redaction {
            pattern: table.pattern,
            with: table.with.into_bytes(),
            luhn: false,
        }]))
    }
}

impl<'de> Deserialize<'de> for RedactConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_table::<Known, RedactTable, _, _>(deserializer, "`card`, `email`, `secrets`, or a table with a pattern")
    }
}

#[derive(Debug, Clone)]
struct ParseConfig {
    parser: Parser,
    preset: Option<Preset>,
}

impl From<Preset> for ParseConfig {
    fn from(preset: Preset) -> Self {
        Self {
            parser: preset.parser(),
            preset: Some(preset),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParseTable {
    /// Its named groups are the fields.
    regex: Option<LineRegex>,
    /// The names of the values between delimiters.
    csv: Option<Vec<String>>,
    /// What is between values. Default `,`.
    delimiter: Option<char>,
}

impl TryFrom<ParseTable> for ParseConfig {
    type Error = String;

    fn try_from(table: ParseTable) -> Result<Self, String> {
        let parser = match (table.regex, table.csv, table.delimiter) {
            (Some(regex), None, None) => {
                if regex.over_bytes().capture_names().flatten().next().is_none() {
                    return Err("the pattern names no field: write its groups as (?<name>…)".to_owned());
                }
                Parser::Pattern(regex)
            }
            (None, Some(columns), delimiter) if !columns.is_empty() => {
                let delimiter = delimiter.unwrap_or(',');
                let delimiter = u8::try_from(delimiter).ok().filter(u8::is_ascii);
                Parser::Csv {
                    columns,
                    delimiter: delimiter.ok_or("a delimiter is one ASCII character")?,
                }
            }
            _ => return Err("say how fields are found by one of `regex` and `csv`".to_owned()),
        };
        Ok(Self { parser, preset: None })
    }
}

fn parse<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ParseConfig>, D::Error> {
    let expecting = "the name of a format, such as \"json\", or a table with `regex` or `csv`";
    name_or_table::<Preset, ParseTable, _, _>(deserializer, expecting).map(Some)
}

#[derive(Debug, Clone)]
struct TimeConfig {
    field: String,
    format: Option<TimeFormat>,
    zone: TimeZone,
}

impl TimeConfig {
    fn of(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            format: None,
            zone: TimeZone::system(),
        }
    }

    fn with(self, format: TimeFormat) -> TimeField {
        TimeField {
            field: self.field,
            format,
            zone: self.zone,
        }
    }

    fn compile(mut self, preset: Option<Preset>) -> TimeField {
        let format = self.format.take().or_else(|| preset.and_then(Preset::time));
        self.with(format.unwrap_or(TimeFormat::Usual))
    }
}

impl From<String> for TimeConfig {
    fn from(field: String) -> Self {
        Self::of(&field)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeTable {
    /// The field.
    field: String,
    /// As `strftime` has it, or `unix`, `unix_ms`, `unix_us`, `unix_ns`. Default: whatever is usual.
    format: Option<String>,
    /// Where the clock hangs, such as `Europe/Berlin`, if the time does not say. Default: the zone of this machine.
    zone: Option<String>,
}

impl TryFrom<TimeTable> for TimeConfig {
    type Error = String;

    fn try_from(table: TimeTable) -> Result<Self, String> {
        let format = |format: String| match format.as_str() {
            "unix" => Ok(TimeFormat::Unix { per_second: 1 }),
            "unix_ms" => Ok(TimeFormat::Unix { per_second: 1_000 }),
            "unix_us" => Ok(TimeFormat::Unix { per_second: 1_000_000 }),
            "unix_ns" => Ok(TimeFormat::Unix {
                per_second: 1_000_000_000,
            }),
            pattern => TimeFormat::pattern(pattern),
        };
        let zone = |name: String| TimeZone::get(&name).map_err(|_| format!("there is no time zone \"{name}\""));
        Ok(Self {
            format: table.format.map(format).transpose()?,
            zone: table.zone.map_or_else(|| Ok(TimeZone::system()), zone)?,
            field: table.field,
        })
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeConfig>, D::Error> {
    name_or_table::<String, TimeTable, _, _>(deserializer, "the name of a field, or a table with `field`").map(Some)
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConditionConfig {
    /// Of this field; `a.b` is the member `b` of the object `a`. Default: of the whole event.
    field: Option<String>,
    /// It is this, or one of these.
    #[serde(deserialize_with = "one_or_more")]
    is: Vec<String>,
    /// It matches.
    matches: Option<LineRegex>,
    /// It is there, or it is not.
    exists: Option<bool>,
    /// It is a number, and not smaller.
    at_least: Option<f64>,
    /// It is a number, and smaller.
    below: Option<f64>,
}

impl ConditionConfig {
    fn compile(self) -> Result<Condition, String> {
        let mut tests = Vec::new();
        if !self.is.is_empty() {
            tests.push(Test::Is(self.is));
        }
        tests.extend(self.matches.map(Test::Matches));
        tests.extend(self.exists.map(Test::Exists));
        tests.extend(self.at_least.map(Test::AtLeast));
        tests.extend(self.below.map(Test::Below));
        if tests.is_empty() {
            return Err(
                "a condition asks for nothing: add `is`, `matches`, `exists`, `at_least` or `below`".to_owned(),
            );
        }
        if self.field.is_none() && self.exists.is_some() {
            return Err("`exists` needs a `field`: an event is always there".to_owned());
        }
        Ok(Condition {
            field: self.field,
            tests,
        })
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string, or a list of strings")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => Ok(vec![one]),
        OneOrMore::More(more) if more.is_empty() => Err(D::Error::custom("there is nothing in it: add at least one")),
        OneOrMore::More(more) => Ok(more),
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleConfig {
    /// Which share is sent: 0.1 is a tenth.
    keep: f64,
    /// Events that agree in this field are sent together, or not at all.
    by: Option<String>,
    /// Of which events; all others are sent. Default: of all.
    of: Option<ConditionConfig>,
}

impl SampleConfig {
    fn compile(self) -> Result<Sample, String> {
        if !(0.0..=1.0).contains(&self.keep) {
            return Err(format!(
                "sample.keep = {} is no share: write 0.1 for a tenth",
                self.keep
            ));
        }
        Ok(Sample {
            keep: self.keep,
            by: self.by,
            of: self.of.map(ConditionConfig::compile).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transform(text: &str) -> Result<Arc<Transform>, String> {
        let config: Result<TransformConfig, _> = toml::from_str(text);
        config
            .map(|config| config.compiled())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_preset_brings_its_time_and_its_numbers() {
        let nginx = transform("parse = 'nginx'\nnumbers = ['x']").unwrap();
        assert_eq!(nginx.numbers, ["x", "status", "bytes"]);
        let time = nginx.time.as_ref().unwrap();
        assert_eq!(time.field, "time");
        assert!(matches!(time.format, TimeFormat::Pattern(_)));
        assert!(transform("parse = 'json'").unwrap().time.is_none());
        let named = transform("parse = 'json'\ntime = 'ts'").unwrap();
        assert_eq!(named.time.as_ref().unwrap().format, TimeFormat::Usual);
        let other = transform("parse = 'syslog'\ntime = { field = 'time', zone = 'Asia/Tokyo' }").unwrap();
        let time = other.time.as_ref().unwrap();
        assert_eq!(
            (&time.format, time.zone.iana_name()),
            (&TimeFormat::Syslog, Some("Asia/Tokyo"))
        );
    }

    #[test]
    fn mistakes_are_told_with_their_remedy() {
        let cases = [
            (
                "drop = [{ field = 'level', is = 'debug' }]",
                "a condition on `level` needs fields",
            ),
            (
                "sample = { keep = 0.1, by = 'trace' }",
                "a condition on `trace` needs fields",
            ),
            ("headers = ['level']", "headers needs fields"),
            ("parse = 'jsn'", "unknown variant `jsn`"),
            ("parse = { regex = 'abc' }", "names no field"),
            ("parse = { regex = '(?<a>' }", "unclosed group"),
            ("parse = { csv = [] }", "one of `regex` and `csv`"),
            ("parse = { csv = ['a'], delimiter = 'ü' }", "one ASCII character"),
            (
                "parse = 'json'\ntime = { field = 't', zone = 'Berlin' }",
                "no time zone \"Berlin\"",
            ),
            (
                "parse = 'json'\ntime = { field = 't', format = '%H:%M' }",
                "leaves out a part",
            ),
            ("parse = 'json'\ntime = { field = 't', format = '%Q' }", "%Q"),
            ("drop = [{}]", "asks for nothing"),
            ("drop = [{ exists = true }]", "needs a `field`"),
            ("drop = [{ is = [] }]", "nothing in it"),
            ("drop = [{ is = 3 }]", "a string, or a list of strings"),
            ("sample = { keep = 10 }", "write 0.1 for a tenth"),
            ("redact = ['cards']", "unknown variant `cards`"),
            ("redact = [{ pattern = '' }]", "every line"),
            ("parse = 'json'\ndrp = []", "unknown field `drp`"),
        ];
        for (text, expected) in cases {
            let error = transform(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
