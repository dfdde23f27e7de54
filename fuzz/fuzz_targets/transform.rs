//! A line of a log, looked at by everything that a transform can do. What is found in it must make a JSON object.

#![no_main]

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tailrace_agent::frame::{Cut, Event};
use tailrace_agent::transform::{Known, Parser, Preset, TimeField, TimeFormat, Transform};
use tailrace_fuzz::Input;

const NOW_MS: i64 = 1_795_780_801_000;

/// Every parser with every format of time; compiling their patterns takes longer than a line does.
static TRANSFORMS: LazyLock<Vec<Transform>> = LazyLock::new(|| {
    let parsers = [
        Parser::Json,
        Parser::Logfmt,
        Preset::Nginx.parser(),
        Preset::NginxError.parser(),
        Preset::Syslog.parser(),
        Parser::Csv {
            columns: vec!["time".to_owned(), "b".to_owned()],
            delimiter: b',',
        },
    ];
    let formats = [
        TimeFormat::Usual,
        TimeFormat::Syslog,
        TimeFormat::Pattern("%d/%b/%Y:%H:%M:%S %z".to_owned()),
    ];
    let known = [Known::Card, Known::Email, Known::Secrets];
    let pairs = parsers
        .iter()
        .flat_map(|parser| formats.iter().map(move |format| (parser, format)));
    pairs
        .map(|(parser, format)| Transform {
            redact: known.into_iter().flat_map(Known::redactions).collect(),
            parse: Some(parser.clone()),
            time: Some(TimeField {
                field: "time".to_owned(),
                format: format.clone(),
                zone: TimeZone::UTC,
            }),
            numbers: vec!["time".to_owned(), "a.b".to_owned(), "status".to_owned()],
            ..Transform::default()
        })
        .collect()
});

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let transform = &TRANSFORMS[usize::from(input.byte()) % TRANSFORMS.len()];
    let sent = transform.apply(&Event::plain(input.0, 1, Cut::Terminated), NOW_MS, |outcome| {
        assert!(outcome.timestamp_ms <= NOW_MS + 3_600_000);
        for (_, field) in outcome.fields.iter() {
            let mut json = Vec::new();
            field.write_json(&mut json);
            serde_json::from_slice::<&RawValue>(&json).expect("a JSON value");
        }
    });
    assert!(sent.is_ok(), "nothing says that it should be dropped");
});
