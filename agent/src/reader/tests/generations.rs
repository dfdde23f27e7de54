//! Files that were rotated away before the agent ever saw them under the name that it follows.

use super::*;

const GLOB: &str = "/log/*.log";

fn rotate(disk: &SimDisk, numbers: usize) {
    for number in (1..numbers).rev() {
        let (from, to) = (format!("{LOG}.{number}"), format!("{LOG}.{}", number + 1));
        if disk.metadata(Path::new(&from)).is_ok() {
            rename(disk, &from, &to);
        }
    }
    rename(disk, LOG, "/log/app.log.1");
}

fn copy(disk: &SimDisk, from: &str, to: &str) {
    let content = disk.read(Path::new(from)).unwrap();
    disk.append(Path::new(to), &content).unwrap();
}

/// An agent that has read "one" and was killed, and the programs.
fn killed_after_one() -> (Rig, SimDisk, SimDisk) {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk.clone(), GLOB);
    rig.run(SECOND);
    assert_eq!(rig.take(), ["one"]);
    (rig, disk, programs)
}

fn found(rig: &Rig) -> u64 {
    rig.metrics.rotated_unseen.with(["t"]).get()
}

#[test]
fn two_rotations_while_down_lose_nothing() {
    let (rig, disk, programs) = killed_after_one();
    write(&programs, LOG, "two\n");
    rotate(&programs, 9);
    write(&programs, LOG, "three\nfour\n");
    rotate(&programs, 9);
    write(&programs, LOG, "five\n");
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    let expected = ["two", "three", "four", "five"].map(|line| (LOG.to_owned(), line.to_owned()));
    assert_eq!(rig.lines, expected, "in order, and under their name");
    assert_eq!((found(&rig), rig.lost()), (1, 0));
    let lanes: Vec<_> = rig.positions.iter().map(|position| position.lane).collect();
    assert_eq!(lanes, vec![lanes[0]; 3]);
    rig.take();

    // They are known now, whatever they are called.
    write(&programs, "/log/app.log.1", "late\n");
    rotate(&programs, 9);
    write(&programs, LOG, "six\n");
    let mut rig = rig.restart(programs.restart(), GLOB);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["late", "six"]);
    assert_eq!(found(&rig), 0);
}

#[test]
fn three_rotations_with_dates_while_down_lose_nothing() {
    let (rig, disk, programs) = killed_after_one();
    for (day, line) in [(21, "two\n"), (22, "three\n"), (23, "four\n")] {
        write(&programs, LOG, line);
        rename(&programs, LOG, &format!("{LOG}-202611{day}"));
    }
    write(&programs, LOG, "five\n");
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["two", "three", "four", "five"]);
    assert_eq!(found(&rig), 2);
}

#[test]
fn a_rotation_whose_successor_is_not_there_yet_is_found() {
    let (rig, disk, programs) = killed_after_one();
    rotate(&programs, 9);
    write(&programs, LOG, "two\n");
    rotate(&programs, 9);
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    // Whoever writes it has not noticed yet.
    write(&programs, "/log/app.log.1", "three\n");
    rig.run(SECOND * 30);
    write(&programs, LOG, "four\n");
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["two", "three", "four"]);
    assert_eq!(found(&rig), 1);
}

#[test]
fn rotations_between_two_looks_lose_nothing() {
    for dated in [false, true] {
        let (disk, programs) = machine();
        write(&programs, LOG, "0\n");
        let mut rig = Rig::new(disk, GLOB);
        rig.run(SECOND * 5);
        let mut written = 0;
        for (rotations, has_successor) in [(2, true), (3, true), (2, false), (4, false), (1, true)] {
            for _ in 0..rotations {
                if dated {
                    rename(&programs, LOG, &format!("{LOG}.2026-11-24-17954{written:05}"));
                } else {
                    rotate(&programs, 99);
                }
                written += 1;
                write(&programs, LOG, &format!("{written}\n"));
            }
            if !has_successor {
                rename(&programs, LOG, &format!("{LOG}-2026112{written}"));
            }
            rig.run(SECOND * 30);
            if !has_successor {
                written += 1;
                write(&programs, LOG, &format!("{written}\n"));
                rig.run(SECOND * 5);
            }
        }
        let expected: Vec<_> = (0..=written).map(|number| number.to_string()).collect();
        assert_eq!(rig.take(), expected, "dated: {dated}");
        assert_eq!(rig.lost(), 0);
    }
}

