//! A segment object as a store gives it back. It must be refused or read, and what was read is the same when it is
//! written and read again.
//!
//! The first byte of an input says whether it is an object as it stands, or the parts of one: how many bytes of runs,
//! then the sections of the footer, each with its kind before it. Around those the target puts what has checksums.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tailrace_collector::segment::format::{Footer, Trailer, decode, encode_header};
use tailrace_fuzz::{Input, crc32c};
use uuid::Uuid;

const OBJECT: Uuid = Uuid::from_u128(7);

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let object = if input.byte() == 0 {
        input.0.to_vec()
    } else {
        build(input)
    };
    let Ok(footer) = decode(OBJECT, &object) else { return };
    let again = footer.encode(OBJECT).expect("what was read can be written");
    let trailer = Trailer {
        footer_start: footer.start,
        footer_bytes: 0,
    };
    let sections = &again[..again.len() - 24];
    assert_eq!(Footer::decode(OBJECT, trailer, sections), Ok(footer));
});

fn build(mut input: Input<'_>) -> Vec<u8> {
    let mut object = encode_header().to_vec();
    object.resize(object.len() + usize::from(input.short()), 0);
    let footer_start = object.len();
    while let Some((kind, payload)) = input.piece() {
        let flags = u16::from(kind >> 7);
        let kind = u16::from(kind & 0x7f);
        let length = payload.len() as u32;
        let head = [&kind.to_le_bytes()[..], &flags.to_le_bytes(), &length.to_le_bytes()].concat();
        object.extend(&head);
        object.extend(crc32c(&[OBJECT.as_bytes(), &head, payload]).to_le_bytes());
        object.extend(payload);
    }
    let mut trailer = (footer_start as u64).to_le_bytes().to_vec();
    trailer.extend(((object.len() - footer_start) as u32).to_le_bytes());
    trailer.extend([1, 0, 0, 0]);
    let crc = crc32c(&[OBJECT.as_bytes(), &trailer]);
    object.extend(&trailer);
    object.extend(crc.to_le_bytes());
    object.extend(b"TRSF");
    object
}
