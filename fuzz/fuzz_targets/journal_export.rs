//! What journalctl writes. Its entries must not depend on how the bytes arrive, and what is kept of them is no more than what
//! came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tailrace_agent::journald::{Entries, Parser};
use tailrace_fuzz::Input;

/// The entries before the first mistake, and whether there was one.
fn read(bytes: &[u8], piece_len: usize) -> (Entries, bool) {
    let mut parser = Parser::new(["_SYSTEMD_UNIT", "PRIORITY"].map(str::to_owned).to_vec());
    let mut entries = Entries::default();
    let failed = bytes
        .chunks(piece_len)
        .any(|piece| parser.feed(piece, &mut entries).is_err());
    (entries, failed)
}

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let piece_len = 1 + usize::from(input.byte());
    let (entries, failed) = read(input.0, piece_len);
    assert_eq!(
        (&entries, failed),
        (&read(input.0, usize::MAX).0, read(input.0, usize::MAX).1)
    );
    let kept = entries
        .iter_from(0)
        .map(|entry| entry.cursor.len() + entry.message.map_or(0, <[u8]>::len));
    let kept: usize = kept.sum();
    // Broken UTF-8 in a cursor becomes three bytes for each.
    assert!(kept <= 3 * input.0.len());
});
