//! Files that are renamed, truncated, deleted, replaced, or cut short by a power failure.

use tailrace_shared::disk::OpenMode;
use tailrace_shared::disk::sim::PowerLoss;

use super::*;

#[test]
fn a_file_renamed_while_running_is_drained_before_its_successor_starts() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND * 5);
    write(&programs, LOG, "two\n");
    rename(&programs, LOG, "/log/app.log.1");
    write(&programs, "/log/app.log.1", "three\n");
    write(&programs, LOG, "four\n");
    rig.run(SECOND * 12);
    // Whoever wrote it has not noticed yet.
    write(&programs, "/log/app.log.1", "late\n");
    rig.run(SECOND * 12);
    assert_eq!(rig.take(), ["one", "two", "three", "four", "late"]);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn of_a_busy_file_no_rotation_is_missed_however_fast_they_follow() {
    let (disk, programs) = machine();
    write(&programs, LOG, "0\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    for rotation in 1..30 {
        // Out of the glob before the next regular look at the directory.
        rename(&programs, LOG, &format!("/log/app.log.{rotation}"));
        write(&programs, LOG, &format!("{rotation}\n"));
        rig.run(Duration::from_millis(40));
    }
    rig.run(SECOND * 12);
    let expected: Vec<_> = (0..30).map(|rotation| rotation.to_string()).collect();
    assert_eq!(rig.take(), expected);
}

#[test]
fn a_successor_goes_through_the_lane_of_its_predecessor() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/app*");
    rig.run(SECOND);
    rename(&programs, LOG, "/log/app-1");
    write(&programs, LOG, "two\n");
    rig.run(SECOND * 12);
    assert_eq!(rig.positions.len(), 2);
    assert_eq!(rig.positions[0].lane, rig.positions[1].lane);
}

#[test]
fn files_renamed_while_down_are_finished_in_order_whatever_they_are_called() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk.clone(), "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["one"]);
    write(&programs, LOG, "two\n");
    rename(&programs, LOG, "/log/app.log.1");
    write(&programs, LOG, "three\n");
    let mut rig = rig.restart(disk.restart(), "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["two", "three"]);
    assert!(rig.positions.iter().all(|position| position.path == Path::new(LOG)));

    write(&programs, "/log/app.log.1", "late\n");
    write(&programs, LOG, "four\n");
    rename(&programs, "/log/app.log.1", "/log/app.log.2");
    rename(&programs, LOG, "/log/app.log.1");
    write(&programs, LOG, "five\n");
    let mut rig = rig.restart(programs.restart(), "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["late", "four", "five"]);
}

#[test]
fn a_copied_and_truncated_file_starts_anew() {
    let (disk, programs) = machine();
    let (text, lines) = many("first");
    write(&programs, LOG, &text);
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), lines);
    programs.truncate(Path::new(LOG), 0).unwrap();
    // Longer than before: only the bytes before the position tell.
    let (text, lines) = many("second time round, longer");
    write(&programs, LOG, &text);
    rig.run(SECOND);
    assert_eq!(rig.take(), lines);
    assert_eq!(rig.metrics.truncations.with(["t"]).get(), 1);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn a_file_rewritten_to_the_same_length_while_nobody_looked_starts_anew() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND * 20);
    programs.truncate(Path::new(LOG), 0).unwrap();
    write(&programs, LOG, "six\nten\n");
    rig.run(SECOND * 20);
    assert_eq!(rig.take(), ["one", "two", "six", "ten"]);
}

#[test]
fn a_file_truncated_while_down_starts_anew() {
    for (before, after) in [
        (many("before"), many("after")),
        (("b\n".into(), vec!["b".into()]), ("a\n".into(), vec!["a".into()])),
    ] {
        let (disk, programs) = machine();
        write(&programs, LOG, &before.0);
        let mut rig = Rig::new(disk.clone(), "/log/*.log");
        rig.run(SECOND);
        programs.truncate(Path::new(LOG), 0).unwrap();
        write(&programs, LOG, &after.0);
        let mut rig = rig.restart(disk.restart(), "/log/*.log");
        rig.run(SECOND);
        assert_eq!(rig.take(), [before.1, after.1].concat());
    }
}

#[test]
fn bytes_cut_off_before_they_were_read_are_counted() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo\nunfinished");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    programs.truncate(Path::new(LOG), 0).unwrap();
    write(&programs, LOG, "new\n");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["one", "two", "new"]);
    assert_eq!(rig.lost(), 10);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_forgotten() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND * 5);
    let writer = programs.open(Path::new(LOG), OpenMode::ReadWrite).unwrap();
    writer.write_all_at(b"two\n", 4).unwrap();
    programs.remove(Path::new(LOG)).unwrap();
    rig.run(SECOND * 3);
    writer.write_all_at(b"three\nfou", 8).unwrap();
    rig.run(SECOND * 4);
    writer.write_all_at(b"r", 17).unwrap();
    rig.run(SECOND * 60);
    assert_eq!(rig.take(), ["one", "two", "three", "four"]);
    assert_eq!((rig.lost(), rig.positions.len()), (0, 0));
    assert_eq!(rig.reader.tail.iter().count(), 0);
}

