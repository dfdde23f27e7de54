//! A directory of busy files: looked at often, listed seldom.

use super::races::Meddled;
use super::*;

const QUIET: &str = "/log/quiet.log";

/// A reader of a directory where one file is written to all the time, and whose names have not changed for long.
fn beside_a_busy_file() -> (Arc<Meddled>, SimDisk, Rig) {
    let (disk, programs) = machine();
    write(&programs, QUIET, "first\n");
    write(&programs, LOG, "busy\n");
    let meddled = Meddled::new(disk);
    let inputs = vec![input("/log/*.log")];
    let mut settings = settings();
    settings.scan_interval = SECOND * 3600;
    let mut rig = Rig::with(Arc::clone(&meddled) as Arc<dyn Disk>, inputs, settings, Vec::new());
    busy(&programs, &mut rig, SECOND * 10);
    rig.take();
    (meddled, programs, rig)
}

fn busy(programs: &SimDisk, rig: &mut Rig, duration: Duration) {
    for _ in 0..duration.as_millis() / 500 {
        write(programs, LOG, "busy\n");
        rig.run(Duration::from_millis(500));
    }
}

fn others(rig: &mut Rig) -> Vec<String> {
    let mut lines = rig.take();
    lines.retain(|line| line != "busy");
    lines
}

#[test]
fn a_directory_whose_names_stay_is_not_listed() {
    let (meddled, programs, mut rig) = beside_a_busy_file();
    let before = meddled.listings();
    busy(&programs, &mut rig, SECOND * 60);
    assert_eq!(meddled.listings() - before, 0);
}

#[test]
fn a_quiet_file_that_grows_beside_a_busy_one_is_noticed() {
    let (meddled, programs, mut rig) = beside_a_busy_file();
    let before = meddled.listings();
    write(&programs, QUIET, "second\n");
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["second"]);
    assert_eq!(meddled.listings() - before, 0);
}

#[test]
fn new_renamed_and_replaced_files_beside_a_busy_one_are_noticed() {
    let (_, programs, mut rig) = beside_a_busy_file();
    write(&programs, "/log/new.log", "new\n");
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["new"]);
    busy(&programs, &mut rig, SECOND * 10);
    write(&programs, QUIET, "last\n");
    rename(&programs, QUIET, "/log/quiet.log.1");
    write(&programs, QUIET, "next\n");
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["last", "next"]);
    busy(&programs, &mut rig, SECOND * 10);
    write(&programs, "/tmp.log", "elsewhere\n");
    rename(&programs, "/tmp.log", QUIET);
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["elsewhere"]);
}

#[test]
fn what_a_link_leads_to_may_come_later_and_be_replaced() {
    let (_, programs, mut rig) = beside_a_busy_file();
    programs.create_dir_all(Path::new("/far")).unwrap();
    programs
        .symlink(Path::new("/far/a"), Path::new("/log/link.log"))
        .unwrap();
    busy(&programs, &mut rig, SECOND * 10);
    write(&programs, "/far/a", "there\n");
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["there"]);
    busy(&programs, &mut rig, SECOND * 10);
    rename(&programs, "/far/a", "/far/a.1");
    write(&programs, "/far/a", "replaced\n");
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["replaced"]);
}

#[test]
fn a_file_that_is_too_old_is_taken_once_it_is_written_to() {
    let (disk, programs) = machine();
    programs.set_now_ms(1_700_000_000_000 - 7_200_000);
    write(&programs, QUIET, "old\n");
    programs.set_now_ms(1_700_000_000_000);
    write(&programs, LOG, "busy\n");
    let young = Input {
        ignore_older: Some(SECOND * 3600),
        ..input("/log/*.log")
    };
    let mut settings = settings();
    settings.scan_interval = SECOND * 3600;
    let mut rig = Rig::with(Arc::new(disk), vec![young], settings, Vec::new());
    busy(&programs, &mut rig, SECOND * 10);
    assert_eq!(others(&mut rig), [""; 0]);
    write(&programs, QUIET, "young\n");
    busy(&programs, &mut rig, SECOND);
    assert_eq!(others(&mut rig), ["old", "young"]);
}
