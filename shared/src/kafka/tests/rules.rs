//! What the schemas promise beyond the bytes: defaults, and what happens to fields that a version lacks.

use bytes::{Bytes, BytesMut};

use super::encoded;
use crate::kafka::api::{ApiKey, Message};
use crate::kafka::codec::EncodeReason;
use crate::kafka::messages::*;

macro_rules! defaults_can_be_encoded {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        /// A message in which nothing is set can be written in every version, and nothing is lost.
        #[test]
        fn defaults_survive_every_version() {
            $(
                default_survives::<$request>();
                default_survives::<$response>();
            )*
        }

        #[test]
        fn request_and_response_share_their_api() {
            $(
                assert_eq!(<$request as Message>::API, ApiKey::$name);
                assert_eq!(<$response as Message>::API, ApiKey::$name);
                assert_eq!(<$request as Message>::VERSIONS, <$response as Message>::VERSIONS);
                assert_eq!(<$request as Message>::FLEXIBLE_FROM, <$response as Message>::FLEXIBLE_FROM);
            )*
        }
    };
}

crate::for_each_kafka_api!(defaults_can_be_encoded);

fn default_survives<M: Message>() {
    for version in M::VERSIONS {
        let message = M::default();
        assert_eq!(
            M::decode_exact(encoded(&message, version), version),
            Ok(message),
            "version {version}"
        );
    }
}

#[test]
fn table_of_apis_is_sorted_and_complete() {
    assert!(ApiKey::ALL.is_sorted());
    for &api in ApiKey::ALL {
        assert_eq!(ApiKey::from_code(api.code()), Some(api));
        assert!(!api.versions().is_empty(), "{api}");
    }
    assert_eq!(ApiKey::from_code(-1), None);
}

#[test]
fn field_that_the_version_lacks_is_an_error_when_set() {
    let request = CreateTopicsRequest {
        validate_only: true,
        ..Default::default()
    };
    let error = request.encode(&mut BytesMut::new(), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CreateTopicsRequest.validate_only: set, but not part of version 0"
    );
    assert!(request.encode(&mut BytesMut::new(), 1).is_ok());
}

#[test]
fn ignorable_field_is_left_out_in_silence() {
    let response = HeartbeatResponse {
        throttle_time_ms: 5,
        error_code: 27,
    };
    assert_eq!(encoded(&response, 0), [0, 27][..]);
    assert_eq!(
        HeartbeatResponse::decode_exact(encoded(&response, 0), 0)
            .unwrap()
            .throttle_time_ms,
        0
    );
}

#[test]
fn null_is_an_error_where_the_version_has_none() {
    let request = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let error = request.encode(&mut BytesMut::new(), 0).unwrap_err();
    assert_eq!(
        (error.place, error.reason),
        (Some(("MetadataRequest", "topics")), EncodeReason::Null(0))
    );
    let error = MetadataRequest::decode_exact(Bytes::from_static(&[0xff; 4]), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MetadataRequest.topics: null is not allowed in this version"
    );
}

#[test]
fn fields_that_the_version_lacks_have_kafkas_defaults() {
    let request = FetchRequest::decode_exact(encoded(&FetchRequest::default(), 4), 4).unwrap();
    assert_eq!(
        (request.session_epoch, request.max_bytes, request.replica_id),
        (-1, i32::MAX, -1)
    );
    let response = MetadataResponse::default();
    assert_eq!(
        (response.controller_id, response.cluster_authorized_operations),
        (-1, i32::MIN)
    );
    let partition = produce::PartitionProduceResponse::default();
    assert_eq!((partition.log_append_time_ms, partition.log_start_offset), (-1, -1));
    assert_eq!(InitProducerIdRequest::default().transactional_id, None);
}

#[test]
fn string_too_long_for_its_length_is_an_error() {
    let request = SaslHandshakeRequest {
        mechanism: "x".repeat(40_000).into(),
    };
    let error = request.encode(&mut BytesMut::new(), 0).unwrap_err();
    assert_eq!(
        error.reason,
        EncodeReason::TooLong {
            length: 40_000,
            limit: 32_767
        }
    );
}

#[test]
fn unknown_version_is_an_error_in_both_directions() {
    let error = FetchRequest::default().encode(&mut BytesMut::new(), 3).unwrap_err();
    assert_eq!(error.reason, EncodeReason::UnsupportedVersion(3));
    assert!(FetchRequest::decode_exact(Bytes::new(), 19).is_err());
}

#[test]
fn encode_appends_to_what_is_there() {
    let mut out = BytesMut::from(&b"before"[..]);
    HeartbeatResponse::default().encode(&mut out, 0).unwrap();
    assert_eq!(out, b"before\0\0"[..]);
}