#[test]
fn copies_are_left_alone() {
    let (text, lines) = many("first");
    let (disk, programs) = machine();
    write(&programs, LOG, &text);
    let mut rig = Rig::new(disk.clone(), GLOB);
    rig.run(SECOND);
    // A rotation that copies and truncates, and one by hand, which has not come far.
    copy(&programs, LOG, "/log/app.log.1");
    programs.truncate(Path::new(LOG), 0).unwrap();
    write(&programs, LOG, "second\n");
    rig.run(SECOND * 15);
    assert_eq!(rig.take(), [lines, vec!["second".to_owned()]].concat());
    write(&programs, "/log/app.log-20261124", "");
    rename(&programs, LOG, "/log/app.log.2");
    copy(&programs, "/log/app.log.2", "/log/app.log.3");
    write(&programs, LOG, "third\n");
    rig.run(SECOND);
    copy(&programs, "/log/app.log.2", "/log/app.log-20261124");
    copy(&programs, LOG, "/log/app.log-20261125");
    rig.run(SECOND * 120);
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    rename(&programs, LOG, "/log/app.log.4");
    copy(&programs, "/log/app.log.4", "/log/app.log.4.bak");
    copy(&programs, "/log/app.log.4", "/log/app.log-20261126");
    rig.run(SECOND * 30);
    let mut rig = rig.restart(programs.restart(), GLOB);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["third"]);
}

#[test]
fn a_copy_is_left_alone_even_after_what_it_is_a_copy_of_is_gone() {
    let (mut rig, disk, programs) = killed_after_one();
    rig = rig.restart(disk.restart(), GLOB);
    rotate(&programs, 9);
    write(&programs, LOG, "");
    copy(&programs, "/log/app.log.1", "/log/app.log-20261124");
    rig.run(SECOND * 30);
    programs.remove(Path::new("/log/app.log.1")).unwrap();
    rig.run(SECOND * 60);
    let mut rig = rig.restart(programs.restart(), GLOB);
    rig.run(SECOND * 30);
    for line in ["two\n", "three\n"] {
        rotate(&programs, 9);
        write(&programs, LOG, line);
    }
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["two", "three"]);
}

#[test]
fn copies_and_truncations_while_down_are_left_alone() {
    let (text, lines) = many("first");
    let (disk, programs) = machine();
    write(&programs, LOG, &text);
    let mut rig = Rig::new(disk.clone(), GLOB);
    rig.run(SECOND);
    copy(&programs, LOG, "/log/app.log.1");
    programs.truncate(Path::new(LOG), 0).unwrap();
    let (text, next) = many("second");
    write(&programs, LOG, &text);
    // The next one has begun.
    rename(&programs, "/log/app.log.1", "/log/app.log.2");
    copy(&programs, LOG, "/log/app.log.1");
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), [lines, next].concat());
    assert_eq!(found(&rig), 0);
}

#[test]
fn generations_that_begin_with_the_same_banner_are_not_taken_for_copies() {
    let banner = "-".repeat(3000);
    let (disk, programs) = machine();
    write(&programs, LOG, &format!("{banner}\none\n"));
    let mut rig = Rig::new(disk.clone(), GLOB);
    rig.run(SECOND);
    for line in ["two", "three"] {
        rotate(&programs, 9);
        write(&programs, LOG, &format!("{banner}\n{line}\n"));
    }
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), [&banner, "one", &banner, "two", &banner, "three"]);
}

