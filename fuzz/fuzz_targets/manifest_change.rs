//! Manifest changes as they follow one another in the WAL. Each is refused or read, is the same bytes when written, and
//! either does not fit the manifest or makes the next one, which is the same when it is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tailrace_collector::partition::checkpoint::VERSION;
use tailrace_collector::partition::{Manifest, ManifestChange};

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let mut manifest = Manifest::default();
    while let Ok(change) = ManifestChange::decode(&mut { rest }) {
        let mut bytes = Vec::new();
        change.encode(&mut bytes);
        rest = rest.strip_prefix(&bytes[..]).expect("the bytes that were read");
        if let Ok(next) = manifest.apply(&change) {
            assert!(next.log_start >= manifest.log_start);
            manifest = next;
            let mut bytes = Vec::new();
            manifest.encode(&mut bytes);
            assert_eq!(Manifest::decode(&mut &bytes[..], VERSION).as_ref(), Ok(&manifest));
        }
    }
});
