//! The API table: what this broker speaks, in which versions, and who handles it. The answer to ApiVersions and the
//! dispatch both come from here, so they cannot disagree.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::kafka::frame::encode_response;
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::{ApiKey, DecodeError, EncodeError, ErrorCode, Message, Request, Segments};

use super::context::{Call, Context};
use super::handlers;
use crate::catalog::QuotaKind;

/// The frame to answer with; none where the client wants no answer (Produce with acks=0).
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Option<Segments>, RequestError>> + Send>>;

/// A request that was taken.
pub(super) struct Started {
    pub(super) answer: Answer,
    /// The next request may be taken before this one is answered.
    pub(super) may_overlap: bool,
    /// It waits for others and changes nothing by itself, so it need not go on when the client has gone.
    pub(super) may_abandon: bool,
}

/// A request after which a connection cannot go on, because no answer would be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("cannot read the request's header: {0}")]
    Header(#[source] DecodeError),
    #[error("API {0} is not one that this collector knows")]
    UnknownApi(i16),
    #[error("{api:?} version {version} is not supported; ApiVersions says what is")]
    UnsupportedVersion { api: ApiKey, version: i16 },
    #[error("cannot read {api:?} version {version}: {source}")]
    Body {
        api: ApiKey,
        version: i16,
        source: DecodeError,
    },
    #[error("a Produce with acks=0 was refused ({0}), and only a closed connection can say so")]
    Unanswerable(&'static str),
    #[error("cannot write the answer to {api:?} version {version}: {source}")]
    Answer {
        api: ApiKey,
        version: i16,
        source: EncodeError,
    },
}

/// One API: the lowest and the highest version that are spoken.
pub(super) struct Supported {
    pub(super) api: ApiKey,
    pub(super) versions: RangeInclusive<i16>,
}

macro_rules! api_table {
    ($( $api:ident $low:literal ..= $high:literal => $handler:path; )*) => {
        /// Every API that is spoken.
        pub(super) const SUPPORTED: &[Supported] = &[
            Supported { api: ApiKey::Produce, versions: 0..=13 },
            $( Supported { api: ApiKey::$api, versions: $low..=$high }, )*
        ];

        /// Runs the handler of every API but Produce.
        async fn handle(
            context: Arc<Context>,
            call: Call,
            correlation_id: i32,
            body: Bytes,
        ) -> Result<Option<Segments>, RequestError> {
            match call.api {
                $(
                    ApiKey::$api => {
                        let request = read(&call, body)?;
                        let response = $handler(&context, &call, request).await;
                        write(&call, correlation_id, &response).map(Some)
                    }
                )*
                _ => Err(unsupported(&call)),
            }
        }
    };
}

api_table! {
    Fetch 4..=18 => handlers::fetch::fetch;
    ListOffsets 0..=11 => handlers::list_offsets::list_offsets;
    Metadata 0..=13 => handlers::metadata::metadata;
    OffsetCommit 2..=10 => handlers::offset_commit::offset_commit;
    OffsetFetch 1..=10 => handlers::offset_fetch::offset_fetch;
    FindCoordinator 0..=6 => handlers::find_coordinator::find_coordinator;
    JoinGroup 0..=9 => handlers::join_group::join_group;
    Heartbeat 0..=4 => handlers::heartbeat::heartbeat;
    LeaveGroup 0..=5 => handlers::leave_group::leave_group;
    SyncGroup 0..=5 => handlers::sync_group::sync_group;
    DescribeGroups 0..=6 => handlers::describe_groups::describe_groups;
    ListGroups 0..=5 => handlers::list_groups::list_groups;
    SaslHandshake 0..=1 => handlers::sasl_handshake::sasl_handshake;
    ApiVersions 0..=5 => handlers::api_versions::api_versions;
    CreateTopics 0..=7 => handlers::create_topics::create_topics;
    DeleteTopics 1..=6 => handlers::delete_topics::delete_topics;
    DeleteRecords 0..=2 => handlers::delete_records::delete_records;
    InitProducerId 0..=6 => handlers::init_producer_id::init_producer_id;
    OffsetForLeaderEpoch 2..=4 => handlers::offset_for_leader_epoch::offset_for_leader_epoch;
    DescribeAcls 1..=3 => handlers::describe_acls::describe_acls;
    CreateAcls 1..=3 => handlers::create_acls::create_acls;
    DeleteAcls 1..=3 => handlers::delete_acls::delete_acls;
    DescribeConfigs 1..=4 => handlers::describe_configs::describe_configs;
    AlterConfigs 0..=2 => handlers::alter_configs::alter_configs;
    DescribeLogDirs 1..=5 => handlers::describe_log_dirs::describe_log_dirs;
    SaslAuthenticate 0..=2 => handlers::sasl_authenticate::sasl_authenticate;
    CreatePartitions 0..=3 => handlers::create_partitions::create_partitions;
    DeleteGroups 0..=3 => handlers::delete_groups::delete_groups;
    IncrementalAlterConfigs 0..=1 => handlers::incremental_alter_configs::incremental_alter_configs;
    OffsetDelete 0..=0 => handlers::offset_delete::offset_delete;
    DescribeClientQuotas 0..=1 => handlers::describe_client_quotas::describe_client_quotas;
    AlterClientQuotas 0..=1 => handlers::alter_client_quotas::alter_client_quotas;
    DescribeUserScramCredentials 0..=0 => handlers::describe_user_scram_credentials::describe_user_scram_credentials;
    AlterUserScramCredentials 0..=0 => handlers::alter_user_scram_credentials::alter_user_scram_credentials;
    DescribeCluster 0..=2 => handlers::describe_cluster::describe_cluster;
    DescribeProducers 0..=0 => handlers::describe_producers::describe_producers;
    ListConfigResources 0..=1 => handlers::list_config_resources::list_config_resources;
    DescribeTopicPartitions 0..=0 => handlers::describe_topic_partitions::describe_topic_partitions;
}

/// Takes a request: a Produce is sequenced here and answered later, all else runs when its answer is awaited.
pub(super) async fn start(
    context: Arc<Context>,
    call: Call,
    correlation_id: i32,
    body: Bytes,
) -> Result<Started, RequestError> {
    if !speaks(&call) {
        return Ok(Started {
            answer: Box::pin(async move { refuse_version(&call, correlation_id) }),
            may_overlap: false,
            may_abandon: false,
        });
    }
    if call.api != ApiKey::Produce {
        return Ok(Started {
            may_overlap: false,
            may_abandon: matches!(call.api, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup),
            answer: Box::pin(handle(context, call, correlation_id, body)),
        });
    }
    let size = body.len();
    let request: ProduceRequest = read(&call, body)?;
    let wants_answer = request.acks != 0;
    let meter = context.throttle.meter(&context, &call, QuotaKind::Produce);
    let throttle_time_ms = meter.map_or(0, |meter| meter.spend(size));
    let durable = handlers::produce::produce(&context, &call, request).await;
    let answer = async move {
        let response = ProduceResponse {
            throttle_time_ms,
            ..durable.await
        };
        if wants_answer {
            return write(&call, correlation_id, &response).map(Some);
        }
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        match partitions.map(|partition| partition.error_code).find(|code| *code != 0) {
            Some(code) => Err(RequestError::Unanswerable(ErrorCode::from_code(code).name())),
            None => Ok(None),
        }
    };
    Ok(Started {
        answer: Box::pin(answer),
        may_overlap: true,
        may_abandon: false,
    })
}

fn speaks(call: &Call) -> bool {
    SUPPORTED
        .iter()
        .any(|supported| supported.api == call.api && supported.versions.contains(&call.version))
}

/// A client learns what we speak from ApiVersions, so an ApiVersions that is too new is answered in version 0 (KIP-511);
/// any other unknown version has no layout in which an answer could be written.
fn refuse_version(call: &Call, correlation_id: i32) -> Result<Option<Segments>, RequestError> {
    if call.api != ApiKey::ApiVersions {
        return Err(unsupported(call));
    }
    let response = handlers::api_versions::unsupported_version();
    let oldest = Call {
        version: 0,
        ..call.clone()
    };
    write(&oldest, correlation_id, &response).map(Some)
}

fn unsupported(call: &Call) -> RequestError {
    RequestError::UnsupportedVersion {
        api: call.api,
        version: call.version,
    }
}

/// Bytes behind the request are ignored, as Kafka does: librdkafka sends three of them when it asks Metadata 9 or later
/// for all topics.
fn read<R: Request>(call: &Call, mut body: Bytes) -> Result<R, RequestError> {
    R::decode(&mut body, call.version).map_err(|source| RequestError::Body {
        api: call.api,
        version: call.version,
        source,
    })
}

fn write<R: Message>(call: &Call, correlation_id: i32, response: &R) -> Result<Segments, RequestError> {
    encode_response(response, call.version, correlation_id).map_err(|source| RequestError::Answer {
        api: call.api,
        version: call.version,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/KAFKA.md");

    #[test]
    fn documented_table_is_the_one_in_force() {
        let mut supported: Vec<_> = SUPPORTED.iter().collect();
        supported.sort_by_key(|supported| supported.api.code());
        let row = |supported: &&Supported| {
            let (low, high) = (supported.versions.start(), supported.versions.end());
            format!("| {} | {} | {low}-{high} |", supported.api, supported.api.code())
        };
        let in_force: Vec<String> = supported.iter().map(row).collect();
        let rows = DOCUMENT.lines().skip_while(|line| *line != "|---|---|---|---|").skip(1);
        let documented: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        assert_eq!(documented.len(), in_force.len());
        for (documented, in_force) in documented.iter().zip(&in_force) {
            // What follows is what Apache Kafka speaks.
            assert!(documented.starts_with(in_force), "{documented} {in_force}");
        }
    }

    #[test]
    fn every_version_that_is_spoken_has_a_schema() {
        for supported in SUPPORTED {
            let known = supported.api.versions();
            assert!(known.contains(supported.versions.start()) && known.contains(supported.versions.end()));
        }
    }
}
