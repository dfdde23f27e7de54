//! Messages as they are on the wire, byte by byte.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::encoded;
use crate::kafka::api::Message;
use crate::kafka::frame::{decode_response, encode_request, encode_response};
use crate::kafka::header::RequestHeader;
use crate::kafka::messages::*;

#[test]
fn first_request_of_a_client() {
    let frame = encode_request(&ApiVersionsRequest::default(), 0, 1, Some(&"rdkafka".into())).unwrap();
    let expected = [&[0, 0, 0, 17, 0, 18, 0, 0, 0, 0, 0, 1, 0, 7][..], b"rdkafka"].concat();
    assert_eq!(frame.into_bytes(), expected);
}

#[test]
fn first_request_of_a_newer_client() {
    let request = ApiVersionsRequest {
        client_software_name: "librdkafka".into(),
        client_software_version: "2.3.0".into(),
        ..Default::default()
    };
    let frame = encode_request(&request, 3, 1, Some(&"rdkafka".into()))
        .unwrap()
        .into_bytes();
    // The client id keeps its old form in the new header; the tagged fields of header and body are empty.
    let expected = [
        &[0, 0, 0, 36, 0, 18, 0, 3, 0, 0, 0, 1, 0, 7][..],
        b"rdkafka",
        &[0, 11],
        b"librdkafka",
        &[6],
        b"2.3.0",
        &[0],
    ]
    .concat();
    assert_eq!(frame, expected);
    let mut rest = frame.slice(4..);
    let header = RequestHeader::decode(&mut rest).unwrap();
    assert_eq!((header.api_version, header.client_id), (3, Some("rdkafka".into())));
    assert_eq!(ApiVersionsRequest::decode_exact(rest, 3), Ok(request));
}

#[test]
fn answer_to_api_versions_has_no_tags_in_its_header() {
    let response = ApiVersionsResponse {
        api_keys: vec![api_versions::ApiVersion {
            api_key: 18,
            min_version: 0,
            max_version: 4,
        }],
        finalized_features_epoch: 7,
        ..Default::default()
    };
    let frame = encode_response(&response, 3, 5).unwrap().into_bytes();
    let expected = [
        &[0, 0, 0, 29][..],
        &[0, 0, 0, 5],
        &[0, 0],
        &[2, 0, 18, 0, 0, 0, 4, 0],
        &[0, 0, 0, 0],
        &[1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 7],
    ]
    .concat();
    assert_eq!(frame, expected);
    let (header, decoded) = decode_response::<ApiVersionsResponse>(frame.slice(4..), 3).unwrap();
    assert_eq!((header.correlation_id, decoded), (5, response));
}

#[test]
fn metadata_of_all_topics() {
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    assert_eq!(encoded(&all, 1), [0xff, 0xff, 0xff, 0xff][..]);
    assert_eq!(encoded(&all, 12), [0, 1, 0, 0][..]);
    let none = MetadataRequest::default();
    assert_eq!(
        encoded(&none, 0),
        [0, 0, 0, 0][..],
        "in version 0 an empty list asks for all"
    );
    assert_eq!(encoded(&none, 12), [1, 1, 0, 0][..]);
}

#[test]
fn produce_before_and_after_the_compact_form() {
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![produce::TopicProduceData {
            name: "logs".into(),
            partition_data: vec![produce::PartitionProduceData {
                index: 2,
                records: Some(Bytes::from_static(b"abc")),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let old = [
        &[0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 4][..],
        b"logs",
        &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3],
        b"abc",
    ]
    .concat();
    assert_eq!(encoded(&request, 3), old);
    assert_eq!(
        encoded(&request, 0),
        old[2..],
        "versions 0 to 2 only lack the transactional id"
    );
    let compact = [
        &[0, 0xff, 0xff, 0, 0, 0x75, 0x30, 2, 5][..],
        b"logs",
        &[2, 0, 0, 0, 2, 4],
        b"abc",
        &[0, 0, 0],
    ]
    .concat();
    assert_eq!(encoded(&request, 9), compact);
}

#[test]
fn fetch_answer_carries_its_records_by_reference() {
    let records = Bytes::from(vec![0xab; 100_000]);
    let more = Bytes::from(vec![0xcd; 50_000]);
    let partition = |index| fetch::PartitionData {
        partition_index: index,
        records: Some(vec![records.clone(), more.clone()].into()),
        current_leader: fetch::LeaderIdAndEpoch {
            leader_id: 1,
            leader_epoch: 2,
        },
        ..Default::default()
    };
    let response = FetchResponse {
        responses: vec![fetch::FetchableTopicResponse {
            topic: "logs".into(),
            partitions: vec![partition(0), partition(1)],
            ..Default::default()
        }],
        ..Default::default()
    };
    let frame = encode_response(&response, 12, 9).unwrap();
    let is_ours = |chunk: &&Bytes| [&records, &more].map(|own| own.as_ptr()).contains(&chunk.as_ptr());
    assert_eq!((frame.iter().filter(is_ours).count(), frame.iter().count()), (4, 7));

    let mut contiguous = BytesMut::new();
    response.encode(&mut contiguous, 12).unwrap();
    let frame = frame.into_bytes();
    // Four bytes of length, four of correlation id, one for the tagged fields of the header.
    assert_eq!(frame[..4], u32::try_from(frame.len() - 4).unwrap().to_be_bytes());
    assert_eq!(frame[9..], contiguous);
    assert_eq!(
        decode_response::<FetchResponse>(frame.slice(4..), 12).unwrap().1,
        response
    );
}

#[test]
fn decoded_payload_shares_the_frame() {
    let frame = Bytes::from_static(&[
        0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3,
    ]);
    let request = ProduceRequest::decode_exact(frame.clone(), 3).unwrap();
    let records = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert_eq!(records.as_ptr(), frame[frame.len() - 3..].as_ptr());
}

#[test]
fn subscription_of_a_consumer() {
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["logs".into()],
        ..Default::default()
    };
    let expected = [&[0, 0, 0, 0, 0, 1, 0, 4][..], b"logs", &[0xff, 0xff, 0xff, 0xff]].concat();
    assert_eq!(subscription.encode(0).unwrap(), expected);
}

#[test]
fn subscription_of_a_newer_consumer_is_read_as_far_as_known() {
    let subscription = ConsumerProtocolSubscription {
        topics: vec![ByteString::from_static("logs")],
        rack_id: Some("r1".into()),
        ..Default::default()
    };
    let mut bytes = BytesMut::from(&subscription.encode(3).unwrap()[..]);
    bytes[1] = 9;
    bytes.extend_from_slice(b"fields from the future");
    assert_eq!(ConsumerProtocolSubscription::decode(bytes.freeze()), Ok(subscription));
}
