//! ApiVersions 0-5 (KIP-35, KIP-511, KIP-1242): what this broker speaks. It has no features to finalize. A client that means
//! another broker or cluster, because an address went to somebody else, is told so before anything else.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::api_versions::ApiVersion;
use tailrace_shared::kafka::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::broker::Broker;
use crate::kafka::context::{Call, Context};
use crate::kafka::table::SUPPORTED;

pub(in crate::kafka) async fn api_versions(
    context: &Context,
    _: &Call,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    if let Err(code) = check_destination(&context.broker, &request) {
        return ApiVersionsResponse {
            error_code: code.code(),
            ..Default::default()
        };
    }
    let api = |supported: &crate::kafka::table::Supported| ApiVersion {
        api_key: supported.api.code(),
        min_version: *supported.versions.start(),
        max_version: *supported.versions.end(),
    };
    let mut api_keys: Vec<ApiVersion> = SUPPORTED.iter().map(api).collect();
    api_keys.sort_by_key(|api| api.api_key);
    ApiVersionsResponse {
        api_keys,
        ..Default::default()
    }
}

/// Whether the client has come to the broker that it means; it names both the broker and its cluster, or neither.
fn check_destination(broker: &Broker, request: &ApiVersionsRequest) -> Result<(), ErrorCode> {
    match (request.cluster_id.as_deref(), request.node_id) {
        (None, -1) => Ok(()),
        (None, _) | (_, -1) => Err(ErrorCode::InvalidRequest),
        meant if meant == (Some(broker.cluster_id()), broker.node_id()) => Ok(()),
        _ => Err(ErrorCode::RebootstrapRequired),
    }
}

/// The answer to a version of ApiVersions that is too new: the client reads it as version 0 and asks again.
pub(in crate::kafka) fn unsupported_version() -> ApiVersionsResponse {
    let own = SUPPORTED
        .iter()
        .find(|supported| supported.api == tailrace_shared::kafka::ApiKey::ApiVersions);
    let api_keys = own.map(|own| ApiVersion {
        api_key: own.api.code(),
        min_version: *own.versions.start(),
        max_version: *own.versions.end(),
    });
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: api_keys.into_iter().collect(),
        ..Default::default()
    }
}
