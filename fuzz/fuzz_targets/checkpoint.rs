//! A checkpoint as a store gives it back; the input is all of it but the checksum at its end. It must be refused or
//! read, and what was read is the same when it is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tailrace_collector::partition::checkpoint::Checkpoint;
use tailrace_fuzz::crc32c;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    bytes.extend(crc32c(&[input]).to_le_bytes());
    let Ok(checkpoint) = Checkpoint::decode(&bytes) else {
        return;
    };
    assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint));
});
