//! What a stranger sends to the broker: a frame without its length. It must be refused or read, and what was read can
//! be written in the same version and is the same when read again.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::{ApiKey, Message, RequestHeader};

fuzz_target!(|frame: &[u8]| {
    let mut frame = Bytes::copy_from_slice(frame);
    let Ok(header) = RequestHeader::decode(&mut frame) else {
        return;
    };
    if let Some(api) = header.api() {
        decode_request(api, frame, header.api_version);
    }
});

macro_rules! decode_request {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        fn decode_request(api: ApiKey, body: Bytes, version: i16) {
            match api {
                $( ApiKey::$name => check::<$request>(body, version), )*
            }
        }
    };
}

tailrace_shared::for_each_kafka_api!(decode_request);

fn check<M: Message>(mut body: Bytes, version: i16) {
    let Ok(message) = M::decode(&mut body, version) else {
        return;
    };
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("what was read can be written");
    assert_eq!(M::decode_exact(out.freeze(), version), Ok(message));
}
