//! `tailrace-agent test` shows what would be sent.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What it says of a sample, with one of the examples.
fn test(example: &str, path: &str, sample: &str) -> (bool, String) {
    test_with(example, ["--as", path], sample)
}

fn test_with(example: &str, options: [&str; 2], sample: &str) -> (bool, String) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config-examples")
        .join(example);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace-agent"));
    command.arg("test").args(options).arg("--config").arg(config);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(sample.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn records_are_shown_with_topic_time_headers_and_value() {
    let sample = concat!(
        "{\"ts\":\"2026-11-27T12:00:01Z\",\"level\":\"info\",\"user\":\"ann@example.org\"}\n",
        "{\"level\":\"debug\"}\n",
        "plain\n",
    );
    let (ok, said) = test("agent-transform.toml", "/var/log/shop/a.json", sample);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [sent, dropped, plain] = &*lines else {
        panic!("{said}")
    };
    assert!(ok);
    assert_eq!(sent["topic"], "shop");
    assert_eq!(sent["timestamp_ms"], 1_795_780_801_000_i64);
    assert_eq!(sent["headers"]["level"], "info");
    assert_eq!(sent["headers"]["path"], "/var/log/shop/a.json");
    assert_eq!(
        sent["value"],
        r#"{"ts":"2026-11-27T12:00:01Z","level":"info","user":"[email]"}"#
    );
    assert_eq!(dropped["not_sent_because_of"], "drop");
    assert!(plain["headers"]["parse_error"].as_str().unwrap().starts_with("json: "));
    assert_eq!(plain["value"], "plain");
}

#[test]
fn every_input_of_the_example_parses_a_line_that_it_is_for() {
    let cases = [
        (
            "/var/log/nginx/access.log",
            r#"::1 - ann [27/Nov/2026:12:00:01 +0000] "GET / HTTP/1.1" 503 7 "-" "curl""#,
            r#"{"client":"::1","time":"27/Nov/2026:12:00:01 +0000","method":"GET","url":"/","protocol":"HTTP/1.1","status":503,"bytes":7,"referrer":"-","user_agent":"curl","host":"#,
        ),
        (
            "/var/log/backup.log",
            "27.11.2026 13:00:01 home: 12 files, ok",
            r#"{"when":"27.11.2026 13:00:01","job":"home","files":12,"result":"ok","host":"#,
        ),
        (
            "/srv/export/a.csv",
            "7;\"Ann; Bob\";12.50",
            r#"{"id":"7","customer":"Ann; Bob","total":12.50,"host":"#,
        ),
        (
            "/var/log/api.log",
            "time=1795780801 error=\"no\"",
            "time=1795780801 error=\"no\"",
        ),
        (
            "/var/log/syslog",
            "Nov 27 12:00:01 web-1 cron[7]: x",
            "Nov 27 12:00:01 web-1 cron[7]: x",
        ),
    ];
    for (path, line, expected) in cases {
        let (ok, said) = test("agent-transform.toml", path, &format!("{line}\n"));
        let record: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(ok && record["value"].as_str().unwrap().starts_with(expected), "{said}");
        assert!(record["headers"].get("parse_error").is_none(), "{said}");
    }
}

#[test]
fn stack_traces_of_the_example_are_one_record() {
    let sample = "one\nTraceback (most recent call last):\n  File\nKeyError: 1\ntwo\n";
    let (ok, said) = test("agent-multiline.toml", "/var/log/app/a.log", sample);
    assert!(ok && said.lines().count() == 2, "{said}");
}

#[test]
fn a_record_of_a_container_is_what_it_wrote_and_says_where() {
    let path = "/var/log/pods/shop_web-7d4b_9f1e/nginx/0.log";
    let sample = concat!(
        "2026-11-27T12:00:01Z stderr P Traceback (most recent \n",
        "2026-11-27T12:00:01Z stderr F call last):\n",
        "2026-11-27T12:00:01Z stderr F   File\n",
    );
    let (ok, said) = test("agent-containers.toml", path, sample);
    let record: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(ok, "{said}");
    assert_eq!(record["value"], "Traceback (most recent call last):\n  File");
    assert_eq!(record["timestamp_ms"], 1_795_780_801_000_i64);
    for (header, value) in [
        ("namespace", "shop"),
        ("pod", "web-7d4b"),
        ("pod_uid", "9f1e"),
        ("container", "nginx"),
        ("stream", "stderr"),
        ("path", path),
    ] {
        assert_eq!(record["headers"][header], value, "{said}");
    }

    let path = "/var/lib/docker/containers/abc/abc-json.log";
    let sample = r#"{"log":"one\n","stream":"stdout","time":"2026-11-27T12:00:01Z"}"#.to_owned() + "\n?\n";
    let (ok, said) = test("agent-containers.toml", path, &sample);
    let records: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ok && records.len() == 2, "{said}");
    assert_eq!(
        (&records[0]["topic"], &records[0]["value"]),
        (&"docker".into(), &"one".into())
    );
    assert_eq!(records[1]["value"], "?");
    assert!(
        records[1]["headers"]["parse_error"]
            .as_str()
            .unwrap()
            .starts_with("container: ")
    );
}

