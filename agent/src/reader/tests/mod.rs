//! Files, rotations and crashes, end to end from the disk to the stretches.

use std::path::Path;

use globset::GlobSet;
use prometheus::Registry;
use tailrace_shared::clock::ManualClock;
use tailrace_shared::disk::sim::SimDisk;
use tailrace_shared::disk::{Disk, RealDisk};
use tailrace_shared::record::Batches;
use tokio::sync::mpsc;

use super::*;
use crate::batch::{Format, Labels};
use crate::discover::{Pattern, exclusions};
use crate::frame::{Charset, Languages, Multiline, Rule};
use crate::routing::Routing;
use crate::status::{FileStatus, FilesQuery};
use crate::stretch::{QUEUE_DEPTH, Route};

mod generations;
mod glances;
mod limits;
mod multiline;
mod races;
mod random;
mod reloading;
mod rotation;
mod transform;

const SECOND: Duration = Duration::from_secs(1);

struct Unbound;

impl Routes for Unbound {
    fn route(&self, _topic: &str, lane: u16) -> Route {
        Route::Lane(lane)
    }
}

fn input(include: &str) -> Input {
    Input {
        records: Template {
            topic: "t".into(),
            routing: Routing::to("t".into()),
            labels: Labels::new(),
            format: Format::Raw,
            limit: Arc::default(),
            transform: None,
        },
        selection: Selection {
            include: vec![Pattern::parse(include, Path::new("/")).unwrap()],
            exclude: GlobSet::empty(),
        },
        framing: Framing {
            max_len: 1_000_000,
            multiline: None,
            charset: Charset::Bytes,
            container: false,
        },
        start_at: StartAt::Beginning,
        ignore_older: None,
    }
}

/// Indented lines belong to the one before them.
fn indented(timeout: Duration) -> Multiline {
    Multiline {
        rule: Rule::Trace(Languages::NONE),
        max_lines: 1000,
        timeout,
    }
}

fn settings() -> Settings {
    Settings {
        host: "web-1".into(),
        off_limits: Vec::new(),
        scan_interval: SECOND * 10,
        linger: Duration::from_millis(20),
        tail: Limits::default(),
        size: Size::default(),
    }
}

/// One line that came out: the path its record carries, and the line.
type Line = (String, String);

/// A reader, and a spool that takes every stretch at once.
struct Rig {
    clock: Arc<ManualClock>,
    reader: Reader,
    stretches: mpsc::Receiver<Stretch>,
    reloads: mpsc::Sender<Reload>,
    metrics: ReadMetrics,
    /// What the spool holds.
    positions: Vec<FilePosition>,
    lines: Vec<Line>,
}

impl Rig {
    fn new(disk: impl Disk, include: &str) -> Self {
        Self::with(Arc::new(disk), vec![input(include)], settings(), Vec::new())
    }