#[test]
fn a_predecessor_deleted_while_down_does_not_hide_what_came_after_it() {
    for reuse in [false, true] {
        let (disk, programs) = machine();
        programs.reuse_inodes(reuse);
        write(&programs, "/log/app.log.1", "older than the agent\n");
        write(&programs, LOG, "one\n");
        let mut rig = Rig::new(disk.clone(), GLOB);
        rig.run(SECOND);
        let first = programs.metadata(Path::new(LOG)).unwrap().id;
        let disk = disk.restart();
        rotate(&programs, 9);
        copy(&programs, "/log/app.log.1", "/log/app.log-20261123");
        write(&programs, LOG, "two\n");
        rename(&programs, "/log/app.log.1", "/log/gone");
        rotate(&programs, 9);
        write(&programs, LOG, "three\n");
        programs.remove(Path::new("/log/gone")).unwrap();
        programs.sync_dir(Path::new("/log")).unwrap();
        rotate(&programs, 9);
        // With the inode of the first, where they are reused.
        write(&programs, LOG, "four\n");
        assert_eq!(programs.metadata(Path::new(LOG)).unwrap().id == first, reuse);
        let mut rig = rig.restart(disk, GLOB);
        rig.run(SECOND * 30);
        rotate(&programs, 9);
        write(&programs, LOG, "five\n");
        rig.run(SECOND * 30);
        assert_eq!(
            rig.take(),
            ["one", "two", "three", "four", "five"],
            "inodes reused: {reuse}"
        );
        assert_eq!(found(&rig), 2);
    }
}

#[test]
fn what_took_over_an_inode_is_only_followed_if_it_is_a_generation() {
    let (rig, disk, programs) = killed_after_one();
    programs.reuse_inodes(true);
    let first = programs.metadata(Path::new(LOG)).unwrap().id;
    let mut rig = rig;
    for (name, expected) in [("/log/private.txt", vec![]), ("/log/app.log.1", vec!["text"])] {
        let disk = disk.restart();
        for name in [LOG, "/log/private.txt"] {
            drop(programs.remove(Path::new(name)));
        }
        programs.sync_dir(Path::new("/log")).unwrap();
        write(&programs, name, "text\n");
        assert_eq!(programs.metadata(Path::new(name)).unwrap().id, first);
        let positions = rig.positions.clone();
        rig = rig.restart(disk, GLOB);
        rig.run(SECOND * 30);
        assert_eq!(rig.take(), expected, "{name}");
        rig.positions = positions;
    }
}

#[test]
fn a_restart_in_the_middle_of_a_generation_goes_on_there() {
    let (rig, disk, programs) = killed_after_one();
    let (text, lines) = many("generation");
    for round in 0..2 {
        rotate(&programs, 9);
        write(
            &programs,
            LOG,
            &text.replace("generation", &format!("generation {round}")),
        );
    }
    write(&programs, LOG, "last\n");
    let settings = || Settings {
        tail: Limits {
            chunk_len: 100,
            ..Limits::default()
        },
        size: Size {
            stretch_bytes: 300,
            ..Size::default()
        },
        ..settings()
    };
    let mut rig = rig;
    for restart in 0..200 {
        let disk = if restart % 2 == 0 {
            disk.restart()
        } else {
            programs.restart()
        };
        rig = rig.restart_with(Arc::new(disk), vec![input(GLOB)], settings());
        for _ in 0..25 {
            rig.reader.step().unwrap();
            rig.receive();
        }
    }
    rig.run(SECOND * 30);
    let expected: Vec<_> = (0..2)
        .flat_map(|round| {
            lines
                .iter()
                .map(move |line| line.replace("generation", &format!("generation {round}")))
        })
        .chain(["last".to_owned()])
        .collect();
    assert_eq!(rig.take(), expected);
}

#[test]
fn excluded_generations_and_those_of_another_input_are_left_alone() {
    let inputs = || {
        let mut first = input(GLOB);
        first.selection.exclude = exclusions(&["*.2".to_owned()], Path::new("/")).unwrap();
        let mut second = input("/log/*.3");
        second.records.topic = "other".into();
        vec![first, second]
    };
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::with(Arc::new(disk.clone()), inputs(), settings(), Vec::new());
    rig.run(SECOND);
    for line in ["of the other input", "excluded", "two", "three"] {
        rotate(&programs, 9);
        write(&programs, LOG, &format!("{line}\n"));
    }
    let mut rig = rig.restart_with(Arc::new(disk.restart()), inputs(), settings());
    rig.run(SECOND * 30);
    rig.lines.sort_unstable();
    let expected = [
        (LOG, "one"),
        (LOG, "three"),
        (LOG, "two"),
        ("/log/app.log.3", "of the other input"),
    ];
    assert_eq!(
        rig.lines,
        expected.map(|(path, line)| (path.to_owned(), line.to_owned()))
    );
    assert_eq!(rig.metrics.read_lines.with(["other"]).get(), 1);
}

