//! `up` collects files into a topic, each line once and in order, over stops and starts, and never itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, its helpers too"
)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Running, succeeded, tailrace, wait_until};
use tempfile::TempDir;

/// A directory with logs, and one for `up` to keep things in.
struct Site {
    dir: TempDir,
}

/// A running `up`.
struct Up {
    running: Running,
    out: PathBuf,
    err: PathBuf,
    address: String,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, lines: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let state = self.path("log/state");
        let nowhere_in_particular = [
            ("--kafka", "127.0.0.1:0"),
            ("--http", "127.0.0.1:0"),
            ("--agent-http", "127.0.0.1:0"),
            ("--data-dir", state.to_str().unwrap()),
        ];
        let mut command = tailrace(&["up"]);
        for (option, value) in nowhere_in_particular
            .iter()
            .filter(|(option, _)| !more.contains(option))
        {
            command.args([option, value]);
        }
        command.args(more);
        command
    }

    fn up(&self, more: &[&str]) -> Up {
        self.up_into("out", "err", more)
    }

    fn up_into(&self, out: &str, err: &str, more: &[&str]) -> Up {
        let (out, err) = (self.path(out), self.path(err));
        let glob = self.path("log/**/*.log");
        let mut command = self.command(more);
        let mut running = Running::start(command.arg(&glob), &out, &err);
        let address = wait_until("it says where it listens", || {
            let said = fs::read_to_string(&err).unwrap();
            assert_eq!(running.child.try_wait().unwrap(), None, "{said}");
            let (_, rest) = said.split_once("kcat -b ")?;
            Some(rest.split_once(" -t ")?.0.to_owned())
        });
        Up {
            running,
            out,
            err,
            address,
        }
    }
}

