//! Whatever bytes stand in the WAL's files, opening it replays or refuses, and what it replays once it replays again.
//!
//! The input is the content of two files of one incarnation, in turns of a block. Random bytes would not get past the
//! checksums, so each frame that starts a block or follows another gets the checksum that its own length asks for,
//! unless the byte after its magic is odd.

#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tailrace_collector::wal::frame::CommittedFrame;
use tailrace_collector::wal::{Wal, WalOpenError, WalOptions, WalPosition};
use tailrace_shared::clock::ManualClock;
use tailrace_shared::disk::sim::SimDisk;
use tailrace_shared::disk::{Disk, OpenMode};

const DIR: &str = "/wal";
const BLOCK: usize = 4096;
const FRAME_HEADER: usize = 72;

fuzz_target!(|input: &[u8]| {
    if input.len() > 16 * BLOCK {
        return;
    }
    let disk = SimDisk::new(0);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let mut files = [Vec::new(), Vec::new()];
    for (index, block) in input.chunks(BLOCK).enumerate() {
        files[index % 2].extend_from_slice(block);
    }
    for (file, mut bytes) in (0..).zip(files) {
        let position = WalPosition { incarnation: 1, file };
        put_checksums(position, &mut bytes);
        let file = disk.open(&position.path(Path::new(DIR)), OpenMode::CreateNew).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        file.sync_data().unwrap();
    }
    let Ok(first) = replay(&disk, 2) else { return };
    let second = replay(&disk, 3).expect("opened once, it opens again");
    assert_eq!(first, second);
});

/// What of a frame does not depend on where it lies.
type Replayed = (i32, i64, i64, i64, Vec<u8>);

fn replay(disk: &SimDisk, incarnation: u64) -> Result<Vec<Replayed>, WalOpenError> {
    let options = WalOptions {
        file_bytes: 128 << 10,
        budget_bytes: 1 << 20,
        max_frame_bytes: 4 << 10,
        commit_bytes_max: 8 << 10,
        cache_bytes: 0,
        on_fatal: Arc::new(|error| panic!("{error}")),
        ..WalOptions::new(DIR.into(), Arc::new(disk.clone()), Arc::new(ManualClock::at(0)))
    };
    let mut replayed = Vec::new();
    Wal::open(options, incarnation, None, &mut |found| {
        let CommittedFrame {
            partition,
            start,
            end,
            appended_at,
            location,
            ..
        } = found.frame;
        assert_eq!(location.len as usize, found.payload.len());
        replayed.push((partition.partition, start, end, appended_at, found.payload.to_vec()));
        Ok(())
    })?;
    Ok(replayed)
}

fn put_checksums(position: WalPosition, bytes: &mut [u8]) {
    for block in (0..bytes.len()).step_by(BLOCK) {
        let mut start = block;
        while let Some(frame) = frame_at(bytes, start) {
            if bytes[start + 4] % 2 == 0 {
                let mut checked = position.incarnation.to_le_bytes().to_vec();
                checked.extend(position.file.to_le_bytes());
                checked.extend(&bytes[start + 8..start + frame]);
                let crc = crc_fast::crc32_iscsi(&checked).to_le_bytes();
                bytes[start + 4..start + 8].copy_from_slice(&crc);
            }
            start += frame;
        }
    }
}

/// The length of what looks like a frame there.
fn frame_at(bytes: &[u8], start: usize) -> Option<usize> {
    let header = bytes.get(start..start + FRAME_HEADER)?;
    let payload: [u8; 4] = header[8..12].try_into().ok()?;
    let len = FRAME_HEADER + usize::try_from(u32::from_le_bytes(payload)).ok()?;
    (header.starts_with(b"TRWL") && bytes.len() - start >= len).then_some(len)
}
