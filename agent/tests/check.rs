//! `tailrace-agent check` refuses what would fail or do nothing, and says where and why.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Its exit code and all that it says, for a file that selects this.
fn check(dir: &Path, include: &str) -> (Option<i32>, String) {
    check_with(dir, &format!("[[files]]\ntopic = \"t\"\ninclude = [\"{include}\"]\n"))
}

fn check_with(dir: &Path, inputs: &str) -> (Option<i32>, String) {
    let config = dir.join("agent.toml");
    fs::write(&config, format!("[collector]\nbootstrap = [\"c:9092\"]\n{inputs}")).unwrap();
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

#[test]
fn something_has_to_be_collected() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = check_with(dir.path(), "");
    assert!(code == Some(1) && said.contains("nothing is collected"), "{said}");
    let syslog = "[[syslog]]\ntopic = \"net\"\nudp = \"0.0.0.0:514\"\ntcp = \"[::]:601\"\n";
    let (code, said) = check_with(dir.path(), syslog);
    let shown = "[[syslog]] 1: udp 0.0.0.0:514, tcp [::]:601 to topic net\n";
    assert!(code == Some(0) && said.starts_with(shown), "{said}");
    let tls = format!("{syslog}tls = {{ cert = \"/no/such.crt\", key = \"/no/such.key\" }}\n");
    let (code, said) = check_with(dir.path(), &tls);
    assert!(
        code == Some(1) && said.contains("[syslog.tls]") && said.contains("/no/such.crt"),
        "{said}"
    );
}