    fn with(disk: Arc<dyn Disk>, inputs: Vec<Input>, settings: Settings, positions: Vec<FilePosition>) -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let (sender, stretches) = mpsc::channel(QUEUE_DEPTH);
        let signal = Signal::default();
        let metrics = ReadMetrics::register(&Registry::new()).unwrap();
        let (reloads, coming) = mpsc::channel(1);
        let (_, questions) = FilesQuery::channel(signal.clone());
        let seams = Seams {
            disk,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            routes: Arc::new(Unbound),
            stretches: sender,
            reloads: coming,
            questions,
            watch: Watch::off(signal.clone()),
            signal,
            metrics: metrics.clone(),
        };
        Self {
            clock,
            reader: Reader::new(inputs, settings, positions.clone(), seams),
            stretches,
            reloads,
            metrics,
            positions,
            lines: Vec::new(),
        }
    }

    /// The next process: all that it has is what the spool holds.
    fn restart(self, disk: impl Disk, include: &str) -> Self {
        self.restart_with(Arc::new(disk), vec![input(include)], settings())
    }

    fn restart_with(self, disk: Arc<dyn Disk>, inputs: Vec<Input>, settings: Settings) -> Self {
        let lines = self.lines;
        let mut rig = Self::with(disk, inputs, settings, self.positions);
        rig.lines = lines;
        rig
    }

    fn run(&mut self, duration: Duration) {
        let until = self.clock.monotonic() + duration;
        loop {
            let now = self.clock.monotonic();
            match self.reader.step().unwrap() {
                Next::Now => {}
                Next::At(_) if now >= until => break,
                Next::At(due) => self.clock.advance(due.min(until).saturating_sub(now)),
                Next::Closed => unreachable!(),
            }
            self.receive();
        }
        self.receive();
    }

    fn receive(&mut self) {
        while let Ok(stretch) = self.stretches.try_recv() {
            self.positions
                .retain(|position| !stretch.gone.contains(&position.key.id));
            for position in stretch.positions {
                self.positions.retain(|old| old.key.id != position.key.id);
                self.positions.push(position);
            }
            for batch in stretch.batches {
                for view in Batches::split(batch.bytes, usize::MAX) {
                    for record in view.unwrap().records(usize::MAX).unwrap() {
                        let record = record.unwrap();
                        let path = record.headers.last("path").unwrap_or_default().to_vec();
                        let value = record.value.unwrap().to_vec();
                        let text = |bytes| String::from_utf8(bytes).unwrap();
                        self.lines.push((text(path), text(value)));
                    }
                }
            }
        }
    }

    /// What came out since this was last asked.
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }

    fn lost(&self) -> u64 {
        self.metrics.lost_bytes.with(["t"]).get()
    }
}

const LOG: &str = "/log/app.log";

/// A machine with `/log`: the agent's view, and that of the programs that write there.
fn machine() -> (SimDisk, SimDisk) {
    let disk = SimDisk::new(3);
    let programs = disk.outsider();
    programs.create_dir_all(Path::new("/log")).unwrap();
    (disk, programs)
}

fn write(disk: &SimDisk, path: &str, text: &str) {
    disk.append(Path::new(path), text.as_bytes()).unwrap();
}

fn rename(disk: &SimDisk, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to)).unwrap();
}

/// Long enough that the fingerprint is at its longest.
fn many(prefix: &str) -> (String, Vec<String>) {
    let lines: Vec<_> = (0..100)
        .map(|number| format!("{prefix} line number {number}"))
        .collect();
    (lines.join("\n") + "\n", lines)
}

#[test]
fn lines_come_out_once_with_the_path_they_were_written_to() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\r\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    write(&programs, LOG, "three\n");
    rig.run(SECOND * 30);
    let expected = ["one", "two", "three"].map(|line| (LOG.to_owned(), line.to_owned()));
    assert_eq!(rig.lines, expected);
}