#[test]
fn a_file_deleted_before_its_reading_could_start_is_counted_as_lost() {
    let (disk, programs) = machine();
    let settings = Settings {
        tail: Limits {
            open_files: 1,
            ..Limits::default()
        },
        ..settings()
    };
    let mut rig = Rig::with(Arc::new(disk), vec![input("/log/*.log")], settings, Vec::new());
    write(&programs, "/log/a.log", "one\n");
    write(&programs, "/log/b.log", "two\n");
    // One step: both are found, and one of them is open.
    rig.reader.step().unwrap();
    programs.remove(Path::new("/log/a.log")).unwrap();
    programs.remove(Path::new("/log/b.log")).unwrap();
    rig.run(SECOND * 60);
    assert_eq!(rig.take().len(), 1);
    assert_eq!(rig.lost(), 4);
}

#[test]
fn a_reused_inode_is_a_new_file() {
    let (disk, programs) = machine();
    programs.reuse_inodes(true);
    for (down, open_files) in [(false, 1), (true, 100)] {
        let settings = || Settings {
            tail: Limits {
                open_files,
                ..Limits::default()
            },
            ..settings()
        };
        let (text, lines) = many("old");
        write(&programs, LOG, &text);
        write(&programs, "/log/z.log", "z\n");
        let mut rig = Rig::with(
            Arc::new(disk.restart()),
            vec![input("/log/*.log")],
            settings(),
            Vec::new(),
        );
        rig.run(SECOND * 30);
        // Of the two, this one is open now if only one may be.
        write(&programs, "/log/z.log", "z\n");
        rig.run(SECOND * 30);
        assert_eq!(rig.take().len(), lines.len() + 2);
        let old = programs.metadata(Path::new(LOG)).unwrap().id;
        let restarted = down.then(|| programs.restart());
        programs.remove(Path::new(LOG)).unwrap();
        programs.sync_dir(Path::new("/log")).unwrap();
        let (text, lines) = many("new and longer");
        write(&programs, "/log/other.log", &text);
        assert_eq!(
            programs.metadata(Path::new("/log/other.log")).unwrap().id,
            old,
            "the inode was reused"
        );
        if let Some(disk) = restarted {
            rig = rig.restart_with(Arc::new(disk), vec![input("/log/*.log")], settings());
        }
        rig.run(SECOND * 30);
        assert_eq!(rig.take(), lines);
        programs.remove(Path::new("/log/other.log")).unwrap();
        programs.remove(Path::new("/log/z.log")).unwrap();
        programs.sync_dir(Path::new("/log")).unwrap();
    }
}

#[test]
fn a_file_cut_short_by_a_power_failure_goes_on_at_its_end_and_is_counted() {
    let (disk, programs) = machine();
    programs.sync_dir(Path::new("/")).unwrap();
    let (text, lines) = many("synced");
    write(&programs, LOG, &text);
    programs
        .open(Path::new(LOG), OpenMode::ReadWrite)
        .unwrap()
        .sync_data()
        .unwrap();
    programs.sync_dir(Path::new("/log")).unwrap();
    write(&programs, LOG, "not synced\n");
    let mut rig = Rig::new(disk.clone(), "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), [lines, vec!["not synced".to_owned()]].concat());
    let disk = disk.power_off(PowerLoss::DropAll);
    let programs = disk.outsider();
    assert_eq!(programs.read(Path::new(LOG)).unwrap(), text.as_bytes());
    write(&programs, LOG, "x\n");
    let mut rig = rig.restart(disk, "/log/*.log");
    rig.run(SECOND);
    write(&programs, LOG, "after\n");
    rig.run(SECOND);
    // What was written between the failure and the restart hides in what was read before.
    assert_eq!(rig.take(), ["after"]);
    assert_eq!(rig.metrics.torn_files.with(["t"]).get(), 1);
}

#[test]
fn a_file_that_moves_between_directories_is_the_same_file() {
    let (disk, programs) = machine();
    programs.create_dir_all(Path::new("/log/done")).unwrap();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/**/*.log");
    rig.run(SECOND);
    rename(&programs, LOG, "/log/done/app.log");
    rig.run(SECOND * 30);
    write(&programs, "/log/done/app.log", "two\n");
    rig.run(SECOND * 30);
    assert_eq!(rig.take(), ["one", "two"]);
}

#[test]
fn a_deselected_file_is_not_read_and_its_position_is_kept() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk.clone(), "/log/*.log");
    rig.run(SECOND);
    write(&programs, LOG, "two\n");
    let mut rig = rig.restart(disk.restart(), "/log/other*");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["one"]);
    let mut rig = rig.restart(programs.restart(), "/log/*.log");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["two"]);
}

#[test]
fn a_lone_return_at_the_end_of_a_rotated_file_does_not_hold_up_its_successor() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n\r");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    rename(&programs, LOG, "/log/app.log.1");
    write(&programs, LOG, "two\n");
    rig.run(SECOND * 20);
    assert_eq!(rig.take(), ["one", "two"]);
}
