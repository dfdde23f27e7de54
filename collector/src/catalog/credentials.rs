//! The users' SCRAM credentials: salted, never a password.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tailrace_shared::sasl::{Credential, Mechanism, ScramHash};

use super::change::Change;
use super::commit::{Catalog, Plan};
use super::error::CatalogError;

/// The most credentials there may be.
pub const CREDENTIALS_MAX: usize = 10_000;

/// Whose credential, and for which hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialKey {
    /// The user.
    pub user: String,
    /// The hash.
    pub hash: ScramHash,
}

/// All credentials.
pub type Credentials = BTreeMap<CredentialKey, Credential>;

/// No credential was changed.
#[derive(Debug, thiserror::Error)]
pub enum AlterCredentialsError {
    /// More than [`CREDENTIALS_MAX`].
    #[error("at most {CREDENTIALS_MAX} credentials are kept")]
    TooMany,
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Catalog {
    /// Sets and removes credentials, all at once. What is to be removed and is not there stays away.
    pub async fn alter_credentials(
        &self,
        set: Vec<(CredentialKey, Credential)>,
        remove: Vec<CredentialKey>,
    ) -> Result<(), AlterCredentialsError> {
        let altered = self.commit(|view, _| {
            let mut after = Credentials::clone(view.credentials());
            after.retain(|key, _| !remove.contains(key));
            after.extend(set.iter().cloned());
            if after == **view.credentials() {
                return Ok(Plan::Nothing(()));
            }
            if after.len() > CREDENTIALS_MAX {
                return Err(AlterCredentialsError::TooMany);
            }
            let set = set
                .iter()
                .map(|(key, credential)| StoredCredential::of(key, credential));
            let remove = remove.iter().map(StoredKey::of);
            let (set, remove) = (set.collect(), remove.collect());
            Ok(Plan::Change(Change::CredentialsChanged { set, remove }, ()))
        });
        altered.await.map(drop)
    }
}

/// A credential as it stands in the catalog's documents, bytes in base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredCredential {
    user: String,
    mechanism: String,
    iterations: u32,
    salt: String,
    stored_key: String,
    server_key: String,
}

/// A credential's key as it stands in the catalog's documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKey {
    user: String,
    mechanism: String,
}

impl fmt::Debug for StoredCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("StoredCredential");
        debug.field("user", &self.user).field("mechanism", &self.mechanism);
        debug.finish_non_exhaustive()
    }
}

impl StoredCredential {
    pub(super) fn of(key: &CredentialKey, credential: &Credential) -> Self {
        Self {
            user: key.user.clone(),
            mechanism: Mechanism::Scram(key.hash).name().to_owned(),
            iterations: credential.iterations,
            salt: STANDARD.encode(&credential.salt),
            stored_key: STANDARD.encode(&credential.stored_key),
            server_key: STANDARD.encode(&credential.server_key),
        }
    }

    /// `None` if it is not one.
    pub(super) fn to_credential(&self) -> Option<(CredentialKey, Credential)> {
        let hash = hash_of(&self.mechanism)?;
        let credential = Credential {
            hash,
            iterations: self.iterations,
            salt: STANDARD.decode(&self.salt).ok()?,
            stored_key: STANDARD.decode(&self.stored_key).ok()?,
            server_key: STANDARD.decode(&self.server_key).ok()?,
        };
        let user = self.user.clone();
        Some((CredentialKey { user, hash }, credential))
    }
}

impl StoredKey {
    fn of(key: &CredentialKey) -> Self {
        Self {
            user: key.user.clone(),
            mechanism: Mechanism::Scram(key.hash).name().to_owned(),
        }
    }

    /// `None` if it is not one.
    pub(super) fn to_key(&self) -> Option<CredentialKey> {
        let (user, hash) = (self.user.clone(), hash_of(&self.mechanism)?);
        Some(CredentialKey { user, hash })
    }
}

fn hash_of(mechanism: &str) -> Option<ScramHash> {
    match Mechanism::from_name(mechanism)? {
        Mechanism::Scram(hash) => Some(hash),
        Mechanism::Plain | Mechanism::OauthBearer => None,
    }
}
