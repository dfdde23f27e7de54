//! Bytes that nobody sent in good faith: decoding them must fail, or give some message, and nothing worse.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};

use super::encoded;
use crate::kafka::api::Message;
use crate::kafka::codec::DecodeReason;
use crate::kafka::header::RequestHeader;
use crate::kafka::messages::*;
use crate::kafka::sample::{Random, Sample};

macro_rules! in_all_messages {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        fn decode_as_everything(bytes: &Bytes) {
            $(
                decode_in_all_versions::<$request>(bytes);
                decode_in_all_versions::<$response>(bytes);
            )*
        }

        fn mutate_everything(random: &mut Random) {
            $(
                mutate::<$request>(random);
                mutate::<$response>(random);
            )*
        }

        /// Every message, cut short anywhere, is refused.
        #[test]
        fn every_strict_prefix_is_refused() {
            let random = &mut Random::seed_from_u64(7);
            $(
                refuse_prefixes::<$request>(random);
                refuse_prefixes::<$response>(random);
            )*
        }
    };
}

crate::for_each_kafka_api!(in_all_messages);

fn decode_in_all_versions<M: Message>(bytes: &Bytes) {
    for version in M::VERSIONS {
        if let Ok(message) = M::decode(&mut bytes.clone(), version) {
            // What was read in a version can be written in it, and is the same when read again.
            assert_eq!(
                M::decode_exact(encoded(&message, version), version),
                Ok(message),
                "version {version}"
            );
        }
    }
}

fn mutate<M: Message + Sample>(random: &mut Random) {
    for version in M::VERSIONS {
        let message = M::sample(random, M::format(version).unwrap(), false);
        let mut bytes = BytesMut::from(&encoded(&message, version)[..]);
        for _ in 0..random.random_range(1..4) {
            if bytes.is_empty() {
                break;
            }
            let place = random.random_range(0..bytes.len());
            bytes[place] = [0, 1, 0x7f, 0x80, 0xff, random.random()][random.random_range(0..6)];
        }
        if let Ok(message) = M::decode(&mut bytes.freeze(), version) {
            assert_eq!(
                M::decode_exact(encoded(&message, version), version),
                Ok(message),
                "version {version}"
            );
        }
    }
}

fn refuse_prefixes<M: Message + Sample>(random: &mut Random) {
    for version in M::VERSIONS {
        let message = M::sample(random, M::format(version).unwrap(), false);
        let bytes = encoded(&message, version);
        let length = bytes.len().min(300);
        for end in (0..length).filter(|end| *end < bytes.len()) {
            let result = M::decode(&mut bytes.slice(..end), version);
            assert!(
                result.is_err(),
                "{end} of {} bytes of {message:?} pass in version {version}",
                bytes.len()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        decode_as_everything(&bytes);
        let _header: Result<_, _> = RequestHeader::decode(&mut bytes.clone());
        let _subscription: Result<_, _> = ConsumerProtocolSubscription::decode(bytes.clone());
        let _assignment: Result<_, _> = ConsumerProtocolAssignment::decode(bytes);
    }

    #[test]
    fn small_numbers_never_panic(bytes in proptest::collection::vec(0_u8..4, 0..200)) {
        decode_as_everything(&Bytes::from(bytes));
    }

    #[test]
    fn mutated_messages_never_panic(seed in any::<u64>()) {
        mutate_everything(&mut Random::seed_from_u64(seed));
    }
}

#[test]
fn hostile_array_length_is_refused_before_it_is_allocated() {
    // A null transactional id, acks, timeout, then 2^31 - 1 topics: the twelve bytes that abort other decoders.
    let mut frame = Bytes::from_static(&[0xff, 0xff, 0, 1, 0, 0, 0x75, 0x30, 0x7f, 0xff, 0xff, 0xff]);
    let error = ProduceRequest::decode(&mut frame, 3).unwrap_err();
    assert_eq!(error.place, Some(("ProduceRequest", "topic_data")));
    assert_eq!(
        error.reason,
        DecodeReason::LengthBeyondFrame {
            declared: 0x7fff_ffff,
            remaining: 0
        }
    );

    let mut frame = Bytes::from_static(&[0, 0, 1, 0, 0, 0x75, 0x30, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    let error = ProduceRequest::decode(&mut frame, 9).unwrap_err();
    assert_eq!(
        error.reason,
        DecodeReason::LengthBeyondFrame {
            declared: 0xffff_fffe,
            remaining: 0
        }
    );
}

#[test]
fn array_must_fit_by_the_size_of_its_elements() {
    // Four bytes remain behind the length, and a broker id takes four.
    let two = Bytes::from_static(&[0, 0, 0, 2, 0, 0, 0, 7]);
    let one = Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 7]);
    let format = crate::kafka::codec::Format {
        version: 0,
        flexible: false,
    };
    use crate::kafka::codec::Wire;
    assert!(Vec::<i32>::take(&mut one.clone(), format).is_ok_and(|ids| ids == [7]));
    let reason = Vec::<i32>::take(&mut two.clone(), format).unwrap_err().reason;
    assert_eq!(
        reason,
        DecodeReason::LengthBeyondFrame {
            declared: 2,
            remaining: 4
        }
    );
}

#[test]
fn negative_lengths_and_long_varints_are_refused() {
    let error = SaslHandshakeRequest::decode_exact(Bytes::from_static(&[0xff, 0xfe]), 0).unwrap_err();
    assert_eq!(error.to_string(), "SaslHandshakeRequest.mechanism: negative length -2");
    let error = SaslHandshakeRequest::decode_exact(Bytes::from_static(&[0xff, 0xff]), 0).unwrap_err();
    assert_eq!(error.reason, DecodeReason::Null);
    let error = DeleteGroupsRequest::decode_exact(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x1f]), 2).unwrap_err();
    assert_eq!(error.reason, DecodeReason::VarintTooLong);
}

#[test]
fn string_that_is_not_text_is_refused() {
    let error = SaslHandshakeRequest::decode_exact(Bytes::from_static(&[0, 1, 0xff]), 0).unwrap_err();
    assert_eq!(error.to_string(), "SaslHandshakeRequest.mechanism: string is not UTF-8");
}

#[test]
fn tagged_field_must_fill_its_size() {
    // ApiVersionsResponse version 3 with tag 3, a boolean, of two bytes.
    let bytes = Bytes::from_static(&[0, 0, 1, 0, 0, 0, 0, 1, 3, 2, 1, 0]);
    let error = ApiVersionsResponse::decode_exact(bytes, 3).unwrap_err();
    assert_eq!(error.reason, DecodeReason::TrailingBytes(1));
}

#[test]
fn bytes_behind_a_message_are_the_callers_business() {
    let bytes = Bytes::from_static(&[0, 1, b'x', 9]);
    let mut rest = bytes.clone();
    assert_eq!(SaslHandshakeRequest::decode(&mut rest, 0).unwrap().mechanism, "x");
    assert_eq!(&rest[..], [9]);
    let error = SaslHandshakeRequest::decode_exact(bytes, 0).unwrap_err();
    assert_eq!(error.reason, DecodeReason::TrailingBytes(1));
}