#[test]
fn a_file_that_appears_later_is_read_from_its_start() {
    let (disk, programs) = machine();
    let mut rig = Rig::new(disk, "/log/**/*.log");
    rig.run(SECOND);
    write(&programs, LOG, "one\n");
    programs.create_dir_all(Path::new("/log/new/deep")).unwrap();
    write(&programs, "/log/new/deep/b.log", "two\n");
    rig.run(SECOND * 2);
    let mut lines = rig.take();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn start_at_end_leaves_out_what_was_there_before_the_first_run_and_nothing_else() {
    let (disk, programs) = machine();
    write(&programs, LOG, "old\n");
    let from_end = || {
        vec![Input {
            start_at: StartAt::End,
            ..input("/log/*.log")
        }]
    };
    let mut rig = Rig::with(Arc::new(disk.clone()), from_end(), settings(), Vec::new());
    rig.run(SECOND);
    let mut rig = rig.restart_with(Arc::new(disk.restart()), from_end(), settings());
    write(&programs, LOG, "new\n");
    write(&programs, "/log/b.log", "born while down\n");
    rig.run(SECOND);
    let mut lines = rig.take();
    lines.sort_unstable();
    assert_eq!(lines, ["born while down", "new"]);
}

#[test]
fn an_old_file_is_left_alone_until_it_is_written_to_unless_it_was_begun() {
    let (disk, programs) = machine();
    let now_ms = 1_700_000_000_000;
    let hour_ms = 3_600_000;
    programs.set_now_ms(now_ms - 2 * hour_ms);
    write(&programs, LOG, "old\n");
    write(&programs, "/log/begun.log", "begun\n");
    programs.set_now_ms(now_ms - hour_ms / 2);
    write(&programs, "/log/young.log", "young\n");
    let young = || {
        vec![Input {
            ignore_older: Some(SECOND * 3600),
            ..input("/log/*.log")
        }]
    };
    let mut rig = Rig::new(disk, "/log/begun.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["begun"]);
    write(&programs, "/log/begun.log", "more\n");
    programs.set_now_ms(now_ms - 2 * hour_ms);
    write(&programs, "/log/begun.log", "of it\n");

    let mut rig = rig.restart_with(Arc::new(programs.restart()), young(), settings());
    rig.run(SECOND * 30);
    let mut lines = rig.take();
    lines.sort_unstable();
    assert_eq!(lines, ["more", "of it", "young"]);
    programs.set_now_ms(now_ms);
    write(&programs, LOG, "new\n");
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["old", "new"]);
}

#[test]
fn an_unfinished_last_line_is_sent_once_after_a_while() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\nhal");
    let mut rig = Rig::new(disk.clone(), "/log/*.log");
    rig.run(SECOND * 4);
    assert_eq!(rig.take(), ["one"]);
    write(&programs, LOG, "f");
    rig.run(SECOND * 4);
    assert_eq!(rig.take(), Vec::<String>::new(), "it has grown meanwhile");
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), ["half"]);
    let mut rig = rig.restart(disk.restart(), "/log/*.log");
    write(&programs, LOG, "\r\ntwo\n");
    rig.run(SECOND * 20);
    assert_eq!(rig.take(), ["two"]);
    assert_eq!(rig.metrics.lines_unfinished.with(["t"]).get(), 0);
}

#[test]
fn a_line_longer_than_the_limit_is_split_and_counted() {
    let (disk, programs) = machine();
    write(&programs, LOG, &("x".repeat(2_500_000) + "\nnext\n"));
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    let lengths: Vec<_> = rig.take().iter().map(String::len).collect();
    assert_eq!(lengths, [1_000_000, 1_000_000, 500_000, 4]);
    assert_eq!(rig.metrics.lines_split.with(["t"]).get(), 2);
}

#[test]
fn more_than_a_stretch_holds_comes_out_in_order() {
    let (disk, programs) = machine();
    let lines: Vec<_> = (0..60_000)
        .map(|number| format!("{number} {}", "x".repeat(number % 400)))
        .collect();
    write(&programs, LOG, &(lines.join("\r\n") + "\r\n"));
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), lines);
    assert!(rig.metrics.stretches.with([]).get() > 1);
    assert_eq!(rig.metrics.read_lines.with(["t"]).get(), 60_000);
}

#[test]
fn a_file_linked_and_selected_several_times_is_read_once() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    programs.symlink(Path::new(LOG), Path::new("/log/link.log")).unwrap();
    programs.hard_link(Path::new(LOG), Path::new("/log/twin.log")).unwrap();
    let inputs = vec![input("/log/*.log"), input("/log/*")];
    let mut rig = Rig::with(Arc::new(disk), inputs, settings(), Vec::new());
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["one"]);
}