impl Up {
    /// The lines of each file in the topic.
    fn collected(&self) -> BTreeMap<String, Vec<String>> {
        let args = [
            "tail",
            "logs",
            "--no-follow",
            "--output",
            "json",
            "--bootstrap",
            &self.address,
        ];
        let stdout = succeeded(&args, tailrace(&args).output().unwrap());
        let mut files = BTreeMap::<_, Vec<_>>::new();
        for line in String::from_utf8(stdout).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let path = record["headers"]["path"].as_str().unwrap().to_owned();
            files
                .entry(path)
                .or_default()
                .push(record["value"].as_str().unwrap().to_owned());
        }
        files
    }

    fn wait_for(&self, files: &[&Path]) -> BTreeMap<String, Vec<String>> {
        let expected: BTreeMap<_, _> = files
            .iter()
            .map(|path| (path.display().to_string(), lines_of(path)))
            .collect();
        let count = |files: &BTreeMap<String, Vec<String>>| files.values().map(Vec::len).sum::<usize>();
        let collected = wait_until("all lines are collected", || {
            Some(self.collected()).filter(|collected| count(collected) >= count(&expected))
        });
        assert!(collected == expected, "{collected:?}\nis not\n{expected:?}");
        collected
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn numbered(name: &str, from: u32, to: u32) -> String {
    (from..to).map(|number| format!("{name} {number}\n")).collect()
}

#[test]
fn every_line_is_collected_once_over_stops_and_starts() {
    let site = Site::new();
    let (a, b) = (site.path("log/a.log"), site.path("log/sub/b.log"));
    fs::create_dir(site.path("log/sub")).unwrap();
    site.append("log/a.log", &numbered("a", 0, 3000));
    site.append("log/ignored.txt", "not a log\n");
    let up = site.up(&[]);
    site.append("log/sub/b.log", &numbered("b", 0, 10));
    up.wait_for(&[&a, &b]);
    let expected = format!("{}: b 9\n", b.display());
    wait_until("the last line is printed", || {
        up.printed().contains(&expected).then_some(())
    });
    let said = fs::read_to_string(&up.err).unwrap();
    // The second file may be there already when it looks.
    let follows = said.contains("1 file: ") || said.contains("2 files: ");
    assert!(
        follows && said.contains("log/state") && said.contains("/metrics"),
        "{said}"
    );
    assert_eq!(up.running.stop(), Some(0));

    site.append("log/a.log", &numbered("a", 3000, 3500));
    let again = site.up_into("out-again", "err-again", &[]);
    site.append("log/sub/b.log", &numbered("b", 10, 20));
    again.wait_for(&[&a, &b]);
    wait_until("the new lines are printed", || {
        again.printed().contains("b 19\n").then_some(())
    });
    assert!(
        !again.printed().contains(": a 2999\n"),
        "what was there at the start is not printed again"
    );
    assert_eq!(again.running.stop(), Some(0));
}

#[test]
fn a_killed_one_goes_on_without_loss_or_repetition() {
    let site = Site::new();
    let a = site.path("log/a.log");
    for round in 0..4 {
        let (out, err) = (format!("out-{round}"), format!("err-{round}"));
        let mut up = site.up_into(&out, &err, &[]);
        site.append("log/a.log", &numbered("a", round * 1000, (round + 1) * 1000));
        wait_until("some of it is collected", || (!up.collected().is_empty()).then_some(()));
        up.running.child.kill().unwrap();
        up.running.child.wait().unwrap();
    }
    let up = site.up(&[]);
    up.wait_for(&[&a]);
    assert_eq!(up.running.stop(), Some(0));
}

#[test]
fn its_own_output_and_data_are_not_collected() {
    let site = Site::new();
    // Both match the pattern, the second under yet another name; the data directory lies below it, too.
    let up = site.up_into("log/out.log", "log/err.log", &[]);
    fs::hard_link(site.path("log/out.log"), site.path("log/link.log")).unwrap();
    fs::write(site.path("log/state/stray.log"), "in the data directory\n").unwrap();
    site.append("log/a.log", &numbered("a", 0, 5));
    up.wait_for(&[&site.path("log/a.log")]);
    // Twice around, had it begun to feed on itself.
    site.append("log/a.log", "last\n");
    wait_until("the last line is printed", || {
        up.printed().contains("last\n").then_some(())
    });
    up.wait_for(&[&site.path("log/a.log")]);
    assert_eq!(up.running.stop(), Some(0));
}

#[test]
fn from_end_leaves_what_is_there_alone() {
    let site = Site::new();
    site.append("log/a.log", "old\n");
    let up = site.up(&["--from", "end"]);
    let path = site.path("log/a.log").display().to_string();
    let collected = wait_until("a new line is collected", || {
        // Each is written after the start was announced; where reading began depends on when the file was found.
        site.append("log/a.log", "new\n");
        up.collected().remove(&path)
    });
    assert!(collected.iter().all(|line| line == "new"), "{collected:?}");
    assert_eq!(up.running.stop(), Some(0));
}

#[test]
fn files_that_are_spelled_out_are_followed_and_those_to_come_are_named() {
    let site = Site::new();
    fs::create_dir(site.path("other")).unwrap();
    for name in ["log/a.log", "other/b.txt", "other/c[1].txt", "other/c1.txt"] {
        site.append(name, "line\n");
    }
    let [b, c, none] =
        ["../other/b.txt", "../other/c[1].txt", "../other/none.txt"].map(|name| site.path("log").join(name));
    let given = [&b, &c, &none].map(|path| path.to_str().unwrap());
    let up = site.up(&given);
    up.wait_for(&[
        &site.path("log/a.log"),
        &site.path("other/b.txt"),
        &site.path("other/c[1].txt"),
    ]);
    let said = wait_until("it says what it waits for", || {
        Some(fs::read_to_string(&up.err).unwrap()).filter(|said| said.contains("waits for "))
    });
    assert!(
        said.contains("3 files: ") && said.contains("none.txt: no file yet\n"),
        "{said}"
    );
    assert_eq!(up.running.stop(), Some(0));
}

#[test]
fn what_stands_in_the_way_is_named_with_a_remedy() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--kafka", "--http", "--agent-http"] {
        let refused = failure(site.command(&[option, &address]));
        assert!(
            refused.contains(&address) && refused.contains(option),
            "{option}: {refused}"
        );
    }
    let up = site.up(&[]);
    let locked = failure(site.command(&[]));
    assert!(
        locked.contains("log/state") && locked.contains("--data-dir"),
        "{locked}"
    );
    assert_eq!(up.running.stop(), Some(0));

    for (address, remedy) in [
        ("foo.invalid:0", "a name that resolves"),
        ("192.0.2.1:0", "an address of this machine"),
    ] {
        let refused = failure(site.command(&["--kafka", address, "--insecure"]));
        assert!(
            refused.contains(remedy) && refused.contains("--kafka") && !refused.contains("kafka.listen"),
            "{refused}"
        );
    }
    let directory = failure(site.command(&[site.path("log").to_str().unwrap()]));
    assert!(
        directory.contains("is a directory") && directory.contains("**/*.log"),
        "{directory}"
    );
    let open = failure(site.command(&["--kafka", "0.0.0.0:0", "--advertised", "localhost:9092"]));
    assert!(open.contains("--insecure"), "{open}");
    let anywhere = failure(site.command(&["--kafka", "0.0.0.0:0"]));
    assert!(anywhere.contains("--advertised"), "{anywhere}");
    File::create(site.path("file")).unwrap();
    let no_dir = failure(site.command(&["--data-dir", site.path("file/x").to_str().unwrap()]));
    assert!(no_dir.contains("--data-dir"), "{no_dir}");
}

fn failure(mut command: Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr
}