#[test]
fn a_first_run_takes_nothing_old_then_or_later() {
    for start_at in [StartAt::Beginning, StartAt::End] {
        let (disk, programs) = machine();
        write(&programs, "/log/app.log.2", "oldest\n");
        write(&programs, "/log/app.log.1", "old\n");
        write(&programs, LOG, "");
        // Whoever wrote it noticed late, and then nothing happened in the new one.
        write(&programs, "/log/app.log.1", "late\n");
        let inputs = || {
            vec![Input {
                start_at,
                ..input(GLOB)
            }]
        };
        let mut rig = Rig::with(Arc::new(disk.clone()), inputs(), settings(), Vec::new());
        rig.run(SECOND * 30);
        rotate(&programs, 9);
        rig.run(SECOND * 30);
        write(&programs, LOG, "one\n");
        rig.run(SECOND * 30);
        rotate(&programs, 9);
        let mut rig = rig.restart_with(Arc::new(disk.restart()), inputs(), settings());
        rig.run(SECOND * 30);
        write(&programs, LOG, "two\n");
        rig.run(SECOND * 30);
        assert_eq!(rig.take(), ["one", "two"]);
    }
}

#[test]
fn a_generation_that_was_empty_when_it_was_found_is_read_once_it_is_not() {
    let (rig, disk, programs) = killed_after_one();
    rotate(&programs, 9);
    write(&programs, LOG, "");
    rotate(&programs, 9);
    write(&programs, LOG, "three\n");
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 5);
    // Whoever holds it open has not noticed yet.
    write(&programs, "/log/app.log.1", "two\n");
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["three", "two"]);
    // It came late; what comes next comes after the other.
    for line in ["four\n", "five\n"] {
        rotate(&programs, 9);
        write(&programs, LOG, line);
    }
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["four", "five"]);
}

#[test]
fn the_generations_behind_a_link_are_found_where_the_link_leads() {
    let (disk, programs) = machine();
    programs.create_dir_all(Path::new("/pods")).unwrap();
    write(&programs, "/pods/0.log", "one\n");
    programs.symlink(Path::new("/pods/0.log"), Path::new(LOG)).unwrap();
    let mut rig = Rig::new(disk.clone(), GLOB);
    rig.run(SECOND);
    for (second, line) in [(1, "two\n"), (2, "three\n")] {
        rename(&programs, "/pods/0.log", &format!("/pods/0.log.20261124-10111{second}"));
        write(&programs, "/pods/0.log", line);
    }
    let mut rig = rig.restart(disk.restart(), GLOB);
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["one", "two", "three"]);
}

#[test]
fn where_rotated_names_are_selected_too_a_generation_belongs_to_its_name() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk.clone(), "/log/*");
    rig.run(SECOND);
    for line in ["two\n", "three\n"] {
        rotate(&programs, 9);
        write(&programs, LOG, line);
    }
    let mut rig = rig.restart(disk.restart(), "/log/*");
    rig.run(SECOND * 30);
    let expected = ["one", "two", "three"].map(|line| (LOG.to_owned(), line.to_owned()));
    assert_eq!(rig.lines, expected);
}

#[test]
fn a_file_cut_and_then_rotated_before_anybody_looked_is_read_anew() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    write(&programs, "/log/other.log", "of another\n");
    let settings = Settings {
        tail: Limits {
            open_files: 1,
            ..Limits::default()
        },
        ..settings()
    };
    let mut rig = Rig::with(Arc::new(disk), vec![input(GLOB)], settings, Vec::new());
    rig.run(SECOND * 30);
    // Now the other one is open.
    write(&programs, "/log/other.log", "of another\n");
    rig.run(SECOND * 30);
    rig.take();
    programs.truncate(Path::new(LOG), 0).unwrap();
    write(&programs, LOG, "two\n");
    rotate(&programs, 9);
    write(&programs, LOG, "three\n");
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["two", "three"]);
}
