//! Topics and groups are made, shown, and removed; the answers suit people and programs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, its helpers too"
)]

mod support;

use support::Broker;

#[test]
fn a_setting_without_effect_is_taken_and_said_to_have_none() {
    let broker = Broker::start();
    let stderr = |args: &[&str]| {
        let output = broker.command(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let created = stderr(&["topics", "create", "web", "-c", "flush.ms=5", "-c", "retention.ms=5"]);
    assert!(
        created.contains("flush.ms has no effect here: Every batch is on stable storage"),
        "{created}"
    );
    assert_eq!(created.lines().count(), 1, "{created}");
    assert_eq!(stderr(&["topics", "alter", "web", "-c", "retention.ms=6"]), "");
}

#[test]
fn the_oldest_records_are_deleted_after_a_look_at_them() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "web", "--partitions", "2"]);
    broker.produce(&["web", "--partition", "1"], b"a\nb\nc\n");
    let delete = ["topics", "delete-records", "web", "--before", "2", "-o", "json"];
    let planned = broker.json(&[&delete[..], &["--dry-run"]].concat());
    let expected = serde_json::json!([{"partition": 1, "start_offset": 0, "next_start_offset": 2, "records": 2}]);
    assert_eq!(planned, expected);
    assert!(broker.failure(&delete).contains("--yes"));
    assert_eq!(broker.json(&[&delete[..], &["--yes"]].concat()), expected);
    assert_eq!(
        broker.run(&["tail", "web", "--from", "beginning", "--no-follow"]),
        b"c\n"
    );
    assert_eq!(broker.json(&delete), serde_json::json!([]));
}

#[test]
fn a_group_is_moved_and_forgets() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "web", "--partitions", "2"]);
    broker.produce(&["web", "--partition", "1"], b"a\nb\nc\n");
    let reset = ["groups", "reset", "g", "--topic", "web", "--to", "2", "-o", "json"];
    let planned = broker.json(&[&reset[..], &["--dry-run"]].concat());
    let expected = serde_json::json!([
        {"topic": "web", "partition": 0, "committed": null, "next": 0},
        {"topic": "web", "partition": 1, "committed": null, "next": 2},
    ]);
    assert_eq!(planned, expected);
    assert!(broker.failure(&["groups", "describe", "g"]).contains("does not exist"));
    assert!(broker.failure(&reset).contains("--yes"));
    assert_eq!(broker.json(&[&reset[..], &["--yes"]].concat()), expected);

    let moved = broker.json(&["groups", "reset", "g", "--to", "beginning", "--yes", "-o", "json"]);
    assert_eq!(
        moved[1],
        serde_json::json!({"topic": "web", "partition": 1, "committed": 2, "next": 0})
    );
    let forgot = broker.text(&["groups", "forget", "g", "--topic", "web", "--yes"]);
    assert_eq!(forgot.lines().count(), 3, "{forgot}");
    assert!(
        broker
            .failure(&["groups", "forget", "g", "--topic", "web", "--yes"])
            .contains("nothing in web")
    );
}

#[test]
fn the_cluster_says_what_it_keeps() {
    let broker = Broker::start();
    broker.produce(&["web"], b"a\n");
    let described = broker.json(&["cluster", "-o", "json"]);
    let one = &described["brokers"][0];
    assert_eq!(one["address"], broker.address());
    assert!(one["kept_bytes"].as_i64().unwrap() > 0 && one["free_bytes"].as_i64() <= one["total_bytes"].as_i64());
    let shown = broker.text(&["cluster"]);
    assert!(
        shown.contains(described["id"].as_str().unwrap()) && shown.contains("DIRECTORY"),
        "{shown}"
    );
}

