//! ApiVersions 0-4 (KIP-35, KIP-511): what this broker speaks. It has no features to finalize.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::api_versions::ApiVersion;
use tailrace_shared::kafka::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::kafka::context::{Call, Context};
use crate::kafka::table::SUPPORTED;

pub(in crate::kafka) async fn api_versions(_: &Context, _: &Call, _: ApiVersionsRequest) -> ApiVersionsResponse {
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
