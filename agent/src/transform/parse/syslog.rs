//! Syslog: the header of RFC 5424, that of RFC 3164 and what is near to it, and the priority before either.

use std::borrow::Cow;

use super::super::{Field, Fields};
use super::pattern;
use crate::line_regex::LineRegex;

/// RFC 3164, with the older or the newer time, and whatever of host and program there is.
pub(super) const OLDER: &str = concat!(
    r"(?s)^(?<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) ",
    r"(?:(?<hostname>[^\s:\[]+|[[:xdigit:]]*:[[:xdigit:]:.]+) )?",
    r"(?:(?<app>[^:\[\s]+)(?:\[(?<pid>\d+)\])?: ?)?(?<message>.*)$",
);

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
/// How important a message is, by its number.
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// The fields of a message.
pub(super) fn message<'a>(older: &LineRegex, line: &'a [u8]) -> Result<Fields<'a>, String> {
    let (priority, rest) = match priority(line) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, line),
    };
    let mut fields = Fields::default();
    if let Some(priority) = priority {
        let name = |names: &[&'static str], number: usize| names.get(number).copied().unwrap_or_default();
        fields.put("facility".into(), text(name(&FACILITIES, priority / 8)));
        fields.put("severity".into(), text(name(&SEVERITIES, priority % 8)));
    }
    if let Some(rest) = rest.strip_prefix(b"1 ").filter(|_| priority.is_some()) {
        newer(rest, &mut fields)?;
        return Ok(fields);
    }
    match (pattern::groups(older, rest), priority) {
        (Ok(found), _) => fields.put_all(found),
        // Many devices send no more than that.
        (Err(_), Some(_)) => fields.put("message".into(), lossy(rest)),
        (Err(reason), None) => return Err(reason),
    }
    Ok(fields)
}

/// `<13>`, and what follows it.
fn priority(line: &[u8]) -> Option<(usize, &[u8])> {
    let rest = line.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|octet| *octet == b'>')?;
    let number = std::str::from_utf8(rest.get(..end)?).ok()?;
    let number = number.parse().ok().filter(|number| *number < FACILITIES.len() * 8)?;
    Some((number, rest.get(end + 1..)?))
}

/// RFC 5424, behind its version.
fn newer<'a>(rest: &'a [u8], fields: &mut Fields<'a>) -> Result<(), String> {
    let mut rest = rest;
    for name in ["time", "hostname", "app", "pid", "msgid"] {
        let end = rest.iter().position(|octet| *octet == b' ');
        let (value, behind) = end
            .and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?)))
            .ok_or_else(|| format!("syslog: there is no {name}"))?;
        if value != b"-" {
            fields.put(name.into(), lossy(value));
        }
        rest = behind;
    }
    rest = match rest.strip_prefix(b"-") {
        Some(behind) => behind,
        None => structured_data(rest, fields)?,
    };
    let message = rest.strip_prefix(b" ").unwrap_or(rest);
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    if !message.is_empty() {
        fields.put("message".into(), lossy(message));
    }
    Ok(())
}

/// `[id name="value" …][…]`: fields `id.name`. What follows them.
fn structured_data<'a>(rest: &'a [u8], fields: &mut Fields<'a>) -> Result<&'a [u8], String> {
    let broken = || "syslog: the structured data is broken".to_owned();
    let mut rest = rest;
    if !rest.starts_with(b"[") {
        return Err(broken());
    }
    while let Some(behind) = rest.strip_prefix(b"[") {
        let end = behind.iter().position(|octet| matches!(octet, b' ' | b']'));
        let (id, mut behind) = end.and_then(|end| behind.split_at_checked(end)).ok_or_else(broken)?;
        while let Some(param) = behind.strip_prefix(b" ") {
            let end = param.iter().position(|octet| *octet == b'=');
            let (name, value) = end.and_then(|end| param.split_at_checked(end)).ok_or_else(broken)?;
            let value = value.strip_prefix(b"=\"").ok_or_else(broken)?;
            let (value, after) = quoted(value).ok_or_else(broken)?;
            if fields.len() >= Fields::MAX {
                return Err(format!("syslog: more than {} fields", Fields::MAX));
            }
            let (id, name) = (String::from_utf8_lossy(id), String::from_utf8_lossy(name));
            fields.put(format!("{id}.{name}").into(), Field::Text(value));
            behind = after;
        }
        rest = behind.strip_prefix(b"]").ok_or_else(broken)?;
    }
    Ok(rest)
}

