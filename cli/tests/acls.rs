//! Access control entries are added, shown and removed; whom they do not allow it is told so.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, its helpers too"
)]

mod support;

use support::Broker;

fn controlled(super_user: &str) -> Broker {
    Broker::start_with(|config| {
        config.acls.enabled = true;
        config.acls.super_users.insert(super_user.to_owned());
    })
}

#[test]
fn entries_are_added_shown_and_removed() {
    let broker = controlled("User:ANONYMOUS");
    let added = broker.text(&[
        "acls",
        "allow",
        "ann",
        "read,describe",
        "--topic",
        "ng*",
        "--group",
        "g",
    ]);
    assert_eq!(added.lines().count(), 4, "{added}");
    assert!(
        added.contains("added: allow User:ann from * to read topic ng*\n"),
        "{added}"
    );
    broker.run(&["acls", "deny", "*", "all", "--cluster", "--host", "10.0.0.7"]);

    let listed = broker.json(&["acls", "list", "-o", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 5);
    let denied = broker.json(&["acls", "list", "--cluster", "-o", "json"]);
    let expected = serde_json::json!([{
        "principal": "User:*", "host": "10.0.0.7", "permission": "deny", "operation": "all", "resource": "cluster"
    }]);
    assert_eq!(denied, expected);

    let refused = broker.failure(&["acls", "remove", "--principal", "ann"]);
    assert!(refused.contains("--yes"), "{refused}");
    let removed = broker.text(&["acls", "remove", "--principal", "ann", "--topic", "ng*", "--yes"]);
    assert_eq!(removed.lines().count(), 2, "{removed}");
    assert_eq!(
        broker.json(&["acls", "list", "-o", "json"]).as_array().unwrap().len(),
        3
    );
}

#[test]
fn what_is_wrong_with_an_entry_is_said() {
    let broker = controlled("User:ANONYMOUS");
    let host = broker.failure(&["acls", "allow", "ann", "read", "--topic", "x", "--host", "web1"]);
    assert!(host.contains("web1") && host.contains("IP address"), "{host}");
    let open = Broker::start().failure(&["acls", "list"]);
    assert!(open.contains("acls.enabled"), "{open}");
    let other = controlled("User:admin").failure(&["acls", "allow", "ann", "read", "--topic", "x"]);
    assert!(other.contains("super user"), "{other}");
}
