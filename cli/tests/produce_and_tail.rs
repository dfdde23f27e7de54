//! What goes in by `produce` comes out of `tail`: exactly, from where it was asked for, and only what was asked for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, its helpers too"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use support::{Broker, Running, tailrace, wait_for_content, wait_until, with_input};
use tempfile::TempDir;

const ALL: &[&str] = &["--from", "beginning", "--no-follow"];

fn tail<'a>(topic: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["tail", topic], more].concat()
}

#[test]
fn tail_prints_exactly_what_was_produced() {
    let broker = Broker::start();
    let mut log = Vec::new();
    for number in 0..20_000 {
        log.extend_from_slice(format!("line {number}\r\n\n\t\u{1b}[1m {number:x} ").as_bytes());
        log.extend_from_slice(&[0, 0xff, 0xfe, b'\n']);
    }
    log.extend_from_slice(&vec![b'x'; 700_000]);
    log.push(b'\n');
    let report = broker.produce(&["exact"], &log);
    let lines = log.iter().filter(|byte| **byte == b'\n').count();
    assert!(
        report.starts_with(&format!("{lines} records acknowledged in topic exact\n")),
        "{report}"
    );
    assert!(report.contains(&format!("offsets 0 to {}", lines - 1)), "{report}");
    assert!(broker.run(&tail("exact", ALL)) == log, "the log came out different");
}

#[test]
fn a_file_is_produced_as_stdin_is_and_a_last_line_needs_no_newline() {
    let broker = Broker::start();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "one\ntwo").unwrap();
    broker.run(&["produce", "from-file", path.to_str().unwrap()]);
    assert_eq!(broker.text(&tail("from-file", ALL)), "one\ntwo\n");
    let missing = broker.failure(&["produce", "from-file", "/nowhere/log"]);
    assert!(missing.contains("/nowhere/log"), "{missing}");
}

#[test]
fn lines_are_sent_while_stdin_stays_open() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "slow", "--partitions", "1"]);
    let mut producer = broker.command(&["produce", "slow"]);
    let mut child = producer.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"early\n").unwrap();
    wait_until("the line is there", || {
        (broker.run(&tail("slow", ALL)) == b"early\n").then_some(())
    });
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn no_follow_ends_at_once_in_an_empty_topic() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "empty"]);
    assert_eq!(broker.text(&tail("empty", &["--no-follow"])), "");
}

#[test]
fn grep_prints_matching_lines_only() {
    let broker = Broker::start();
    broker.produce(&["http"], b"GET / 200\nGET /a 500\nPOST /b 503\n\xff 500\n");
    let found = broker.run(&tail("http", &["--no-follow", "--grep", " 50[03]$"]));
    assert_eq!(found, b"GET /a 500\nPOST /b 503\n\xff 500\n");
}

#[test]
fn from_takes_offsets_ages_and_times() {
    let broker = Broker::start();
    broker.produce(&["places"], b"a\nb\n");
    std::thread::sleep(Duration::from_millis(1200));
    broker.produce(&["places", "--partition", "0"], b"");
    let first = broker.json_lines(&tail("places", &["--no-follow", "--output", "json"]));
    let partition = first[0]["partition"].to_string();
    broker.produce(&["places", "--partition", &partition], b"c\n");
    let read = |from| broker.text(&tail("places", &["--from", from, "--no-follow"]));
    assert_eq!(read("beginning"), "a\nb\nc\n");
    assert_eq!(read("0"), "a\nb\nc\n");
    assert_eq!(read("1h"), "a\nb\nc\n");
    assert_eq!(read("2000-01-01T00:00:00Z"), "a\nb\nc\n");
    let one = |from| {
        broker.text(&tail(
            "places",
            &["--from", from, "--no-follow", "--partition", &partition],
        ))
    };
    assert_eq!(one("1"), "b\nc\n");
    assert_eq!(one("3"), "");
    assert_eq!(one("end"), "");
    assert_eq!(one("2100-01-01T00:00:00Z"), "");
    let all = broker.json_lines(&tail(
        "places",
        &["--no-follow", "--output", "json", "--partition", &partition],
    ));
    assert_eq!(one(all[2]["timestamp"].as_str().unwrap()), "c\n");
    let clamped = broker
        .command(&tail(
            "places",
            &["--from", "99", "--no-follow", "--partition", &partition],
        ))
        .output();
    let clamped = clamped.unwrap();
    assert!(clamped.stdout.is_empty() && clamped.status.success());
    assert!(
        String::from_utf8(clamped.stderr)
            .unwrap()
            .contains("has offsets 0 to 3; taking 3")
    );
}