#[test]
fn with_few_handles_all_files_are_read_all_the_same() {
    let (disk, programs) = machine();
    let settings = Settings {
        tail: Limits {
            open_files: 3,
            ..Limits::default()
        },
        ..settings()
    };
    let mut rig = Rig::with(Arc::new(disk), vec![input("/log/*.log")], settings, Vec::new());
    let mut expected = Vec::new();
    for round in 0..3 {
        for file in 0..20 {
            let line = format!("file {file} round {round}");
            write(&programs, &format!("/log/{file}.log"), &format!("{line}\n"));
            expected.push(line);
        }
        rig.run(SECOND * 5);
    }
    let mut lines = rig.take();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn reading_stops_while_the_spool_takes_nothing_and_files_are_still_found() {
    let (disk, programs) = machine();
    let mut rig = Rig::new(disk, "/log/*.log");
    let settle = |rig: &mut Rig| {
        for _ in 0..2000 {
            if let Next::At(due) = rig.reader.step().unwrap() {
                let now = rig.clock.monotonic();
                rig.clock.advance((due - now).min(Duration::from_millis(50)));
            }
        }
    };
    for number in 0..5 {
        write(&programs, LOG, &format!("{number}\n"));
        settle(&mut rig);
    }
    assert_eq!(rig.metrics.blocked.with([]).get(), 1);
    rename(&programs, LOG, "/log/away");
    write(&programs, LOG, "5\n");
    settle(&mut rig);
    programs.remove(Path::new("/log/away")).unwrap();
    settle(&mut rig);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn the_state_of_each_file_is_told() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\npart");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    let signal = Signal::default();
    let (query, questions) = FilesQuery::channel(signal);
    rig.reader.seams.questions = questions;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let files = runtime.block_on(async {
        let ask = tokio::spawn(async move { query.ask().await });
        tokio::task::yield_now().await;
        rig.reader.step().unwrap();
        ask.await.unwrap().unwrap()
    });
    let lane = files[0].lane;
    let expected = FileStatus {
        path: LOG.into(),
        topic: "t".to_owned(),
        lane,
        position: 4,
        size: 8,
        lag: 4,
        deleted: false,
        last_error: None,
    };
    assert_eq!(files, [expected]);
}

#[test]
fn on_a_real_directory_events_wake_the_reader_and_stop_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let log = root.join("app.log");
    std::fs::write(&log, "one\n").unwrap();
    let (sender, mut stretches) = mpsc::channel(QUEUE_DEPTH);
    let signal = Signal::default();
    let (_, questions) = FilesQuery::channel(signal.clone());
    let seams = Seams {
        disk: Arc::new(RealDisk),
        clock: Arc::new(tailrace_shared::clock::SystemClock::new()),
        routes: Arc::new(Unbound),
        stretches: sender,
        reloads: mpsc::channel(1).1,
        questions,
        watch: Watch::new(signal.clone()),
        signal: signal.clone(),
        metrics: ReadMetrics::register(&Registry::new()).unwrap(),
    };
    let mut selected = input(root.join("*.log").to_str().unwrap());
    selected.selection.exclude = exclusions(&["*.gz".to_owned()], Path::new("/")).unwrap();
    let settings = Settings {
        scan_interval: SECOND * 3600,
        ..settings()
    };
    let reader = Reader::new(vec![selected], settings, Vec::new(), seams);
    let thread = std::thread::spawn(|| reader.run());
    let first = stretches.blocking_recv().unwrap();
    assert_eq!(first.batches[0].records, 1);
    std::fs::rename(&log, root.join("app.log.1")).unwrap();
    std::fs::write(&log, "two\nthree\n").unwrap();
    let mut records = 0;
    while records < 2 {
        records += stretches
            .blocking_recv()
            .unwrap()
            .batches
            .iter()
            .map(|batch| batch.records)
            .sum::<u32>();
    }
    signal.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn files_are_read_by_the_byte_order_mark_that_each_begins_with_also_after_a_restart() {
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let (disk, programs) = machine();
    let marked = || {
        let mut input = input("/log/*.log");
        input.framing.charset = Charset::Marked;
        vec![input]
    };
    programs.append(Path::new(LOG), &[]).unwrap();
    let mut rig = Rig::with(Arc::new(disk), marked(), settings(), Vec::new());
    rig.run(SECOND);
    programs.append(Path::new(LOG), &utf_16("\u{feff}één\nha")).unwrap();
    write(&programs, "/log/b.log", "zwölf\n");
    rig.run(SECOND);
    let mut lines = rig.take();
    lines.sort_unstable();
    assert_eq!(lines, ["zwölf", "één"]);
    let mut rig = rig.restart_with(Arc::new(programs.restart()), marked(), settings());
    programs.append(Path::new(LOG), &utf_16("lf\ntwee\n")).unwrap();
    rig.run(SECOND);
    assert_eq!(rig.take(), ["half", "twee"]);
    programs.truncate(Path::new(LOG), 0).unwrap();
    write(&programs, LOG, "now UTF-8: drei\n");
    rig.run(SECOND * 20);
    assert_eq!(rig.take(), ["now UTF-8: drei"]);
}
