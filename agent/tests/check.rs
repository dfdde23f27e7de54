//! `tailrace-agent check` refuses what would fail or do nothing, and says where and why.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Its exit code and all that it says, for a file that selects this.
fn check(dir: &Path, include: &str) -> (Option<i32>, String) {
    let config = dir.join("agent.toml");
    let files = format!("[[files]]\ntopic = \"t\"\ninclude = [\"{include}\"]\n");
    fs::write(&config, format!("[collector]\nbootstrap = [\"c:9092\"]\n{files}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace-agent"));
    let output = command.arg("check").arg("--config").arg(&config).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_directory_is_refused_with_the_pattern_that_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().display().to_string();
    let (code, said) = check(dir.path(), &format!("{logs}/*.log"));
    assert!(code == Some(0) && said.ends_with("agent.toml: ok\n"), "{said}");
    let (code, said) = check(dir.path(), &logs);
    let meant = format!("did you mean \"{logs}/*.log\"?");
    assert!(
        code == Some(1) && said.contains("is a directory") && said.contains(&meant),
        "{said}"
    );
}

#[test]
fn a_tilde_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = check(dir.path(), "~/x/*.log");
    assert!(
        code == Some(1) && said.contains("agent.toml:5") && said.contains("/home/me/x/*.log"),
        "{said}"
    );
}
