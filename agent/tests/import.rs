//! `tailrace-agent import` and `import-positions`: the agent goes on where another one has stopped.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tailrace_agent::spool::{Recovered, Spool, SpoolOptions};
use tailrace_shared::disk::RealDisk;
use tempfile::TempDir;

/// A directory with logs, of which the other agent has read the first line.
struct Switch {
    dir: TempDir,
}

const FIRST: &str = "one\n";

impl Switch {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["a.log", "b.log"] {
            fs::write(dir.path().join(name), format!("{FIRST}two\n")).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace-agent"));
        let output = command.args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    fn take_over(&self, tool: &str, positions: &Path) -> (bool, String, String) {
        self.take_over_with(tool, positions, "")
    }

    fn take_over_with(&self, tool: &str, positions: &Path, inputs: &str) -> (bool, String, String) {
        let dir = self.dir.path().display();
        let config = self.write(
            "agent.toml",
            &format!(
                "data_dir = \"{dir}/data\"\n[collector]\nbootstrap = [\"a:1\"]\n[[files]]\ntopic = \"t\"\ninclude = [\"{dir}/*.log\"]\n{inputs}"
            ),
        );
        let positions = positions.to_str().unwrap();
        self.run(&[
            "import-positions",
            "--config",
            config.to_str().unwrap(),
            tool,
            positions,
        ])
    }

    fn recovered(&self) -> Recovered {
        let data = self.path("data");
        let (_, recovered) = Spool::open(Arc::new(RealDisk), &data, &SpoolOptions::default()).unwrap();
        recovered
    }

    fn inodes(&self) -> Vec<u64> {
        sorted(self.recovered().positions.iter().map(|position| position.key.id.inode))
    }

