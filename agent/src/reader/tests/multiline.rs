//! Events of several lines, whatever cuts the file in the middle of one.

use super::*;

const ROTATED: &str = "/log/app.log.1";

fn multiline_input() -> Vec<Input> {
    let mut input = input("/log/*.log");
    input.framing.multiline = Some(indented(SECOND));
    vec![input]
}

fn rig(disk: SimDisk) -> Rig {
    Rig::with(Arc::new(disk), multiline_input(), settings(), Vec::new())
}

fn moment() -> Duration {
    Duration::from_millis(300)
}

#[test]
fn an_event_waits_for_more_lines_and_not_for_ever() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    assert_eq!(rig.take(), ["one"]);
    write(&programs, LOG, "  at b\n");
    rig.run(moment());
    assert_eq!(rig.take(), [""; 0]);
    rig.run(SECOND);
    assert_eq!(rig.take(), ["two\n  at a\n  at b"]);
    write(&programs, LOG, "  late\nthree\nfour\n");
    rig.run(moment());
    assert_eq!(rig.take(), ["  late", "three"]);
}

#[test]
fn an_event_with_a_half_line_waits_for_that_too() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n  at a\n  at");
    let mut rig = rig(disk);
    rig.run(SECOND * 3);
    assert_eq!(rig.take(), [""; 0]);
    write(&programs, LOG, " b\n");
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), ["one\n  at a\n  at b"]);
}

#[test]
fn an_event_that_a_rotation_cuts_comes_out_whole() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    rename(&programs, LOG, ROTATED);
    write(&programs, LOG, "  at b\nthree\n");
    rig.run(moment());
    assert_eq!(rig.take(), ["one", "two\n  at a\n  at b"]);
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), ["three"]);
    write(&programs, ROTATED, "late\n");
    rig.run(SECOND * 20);
    assert_eq!(rig.take(), ["late"]);
}

#[test]
fn an_event_may_go_through_several_files() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n  at a\n");
    let mut rig = rig(disk);
    for number in 1..4 {
        rig.run(moment());
        rename(&programs, LOG, &format!("{LOG}.{number}"));
        let text = if number == 2 {
            String::new()
        } else {
            format!("  at {number}\n")
        };
        write(&programs, LOG, &text);
    }
    rig.run(moment());
    assert_eq!(rig.take(), [""; 0]);
    write(&programs, LOG, "two\n");
    rig.run(moment());
    assert_eq!(rig.take(), ["one\n  at a\n  at 1\n  at 3"]);
}

#[test]
fn an_event_cut_by_rotation_and_restart_comes_out_whole() {
    for kill_before_it_is_read in [false, true] {
        let (disk, programs) = machine();
        write(&programs, LOG, "one\ntwo\n  at a\n");
        let mut rig = rig(disk);
        rig.run(moment());
        rename(&programs, LOG, ROTATED);
        write(&programs, LOG, "  at b\n");
        if !kill_before_it_is_read {
            rig.run(moment());
        }
        rig = rig.restart_with(Arc::new(programs.restart()), multiline_input(), settings());
        rig.run(moment());
        write(&programs, LOG, "three\nfour\n");
        rig.run(moment());
        assert_eq!(rig.take(), ["one", "two\n  at a\n  at b", "three"]);
        rig = rig.restart_with(Arc::new(programs.restart()), multiline_input(), settings());
        rig.run(SECOND * 2);
        assert_eq!(rig.take(), ["four"]);
    }
}

#[test]
fn the_first_line_of_the_next_file_completes_the_last_event() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    rename(&programs, LOG, ROTATED);
    write(&programs, LOG, "two\n");
    rig.run(moment());
    assert_eq!(rig.take(), ["one\n  at a"]);
}

#[test]
fn an_event_is_complete_where_nothing_comes_after_a_rotation() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    rename(&programs, LOG, ROTATED);
    write(&programs, LOG, "");
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), ["one\n  at a"]);
    write(&programs, LOG, "two\n");
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), ["two"]);
}

#[test]
fn an_event_goes_on_growing_across_a_rotation() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = rig(disk);
    rig.run(moment());
    rename(&programs, LOG, ROTATED);
    let mut expected = "one".to_owned();
    for number in 0..10 {
        let line = format!("  at {number}");
        expected += &format!("\n{line}");
        write(&programs, LOG, &(line + "\n"));
        rig.run(moment());
    }
    assert_eq!(rig.take(), [""; 0]);
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), [expected]);
}

