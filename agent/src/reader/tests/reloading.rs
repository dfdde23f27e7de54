//! A new configuration while everything runs.

use tokio::sync::oneshot;

use super::*;

fn of(topic: &str, include: &str) -> Input {
    let mut input = input(include);
    input.records.topic = topic.into();
    input
}

impl Rig {
    fn reload(&mut self, inputs: Vec<Input>) {
        let (done, mut held) = oneshot::channel();
        let settings = settings();
        self.reloads.try_send(Reload { inputs, settings, done }).unwrap();
        self.run(Duration::from_millis(100));
        held.try_recv().unwrap();
    }

    fn position(&self, path: &str) -> &FilePosition {
        self.positions.iter().find(|one| one.path == Path::new(path)).unwrap()
    }
}

#[test]
fn other_files_are_found_and_those_that_stay_are_not_read_again() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    write(&programs, "/log/other.txt", "two\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    rig.reload(vec![of("t", "/log/*")]);
    write(&programs, LOG, "three\n");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["one", "two", "three"]);
}

#[test]
fn a_file_that_nothing_selects_for_a_while_goes_on_where_it_was() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    rig.reload(vec![of("t", "/log/*.txt")]);
    write(&programs, LOG, "two\n");
    rig.run(SECOND * 20);
    assert_eq!(rig.take(), ["one"]);
    rig.reload(vec![of("t", "/log/*.log")]);
    rig.run(SECOND);
    assert_eq!(rig.take(), ["two"]);
}

#[test]
fn a_file_of_another_topic_now_keeps_its_position_under_it() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    rig.reload(vec![of("other", "/log/app*"), of("t", "/log/*.log")]);
    write(&programs, LOG, "two\n");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["one", "two"]);
    assert_eq!(
        (rig.position(LOG).topic.as_str(), rig.position(LOG).offset),
        ("other", 8)
    );
}

#[test]
fn what_is_left_of_a_deleted_file_is_read_all_the_same() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\ntwo");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    programs.remove(Path::new(LOG)).unwrap();
    rig.reload(vec![of("other", "/nowhere"), of("t", "/log/*.log")]);
    rig.run(SECOND * 40);
    assert_eq!(rig.take(), ["one", "two"]);
    assert_eq!(rig.lost(), 0);
}

#[test]
fn what_was_gathered_goes_under_the_old_configuration() {
    let (disk, programs) = machine();
    write(&programs, LOG, "one\n");
    let mut rig = Rig::new(disk, "/log/*.log");
    rig.run(SECOND);
    // Whatever moment of reading it comes in.
    for number in 0..50 {
        write(&programs, LOG, &format!("{number}\n"));
        rig.run(Duration::from_millis(number % 7));
        rig.reload(vec![of("t", "/log/*.log")]);
    }
    let expected: Vec<_> = ["one".to_owned()]
        .into_iter()
        .chain((0..50).map(|number| number.to_string()))
        .collect();
    rig.run(SECOND);
    assert_eq!(rig.take(), expected);
}
