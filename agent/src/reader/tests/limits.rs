//! What may be had at most: so much of an input in a second, and so long of a file that was deleted.

use super::*;
use crate::rate_limit::{Exceeded, Rate, RateLimit};

fn limited(events: f64, exceeded: Exceeded) -> Vec<Input> {
    let mut input = input(LOG);
    input.records.limit = Arc::new(RateLimit::new(Some(Rate {
        events: Some(events),
        bytes: None,
        exceeded,
    })));
    vec![input]
}

fn lines(count: usize) -> String {
    (0..count).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_is_beyond_the_rate_waits_in_its_file_and_other_inputs_do_not() {
    let (disk, programs) = machine();
    write(&programs, LOG, &lines(100));
    let mut inputs = limited(10.0, Exceeded::Wait);
    inputs.push(input("/log/b.log"));
    write(&programs, "/log/b.log", &lines(100));
    let mut rig = Rig::with(Arc::new(disk), inputs, settings(), Vec::new());
    rig.run(SECOND);
    let read = rig.take().len();
    assert!((115..=125).contains(&read), "{read}");
    rig.run(SECOND * 4);
    let more = rig.take();
    assert!((35..=45).contains(&more.len()), "{}", more.len());
    rig = rig.restart_with(Arc::new(programs.restart()), limited(10.0, Exceeded::Wait), settings());
    rig.run(SECOND * 60);
    let all = [more, rig.take()].concat();
    assert_eq!(all.len(), 200 - read, "each once");
    assert_eq!(all.last().map(String::as_str), Some("99"));
    assert!(rig.metrics.rate_limit_waits.with(["t"]).get() > 10);
}

#[test]
fn a_file_that_waits_is_still_followed_when_it_is_rotated() {
    let (disk, programs) = machine();
    write(&programs, LOG, &lines(30));
    let mut rig = Rig::with(Arc::new(disk), limited(10.0, Exceeded::Wait), settings(), Vec::new());
    rig.run(SECOND / 2);
    programs.rename(Path::new(LOG), Path::new("/log/app.log.1")).unwrap();
    write(&programs, LOG, "next\n");
    rig.run(SECOND * 20);
    let taken = rig.take();
    assert_eq!((taken.len(), taken.last().map(String::as_str)), (31, Some("next")));
}

#[test]
fn what_is_beyond_the_rate_is_not_sent_if_that_is_wanted() {
    let (disk, programs) = machine();
    write(&programs, LOG, &lines(100));
    let mut rig = Rig::with(Arc::new(disk), limited(10.0, Exceeded::Drop), settings(), Vec::new());
    rig.run(SECOND);
    let sent = rig.take().len() as u64;
    assert_eq!(sent + rig.metrics.events_dropped.with(["t", "rate_limit"]).get(), 100);
    assert!((10..=20).contains(&sent), "{sent}");
    assert_eq!(rig.positions[0].offset, lines(100).len() as u64);
}

#[test]
fn a_deleted_file_is_kept_no_longer_than_it_may_be_and_what_is_lost_is_counted() {
    let (disk, programs) = machine();
    write(&programs, LOG, &lines(100));
    let mut settings = settings();
    settings.tail.close_deleted_after = Some(SECOND * 60);
    // A line in a second.
    let mut rig = Rig::with(Arc::new(disk), limited(1.0, Exceeded::Wait), settings, Vec::new());
    rig.run(SECOND * 5);
    programs.remove(Path::new(LOG)).unwrap();
    rig.run(SECOND * 25);
    assert_eq!(rig.metrics.files_followed.with(["t"]).get(), 1, "it goes on");
    rig.run(SECOND * 20);
    rig.run(SECOND * 60);
    let read = rig.take();
    assert!(read.len() < 100, "{}", read.len());
    assert_eq!(rig.metrics.files_followed.with(["t"]).get(), 0);
    let unread: String = (read.len()..100).map(|line| format!("{line}\n")).collect();
    assert_eq!(rig.metrics.lost_bytes.with(["t"]).get(), unread.len() as u64);
    assert!(rig.positions.is_empty());
}

#[test]
fn the_files_of_an_input_share_what_it_may_have() {
    let (disk, programs) = machine();
    let paths = ["/log/a.log", "/log/b.log", "/log/c.log"];
    paths.iter().for_each(|path| write(&programs, path, &lines(1000)));
    let mut inputs = limited(30.0, Exceeded::Wait);
    inputs[0].selection = input("/log/*.log").selection;
    let mut rig = Rig::with(Arc::new(disk), inputs, settings(), Vec::new());
    rig.run(SECOND * 20);
    let read = paths.map(|path| rig.lines.iter().filter(|(of, _)| of == path).count());
    assert!(read.iter().all(|count| (100..400).contains(count)), "{read:?}");
}
