//! AlterUserScramCredentials 0 (KIP-554): gives users passwords and takes them away; durable when it is answered. The
//! client hashes the password, so it never comes here. What is wrong for one user changes nothing of that user.

use std::collections::BTreeMap;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsResult, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use tailrace_shared::kafka::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use tailrace_shared::sasl::{Credential, ScramHash};

use crate::catalog::CredentialKey;
use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

/// Longer names are refused.
const USER_BYTES_MAX: usize = 1024;

/// What is asked for one user.
#[derive(Default)]
struct Changes {
    set: Vec<(CredentialKey, Credential)>,
    remove: Vec<CredentialKey>,
    refused: Option<Refusal>,
}

type Refusal = (ErrorCode, ByteString);

pub(in crate::kafka) async fn alter_user_scram_credentials(
    context: &Context,
    call: &Call,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let allowed = context.authorize(call, Operation::Alter, Resource::CLUSTER);
    let mut by_user: BTreeMap<ByteString, Changes> = BTreeMap::new();
    for deletion in request.deletions {
        let changes = by_user.entry(deletion.name.clone()).or_default();
        match removal(context, deletion) {
            Ok(key) => changes.remove(key),
            Err(refusal) => changes.refused = Some(refusal),
        }
    }
    for upsertion in request.upsertions {
        let changes = by_user.entry(upsertion.name.clone()).or_default();
        match credential(context, upsertion) {
            Ok((key, credential)) => changes.set(key, credential),
            Err(refusal) => changes.refused = Some(refusal),
        }
    }
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for changes in by_user.values_mut() {
        if let Err(code) = allowed {
            changes.refused = Some((code, "Alter is not allowed on the cluster".into()));
        }
        if changes.refused.is_none() {
            set.append(&mut changes.set);
            remove.append(&mut changes.remove);
        }
    }
    let altered = context.broker.alter_credentials(set, remove).await;
    let altered = altered.map_err(|error| (error.code(), ByteString::from(error.to_string())));
    let result = |(user, changes): (ByteString, Changes)| {
        let refused = changes.refused.or_else(|| altered.clone().err());
        AlterUserScramCredentialsResult {
            user,
            error_code: refused.as_ref().map_or(ErrorCode::None, |(code, _)| *code).code(),
            error_message: refused.map(|(_, message)| message),
        }
    };
    AlterUserScramCredentialsResponse {
        results: by_user.into_iter().map(result).collect(),
        ..Default::default()
    }
}

impl Changes {
    fn set(&mut self, key: CredentialKey, credential: Credential) {
        self.name_once(&key);
        self.set.push((key, credential));
    }

    fn remove(&mut self, key: CredentialKey) {
        self.name_once(&key);
        self.remove.push(key);
    }

    fn name_once(&mut self, key: &CredentialKey) {
        if self.remove.contains(key) || self.set.iter().any(|(set, _)| set == key) {
            let message = "a credential is named twice in this request";
            self.refused = Some((ErrorCode::DuplicateResource, message.into()));
        }
    }
}

fn removal(context: &Context, deletion: ScramCredentialDeletion) -> Result<CredentialKey, Refusal> {
    let key = key(context, &deletion.name, deletion.mechanism)?;
    if !context.broker.credentials().contains_key(&key) {
        return Err((ErrorCode::ResourceNotFound, "the user has no such credential".into()));
    }
    Ok(key)
}

fn credential(context: &Context, upsertion: ScramCredentialUpsertion) -> Result<(CredentialKey, Credential), Refusal> {
    let key = key(context, &upsertion.name, upsertion.mechanism)?;
    let (salted_password, salt) = (&upsertion.salted_password, upsertion.salt.to_vec());
    let credential = Credential::of_salted_password(key.hash, salted_password, salt, upsertion.iterations.into());
    let credential = credential.map_err(|error| (ErrorCode::UnacceptableCredential, error.to_string().into()))?;
    Ok((key, credential))
}

fn key(context: &Context, user: &ByteString, mechanism: i8) -> Result<CredentialKey, Refusal> {
    let hash = ScramHash::from_code(mechanism).ok_or_else(|| {
        let message = format!("there is no SCRAM mechanism {mechanism}");
        (ErrorCode::UnsupportedSaslMechanism, message.into())
    })?;
    if user.is_empty() || user.len() > USER_BYTES_MAX {
        let message = format!("a user's name has 1 to {USER_BYTES_MAX} bytes");
        return Err((ErrorCode::UnacceptableCredential, message.into()));
    }
    if context.users.is_configured(user) {
        let message = "this user's password is in the collector's configuration file: change it there";
        return Err((ErrorCode::UnacceptableCredential, message.into()));
    }
    let user = user.to_string();
    Ok(CredentialKey { user, hash })
}