#[test]
fn what_waited_for_more_lines_survives_that_its_file_is_cut() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    programs.truncate(Path::new(LOG), 0).unwrap();
    write(&programs, LOG, "three is long enough to be told apart\n");
    rig.run(SECOND * 2);
    assert_eq!(
        rig.take(),
        ["one", "two\n  at a", "three is long enough to be told apart"]
    );
    assert_eq!(rig.lost(), 0);
}

#[test]
fn what_waited_for_more_lines_survives_that_its_file_is_deleted() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    programs.remove(Path::new(LOG)).unwrap();
    rig.run(SECOND * 40);
    assert_eq!(rig.take(), ["one\n  at a"]);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn an_event_larger_than_a_chunk_is_read_whole_and_one_larger_than_allowed_in_parts() {
    let (disk, programs) = machine();
    let lines: String = (0..3000).map(|number| format!("\n  at line number {number}")).collect();
    let event = format!("one{lines}");
    write(&programs, LOG, &format!("{event}\ntwo\n"));
    let mut settings = settings();
    settings.tail.chunk_len = 100;
    let mut inputs = multiline_input();
    if let Some(multiline) = &mut inputs[0].framing.multiline {
        multiline.max_lines = 10_000;
    }
    let mut rig = Rig::with(Arc::new(disk), inputs, settings.clone(), Vec::new());
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), [event.as_str(), "two"]);

    let mut inputs = multiline_input();
    inputs[0].framing.max_len = 1000;
    let mut rig = Rig::with(Arc::new(programs.outsider()), inputs, settings, Vec::new());
    rig.run(SECOND * 2);
    let parts = rig.take();
    assert!(parts.len() > 50 && parts.iter().all(|part| part.len() <= 1000));
    assert_eq!(parts.join("\n"), format!("{event}\ntwo"));
    assert_eq!(rig.metrics.events_cut.with(["t"]).get(), parts.len() as u64 - 2);
}

#[test]
fn an_event_that_is_written_anew_where_it_stands_does_not_bring_back_what_was_before_it() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\n  at a\n");
    let mut rig = rig(disk);
    rig.run(moment());
    programs.truncate(Path::new(LOG), 4).unwrap();
    write(&programs, LOG, "other\n  at b\n  at c\n");
    rig.run(SECOND * 2);
    assert_eq!(rig.take(), ["one", "other\n  at b\n  at c"]);
}

#[test]
fn the_pieces_of_a_containers_line_are_joined_across_rotation_and_restart() {
    let container_input = || {
        let mut input = input("/log/*.log");
        input.framing.container = true;
        input.records.transform = Some(Arc::default());
        vec![input]
    };
    let piece = |tag: &str, text: &str| format!("2026-11-27T12:00:01Z stdout {tag} {text}\n");
    let (disk, programs) = machine();
    write(&programs, LOG, &[piece("F", "one"), piece("P", "tw")].concat());
    let mut rig = Rig::with(Arc::new(disk), container_input(), settings(), Vec::new());
    rig.run(moment());
    assert_eq!(rig.take(), ["one"]);
    rename(&programs, LOG, ROTATED);
    write(&programs, LOG, &piece("P", "o a"));
    rig.run(moment());
    rig = rig.restart_with(Arc::new(programs.restart()), container_input(), settings());
    rig.run(moment());
    write(&programs, LOG, &[piece("F", "nd two"), piece("F", "three")].concat());
    rig.run(moment());
    assert_eq!(rig.take(), ["two and two", "three"]);
}

#[test]
fn what_came_after_a_file_that_vanished_unseen_is_read_before_what_has_its_name_now() {
    let (disk, programs) = machine();
    write(&programs, LOG, "zero\n");
    let mut rig = rig(disk);
    rig.run(SECOND);
    // Nobody looks while the first is removed, and the second renamed.
    programs.remove(Path::new(LOG)).unwrap();
    write(&programs, LOG, "one\n");
    rename(&programs, LOG, "/log/app.log.1");
    write(&programs, LOG, "  and the last\ntwo\n");
    rig.run(SECOND * 40);
    assert_eq!(rig.take(), ["zero", "one\n  and the last", "two"]);
}
