//! The running WAL: order, reading, rolling, releasing, room, and the end.

use super::*;

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let disk = SimDisk::new(1);
    let (wal, replayed, _) = open(options(&disk), 1, None).unwrap();
    assert!(replayed.is_empty());
    commit(&wal, batches(0, 0..3, 100));
    commit(&wal, batches(1, 7..8, 3000));
    drop(wal);

    let (wal, replayed, report) = open(options(&disk.kill()), 2, None).unwrap();
    assert_eq!(summary(&replayed), [(0, 0, 3), (1, 7, 8)]);
    assert_eq!(replayed[0].payload, payload(0, &(0..3), 100));
    assert_eq!(replayed[1].payload, payload(1, &(7..8), 3000));
    assert_eq!(report.rewritten_frames, 1);
    assert_eq!(replayed[1].frame.location.incarnation, 2);
    for replayed in &replayed {
        let location = replayed.frame.location;
        assert_eq!(wal.read(location, 0..location.len as usize).unwrap(), replayed.payload);
    }
}
