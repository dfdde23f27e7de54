//! The running WAL: order, reading, rolling, releasing, room, and the end.

use std::sync::mpsc;

use futures::FutureExt;
use tailrace_shared::disk::OpenMode;

use super::super::files::ClosedFile;
use super::*;

fn reserve(wal: &Wal, bytes: usize, class: Class) -> Option<Result<Reservation, ReserveError>> {
    wal.reserve(bytes, class).now_or_never()
}

/// Commits frames of one block each until the file is closed.
fn fill_file(wal: &Wal, next_offset: &mut i64) {
    let current = wal.current();
    while wal.current() == current {
        commit(wal, batches(0, *next_offset..*next_offset + 1, 4000));
        *next_offset += 1;
    }
}

fn position(incarnation: u64, file: u64) -> WalPosition {
    WalPosition { incarnation, file }
}

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
    assert_eq!((report.frames, report.payload_bytes), (2, 3100));
    assert_eq!(report.rewritten_frames, 1);
    assert_eq!(replayed[1].frame.location.incarnation, 2);
    for replayed in &replayed {
        let location = replayed.frame.location;
        assert_eq!(wal.read(location, 0..location.len as usize).unwrap(), replayed.payload);
    }
}

/// Holds the writer thread until the test has met it, and met it again.
struct Gate(mpsc::SyncSender<()>);

impl FrameSink for Gate {
    fn committed(&self, _: &CommittedFrame) {
        self.0.send(()).ok();
        self.0.send(()).ok();
    }
}

#[test]
fn what_gathers_during_a_commit_becomes_one_commit_and_adjacent_batches_one_frame() {
    let disk = SimDisk::new(1);
    let options = WalOptions {
        commit_bytes_max: 32 * KIB,
        ..options(&disk)
    };
    let (wal, ..) = open(options, 1, None).unwrap();
    let (gate, meet) = mpsc::sync_channel(0);
    let first = block_on(wal.reserve(10, Class::Client)).unwrap();
    wal.submit(first, batches(2, 0..1, 10), Arc::new(Gate(gate)));
    meet.recv().unwrap();
    let journal = Arc::new(Journal::default());
    for offset in 0..4 {
        submit(&wal, batches(0, offset..offset + 1, 10), &journal);
        submit(&wal, batches(1, offset * 10..offset * 10 + 1, 10), &journal);
    }
    meet.recv().unwrap();
    journal.wait_for(5);
    let offsets = |frame: &CommittedFrame| (frame.partition.partition, frame.start, frame.end);
    let frames = journal.frames();
    assert_eq!(
        frames.iter().map(offsets).collect::<Vec<_>>(),
        [(0, 0, 4), (1, 0, 1), (1, 10, 11), (1, 20, 21), (1, 30, 31)]
    );
    let (first, stats) = (&frames[0], wal.stats());
    assert_eq!((first.appended_at, stats.commits, stats.frames), (1000, 2, 6));
    let joined: Vec<u8> = (0..4)
        .flat_map(|offset| payload(0, &(offset..offset + 1), 10))
        .collect();
    assert_eq!(wal.read_cached(first.location).unwrap(), joined);
}

#[test]
fn a_full_file_is_followed_by_the_next_and_both_are_read() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    let mut rolled = wal.rolled();
    let journal = Arc::new(Journal::default());
    for offset in 0..30 {
        submit(&wal, batches(0, offset * 2..offset * 2 + 1, 3900), &journal);
    }
    journal.wait_for(30);
    assert!(rolled.has_changed().unwrap());
    assert_eq!(*rolled.borrow_and_update(), wal.current());
    let closed = wal.closed_files();
    assert_eq!(closed[0].position, position(1, 0));
    assert_eq!(closed[1].bytes, 64 * KIB as u64, "filled to the end");
    let in_memory = |frame: &&CommittedFrame| wal.read_cached(frame.location).is_some();
    let frames = journal.frames();
    let cached = frames.iter().filter(in_memory).count();
    assert!((1..5).contains(&cached), "{cached} frames in a cache of 16 KiB");
    for frame in &frames {
        let expected = payload(0, &(frame.start..frame.end), 3900);
        assert_eq!(wal.read(frame.location, 0..3900).unwrap(), expected);
        assert_eq!(wal.read(frame.location, 100..200).unwrap(), expected.slice(100..200));
    }
    assert_eq!(
        wal.read(frames[0].location, 0..3901).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

#[test]
fn a_clean_stop_leaves_nothing_that_the_next_start_must_look_into_for_nothing() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    wait_for_next_file(&wal);
    let frame = commit(&wal, batches(0, 0..1, 100));
    drop(wal);
    let names: Vec<_> = disk.list(&options(&disk).dir).unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    let path = position(1, frame.location.file).path(&options(&disk).dir);
    assert_eq!(
        disk.metadata(&path).unwrap().len,
        8192,
        "the file header and one commit"
    );
}

