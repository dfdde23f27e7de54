//! What a crash, or a damaged disk, left of the WAL. Opening it must refuse it or replay it; and what was replayed once
//! is replayed again by the next process, in the same order.
//!
//! A piece is a frame without magic and checksum. Its first byte says where it goes: bits 0-1 how many blocks further on
//! (0: right behind the frame before), bit 4 the next file, bit 5 the next incarnation; and bit 6 leaves the payload
//! length as it is, bit 7 a wrong checksum.

#![no_main]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tailrace_collector::topic_partition::TopicPartition;
use tailrace_collector::wal::frame::FrameKind;
use tailrace_collector::wal::{Wal, WalOpenError, WalOptions, WalPosition};
use tailrace_fuzz::{Input, crc32c};
use tailrace_shared::clock::ManualClock;
use tailrace_shared::disk::sim::SimDisk;
use tailrace_shared::disk::{Disk, OpenMode};

const DIR: &str = "/wal";
const BLOCK: usize = 4096;
const FILE_BYTES: usize = 16 * BLOCK;
const FRAME_HEADER: usize = 72;
const UNCHECKED: usize = 8;
const LATEST_INCARNATION: u64 = 1000;

fuzz_target!(|input: &[u8]| {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).expect("a new disk");
    for (position, bytes) in files(Input(input)) {
        let file = disk
            .open(&position.path(Path::new(DIR)), OpenMode::CreateNew)
            .expect("a new file");
        file.write_all_at(&bytes, 0).expect("a new file");
    }
    let Ok(first) = replay(&disk, LATEST_INCARNATION) else {
        return;
    };
    let second = replay(&disk.restart(), LATEST_INCARNATION + 1).expect("what was opened once can be opened");
    assert_eq!(first, second);
});

fn files(mut input: Input<'_>) -> BTreeMap<WalPosition, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut position = WalPosition {
        incarnation: 1,
        file: 0,
    };
    let mut at = 0_usize;
    while let Some((how, piece)) = input.piece() {
        let is_elsewhere = how & 0x30 != 0;
        position.file = if is_elsewhere {
            (position.file + 1) % 8
        } else {
            position.file
        };
        if how & 0x20 != 0 {
            position = WalPosition {
                incarnation: position.incarnation % 8 + 1,
                file: 0,
            };
        }
        at = if is_elsewhere { 0 } else { at };
        for _ in 0..how & 3 {
            at = (at + 1).next_multiple_of(BLOCK);
        }
        let frame = frame(how, piece, position);
        let file: &mut Vec<u8> = files.entry(position).or_default();
        let end = (at + frame.len()).min(FILE_BYTES);
        file.resize(file.len().max(end), 0);
        file[at.min(end)..end].copy_from_slice(&frame[..end - at.min(end)]);
        at = end;
    }
    files
}

fn frame(how: u8, piece: &[u8], position: WalPosition) -> Vec<u8> {
    let mut covered = piece.to_vec();
    if how & 0x40 == 0 && covered.len() >= FRAME_HEADER - UNCHECKED {
        let payload = (covered.len() + UNCHECKED - FRAME_HEADER) as u32;
        covered[..4].copy_from_slice(&payload.to_le_bytes());
    }
    let seed = [position.incarnation.to_le_bytes(), position.file.to_le_bytes()].concat();
    let crc = crc32c(&[&seed, &covered]) ^ u32::from(how >> 7);
    [b"TRWL".as_slice(), &crc.to_le_bytes(), &covered].concat()
}

type Content = BTreeMap<TopicPartition, Vec<(FrameKind, i64, i64, Bytes)>>;

fn replay(disk: &SimDisk, incarnation: u64) -> Result<Content, WalOpenError> {
    let clock = Arc::new(ManualClock::at(0));
    let options = WalOptions {
        file_bytes: FILE_BYTES as u64,
        budget_bytes: 64 * FILE_BYTES as u64,
        max_frame_bytes: 1024,
        commit_bytes_max: 4 * BLOCK,
        cache_bytes: 4 * BLOCK as u64,
        on_fatal: Arc::new(|error| panic!("{error}")),
        ..WalOptions::new(PathBuf::from(DIR), Arc::new(disk.clone()), clock)
    };
    let mut content = Content::new();
    Wal::open(options, incarnation, None, &mut |replayed| {
        let frame = replayed.frame;
        let frames = content.entry(frame.partition).or_default();
        frames.push((
            frame.kind,
            frame.start,
            frame.end,
            Bytes::copy_from_slice(&replayed.payload),
        ));
        Ok(())
    })?;
    Ok(content)
}
