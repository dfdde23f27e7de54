//! A line as container runtimes write it: what the container wrote, and what the runtime says of it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

/// Where a container wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::frame) enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl Stream {
    /// As runtimes write it.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(super) fn named(name: &[u8]) -> Option<Self> {
        [Self::Stdout, Self::Stderr]
            .into_iter()
            .find(|stream| stream.name().as_bytes() == name)
    }
}

/// What the runtime says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::frame) struct Runtime {
    /// When it came, in milliseconds since 1970.
    pub time_ms: i64,
    /// Where it was written.
    pub stream: Stream,
}

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapped<'a> {
    pub(super) runtime: Runtime,
    /// Whether the rest of what the container wrote as one line follows in another.
    pub(super) is_partial: bool,
    pub(super) content: Cow<'a, [u8]>,
}

impl<'a> Wrapped<'a> {
    /// By how it begins, as the kubelet's runtimes and Podman write it, or as Docker's `json-file` does.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        match line.first()? {
            b'{' => Self::json_file(line),
            _ => Self::cri(line),
        }
    }

    /// `2026-11-27T12:00:01.123456789Z stdout F what was written`
    fn cri(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time_ms = time_ms(std::str::from_utf8(parts.next()?).ok()?)?;
        let stream = Stream::named(parts.next()?)?;
        // Tags are separated by colons; the first is the only one that there is so far.
        let tag = parts.next()?.split(|byte| *byte == b':').next()?;
        let is_partial = match tag {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        let content = parts.next().unwrap_or_default();
        Some(Self {
            runtime: Runtime { time_ms, stream },
            is_partial,
            content: Cow::Borrowed(match is_partial {
                true => content,
                false => content.strip_suffix(b"\r").unwrap_or(content),
            }),
        })
    }

    /// `{"log":"what was written\n","stream":"stdout","time":"2026-11-27T12:00:01.123456789Z"}`
    fn json_file(line: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            log: Cow<'a, str>,
            #[serde(borrow)]
            stream: Cow<'a, str>,
            #[serde(borrow)]
            time: Cow<'a, str>,
        }
        let Line { log, stream, time } = serde_json::from_slice(line).ok()?;
        let mut log = log.into_owned().into_bytes();
        let is_partial = log.pop_if(|byte| *byte == b'\n').is_none();
        if !is_partial {
            log.pop_if(|byte| *byte == b'\r');
        }
        Some(Self {
            runtime: Runtime {
                time_ms: time_ms(&time)?,
                stream: Stream::named(stream.as_bytes())?,
            },
            is_partial,
            content: Cow::Owned(log),
        })
    }
}

/// Kafka knows no time before 1970.
fn time_ms(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.as_millisecond()).filter(|time_ms| *time_ms >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(i64, &'static str, bool, String)> {
        let wrapped = Wrapped::parse(line.as_bytes())?;
        let content = String::from_utf8(wrapped.content.into_owned()).unwrap();
        let Runtime { time_ms, stream } = wrapped.runtime;
        Some((time_ms, stream.name(), wrapped.is_partial, content))
    }

    #[test]
    fn lines_of_the_kubelets_runtimes() {
        let expected =
            |stream, is_partial, content: &str| Some((1_795_780_801_123, stream, is_partial, content.to_owned()));
        assert_eq!(
            parsed("2026-11-27T12:00:01.123456789Z stdout F  two  words "),
            expected("stdout", false, " two  words ")
        );
        assert_eq!(
            parsed("2026-11-27T13:00:01.123+01:00 stderr P half"),
            expected("stderr", true, "half")
        );
        assert_eq!(
            parsed("2026-11-27T12:00:01.123Z stderr P a\r"),
            expected("stderr", true, "a\r")
        );
        assert_eq!(
            parsed("2026-11-27T12:00:01.123Z stderr F a\r"),
            expected("stderr", false, "a")
        );
        for empty in ["F ", "F", "F:x "] {
            assert_eq!(
                parsed(&format!("2026-11-27T12:00:01.123Z stdout {empty}")),
                expected("stdout", false, "")
            );
        }
    }

    #[test]
    fn lines_of_docker() {
        let line = |log: &str| {
            format!(r#"{{"log":"{log}","stream":"stderr","attrs":{{"a":"b"}},"time":"2026-11-27T12:00:01.123Z"}}"#)
        };
        let expected = |is_partial, content: &str| Some((1_795_780_801_123, "stderr", is_partial, content.to_owned()));
        assert_eq!(parsed(&line(r"a \u0026 b\t\n")), expected(false, "a & b\t"));
        assert_eq!(parsed(&line(r"a\r\n")), expected(false, "a"));
        assert_eq!(parsed(&line(r"a\r")), expected(true, "a\r"));
        assert_eq!(parsed(&line(r"\n")), expected(false, ""));
    }

    #[test]
    fn what_is_none() {
        for line in [
            "",
            "plain text",
            "2026-11-27T12:00:01Z stdout",
            "2026-11-27T12:00:01Z stdin F a",
            "2026-11-27T12:00:01Z stdout X a",
            "2026-11-27 12:00:01 stdout F a",
            "1969-12-31T23:59:59Z stdout F a",
            "{",
            r#"{"log":"a\n","stream":"stdout"}"#,
            r#"{"log":"a\n","stream":"x","time":"2026-11-27T12:00:01Z"}"#,
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