#[test]
fn damage_under_a_closed_frame_is_noticed_when_it_is_read() {
    let disk = SimDisk::new(1);
    let options = WalOptions {
        cache_bytes: 0,
        ..options(&disk)
    };
    let (wal, ..) = open(options, 1, None).unwrap();
    let frame = commit(&wal, batches(0, 0..1, 100));
    let mut read = [0; 100];
    wal.read_into(frame.location, &mut read).unwrap();
    assert_eq!(read[..], payload(0, &(0..1), 100));
    let path = position(1, 0).path(&PathBuf::from("/wal"));
    disk.corrupt(&path, usize::try_from(frame.location.offset).unwrap() + 5)
        .unwrap();
    let read_or_copied = [
        wal.read(frame.location, 0..100).map(drop),
        wal.read_into(frame.location, &mut read),
    ];
    for error in read_or_copied.map(Result::unwrap_err) {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(
            error
                .to_string()
                .starts_with(&format!("{} is damaged: at byte 4096", path.display()))
        );
    }
}

#[test]
fn a_roll_closes_what_was_submitted_and_does_nothing_to_an_empty_file() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    assert_eq!(block_on(wal.roll()), Ok(position(1, 0)));
    assert!(wal.closed_files().is_empty());
    let journal = Arc::new(Journal::default());
    submit(&wal, batches(0, 0..1, 100), &journal);
    assert_eq!(block_on(wal.roll()), Ok(position(1, 1)));
    assert_eq!(journal.frames().len(), 1);
    let closed = ClosedFile {
        position: position(1, 0),
        bytes: 8192,
        has_footer: false,
    };
    assert_eq!(wal.closed_files(), [closed]);
    assert_eq!(block_on(wal.roll()), Ok(position(1, 1)));
    drop(wal);
    let (_, replayed, _) = open(options(&disk.kill()), 2, Some(position(1, 1))).unwrap();
    assert!(replayed.is_empty(), "a checkpoint may point at the current file");
}

#[test]
fn a_roll_closes_a_file_whose_frames_share_the_block_of_its_header() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    commit(&wal, batches(0, 0..1, 100));
    drop(wal);
    let (wal, replayed, _) = open(options(&disk), 2, None).unwrap();
    let location = replayed[0].frame.location;
    assert!(location.incarnation == 2 && location.offset < 4096);
    assert_eq!(block_on(wal.roll()), Ok(position(2, 1)));
}

#[test]
fn released_files_are_recycled_and_the_disk_does_not_grow() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    let mut offset = 0;
    for _ in 0..12 {
        fill_file(&wal, &mut offset);
        wal.release_before(wal.current());
    }
    wait_for_next_file(&wal);
    let files = disk.list(&PathBuf::from("/wal")).unwrap();
    assert!(files.len() <= 6, "{files:?}");
    assert_eq!(wal.closed_files(), []);
    assert!(wal.stats().backlog_bytes < 16 * KIB as u64);
    let gone = FrameLocation {
        incarnation: 1,
        file: 0,
        offset: 4096 + 72,
        len: 4000,
    };
    assert_eq!(wal.read(gone, 0..4000).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_closed_file_takes_one_footer_and_lives_on_under_another_name() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    let mut next_offset = 0;
    fill_file(&wal, &mut next_offset);
    let closed = wal.closed_files().remove(0);
    assert!(wal.end_with(wal.current(), b"footer").is_err(), "it is in use");
    let path = wal.end_with(closed.position, b"footer").unwrap();
    assert!(wal.end_with(closed.position, b"other").is_err(), "it has one");
    assert!(wal.closed_files()[0].has_footer);
    let other = PathBuf::from("/other");
    disk.link(&path, &other).unwrap();
    disk.sync_dir(&PathBuf::from("/")).unwrap();
    let written = disk.read(&path).unwrap();
    assert_eq!(written.len() as u64, closed.bytes + 6);
    assert!(written.ends_with(b"footer"));

    drop(wal);
    let disk = disk.kill();
    let (wal, replayed, _) = open(options(&disk), 2, None).unwrap();
    assert_eq!(replayed.len() as i64, next_offset, "a footer is nothing to the WAL");
    wal.release_before(wal.current());
    for _ in 0..8 {
        fill_file(&wal, &mut next_offset);
        wal.release_before(wal.current());
    }
    assert!(
        !disk
            .outsider()
            .list(&PathBuf::from("/wal"))
            .unwrap()
            .iter()
            .any(|entry| path.ends_with(&entry.name))
    );
    assert!(disk.read(&other).unwrap() == written, "its bytes were recycled");
}

