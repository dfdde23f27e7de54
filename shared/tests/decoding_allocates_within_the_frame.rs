//! However hostile a frame is, decoding it takes no more memory than a small multiple of the frame.
//!
//! The allocator of this test counts what is in use, so that a capacity reserved on the word of a length field shows,
//! even if the message is refused a moment later.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tailrace_shared::kafka::api::Message;
use tailrace_shared::kafka::messages::*;

/// The most that one byte of a frame can become: an empty string takes one byte there and 32 in memory, there are
/// structures of little else, and each of up to three arrays inside each other may reserve for the same bytes.
const BYTES_PER_FRAME_BYTE_MAX: usize = 64;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[allow(
    unsafe_code,
    reason = "an allocator cannot be written without; it forwards to the system's"
)]
// SAFETY: every call is forwarded unchanged to the system allocator; counting touches thread-local cells only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.get() + layout.size();
        IN_USE.set(in_use);
        PEAK.set(PEAK.get().max(in_use));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().saturating_sub(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn peak_of_decoding<M: Message>(frame: &Bytes, version: i16) -> usize {
    let before = IN_USE.get();
    PEAK.set(before);
    drop(M::decode(&mut frame.clone(), version));
    PEAK.get() - before
}

fn check_all_versions<M: Message>(frame: &Bytes, worst: &mut f64) {
    for version in M::VERSIONS {
        let peak = peak_of_decoding::<M>(frame, version);
        assert!(
            peak <= BYTES_PER_FRAME_BYTE_MAX * frame.len(),
            "{peak} bytes for the {} of {frame:?} as {} in version {version}",
            frame.len(),
            std::any::type_name::<M>(),
        );
        *worst = worst.max(peak as f64 / frame.len() as f64);
    }
}

macro_rules! check_everything {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        fn check_everything(frame: &Bytes, worst: &mut f64) {
            $(
                check_all_versions::<$request>(frame, worst);
                check_all_versions::<$response>(frame, worst);
            )*
        }
    };
}

tailrace_shared::for_each_kafka_api!(check_everything);

/// Bytes from a small alphabet, so that lengths, versions and tags often make sense.
fn hostile_frame(random: &mut StdRng) -> Bytes {
    let alphabets: [&[u8]; 5] = [
        &[0, 1],
        &[0, 1, 2, 3],
        &[0, 1, 0x7f, 0xff],
        &[1, 0x80, 0xff, 0x0f],
        &[0, 0, 0, 0, 0x20],
    ];
    let alphabet = alphabets.choose(random).copied().unwrap_or_default();
    let length = random.random_range(1..400);
    (0..length).filter_map(|_| alphabet.choose(random).copied()).collect()
}

#[test]
fn allocator_counts() {
    PEAK.set(IN_USE.get());
    let before = IN_USE.get();
    drop(Vec::<u8>::with_capacity(12_345));
    assert!(PEAK.get() - before >= 12_345);
}

#[test]
fn decoding_allocates_within_the_frame() {
    let random = &mut StdRng::seed_from_u64(20);
    let mut worst = 0.0;
    for _ in 0..500 {
        check_everything(&hostile_frame(random), &mut worst);
    }
    assert!(worst > 1.0, "no frame was ever believed: the test tests nothing");
}

/// Frames made of nothing but what is smallest on the wire.
#[test]
fn smallest_elements_stay_within_the_frame() {
    let mut worst = 0.0;
    let mut frame = vec![1_u8; 4096];
    frame[..2].copy_from_slice(&[0xfe, 0x1f]);
    for offset in 0..32 {
        let shifted = [&vec![0; offset][..], &frame].concat();
        check_everything(&Bytes::from(shifted), &mut worst);
    }
    assert!(worst > 8.0, "the worst frame took {worst} times its size only");
}