#[test]
fn a_topic_goes_from_creation_to_deletion() {
    let broker = Broker::start();
    let created = broker.text(&[
        "topics",
        "create",
        "web",
        "--partitions",
        "3",
        "--config",
        "retention.ms=60000",
    ]);
    assert_eq!(created, "created topic web\n");
    broker.produce(&["web", "--partition", "1"], b"a\nb\n");

    let list = broker.text(&["topics", "list"]);
    assert!(
        list.starts_with("TOPIC") && list.lines().any(|line| line.split_whitespace().eq(["web", "3"])),
        "{list}"
    );
    let listed = broker.json(&["topics", "list", "--output", "json"]);
    let web = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|topic| topic["name"] == "web")
        .unwrap();
    assert_eq!(web["partitions"], 3);

    let described = broker.json(&["topics", "describe", "web", "--output", "json"]);
    assert_eq!(
        described["configs"]["retention.ms"],
        serde_json::json!({"value": "60000", "set_on": "topic"})
    );
    assert!(
        described["configs"].get("cleanup.policy").is_none(),
        "it is the default: {described}"
    );
    let records: Vec<_> = described["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["records"])
        .collect();
    assert_eq!(records, [0, 2, 0]);
    let shown = broker.text(&["topics", "describe", "web"]);
    assert!(shown.contains("2 records") && shown.contains("retention.ms"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colour in a pipe");

    let again = broker.failure(&["topics", "create", "web"]);
    assert!(again.contains("TOPIC_ALREADY_EXISTS"), "{again}");
    let unanswered = broker.failure(&["topics", "delete", "web"]);
    assert!(unanswered.contains("--yes"), "{unanswered}");
    assert_eq!(
        broker.text(&["topics", "delete", "web", "--yes"]),
        "deleted topic web\n"
    );
    let gone = broker.failure(&["topics", "describe", "web"]);
    assert!(gone.contains("topic web does not exist"), "{gone}");
    assert!(
        broker
            .failure(&["topics", "delete", "web", "--yes"])
            .contains("does not exist")
    );
}

#[test]
fn a_bad_setting_is_refused_by_name() {
    let broker = Broker::start();
    let refused = broker.failure(&["topics", "create", "t", "--config", "retention.ms=soon"]);
    assert!(
        refused.contains("create topic t") && refused.contains("retention.ms"),
        "{refused}"
    );
}

#[test]
fn a_group_shows_its_lag_until_it_is_deleted() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "jobs", "--partitions", "1"]);
    broker.produce(&["jobs"], b"a\nb\nc\n");
    broker.run(&["tail", "jobs", "--group", "crew", "--no-follow"]);
    broker.produce(&["jobs"], b"d\ne\n");

    let listed = broker.json(&["groups", "list", "--output", "json"]);
    assert_eq!(listed[0]["group"], "crew");
    assert!(broker.text(&["groups", "list"]).contains("crew"));
    let described = broker.json(&["groups", "describe", "crew", "--output", "json"]);
    let expected = serde_json::json!([{"topic": "jobs", "partition": 0, "committed": 3, "end": 5, "lag": 2}]);
    assert_eq!(described["offsets"], expected);
    let shown = broker.text(&["groups", "describe", "crew"]);
    assert!(shown.contains("lag 2") && shown.contains("jobs"), "{shown}");

    assert_eq!(broker.text(&["groups", "delete", "crew"]), "deleted group crew\n");
    for command in [&["groups", "describe", "crew"], &["groups", "delete", "crew"]] {
        let gone = broker.failure(command);
        assert!(gone.contains("group crew does not exist"), "{gone}");
    }
    assert_eq!(broker.text(&["groups", "list", "--output", "json"]), "[]\n");
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let broker = Broker::start();
    broker.run(&["topics", "create", "jobs", "--partitions", "1"]);
    broker.produce(&["jobs"], b"a\n");
    let dir = tempfile::TempDir::new().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let args = ["tail", "jobs", "--group", "busy", "--from", "beginning"];
    let member = support::Running::start(&mut broker.command(&args), &out, &err);
    support::wait_for_content(&out, b"a\n");
    let refused = broker.failure(&["groups", "delete", "busy"]);
    assert!(refused.contains("still has members"), "{refused}");
    let shown = broker.text(&["groups", "describe", "busy"]);
    assert!(shown.contains("jobs[0]"), "{shown}");
    assert_eq!(member.stop(), Some(0));
}