#[test]
fn a_file_that_is_still_read_is_not_recycled() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    let mut offset = 0;
    fill_file(&wal, &mut offset);
    let being_read = wal.shared.files.handle(position(1, 0)).unwrap();
    let before = being_read.read_stable().unwrap();
    for _ in 0..6 {
        wal.release_before(wal.current());
        fill_file(&wal, &mut offset);
    }
    assert!(being_read.read_stable().unwrap() == before);
}

#[test]
fn the_budget_holds_clients_back_until_files_are_released() {
    let disk = SimDisk::new(1);
    let options = WalOptions {
        budget_bytes: 128 * KIB as u64,
        ..options(&disk)
    };
    let (wal, ..) = open(options, 1, None).unwrap();
    let mut offset = 0;
    while let Some(reserved) = reserve(&wal, 4000, Class::Client) {
        drop(reserved.unwrap());
        commit(&wal, batches(0, offset..offset + 1, 4000));
        offset += 1;
        wait_for_next_file(&wal);
    }
    assert!(wal.stats().backlog_bytes > 120 * KIB as u64);
    let internal = reserve(&wal, 100, Class::Internal).unwrap().unwrap();
    let mut waiting = Box::pin(wal.reserve(4000, Class::Client));
    assert!((&mut waiting).now_or_never().is_none());
    drop(internal);
    assert!(
        (&mut waiting).now_or_never().is_none(),
        "internal frames have their own reserve"
    );
    wal.release_before(wal.current());
    assert!(block_on(waiting).is_ok());
}

#[test]
fn on_a_full_disk_clients_are_refused_internal_frames_are_not_and_space_heals_it() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    wait_for_next_file(&wal);
    disk.set_capacity(128 * KIB as u64);
    let journal = Arc::new(Journal::default());
    let mut offset = 0;
    let refused = loop {
        match block_on(wal.reserve(4000, Class::Client)) {
            Ok(reservation) => wal.submit(
                reservation,
                batches(0, offset * 2..offset * 2 + 1, 4000),
                Arc::clone(&journal) as Arc<dyn FrameSink>,
            ),
            Err(error) => break error,
        }
        offset += 1;
    };
    assert_eq!(refused, ReserveError::NoSpace);
    journal.wait_for(usize::try_from(offset).unwrap());
    assert!(wal.stats().disk_full);
    assert_eq!(wal.closed_files().len(), 1, "the file that stood ready was used");
    assert_eq!(block_on(wal.roll()), Err(RollError::NoSpace));
    let internal = block_on(wal.reserve(4000, Class::Internal)).unwrap();
    wal.submit(
        internal,
        batches(1, 0..1, 4000),
        Arc::clone(&journal) as Arc<dyn FrameSink>,
    );
    journal.wait_for(usize::try_from(offset).unwrap() + 1);

    disk.set_capacity(1 << 20);
    wait_for_next_file(&wal);
    commit(&wal, batches(1, 1..2, 4000));
    assert!(!wal.stats().disk_full);
}

#[test]
fn on_a_full_disk_a_released_file_becomes_the_next() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    wait_for_next_file(&wal);
    disk.set_capacity(128 * KIB as u64);
    let mut offset = 0;
    fill_file(&wal, &mut offset);
    while !wal.stats().disk_full {
        std::thread::yield_now();
    }
    wal.release_before(wal.current());
    wait_for_next_file(&wal);
    fill_file(&wal, &mut offset);
    assert_eq!(wal.current(), position(1, 2));
}

#[test]
fn room_that_is_not_used_comes_back() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    wait_for_next_file(&wal);
    let held: Vec<Reservation> = std::iter::from_fn(|| reserve(&wal, 4000, Class::Client))
        .map(Result::unwrap)
        .take(100)
        .collect();
    assert!((2..100).contains(&held.len()), "the queue has a limit: {}", held.len());
    assert!(wal.stats().queue_bytes > 0);
    let mut waiting = Box::pin(wal.reserve(4000, Class::Client));
    assert!((&mut waiting).now_or_never().is_none());
    drop(waiting);
    drop(held);
    assert_eq!(wal.stats().queue_bytes, 0);
    assert!(reserve(&wal, 4000, Class::Client).unwrap().is_ok());
    let too_large = ReserveError::TooLarge {
        bytes: 4097,
        bytes_max: 4096,
    };
    assert_eq!(reserve(&wal, 4097, Class::Client).unwrap().err(), Some(too_large));
}

