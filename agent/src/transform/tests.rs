//! All of a transform together.

use super::*;
use crate::frame::{Cut, Said};
use crate::line_regex::LineRegex;

const NOW: i64 = 1_795_780_801_000;

fn is(field: &str, value: &str) -> Condition {
    Condition {
        field: Some(field.to_owned()),
        tests: vec![Test::Is(vec![value.to_owned()])],
    }
}

fn json() -> Transform {
    Transform {
        parse: Some(Parser::Json),
        ..Transform::default()
    }
}

fn event(line: &str) -> Event<'_> {
    Event::plain(line.as_bytes(), 1, Cut::Terminated)
}

/// Line, fields and problem of what is sent.
fn apply(transform: &Transform, line: &str) -> Result<(String, Vec<String>, Option<String>), Dropped> {
    transform.apply(&event(line), NOW, |outcome| {
        let field = |(name, field): (&str, &Field<'_>)| format!("{name}={}", field.text());
        (
            String::from_utf8_lossy(outcome.line).into_owned(),
            outcome.fields.iter().map(field).collect(),
            outcome.problem,
        )
    })
}

#[test]
fn what_is_redacted_nothing_else_sees() {
    let transform = Transform {
        redact: Known::Email.redactions(),
        drop: vec![is("user", "ann@example.org")],
        keep: vec![is("user", "[email]")],
        ..json()
    };
    let (line, fields, _) = apply(&transform, r#"{"user":"ann@example.org"}"#).unwrap();
    assert_eq!(line, r#"{"user":"[email]"}"#);
    assert_eq!(fields, ["user=[email]"]);
}

#[test]
fn an_event_is_dropped_by_one_condition_and_kept_by_one() {
    let transform = Transform {
        drop: vec![is("level", "debug"), is("path", "/healthz")],
        keep: vec![is("app", "shop"), is("app", "billing")],
        ..json()
    };
    let sent = |line| apply(&transform, line).map(|_| ());
    assert_eq!(sent(r#"{"app":"shop","level":"info"}"#), Ok(()));
    assert_eq!(sent(r#"{"app":"billing"}"#), Ok(()));
    assert_eq!(sent(r#"{"app":"shop","level":"debug"}"#), Err(Dropped::Drop));
    assert_eq!(sent(r#"{"app":"shop","path":"/healthz"}"#), Err(Dropped::Drop));
    assert_eq!(sent(r#"{"app":"other"}"#), Err(Dropped::Keep));
}

#[test]
fn what_cannot_be_parsed_goes_on_with_the_reason_unless_only_parsed_events_are_kept() {
    let mut transform = json();
    let (line, fields, problem) = apply(&transform, "plain").unwrap();
    assert_eq!((line.as_str(), fields.len()), ("plain", 0));
    assert!(problem.unwrap().starts_with("json: "));
    transform.keep.push(Condition {
        field: Some("app".to_owned()),
        tests: vec![Test::Exists(true)],
    });
    assert_eq!(apply(&transform, "plain"), Err(Dropped::Keep));
}

#[test]
fn the_time_is_that_of_the_event_or_of_now_with_the_reason() {
    let transform = Transform {
        time: Some(TimeField {
            field: "ts".to_owned(),
            format: TimeFormat::Usual,
            zone: jiff::tz::TimeZone::UTC,
        }),
        ..json()
    };
    let time = |line: &str| {
        let sent = transform.apply(&event(line), NOW, |outcome| (outcome.timestamp_ms, outcome.problem));
        sent.unwrap()
    };
    assert_eq!(time(r#"{"ts":"2026-11-27T12:00:00Z"}"#), (NOW - 1000, None));
    assert_eq!(time(r#"{"ts":1795780800.5}"#), (NOW - 500, None));
    let (now, problem) = time(r#"{"ts":"soon"}"#);
    assert_eq!(
        (now, problem.as_deref()),
        (NOW, Some("time: \"soon\" is not written as expected"))
    );
    let (now, problem) = time("plain");
    assert!(now == NOW && problem.unwrap().starts_with("json: "));
}

#[test]
fn only_a_share_of_what_is_meant_is_sent() {
    let transform = Transform {
        sample: Some(Sample {
            keep: 0.1,
            by: None,
            of: Some(is("level", "debug")),
        }),
        ..json()
    };
    let sent = |level: &str| {
        let lines = (0..1000).map(|number| format!(r#"{{"level":"{level}","number":{number}}}"#));
        lines.filter(|line| apply(&transform, line).is_ok()).count()
    };
    assert_eq!(sent("info"), 1000);
    assert!((60..140).contains(&sent("debug")));
}

#[test]
fn fields_are_renamed_removed_and_made_numbers() {
    let transform = Transform {
        parse: Some(Parser::Pattern(
            LineRegex::new(r"^(?<a>\S+) (?<b>\S+) (?<c>\S+)$").unwrap(),
        )),
        rename: vec![("a".to_owned(), "first".to_owned())],
        remove: vec!["b".to_owned()],
        numbers: vec!["c".to_owned()],
        ..Transform::default()
    };
    let json = transform.apply(&event("1 2 3"), NOW, |outcome| {
        let mut out = Vec::new();
        for (name, field) in outcome.fields.iter() {
            out.extend_from_slice(name.as_bytes());
            field.write_json(&mut out);
        }
        String::from_utf8(out).unwrap()
    });
    assert_eq!(json.unwrap(), "first\"1\"c3");
}

#[test]
fn what_is_said_of_an_event_is_a_field_and_the_time() {
    let said_at = |time_ms| Said {
        time_ms,
        fields: &[("stream", "stderr")],
    };
    fn of_runtime<'a>(line: &'a str, said: &'a Said<'a>) -> Event<'a> {
        Event {
            said: Some(said),
            ..event(line)
        }
    }
    let transform = Transform {
        keep: vec![is("stream", "stderr")],
        ..Transform::default()
    };
    let sent = |event: &Event<'_>| {
        transform.apply(event, NOW, |outcome| {
            (outcome.timestamp_ms, outcome.is_parsed, outcome.said.len())
        })
    };
    assert_eq!(sent(&of_runtime("a", &said_at(NOW - 7))), Ok((NOW - 7, false, 1)));
    assert_eq!(
        sent(&of_runtime("a", &said_at(NOW + 3_600_001))).unwrap().0,
        NOW,
        "brokers refuse that"
    );
    assert_eq!(sent(&event("a")), Err(Dropped::Keep));

    let names = json().apply(
        &of_runtime(r#"{"stream":"of the app"}"#, &said_at(NOW)),
        NOW,
        |outcome| {
            let field = |(name, field): (&str, &Field<'_>)| format!("{name}={}", field.text());
            outcome.fields.iter().map(field).collect::<Vec<_>>()
        },
    );
    assert_eq!(names.unwrap(), ["stream=of the app", "agent_stream=stderr"]);
}