#[test]
fn json_tells_all_about_a_record() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "keyed", "--partitions", "3"]);
    broker.produce(&["keyed", "--key-separator", "::"], b"k::v::w\nno key\n\xfe::\xff\n");
    let mut lines = broker.json_lines(&tail("keyed", &["--no-follow", "--output", "json"]));
    lines.sort_by_key(|line| line["value"].to_string());
    let [keyless, keyed, binary] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (&keyed["key"], &keyed["value"], &keyed["topic"]),
        (&"k".into(), &"v::w".into(), &"keyed".into())
    );
    assert_eq!(
        (&binary["key_base64"], &binary["value_base64"]),
        (&"/g==".into(), &"/w==".into())
    );
    assert!(binary.get("value").is_none());
    assert_eq!(
        (&keyless["key"], &keyless["value"]),
        (&serde_json::Value::Null, &"no key".into())
    );
    assert!(keyed["offset"].is_i64() && keyed["partition"].is_i64() && keyed["headers"].is_object());
    assert!(keyed["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn equal_keys_share_a_partition_and_stay_in_order() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "spread", "--partitions", "4"]);
    let input: String = (0..400)
        .map(|number| format!("key{}:{number}\n", number % 40))
        .collect();
    broker.produce(&["spread", "--key-separator", ":"], input.as_bytes());
    let lines = broker.json_lines(&tail("spread", &["--no-follow", "--output", "json"]));
    assert_eq!(lines.len(), 400);
    let mut partitions = std::collections::BTreeMap::new();
    let mut last = std::collections::BTreeMap::new();
    for line in &lines {
        let key = line["key"].as_str().unwrap();
        let number: i64 = line["value"].as_str().unwrap().parse().unwrap();
        assert_eq!(partitions.entry(key).or_insert(&line["partition"]), &&line["partition"]);
        assert!(last.insert(key, number).is_none_or(|before| before < number));
    }
    let used: std::collections::BTreeSet<_> = partitions.values().map(ToString::to_string).collect();
    assert_eq!(used.len(), 4, "forty keys use all four partitions");
}

#[test]
fn following_starts_at_the_end_and_ends_well_on_ctrl_c() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "live", "--partitions", "1"]);
    broker.produce(&["live"], b"old\n");
    let dir = TempDir::new().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let all = Running::start(&mut broker.command(&tail("live", &["--from", "beginning"])), &out, &err);
    wait_for_content(&out, b"old\n");
    let (new_out, new_err) = (dir.path().join("new-out"), dir.path().join("new-err"));
    let new = Running::start(&mut broker.command(&tail("live", &[])), &new_out, &new_err);
    let mut expected = b"old\n".to_vec();
    // It starts at the end, wherever that is by then: so it may miss the first few, but none after one that it has.
    wait_until("the follower has started", || {
        broker.produce(&["live"], b"tick\n");
        expected.extend_from_slice(b"tick\n");
        (!std::fs::read(&new_out).unwrap().is_empty()).then_some(())
    });
    broker.produce(&["live"], b"new\n");
    expected.extend_from_slice(b"new\n");
    wait_for_content(&out, &expected);
    wait_until("the new line is there", || {
        std::fs::read(&new_out).unwrap().ends_with(b"new\n").then_some(())
    });
    assert!(!std::fs::read_to_string(&new_out).unwrap().contains("old"));
    assert_eq!((all.stop(), new.stop()), (Some(0), Some(0)));
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "work", "--partitions", "2"]);
    broker.produce(&["work", "--partition", "0"], b"a\nb\n");
    broker.produce(&["work", "--partition", "1"], b"c\n");
    let read = || {
        let text = broker.text(&tail("work", &["--group", "readers", "--no-follow"]));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(read(), ["a", "b", "c"]);
    assert_eq!(read(), [""; 0]);
    broker.produce(&["work", "--partition", "1"], b"d\n");
    assert_eq!(read(), ["d"]);

    let dir = TempDir::new().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let follower = Running::start(&mut broker.command(&tail("work", &["--group", "readers"])), &out, &err);
    broker.produce(&["work", "--partition", "0"], b"e\n");
    wait_for_content(&out, b"e\n");
    assert_eq!(follower.stop(), Some(0));
    let described = broker.json(&["groups", "describe", "readers", "--output", "json"]);
    assert_eq!(
        described["members"].as_array().unwrap().len(),
        0,
        "it left: {described}"
    );
    assert_eq!(read(), [""; 0]);
}