#[tokio::test]
async fn close_makes_durable_what_was_submitted_and_refuses_what_comes_later() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    let journal = Arc::new(Journal::default());
    for offset in 0..4 {
        submit(&wal, batches(0, offset * 2..offset * 2 + 1, 1000), &journal);
    }
    let late = wal.reserve(10, Class::Client).await.unwrap();
    Arc::clone(&wal).close().await;
    assert_eq!(journal.frames().len(), 4);
    let refused = wal.reserve(10, Class::Client).await.err();
    assert_eq!(refused, Some(ReserveError::Closed));
    assert_eq!(wal.roll().await, Err(RollError::Closed));
    wal.submit(late, batches(0, 50..51, 10), Arc::clone(&journal) as Arc<dyn FrameSink>);
    assert_eq!(journal.frames().len(), 4);
}

/// A WAL whose fatal error can be waited for.
fn open_watched(disk: &SimDisk) -> (Arc<Wal>, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::sync_channel(10);
    let options = WalOptions {
        on_fatal: Arc::new(move |error| tell.send(error.to_string()).unwrap()),
        ..options(disk)
    };
    (open(options, 1, None).unwrap().0, told)
}

#[test]
fn a_frame_larger_than_its_reservation_is_fatal() {
    let (wal, told) = open_watched(&SimDisk::new(1));
    let reservation = block_on(wal.reserve(10, Class::Client)).unwrap();
    wal.submit(reservation, batches(0, 0..1, 11), Arc::new(Journal::default()));
    assert_eq!(
        told.recv().unwrap(),
        "a frame of 11 bytes was submitted for a reservation of 10"
    );
}

struct Panics;

impl FrameSink for Panics {
    fn committed(&self, _: &CommittedFrame) {
        panic!("a sink of this test panics");
    }
}

#[test]
fn a_panic_on_the_writer_thread_is_fatal() {
    let (wal, told) = open_watched(&SimDisk::new(1));
    let reservation = block_on(wal.reserve(10, Class::Client)).unwrap();
    wal.submit(reservation, batches(0, 0..1, 10), Arc::new(Panics));
    assert_eq!(told.recv().unwrap(), "a thread of the WAL panicked");
}

/// Keeps the WAL alive until its frame is durable, as a request does.
struct LastOwner(Mutex<Option<Arc<Wal>>>, mpsc::SyncSender<()>);

impl FrameSink for LastOwner {
    fn committed(&self, _: &CommittedFrame) {
        drop(self.0.lock().take());
        self.1.send(()).ok();
    }
}

#[test]
fn the_last_owner_may_let_go_on_the_writer_thread() {
    let (wal, ..) = open(options(&SimDisk::new(1)), 1, None).unwrap();
    let (tell, told) = mpsc::sync_channel(1);
    let reservation = block_on(wal.reserve(10, Class::Client)).unwrap();
    let queue = Arc::clone(&wal.shared);
    let owner = LastOwner(Mutex::new(Some(wal)), tell);
    let pending = Pending::new(batches(0, 0..1, 10), Some(Arc::new(owner)));
    queue.queue.submit(Entry { pending, reservation });
    told.recv().unwrap();
}

#[test]
fn a_replay_that_its_caller_stops_opens_nothing() {
    let disk = SimDisk::new(1);
    let (wal, ..) = open(options(&disk), 1, None).unwrap();
    commit(&wal, batches(0, 0..1, 10));
    commit(&wal, batches(0, 1..2, 10));
    drop(wal);
    let stopped = Wal::open(options(&disk), 2, None, &mut |_| {
        Err(ReplayError("no such topic".into()))
    });
    assert_eq!(
        stopped.err().map(|error| error.to_string()),
        Some("cannot replay the WAL: no such topic".to_owned())
    );
    let second = position(2, 0).path(&PathBuf::from("/wal"));
    assert!(disk.open(&second, OpenMode::Read).is_err());
}

#[test]
fn sizes_that_cannot_work_together_are_refused() {
    let sound = options(&SimDisk::new(1));
    assert_eq!(sound.check(), Ok(()));
    let file_bytes = WalOptions {
        file_bytes: 20 * KIB as u64,
        ..sound.clone()
    };
    let budget = WalOptions {
        budget_bytes: 100 * KIB as u64,
        ..sound.clone()
    };
    let commit = WalOptions {
        commit_bytes_max: KIB,
        ..sound
    };
    for (options, key) in [
        (file_bytes, "file_bytes"),
        (budget, "budget_bytes"),
        (commit, "commit_bytes_max"),
    ] {
        assert!(options.check().unwrap_err().starts_with(key));
    }
}
