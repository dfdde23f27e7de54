//! A record as bytes on stdout: the value and a newline, exactly; or one line of JSON.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum;
use regex::bytes::Regex;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tailrace_shared::record::{RecordHeaders, RecordView};

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// The value as it is, and a newline.
    Raw,
    /// One JSON object a line: topic, partition, offset, timestamp, key, value, headers.
    Json,
}

/// Which records to print, and how.
#[derive(Debug)]
pub(super) struct Renderer {
    pub(super) topic: String,
    pub(super) form: Form,
    /// Only records whose value matches.
    pub(super) grep: Option<Regex>,
}

impl Renderer {
    /// Appends a record, if it is wanted.
    pub(super) fn render(&self, partition: i32, record: &RecordView, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let value = record.value.as_deref();
        let wanted = |grep: &Regex| grep.is_match(value.unwrap_or_default());
        if !self.grep.as_ref().is_none_or(wanted) {
            return Ok(());
        }
        match self.form {
            Form::Raw => out.extend_from_slice(value.unwrap_or_default()),
            Form::Json => {
                let topic = &self.topic;
                serde_json::to_writer(
                    &mut *out,
                    &Line {
                        topic,
                        partition,
                        record,
                    },
                )?;
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

/// Bytes that are no UTF-8 stand in base64 under a name that says so, `value_base64` instead of `value`.
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    record: &'a RecordView,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let timestamp = jiff::Timestamp::from_millisecond(self.record.timestamp).ok();
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("topic", self.topic)?;
        line.serialize_entry("partition", &self.partition)?;
        line.serialize_entry("offset", &self.record.offset)?;
        line.serialize_entry("timestamp", &timestamp.map(|time| format!("{time:.3}")))?;
        put_bytes(&mut line, "key", self.record.key.as_deref())?;
        put_bytes(&mut line, "value", self.record.value.as_deref())?;
        line.serialize_entry("headers", &Headers(&self.record.headers))?;
        line.end()
    }
}

/// By key; of several with one key the last counts, as for Kafka's `lastHeader`.
struct Headers<'a>(&'a RecordHeaders);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let by_key: BTreeMap<&[u8], Option<&[u8]>> = self.0.iter().collect();
        let mut headers = serializer.serialize_map(None)?;
        for (key, value) in by_key {
            put_bytes(&mut headers, &String::from_utf8_lossy(key), value)?;
        }
        headers.end()
    }
}

fn put_bytes<M: SerializeMap>(map: &mut M, name: &str, bytes: Option<&[u8]>) -> Result<(), M::Error> {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        Some(Err(bytes)) => map.serialize_entry(&format!("{name}_base64"), &BASE64.encode(bytes)),
        text => map.serialize_entry(name, &text.and_then(Result::ok)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn rendered(form: Form, grep: Option<&str>, record: &RecordView) -> String {
        let grep = grep.map(|pattern| Regex::new(pattern).unwrap());
        let topic = "t".to_owned();
        let mut out = Vec::new();
        Renderer { topic, form, grep }.render(3, record, &mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    fn record(value: Option<&'static [u8]>) -> RecordView {
        RecordView {
            offset: 7,
            timestamp: 1_769_868_000_020,
            key: None,
            value: value.map(Bytes::from_static),
            headers: RecordHeaders::encode([
                ("a", Some(&b"1"[..])),
                ("a", Some(b"2")),
                ("b", None),
                ("c", Some(b"\xff")),
            ]),
        }
    }

    #[test]
    fn raw_is_the_value_and_a_newline() {
        assert_eq!(rendered(Form::Raw, None, &record(Some(b"a \"line\""))), "a \"line\"\n");
        assert_eq!(rendered(Form::Raw, None, &record(Some(b""))), "\n");
    }

    #[test]
    fn json_has_everything_and_base64_where_text_will_not_do() {
        let head = r#"{"topic":"t","partition":3,"offset":7,"timestamp":"2026-01-31T14:00:00.020Z","key":null,"#;
        let tail = r#""headers":{"a":"2","b":null,"c_base64":"/w=="}}"#;
        for (value, shown) in [
            (Some(&b"a \"line\""[..]), r#""value":"a \"line\"","#),
            (Some(b"\xff\x00"), r#""value_base64":"/wA=","#),
            (None, r#""value":null,"#),
        ] {
            assert_eq!(
                rendered(Form::Json, None, &record(value)),
                format!("{head}{shown}{tail}\n")
            );
        }
    }

    #[test]
    fn grep_looks_at_bytes_of_the_value() {
        assert_eq!(
            rendered(Form::Raw, Some("^GET .* 5.."), &record(Some(b"GET / 500"))),
            "GET / 500\n"
        );
        assert_eq!(rendered(Form::Raw, Some("^POST"), &record(Some(b"GET / 500"))), "");
        assert_eq!(rendered(Form::Raw, Some("b"), &record(Some(b"\xff b"))), "\u{fffd} b\n");
    }
}