    /// Names and offsets in the spool.
    fn positions(&self) -> Vec<(String, u64)> {
        let recovered = self.recovered();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let position = |position: &tailrace_agent::position::FilePosition| (name(&position.path), position.offset);
        sorted(recovered.positions.iter().map(position))
    }
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items
}

fn at(name: &str, offset: u64) -> (String, u64) {
    (name.to_owned(), offset)
}

#[test]
fn filebeats_registry_is_taken_over_and_rotated_files_are_found_by_their_inode() {
    let switch = Switch::new();
    let inode = |name: &str| fs::metadata(switch.path(name)).unwrap().ino();
    let (a, b) = (switch.path("a.log"), switch.path("b.log"));
    let (inode_a, inode_b) = (inode("a.log"), inode("b.log"));
    fs::rename(&a, switch.path("a.log.1")).unwrap();
    fs::write(&a, "three\n").unwrap();
    fs::rename(&b, switch.path("b.log.1")).unwrap();
    fs::write(&b, "longer than what was there before\n").unwrap();
    switch.write(
        "registry/7.json",
        &format!(
            r#"[{{"_key":"filebeat::logs::native::{inode_a}-1","source":"{}","offset":2,"FileStateOS":{{"inode":{inode_a},"device":1}}}}]"#,
            a.display()
        ),
    );
    switch.write("registry/active.dat", "/elsewhere/registry/7.json");
    let set = |key: &str, value: &str| format!("{{\"op\":\"set\",\"id\":1}}\n{{\"k\":\"{key}\",\"v\":{value}}}\n");
    let log = [
        set(
            &format!("filebeat::logs::native::{inode_a}-1"),
            &format!(
                r#"{{"source":"{}","offset":4,"FileStateOS":{{"inode":{inode_a},"device":1}}}}"#,
                a.display()
            ),
        ),
        set(
            &format!("filestream::shop::native::{inode_b}-1"),
            &format!(r#"{{"cursor":{{"offset":8}},"meta":{{"source":"{}"}}}}"#, b.display()),
        ),
        set("gone", r#"{"source":"/nowhere/x.log","offset":1}"#),
        set("removed", &format!(r#"{{"source":"{}","offset":1}}"#, a.display())),
        "{\"op\":\"remove\",\"id\":9}\n{\"k\":\"removed\"}\n".to_owned(),
        "{\"op\":\"set\",\"id\":10}\n{\"k\":\"torn".to_owned(),
    ];
    switch.write("registry/log.json", &log.concat());

    let (ok, said, complaints) = switch.take_over("filebeat", &switch.path("registry"));
    assert!(ok, "{complaints}");
    assert!(said.contains("2 files go on where they were, 1 do not"), "{said}");
    assert!(
        complaints.contains("/nowhere/x.log: not taken over: no [[files]] selects it"),
        "{complaints}"
    );
    assert_eq!(switch.positions(), [at("a.log", 4), at("b.log", 8)]);
    assert_eq!(switch.inodes(), sorted([inode_a, inode_b]));

    let (ok, _, complaints) = switch.take_over("filebeat", &switch.path("registry"));
    assert!(!ok && complaints.contains("has run already"), "{complaints}");
}

/// The schema is that of Fluent Bit 5.1, which gives a rotated file its new name.
#[test]
fn fluent_bits_database_is_taken_over_with_what_was_rotated() {
    let switch = Switch::new();
    let inode = |name: &str| i64::try_from(fs::metadata(switch.path(name)).unwrap().ino()).unwrap();
    let (inode_a, inode_b) = (inode("a.log"), inode("b.log"));
    fs::rename(switch.path("a.log"), switch.path("a.log.1")).unwrap();
    fs::write(switch.path("a.log"), "three\n").unwrap();
    let path = switch.path("tail.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, \
             inode INTEGER, created INTEGER, rotated INTEGER DEFAULT 0, offset_marker INTEGER DEFAULT 0, \
             offset_marker_size INTEGER DEFAULT 0);",
        )
        .unwrap();
    for (name, offset, inode, rotated) in [
        ("a.log.1", 4, inode_a, 1),
        ("a.log", 0, inode("a.log"), 0),
        ("b.log", 8, inode_b, 0),
        ("c.txt", 8, 1, 0),
    ] {
        let name = switch.path(name).display().to_string();
        let insert = "INSERT INTO in_tail_files (name, offset, inode, created, rotated) VALUES (?, ?, ?, 0, ?)";
        database.execute(insert, (name, offset, inode, rotated)).unwrap();
    }
    // It was killed, so that its write-ahead log is still there.
    let (ok, said, complaints) = switch.take_over("fluent-bit", &path);
    assert!(
        ok && said.contains("3 files go on where they were, 1 do not"),
        "{said}{complaints}"
    );
    assert!(
        complaints.contains("c.txt: not taken over: no [[files]] selects it"),
        "{complaints}"
    );
    assert_eq!(switch.positions(), [at("a.log", 0), at("a.log", 4), at("b.log", 8)]);
    drop(database);

    let other = switch.write("other.db", "no database at all, although it has its name");
    let (ok, _, complaints) = switch.take_over("fluent-bit", &other);
    assert!(
        !ok && complaints.contains("other.db is not what FluentBit keeps"),
        "{complaints}"
    );
}

#[test]
fn promtails_positions_are_taken_over_unless_the_file_was_cut() {
    let switch = Switch::new();
    let dir = switch.dir.path().display().to_string();
    let positions = switch.write(
        "positions.yaml",
        &format!(
            "positions:\n  cursor-journal: s=1\n  {dir}/a.log: \"4\"\n  {dir}/b.log: \"400\"\n  {dir}/c.log: \"6\"\n"
        ),
    );
    switch.write("c.log", "another file since\n");
    let (ok, said, complaints) = switch.take_over("promtail", &positions);
    assert!(ok && said.contains("1 files go on"), "{said}{complaints}");
    assert!(complaints.contains("it was cut since"), "{complaints}");
    assert!(complaints.contains("another file has its name now"), "{complaints}");
    assert_eq!(switch.positions(), [at("a.log", 4)]);
}

/// The checksums are those that Vector 0.57 has written for these files.
#[test]
fn vectors_checkpoints_are_taken_over_by_the_first_line_or_the_inode() {
    let switch = Switch::new();
    fs::write(switch.path("b.log"), "start of b\n").unwrap();
    fs::write(switch.path("c.log"), "c\nd\n").unwrap();
    let c = fs::metadata(switch.path("c.log")).unwrap();
    let entry = |fingerprint: &str, position: u64| {
        format!(r#"{{"fingerprint":{{{fingerprint}}},"position":{position},"modified":"2026-11-28T01:45:27Z"}}"#)
    };
    let checkpoints = [
        entry(r#""first_lines_checksum":1183175558019633866"#, 4),
        entry(r#""first_lines_checksum":13582001387445932649"#, 11),
        entry(&format!(r#""dev_inode":[{},{}]"#, c.dev(), c.ino()), 2),
        entry(r#""first_lines_checksum":7"#, 9),
    ];
    let text = format!(r#"{{"version":"1","checkpoints":[{}]}}"#, checkpoints.join(","));
    let file = switch.write("checkpoints.json", &text);
    let (ok, said, complaints) = switch.take_over("vector", &file);
    assert!(
        ok && said.contains("3 files go on where they were, 1 do not"),
        "{said}{complaints}"
    );
    assert!(
        complaints.contains("the checksum 7: not taken over: it is none of the files"),
        "{complaints}"
    );
    assert_eq!(switch.positions(), [at("a.log", 4), at("b.log", 11), at("c.log", 2)]);
}

#[test]
fn files_that_look_the_same_to_vector_are_not_mistaken_for_each_other() {
    let switch = Switch::new();
    let text =
        r#"{"version":"1","checkpoints":[{"fingerprint":{"first_lines_checksum":1183175558019633866},"position":8}]}"#;
    let file = switch.write("checkpoints.json", text);
    let (ok, _, complaints) = switch.take_over("vector", &file);
    assert!(ok && complaints.contains("look the same to it"), "{complaints}");
    assert_eq!(switch.positions(), []);
}

#[test]
fn what_is_no_positions_is_refused_by_name() {
    let switch = Switch::new();
    let (ok, _, complaints) = switch.take_over("filebeat", &switch.path("nowhere"));
    assert!(!ok && complaints.contains("nowhere/log.json"), "{complaints}");
    let positions = switch.write("positions.yaml", "a: 1\n");
    let (ok, _, complaints) = switch.take_over("promtail", &positions);
    assert!(!ok && complaints.contains("no `positions`"), "{complaints}");
}

#[test]
fn a_configuration_is_printed_and_what_did_not_come_over_is_said_with_its_line() {
    let switch = Switch::new();
    let theirs = "filebeat.inputs:\n- paths: [/var/log/a.log]\n  close_eof: true\noutput.kafka.hosts: [k]\n";
    let file = switch.write("filebeat.yml", theirs);
    let (ok, said, complaints) = switch.run(&["import", "filebeat", file.to_str().unwrap()]);
    assert!(ok && said.contains("include = [\"/var/log/a.log\"]"), "{said}");
    assert!(
        complaints.contains("filebeat.yml:3: close_eof: not carried over"),
        "{complaints}"
    );
}

/// The journals of the spool, and behind which entries they go on.
fn cursors(switch: &Switch) -> Vec<(String, String)> {
    let cursors = switch.recovered().cursors.into_iter();
    cursors
        .map(|at| (at.input.to_string(), at.cursor.to_string()))
        .collect()
}

#[test]
fn journals_go_on_behind_the_entry_that_another_agent_has_read_last() {
    let registry = |switch: &Switch| {
        let set = |key: &str| {
            format!(
                "{{\"op\":\"set\",\"id\":1}}\n{{\"k\":\"{key}\",\"v\":{{\"cursor\":{{\"position\":\"s=a;i=1\",\"version\":1}}}}}}\n"
            )
        };
        let log = set("journald::everything::LOCAL_SYSTEM_JOURNAL");
        switch.write("registry/log.json", &log).parent().unwrap().to_owned()
    };
    let database = |switch: &Switch| {
        let path = switch.path("journal.db");
        let database = rusqlite::Connection::open(&path).unwrap();
        let rows = "CREATE TABLE in_systemd_cursor (cursor TEXT NOT NULL, updated INTEGER); INSERT INTO in_systemd_cursor VALUES \
                    ('s=a;i=1', 1)";
        database.execute_batch(rows).unwrap();
        path
    };
    let positions = |switch: &Switch| {
        let lines = "positions:\n  cursor-everything: s=a;i=1\n  cursor-cloud: xyz\n";
        switch.write("positions.yaml", lines)
    };
    let checkpoint = |switch: &Switch| switch.write("everything/checkpoint.txt", "s=a;i=1\n");
    let state = |switch: &Switch| {
        let file = switch.write("work/journal-of-this-machine", "s=a;i=1\n");
        file.parent().unwrap().to_owned()
    };
    type Write<'a> = &'a dyn Fn(&Switch) -> PathBuf;
    let tools: [(&str, Write<'_>); 5] = [
        ("filebeat", &registry),
        ("fluent-bit", &database),
        ("promtail", &positions),
        ("vector", &checkpoint),
        ("rsyslog", &state),
    ];
    for (tool, positions) in tools {
        let switch = Switch::new();
        let positions = positions(&switch);
        let (ok, said, complaints) =
            switch.take_over_with(tool, &positions, "[[journald]]\ntopic = \"j\"\nname = \"ours\"\n");
        assert!(
            ok && said.contains("0 files and 1 journals go on"),
            "{tool}: {said}{complaints}"
        );
        assert_eq!(cursors(&switch), [("ours".to_owned(), "s=a;i=1".to_owned())], "{tool}");
        let (ok, _, complaints) = switch.take_over_with(tool, &positions, "");
        assert!(
            !ok && complaints.contains("positions of its own"),
            "{tool}: {complaints}"
        );
    }
    let switch = Switch::new();
    let two = "[[journald]]\ntopic = \"j\"\n[[journald]]\ntopic = \"j\"\nname = \"everything\"\n";
    let file = checkpoint(&switch);
    assert!(switch.take_over_with("vector", &file, two).0);
    assert_eq!(cursors(&switch), [("everything".to_owned(), "s=a;i=1".to_owned())]);
    let switch = Switch::new();
    let (ok, _, complaints) = switch.take_over_with("rsyslog", &state(&switch), two);
    assert!(
        ok && complaints.contains("no [[journald]] has the name"),
        "{complaints}"
    );
}