/// A value up to its closing quote; `\"`, `\\` and `\]` stand for what is behind the backslash.
fn quoted(value: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let mut end = 0;
    let mut is_escaped = false;
    loop {
        match value.get(end)? {
            b'"' => break,
            b'\\' if matches!(value.get(end + 1)?, b'"' | b'\\' | b']') => {
                is_escaped = true;
                end += 2;
            }
            _ => end += 1,
        }
    }
    let text = String::from_utf8_lossy(value.get(..end)?);
    let text = match is_escaped {
        true => Cow::Owned(unescaped(&text)),
        false => text,
    };
    Some((text, value.get(end + 1..)?))
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('"' | '\\' | ']')) => plain.extend(letters.next()),
            _ => plain.push(letter),
        }
    }
    plain
}

fn text(name: &'static str) -> Field<'static> {
    Field::Text(name.into())
}

fn lossy(bytes: &[u8]) -> Field<'_> {
    Field::Text(String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &[u8]) -> Result<Vec<String>, String> {
        let fields = message(&LineRegex::new(OLDER).unwrap(), line)?;
        Ok(fields
            .iter()
            .map(|(name, field)| format!("{name}={}", field.text()))
            .collect())
    }

    #[test]
    fn rfc_5424() {
        let line = b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com su 77 ID47 \
            [example@32473 iut=\"3\" class=\"a \\\"b\\\" \\] \\x\"][more@1] \xef\xbb\xbfWhat happened";
        let expected = [
            "facility=local4",
            "severity=notice",
            "time=2003-10-11T22:14:15.003Z",
            "hostname=mymachine.example.com",
            "app=su",
            "pid=77",
            "msgid=ID47",
            "example@32473.iut=3",
            "example@32473.class=a \"b\" ] \\x",
            "message=What happened",
        ];
        assert_eq!(all(line).unwrap(), expected);
        assert_eq!(all(b"<13>1 - - - - - -").unwrap(), ["facility=user", "severity=notice"]);
        for (broken, reason) in [
            (&b"<13>1 - -"[..], "there is no hostname"),
            (b"<13>1 - - - - - [a", "broken"),
            (b"<13>1 - - - - - [a b=\"c]", "broken"),
            (b"<13>1 - - - - - x", "broken"),
        ] {
            let error = all(broken).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn rfc_3164_and_what_is_near_to_it() {
        for (line, expected) in [
            (
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
                "facility=auth severity=crit time=Oct 11 22:14:15 hostname=mymachine app=su message='su root' failed",
            ),
            (
                "Nov  7 12:00:01 sshd[811]: Accepted: x",
                "time=Nov  7 12:00:01 app=sshd pid=811 message=Accepted: x",
            ),
            (
                "<13>Nov  7 12:00:01 db: hello",
                "facility=user severity=notice time=Nov  7 12:00:01 app=db message=hello",
            ),
            (
                "Nov  7 12:00:01 fe80::1 kernel: x",
                "time=Nov  7 12:00:01 hostname=fe80::1 app=kernel message=x",
            ),
            (
                "<0>Nov  7 12:00:01 sw1 Link up on port 3",
                "facility=kern severity=emerg time=Nov  7 12:00:01 hostname=sw1 message=Link up on port 3",
            ),
            (
                "<191>2026-11-27T12:00:01.5+01:00 web-1 app[1]: a\nb",
                "facility=local7 severity=debug time=2026-11-27T12:00:01.5+01:00 hostname=web-1 app=app pid=1 message=a\nb",
            ),
            ("<13>anything", "facility=user severity=notice message=anything"),
        ] {
            assert_eq!(all(line.as_bytes()).unwrap().join(" "), expected);
        }
        for line in ["anything", "<192>anything", "<x>anything"] {
            assert!(all(line.as_bytes()).is_err(), "{line}");
        }
    }
}
