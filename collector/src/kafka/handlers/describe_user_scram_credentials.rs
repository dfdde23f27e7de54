//! DescribeUserScramCredentials 0 (KIP-554): who has a password, never which. Users of the configuration file are not told.

use std::collections::BTreeMap;

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use tailrace_shared::kafka::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn describe_user_scram_credentials(
    context: &Context,
    call: &Call,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    if let Err(code) = context.authorize(call, Operation::Describe, Resource::CLUSTER) {
        return DescribeUserScramCredentialsResponse {
            error_code: code.code(),
            ..Default::default()
        };
    }
    let mut by_user: BTreeMap<String, Vec<CredentialInfo>> = BTreeMap::new();
    for (key, credential) in context.broker.credentials().iter() {
        by_user.entry(key.user.clone()).or_default().push(CredentialInfo {
            mechanism: key.hash.code(),
            iterations: i32::try_from(credential.iterations).unwrap_or(i32::MAX),
        });
    }
    let found = |user: String, infos: Option<Vec<CredentialInfo>>| DescribeUserScramCredentialsResult {
        error_code: infos
            .as_ref()
            .map_or(ErrorCode::ResourceNotFound, |_| ErrorCode::None)
            .code(),
        error_message: infos.is_none().then(|| "the user has no credentials".into()),
        credential_infos: infos.unwrap_or_default(),
        user: user.into(),
    };
    let asked = request.users.filter(|users| !users.is_empty());
    let results = match asked {
        None => by_user
            .into_iter()
            .map(|(user, infos)| found(user, Some(infos)))
            .collect(),
        Some(users) => users
            .into_iter()
            .map(|user| {
                let infos = by_user.get(&*user.name).cloned();
                found(user.name.to_string(), infos)
            })
            .collect(),
    };
    DescribeUserScramCredentialsResponse {
        results,
        ..Default::default()
    }
}
