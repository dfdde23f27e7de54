//! Every message in every version against the `kafka-protocol` crate, which is generated from Kafka's own schemas.
//!
//! Ours writes, theirs reads and writes the same bytes again; theirs writes (with fields we do not know), ours reads.
//! The messages are random, and filled by the schema macro: one that is in the table cannot be forgotten here.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use proptest::prelude::*;
use rand::SeedableRng;

use super::encoded;
use crate::kafka::api::{ApiKey, Message};
use crate::kafka::messages as ours;
use crate::kafka::sample::{Random, Sample};

/// Versions that ours has and the oracle lacks, by message.
const BEYOND_ORACLE: &[(&str, &[i16])] = &[
    ("ProduceRequest", &[0, 1, 2]),
    ("ProduceResponse", &[0, 1, 2]),
    ("ListOffsetsRequest", &[0, 11]),
    ("ListOffsetsResponse", &[0, 11]),
    ("OffsetCommitRequest", &[10]),
    ("OffsetFetchRequest", &[10]),
    ("CreateTopicsRequest", &[0, 1]),
    ("CreateTopicsResponse", &[0, 1]),
    ("InitProducerIdRequest", &[6]),
    ("ApiVersionsRequest", &[5]),
    ("ApiVersionsResponse", &[5]),
    ("DescribeLogDirsRequest", &[5]),
    ("DescribeLogDirsResponse", &[5]),
    ("DeleteGroupsRequest", &[3]),
    ("DeleteGroupsResponse", &[3]),
];

/// Messages with a nullable field that Kafka's generator fills with an empty value where a version lacks it, and ours
/// with null.
const NULL_INSTEAD_OF_EMPTY: &[&str] = &[
    "CreateTopicsResponse",
    "DescribeConfigsResponse",
    "FindCoordinatorResponse",
];

/// One message, ours against theirs, in all versions.
macro_rules! agree {
    ($random:expr, $message:ident) => {
        for version in <ours::$message as Message>::VERSIONS {
            let range = <theirs::$message as TheirMessage>::VERSIONS;
            let in_oracle = (range.min..=range.max).contains(&version);
            agree_in_version::<ours::$message, theirs::$message>($random, version, in_oracle, |message| {
                add_unknown_tag!(message, $message);
            });
        }
    };
}

/// A field from a future version, where the message has a compact form at all.
macro_rules! add_unknown_tag {
    ($message:ident, SaslHandshakeRequest) => {
        unreachable!("{:?} has no compact form", $message)
    };
    ($message:ident, SaslHandshakeResponse) => {
        unreachable!("{:?} has no compact form", $message)
    };
    ($message:ident, OffsetDeleteRequest) => {
        unreachable!("{:?} has no compact form", $message)
    };
    ($message:ident, OffsetDeleteResponse) => {
        unreachable!("{:?} has no compact form", $message)
    };
    ($message:ident, $any:ident) => {
        $message
            .unknown_tagged_fields
            .insert(4711, Bytes::from_static(b"from the future"));
    };
}

fn agree_in_version<Ours, Theirs>(
    random: &mut Random,
    version: i16,
    in_oracle: bool,
    add_unknown_tag: impl FnOnce(&mut Theirs),
) where
    Ours: Message + Sample,
    Theirs: Encodable + Decodable,
{
    let format = Ours::format(version).unwrap();
    let message = Ours::sample(random, format, false);
    let bytes = encoded(&message, version);
    assert_eq!(
        Ours::decode_exact(bytes.clone(), version).as_ref(),
        Ok(&message),
        "version {version}"
    );
    if !in_oracle {
        return;
    }

    let mut unread = bytes.clone();
    let mut theirs = Theirs::decode(&mut unread, version)
        .unwrap_or_else(|error| panic!("oracle refuses version {version} of {message:?}: {error}"));
    assert!(
        unread.is_empty(),
        "oracle leaves {} bytes of {message:?} in version {version}",
        unread.len()
    );

    let mut again = BytesMut::new();
    theirs.encode(&mut again, version).unwrap();
    assert_eq!(again, bytes, "{message:?} in version {version}");

    if format.flexible {
        add_unknown_tag(&mut theirs);
        let mut extended = BytesMut::new();
        theirs.encode(&mut extended, version).unwrap();
        assert_eq!(
            Ours::decode_exact(extended.freeze(), version),
            Ok(message),
            "version {version}"
        );
    }
}

