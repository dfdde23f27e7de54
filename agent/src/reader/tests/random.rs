//! Programs that write, rotate and delete at random, under an agent that is killed at random: every line comes out once,
//! in order.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What may happen to the log of one program, and to the agent.
#[derive(Debug, Clone)]
enum Act {
    Write(Vec<u16>),
    /// The first half of a line, or the first line of an event; the next write ends it.
    WritePart,
    /// To a name that matches as well.
    Rename,
    /// To one that does not.
    Rotate,
    Delete,
    CopyTruncate,
    Kill,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => vec(0_u16..300, 1..40).prop_map(Act::Write),
        1 => Just(Act::WritePart),
        2 => Just(Act::Rename),
        4 => Just(Act::Rotate),
        1 => Just(Act::Delete),
        1 => Just(Act::CopyTruncate),
        2 => Just(Act::Kill),
        5 => prop_oneof![Just(1), Just(15), Just(300), Just(2500), Just(12_000)].prop_map(Act::Wait),
    ]
}

/// A program that numbers its lines, and what it wrote.
struct Program {
    disk: SimDisk,
    path: String,
    name: usize,
    written: Vec<String>,
    part: Option<String>,
    /// Whether it writes events of several lines.
    multiline: bool,
    rotated: usize,
    /// Whether the agent has met a file of this name, and that file, or one that came after it, is still there: then it
    /// finds all that came after.
    met: bool,
}

impl Program {
    fn new(disk: SimDisk, name: usize, multiline: bool) -> Self {
        Self {
            disk,
            path: format!("/log/{name}.log"),
            name,
            written: Vec::new(),
            part: None,
            multiline,
            rotated: 0,
            met: false,
        }
    }

    fn line(&mut self, padding: u16) -> String {
        format!("{} {} {}", self.name, self.written.len(), "x".repeat(padding.into()))
    }

    fn write(&mut self, paddings: &[u16]) {
        let mut text = String::new();
        for padding in paddings {
            let mut line = self.part.take().unwrap_or_else(|| {
                let line = self.line(*padding);
                text += &line;
                line
            });
            if self.multiline {
                let more = "\n  more".repeat((padding % 4).into());
                let written = if line.ends_with('\n') {
                    more.trim_start_matches('\n')
                } else {
                    &more
                };
                text += written;
                line = line.trim_end_matches('\n').to_owned() + &more;
                if text.ends_with('\n') || text.is_empty() {
                    self.written.push(line);
                    continue;
                }
            }
            text += if padding % 7 == 0 { "\r\n" } else { "\n" };
            self.written.push(line);
        }
        write(&self.disk, &self.path, &text);
    }

    fn write_part(&mut self) {
        if self.part.is_none() {
            let end = if self.multiline { "\n" } else { "" };
            let line = self.line(9) + end;
            write(&self.disk, &self.path, &line);
            self.part = Some(line);
        }
    }

    /// A part that was left is a line of its own, since the file ends there.
    fn end_file(&mut self) {
        let part = self.part.take();
        self.written
            .extend(part.map(|part| part.trim_end_matches('\n').to_owned()));
    }

    fn exists(&self) -> bool {
        self.disk.metadata(Path::new(&self.path)).is_ok()
    }
}

/// So long that only what follows completes an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(1000);

fn check_every_line_comes_out_once_in_order(acts: &[(usize, Act)], open_files: usize, multiline: bool) {
    let (disk, programs) = machine();
    programs.reuse_inodes(true);
    let settings = || Settings {
        tail: Limits {
            open_files,
            chunk_len: 700,
            // A file with an event that waits is polled for as long as that.
            poll_interval: if multiline {
                SECOND
            } else {
                Limits::default().poll_interval
            },
            ..Limits::default()
        },
        size: Size {
            stretch_bytes: 2000,
            ..Size::default()
        },
        ..settings()
    };
    let inputs = || {
        let mut input = input("/log/*.log");
        input.framing.multiline = multiline.then(|| indented(EVENT_TIMEOUT));
        vec![input]
    };
    let mut rig = Rig::with(Arc::new(disk), inputs(), settings(), Vec::new());
    let writer = |name| Program::new(programs.clone(), name, multiline);
    let mut writers: Vec<_> = (0..3).map(writer).collect();
    for (writer, act) in acts {
        let writer = &mut writers[*writer];
        match act {
            Act::Write(paddings) => writer.write(paddings),
            Act::WritePart => writer.write_part(),
            Act::Rename | Act::Rotate if writer.exists() => {
                let is_found = matches!(act, Act::Rotate);
                let to = match is_found {
                    true => format!("{}.{}", writer.path, writer.rotated),
                    false => format!("/log/{}.{}.log", writer.name, writer.rotated),
                };
                if !(is_found && writer.met) {
                    rig.run(SECOND * 2);
                    writer.met = true;
                }
                if !multiline {
                    writer.end_file();
                }
                writer.rotated += 1;
                rename(&programs, &writer.path, &to);
            }
            // These lose what was not read: the reader must have known the file, or have read it.
            Act::Delete if writer.exists() && open_files > 3 => {
                rig.run(SECOND * 2);
                writer.end_file();
                programs.remove(Path::new(&writer.path)).unwrap();
                // The inode is free from here on.
                programs.sync_dir(Path::new("/log")).unwrap();
                rig.run(SECOND * 40);
                writer.met = false;
            }
            Act::CopyTruncate if writer.exists() => {
                writer.end_file();
                rig.run(SECOND * 20);
                programs.truncate(Path::new(&writer.path), 0).unwrap();
                if multiline {
                    // The last event waits in memory alone.
                    rig.run(SECOND * 2);
                }
            }
            Act::Kill => {
                rig = rig.restart_with(Arc::new(programs.restart()), inputs(), settings());
            }
            Act::Wait(ms) => rig.run(Duration::from_millis(*ms)),
            _ => {}
        }
    }
    for writer in &mut writers {
        writer.end_file();
    }
    rig.run(SECOND * 60);
    if multiline {
        rig.run(EVENT_TIMEOUT);
    }
    for writer in &writers {
        let prefix = format!("{} ", writer.name);
        // A part that was sent before its end came is continued by a record that is empty, or none at all.
        let lines: Vec<_> = rig
            .lines
            .iter()
            .map(|(_, line)| line)
            .filter(|line| line.starts_with(&prefix))
            .collect();
        let expected: Vec<_> = writer.written.iter().collect();
        assert_eq!(lines, expected);
    }
    assert_eq!(
        rig.lines.len(),
        writers.iter().map(|writer| writer.written.len()).sum::<usize>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_line_comes_out_once_in_order(
        acts in vec((0_usize..3, act()), 1..40),
        open_files in prop_oneof![Just(2_usize), Just(100)],
    ) {
        check_every_line_comes_out_once_in_order(&acts, open_files, false);
    }

    #[test]
    fn every_event_comes_out_once_whole_and_in_order(
        acts in vec((0_usize..3, act()), 1..40),
        open_files in prop_oneof![Just(2_usize), Just(100)],
    ) {
        check_every_line_comes_out_once_in_order(&acts, open_files, true);
    }
}
