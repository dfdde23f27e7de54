//! Syslog as it comes over a connection. What is made of it must not depend on how it arrives, and no more than a message may
//! be held back.

#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use tailrace_agent::frame::Cut;
use tailrace_agent::receive::Framing;
use tailrace_fuzz::Input;

/// What comes of pieces of this length, and how much was held at most.
fn cut(bytes: &[u8], piece_len: usize, max_len: usize) -> (Vec<(Vec<u8>, Cut)>, usize) {
    let mut framing = Framing::new(max_len);
    let (mut messages, mut held, mut most) = (Vec::new(), Vec::new(), 0);
    let mut pieces = bytes.chunks(piece_len);
    loop {
        let piece = pieces.next();
        held.extend_from_slice(piece.unwrap_or_default());
        let done = framing.cut(&held, piece.is_none(), |message, cut| {
            messages.push((held[message].to_vec(), cut));
            ControlFlow::Continue(())
        });
        held.drain(..done);
        most = most.max(held.len());
        if piece.is_none() {
            assert!(held.is_empty());
            return (messages, most);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let (max_len, piece_len) = (1 + usize::from(input.byte()), 1 + usize::from(input.byte()));
    let (messages, held) = cut(input.0, piece_len, max_len);
    assert_eq!(messages, cut(input.0, usize::MAX, max_len).0);
    assert!(held < max_len.max(9) + 2);
    assert!(
        messages
            .iter()
            .all(|(message, _)| (1..=max_len).contains(&message.len()))
    );
});
