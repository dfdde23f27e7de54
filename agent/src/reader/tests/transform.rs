//! Events that are not sent as they are: positions move over them all the same.

use super::*;
use crate::line_regex::LineRegex;
use crate::transform::{Condition, Parser, Test, Transform};

fn input_without(pattern: &str) -> Vec<Input> {
    let mut input = input("/log/*.log");
    input.records.transform = Some(Arc::new(Transform {
        parse: Some(Parser::Logfmt),
        drop: vec![Condition {
            field: None,
            tests: vec![Test::Matches(LineRegex::new(pattern).unwrap())],
        }],
        ..Transform::default()
    }));
    vec![input]
}

#[test]
fn what_is_dropped_is_counted_and_not_read_again() {
    let (disk, programs) = machine();
    write(&programs, LOG, "n=1\nn=2 debug\nn=3\nplain\n");
    let mut rig = Rig::with(Arc::new(disk), input_without("debug"), settings(), Vec::new());
    rig.run(SECOND);
    assert_eq!(rig.take(), ["n=1", "n=3", "plain"]);
    write(&programs, LOG, "n=4 debug\nn=5 debug\n");
    rig.run(SECOND);
    assert_eq!(rig.positions[0].offset, 44);
    assert_eq!(rig.metrics.events_dropped.with(["t", "drop"]).get(), 3);
    assert_eq!(rig.metrics.parse_errors.with(["t"]).get(), 1);
    rig = rig.restart_with(Arc::new(programs.restart()), input_without("nothing"), settings());
    write(&programs, LOG, "n=6\n");
    rig.run(SECOND);
    assert_eq!(rig.take(), ["n=6"]);
}