macro_rules! all_agree {
    ($( $name:ident = $code:literal, $request:ident, $response:ident; )*) => {
        fn all_agree(random: &mut Random) {
            $(
                agree!(random, $request);
                agree!(random, $response);
            )*
        }

        /// The versions of each message that the oracle lacks.
        fn beyond_oracle() -> Vec<(&'static str, Vec<i16>)> {
            let lacking = |ours: std::ops::RangeInclusive<i16>, theirs: kafka_protocol::protocol::VersionRange| {
                ours.filter(|version| !(theirs.min..=theirs.max).contains(version)).collect::<Vec<i16>>()
            };
            let all = [$(
                (
                    stringify!($request),
                    lacking(
                        <ours::$request as Message>::VERSIONS,
                        <theirs::$request as TheirMessage>::VERSIONS,
                    ),
                ),
                (
                    stringify!($response),
                    lacking(
                        <ours::$response as Message>::VERSIONS,
                        <theirs::$response as TheirMessage>::VERSIONS,
                    ),
                ),
            )*];
            all.into_iter().filter(|(_, versions)| !versions.is_empty()).collect()
        }

        #[test]
        fn defaults_of_lacking_fields_agree() {
            let random = &mut Random::seed_from_u64(11);
            let mut differ = std::collections::BTreeSet::new();
            for _ in 0..40 {
                $(
                    if !defaults_agree_across_versions::<ours::$request, theirs::$request>(random) {
                        differ.insert(stringify!($request));
                    }
                    if !defaults_agree_across_versions::<ours::$response, theirs::$response>(random) {
                        differ.insert(stringify!($response));
                    }
                )*
            }
            assert_eq!(differ.into_iter().collect::<Vec<_>>(), NULL_INSTEAD_OF_EMPTY);
        }

        /// What the oracle writes for a message in which nothing is set, ours must read.
        #[test]
        fn defaults_of_the_oracle_can_be_read() {
            $(
                read_default::<ours::$request, theirs::$request>();
                read_default::<ours::$response, theirs::$response>();
            )*
        }
    };
}

crate::for_each_kafka_api!(all_agree);

/// What is read in one version and written in another has the defaults of all fields that the first one lacks, so both
/// must write the same. Says whether they do.
fn defaults_agree_across_versions<Ours, Theirs>(random: &mut Random) -> bool
where
    Ours: Message + Sample,
    Theirs: TheirMessage + Encodable + Decodable,
{
    let both = || Ours::VERSIONS.filter(|version| (Theirs::VERSIONS.min..=Theirs::VERSIONS.max).contains(version));
    let mut compared = 0;
    let mut agree = true;
    for from in both() {
        let message = Ours::sample(random, Ours::format(from).unwrap(), false);
        let theirs = Theirs::decode(&mut encoded(&message, from), from).unwrap();
        for to in both() {
            let (mut ours_written, mut theirs_written) = (BytesMut::new(), BytesMut::new());
            let ours_can = message.encode(&mut ours_written, to).is_ok();
            let theirs_can = theirs.encode(&mut theirs_written, to).is_ok();
            if ours_can && theirs_can {
                compared += 1;
                agree &= ours_written == theirs_written;
            }
        }
    }
    assert!(compared > 0, "nothing was compared");
    agree
}

fn read_default<Ours: Message, Theirs: TheirMessage + Encodable + Default>() {
    for version in Ours::VERSIONS.filter(|version| (Theirs::VERSIONS.min..=Theirs::VERSIONS.max).contains(version)) {
        let mut bytes = BytesMut::new();
        Theirs::default().encode(&mut bytes, version).unwrap();
        let message = Ours::decode_exact(bytes.clone().freeze(), version).unwrap();
        assert_eq!(encoded(&message, version), bytes, "version {version}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_agrees_in_every_version(seed in any::<u64>()) {
        all_agree(&mut Random::seed_from_u64(seed));
    }

    #[test]
    fn consumer_protocol_agrees(seed in any::<u64>()) {
        let random = &mut Random::seed_from_u64(seed);
        for version in ours::consumer_protocol::VERSIONS {
            let format = crate::kafka::codec::Format { version, flexible: false };

            let subscription = ours::ConsumerProtocolSubscription::sample(random, format, false);
            let bytes = subscription.encode(version).unwrap();
            let theirs = theirs::ConsumerProtocolSubscription::decode(&mut bytes.slice(2..), version).unwrap();
            let mut again = BytesMut::from(&version.to_be_bytes()[..]);
            theirs.encode(&mut again, version).unwrap();
            prop_assert_eq!(&again, &bytes);
            prop_assert_eq!(ours::ConsumerProtocolSubscription::decode(bytes), Ok(subscription));

            let assignment = ours::ConsumerProtocolAssignment::sample(random, format, false);
            let bytes = assignment.encode(version).unwrap();
            let theirs = theirs::ConsumerProtocolAssignment::decode(&mut bytes.slice(2..), version).unwrap();
            let mut again = BytesMut::from(&version.to_be_bytes()[..]);
            theirs.encode(&mut again, version).unwrap();
            prop_assert_eq!(&again, &bytes);
            prop_assert_eq!(ours::ConsumerProtocolAssignment::decode(bytes), Ok(assignment));
        }
    }
}

#[test]
fn versions_beyond_the_oracle_are_known() {
    let expected: Vec<_> = BEYOND_ORACLE
        .iter()
        .map(|(name, versions)| (*name, versions.to_vec()))
        .collect();
    let mut found = beyond_oracle();
    found.sort_by_key(|(name, _)| expected.iter().position(|(expected, _)| expected == name));
    assert_eq!(found, expected);
}

#[test]
fn header_versions_agree() {
    for &api in ApiKey::ALL {
        let theirs = theirs::ApiKey::try_from(api.code()).unwrap();
        assert_eq!(format!("{theirs:?}"), api.name());
        for version in api.versions() {
            assert_eq!(
                api.request_header_version(version),
                theirs.request_header_version(version),
                "{api} {version}"
            );
            assert_eq!(
                api.response_header_version(version),
                theirs.response_header_version(version),
                "{api} {version}"
            );
        }
    }
}