#[test]
fn members_of_a_group_share_the_work() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "shared", "--partitions", "2"]);
    let dir = TempDir::new().unwrap();
    let member = |name: &str| {
        let (out, err) = (dir.path().join(name), dir.path().join(format!("{name}-err")));
        let args = tail("shared", &["--group", "team", "--from", "beginning"]);
        (Running::start(&mut broker.command(&args), &out, &err), out)
    };
    let members = [member("one"), member("two")];
    wait_until("both have a partition", || {
        let described = broker
            .command(&["groups", "describe", "team", "--output", "json"])
            .output()
            .unwrap();
        // Until the first has joined, there is no such group.
        let group: serde_json::Value = serde_json::from_slice(&described.stdout).ok()?;
        let members = group["members"].as_array().unwrap();
        let assigned = |member: &serde_json::Value| member["assigned"]["shared"].as_array().map(Vec::len);
        (members.len() == 2 && members.iter().all(|member| assigned(member) == Some(1))).then_some(())
    });
    broker.produce(&["shared", "--partition", "0"], b"zero\n");
    broker.produce(&["shared", "--partition", "1"], b"one\n");
    wait_until("each has printed its line", || {
        let mut printed: Vec<_> = members
            .iter()
            .map(|(_, out)| std::fs::read_to_string(out).unwrap())
            .collect();
        printed.sort();
        (printed == ["one\n", "zero\n"]).then_some(())
    });
    for (member, _) in members {
        assert_eq!(member.stop(), Some(0));
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let broker = Broker::start();
    let log: Vec<u8> = (0..50_000)
        .flat_map(|number| format!("line {number}\n").into_bytes())
        .collect();
    broker.produce(&["piped"], &log);
    // Both while there is more to write, and while it waits for more to arrive.
    for end in [&["--no-follow"][..], &[]] {
        let mut command = broker.command(&tail("piped", &[&["--from", "beginning"], end].concat()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert_eq!(first, "line 0\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    }
}

#[test]
fn a_second_ctrl_c_ends_it_where_it_stands() {
    let broker = Broker::start();
    broker.produce(&["stuck"], &b"a line that nobody reads\n".repeat(100_000));
    let mut command = broker.command(&tail("stuck", ALL));
    let mut running = Running {
        child: command.stdout(Stdio::piped()).spawn().unwrap(),
    };
    let mut stdout = running.child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0]).unwrap();
    // It cannot end in order: it is in the middle of a line, and the pipe is full.
    let code = wait_until("it ends", || {
        running.interrupt();
        running.child.try_wait().unwrap()
    });
    assert_eq!(code.code(), Some(130));
}

#[test]
fn what_was_not_acknowledged_is_counted_and_fails() {
    let broker = Broker::start();
    broker.run(&[
        "topics",
        "create",
        "small",
        "--partitions",
        "1",
        "--config",
        "max.message.bytes=200",
    ]);
    let random: String = (0..400_u32)
        .map(|number| char::from(b'!' + (number.wrapping_mul(2_654_435_761) >> 25).to_le_bytes()[0] % 90))
        .collect();
    let output = with_input(
        &mut broker.command(&["produce", "small"]),
        format!("{random}\n").as_bytes(),
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("0 records acknowledged") && stderr.contains("not acknowledged: 1 record"),
        "{stderr}"
    );
    assert!(stderr.contains("max.message.bytes"), "{stderr}");
}

#[test]
fn mistakes_are_answered_with_a_remedy() {
    let broker = Broker::start();
    let unknown = broker.failure(&tail("nothing", ALL));
    assert!(
        unknown.contains("topic nothing does not exist") && unknown.contains("tailrace topics"),
        "{unknown}"
    );
    broker.run(&["topics", "create", "two", "--partitions", "2"]);
    let partition = broker.failure(&tail("two", &["--partition", "2"]));
    assert!(partition.contains("its partitions are 0 to 1"), "{partition}");
    let nobody = tailrace(&["tail", "t", "--bootstrap", "127.0.0.1:1"]).output().unwrap();
    let message = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        message.contains("no broker answers at 127.0.0.1:1") && message.contains("tailrace up"),
        "{message}"
    );
    let usage = tailrace(&["tail", "t", "--from", "soon"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8(usage.stderr).unwrap().contains("15m"));
}
