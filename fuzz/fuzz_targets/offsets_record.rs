//! A record of `__consumer_offsets`, which a client may have produced: two bytes of key length, key, value. It must be
//! refused or read, and what was read is the same when it is written and read again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tailrace_collector::group::record::LogRecord;
use tailrace_fuzz::Input;

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let key_len = usize::from(input.short());
    let key = Bytes::copy_from_slice(input.bytes(key_len));
    let value = Some(Bytes::copy_from_slice(input.0)).filter(|value| !value.is_empty());
    let Ok(Some(record)) = LogRecord::decode(key, value) else {
        return;
    };
    assert_eq!(LogRecord::decode(record.key(), record.value()), Ok(Some(record)));
});
