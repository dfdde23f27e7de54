//! What a crash, or a damaged disk, left of the agent's spool. It opens whatever it finds, sets aside what it cannot
//! read, and the next process finds the same positions and batches.
//!
//! A piece is the payload of a frame. Its first byte is the record's kind (bits 0-2) and where it goes: bit 3 begins the
//! next commit, bit 4 the next file; bit 6 gives the payload a wrong checksum, bit 7 the frame.

#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tailrace_agent::spool::{Recovered, Spool, SpoolOptions};
use tailrace_fuzz::{Input, crc32c};
use tailrace_shared::disk::sim::SimDisk;
use tailrace_shared::disk::{Disk, OpenMode};

const BLOCK: usize = 4096;
const FILE_BYTES: usize = 16 * BLOCK;
const SEED: u64 = 99;

fuzz_target!(|input: &[u8]| {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data/spool")).expect("a new disk");
    for (number, bytes) in (1..).zip(files(Input(input))) {
        let path = format!("/data/spool/slot-{number:04}");
        let file = disk.open(Path::new(&path), OpenMode::CreateNew).expect("a new file");
        file.write_all_at(&bytes, 0).expect("a new file");
    }
    let first = open(&disk);
    let second = open(&disk.restart());
    assert_eq!(first.positions, second.positions);
    assert_eq!(first.cursors, second.cursors);
    assert_eq!(first.lanes, second.lanes);
    assert_eq!(first.floors, second.floors);
    assert_eq!(first.batches, second.batches);
});

fn open(disk: &SimDisk) -> Recovered {
    let options = SpoolOptions {
        file_bytes: FILE_BYTES as u64,
        max_bytes: 16 * FILE_BYTES as u64,
        ..SpoolOptions::default()
    };
    let opened = Spool::open(Arc::new(disk.clone()), Path::new("/data"), &options);
    opened.expect("damage is set aside").1
}

fn files(mut input: Input<'_>) -> Vec<Vec<u8>> {
    let mut files = vec![header(1)];
    let mut commit = 1;
    let mut is_first = true;
    while let Some((how, payload)) = input.piece() {
        if how & 0x10 != 0 && files.len() < 4 {
            files.push(header(files.len() as u64 + 1));
            (commit, is_first) = (1, true);
        }
        let number = files.len() as u64;
        let file = files.last_mut().expect("one at least");
        if how & 8 != 0 {
            file.resize(file.len().next_multiple_of(BLOCK), 0);
            (commit, is_first) = (commit + 1, true);
        }
        if file.len() + payload.len() + BLOCK < FILE_BYTES {
            put_frame(file, number, how, is_first, commit, payload);
        }
        is_first = false;
    }
    for file in &mut files {
        file.resize(FILE_BYTES, 0);
    }
    files
}

fn header(number: u64) -> Vec<u8> {
    let mut block = b"TRSPOOL\0\x03\0\0\0\0\0\0\0".to_vec();
    block.extend(number.to_le_bytes());
    block.extend(SEED.to_le_bytes());
    block.extend(crc32c(&[&block]).to_le_bytes());
    block.resize(BLOCK, 0);
    block
}

fn put_frame(file: &mut Vec<u8>, number: u64, how: u8, is_first: bool, commit: u64, payload: &[u8]) {
    let seed = [number.to_le_bytes(), SEED.to_le_bytes()].concat();
    let mut head = (payload.len() as u32).to_le_bytes().to_vec();
    head.extend([how & 7, is_first.into(), 0, 0]);
    head.extend(commit.to_le_bytes());
    head.extend((crc32c(&[&seed, payload]) ^ u32::from(how >> 6 & 1)).to_le_bytes());
    head.extend((crc32c(&[&seed, &head]) ^ u32::from(how >> 7)).to_le_bytes());
    file.extend(head);
    file.extend(payload);
    file.resize(file.len().next_multiple_of(8), 0);
}
