//! Help teaches by example, at every level.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, its helpers too"
)]

mod support;

use support::tailrace;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["up"],
    &["tail"],
    &["produce"],
    &["topics"],
    &["topics", "list"],
    &["topics", "describe"],
    &["topics", "create"],
    &["topics", "delete-records"],
    &["topics", "delete"],
    &["groups"],
    &["groups", "list"],
    &["groups", "describe"],
    &["groups", "reset"],
    &["groups", "forget"],
    &["groups", "delete"],
    &["cluster"],
    &["acls"],
    &["acls", "list"],
    &["acls", "allow"],
    &["acls", "deny"],
    &["acls", "remove"],
    &["users"],
    &["users", "list"],
    &["users", "set"],
    &["users", "delete"],
    &["quotas"],
    &["quotas", "list"],
    &["quotas", "set"],
    &["quotas", "remove"],
];

#[test]
fn every_level_has_examples_of_itself() {
    for command in COMMANDS {
        // On a wide terminal, so that a line that is too long for others is seen.
        let output = tailrace(&[command, &["--help"][..]].concat())
            .env("COLUMNS", "200")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command:?}");
        let (_, examples) = help
            .split_once("Examples:\n")
            .unwrap_or_else(|| panic!("{command:?} has none:\n{help}"));
        let example = ["tailrace"]
            .iter()
            .chain(*command)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            examples.contains(&example),
            "{command:?} shows no use of itself:\n{help}"
        );
        for line in examples.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
    }
}

#[test]
fn the_top_level_documents_exit_codes_and_the_address() {
    let help = String::from_utf8(tailrace(&["--help"]).output().unwrap().stdout).unwrap();
    for expected in ["Exit codes:", "130", "TAILRACE_BOOTSTRAP", "127.0.0.1:9092"] {
        assert!(help.contains(expected), "{expected} is missing:\n{help}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [
        &[][..],
        &["tial"],
        &["tail"],
        &["tail", "t", "--group", "g", "--partition", "0"],
        &["produce", "t", "-p", "-1"],
    ] {
        assert_eq!(tailrace(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
}
