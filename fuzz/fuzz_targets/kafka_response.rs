//! What a strange broker answers to our client. Four bytes choose API and version, as in a request; the rest is the
//! frame without its length. It must be refused or read, and what was read can be written in the same version and is
//! the same when read again.

#![no_main]

use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use tailrace_shared::kafka::frame::{LENGTH_PREFIX_BYTES, decode_response, encode_response};
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::{ApiKey, Message};

fuzz_target!(|input: &[u8]| {
    let mut frame = Bytes::copy_from_slice(input);
    let (Ok(code), Ok(version)) = (frame.try_get_i16(), frame.try_get_i16()) else {
        return;
    };
    if let Some(api) = ApiKey::from_code(code) {
        check_response(api, frame, version);
    }
});

macro_rules! check_response {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        fn check_response(api: ApiKey, frame: Bytes, version: i16) {
            match api {
                $( ApiKey::$name => check::<$response>(frame, version), )*
            }
        }
    };
}

tailrace_shared::for_each_kafka_api!(check_response);

fn check<M: Message>(frame: Bytes, version: i16) {
    let Ok((header, message)) = decode_response::<M>(frame, version) else {
        return;
    };
    let written = encode_response(&message, version, header.correlation_id).expect("what was read can be written");
    let again = decode_response(written.into_bytes().slice(LENGTH_PREFIX_BYTES..), version);
    assert_eq!(again, Ok((header, message)));
}