#[test]
fn a_path_that_nothing_selects_is_refused() {
    let (ok, said) = test("agent-transform.toml", "/var/log/other", "");
    assert!(!ok && said.contains("selects /var/log/other"), "{said}");
}

#[test]
fn messages_are_shown_as_if_they_were_sent() {
    let sample = "<30>Nov 27 12:00:01 fw1 pf[3]: block in\n<31>Nov 27 12:00:01 fw1 pf[3]: chatter\n";
    let (ok, said) = test_with("agent-syslog.toml", ["--syslog", "firewall"], sample);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [sent, dropped] = &*lines else { panic!("{said}") };
    assert!(ok);
    let value: serde_json::Value = serde_json::from_str(sent["value"].as_str().unwrap()).unwrap();
    for (name, expected) in [
        ("severity", "info"),
        ("app", "pf"),
        ("message", "block in"),
        ("site", "berlin"),
    ] {
        assert_eq!(value[name], expected);
    }
    assert_eq!(dropped["not_sent_because_of"], "drop");
    let (ok, said) = test_with("agent-syslog.toml", ["--syslog", "none"], sample);
    assert!(!ok && said.contains("no [[syslog]] of"), "{said}");
}

#[test]
fn entries_of_a_journal_are_shown_with_what_the_journal_says_of_them() {
    let entry = |unit: &str, priority: &str, message: &str| {
        format!(
            "__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=1795780801000000\n_SYSTEMD_UNIT={unit}\nPRIORITY={priority}\nMESSAGE={message}\n\n"
        )
    };
    let sample = entry("a.service", "4", "disk is hot") + &entry("a.service", "7", "chatter");
    let (ok, said) = test_with("agent-journald.toml", ["--journald", "system"], &sample);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [sent, dropped] = &*lines else { panic!("{said}") };
    assert!(ok);
    assert_eq!(
        (&sent["value"], &sent["timestamp_ms"]),
        (&"disk is hot".into(), &1_795_780_801_000_i64.into())
    );
    assert_eq!(
        (&sent["headers"]["unit"], &sent["headers"]["severity"]),
        (&"a.service".into(), &"warning".into())
    );
    assert_eq!(dropped["not_sent_because_of"], "drop");
    let web = entry("web@1.service", "6", r#"{"status":200,"time":"2026-11-27T12:00:01Z"}"#);
    let (_, said) = test_with("agent-journald.toml", ["--journald", "web"], &web);
    let record: serde_json::Value = serde_json::from_str(&said).unwrap();
    let value: serde_json::Value = serde_json::from_str(record["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&value["status"], &value["unit"]),
        (&200.into(), &"web@1.service".into())
    );
    let (ok, said) = test_with(
        "agent-journald.toml",
        ["--journald", "system"],
        "Nov 28 12:00:00 web-1 app: text\n",
    );
    assert!(
        !ok && said.contains("is not what `journalctl --output=export` writes"),
        "{said}"
    );
}

#[test]
fn lines_of_a_command_are_shown_as_if_it_had_written_them() {
    let sample = "procs ----\n r  b   swpd\n 1  0      0\n";
    let (ok, said) = test_with("agent-command.toml", ["--command", "host"], sample);
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [_, heading, sent] = &*lines else { panic!("{said}") };
    assert!(ok && heading["not_sent_because_of"] == "drop", "{said}");
    assert_eq!(
        (&sent["value"], &sent["headers"]["command"]),
        (&" 1  0      0".into(), &"vmstat".into())
    );
}
