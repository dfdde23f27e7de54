//! Who there is, and how a login is checked against what is kept of passwords.
//!
//! Users of the configuration file come before those of the catalog, so that whoever has the file gets in. Somebody who
//! does not exist is treated like somebody with a wrong password, down to the salt and the time it takes.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use ring::hmac;
use tailrace_shared::sasl::{Credential, ITERATIONS_DEFAULT, InvalidCredential, ScramHash};

use crate::catalog::{CredentialKey, Credentials};

const SALT_BYTES: usize = 24;

/// The users of the configuration file, and what stands in for those who do not exist.
#[derive(Debug)]
pub struct Users {
    configured: HashMap<CredentialKey, Credential>,
    decoys: hmac::Key,
}

impl Users {
    /// Makes credentials of the passwords in the configuration file, under every hash.
    ///
    /// # Errors
    /// Never with the constants there are.
    pub fn new<'a>(passwords: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, InvalidCredential> {
        let mut configured = HashMap::new();
        for (user, password) in passwords {
            for hash in ScramHash::ALL {
                let credential = Credential::of_password(hash, password, random_bytes(), ITERATIONS_DEFAULT)?;
                let user = user.to_owned();
                configured.insert(CredentialKey { user, hash }, credential);
            }
        }
        let decoys = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes());
        Ok(Self { configured, decoys })
    }

    /// Whether the configuration file has this user; then the catalog's credentials of that name do not count.
    #[must_use]
    pub fn is_configured(&self, user: &str) -> bool {
        self.configured.keys().any(|key| key.user == user)
    }

    /// What is kept of a user's password, or something that no password fits.
    #[must_use]
    pub fn credential(&self, kept: &Credentials, user: &str, hash: ScramHash) -> Credential {
        let user = user.to_owned();
        let key = CredentialKey { user, hash };
        let found = self.configured.get(&key);
        let found = found.or_else(|| kept.get(&key).filter(|_| !self.is_configured(&key.user)));
        found.cloned().unwrap_or_else(|| self.decoy(&key))
    }

    /// The same for a user who sends the password itself, whichever hash there is a credential for.
    #[must_use]
    pub fn any_credential(&self, kept: &Credentials, user: &str) -> Credential {
        let has = |hash: &ScramHash| {
            let user = user.to_owned();
            let key = CredentialKey { user, hash: *hash };
            self.configured.contains_key(&key) || kept.contains_key(&key)
        };
        let hash = ScramHash::ALL.into_iter().find(has).unwrap_or(ScramHash::Sha256);
        self.credential(kept, user, hash)
    }

    /// Always the same for a name, so that asking twice tells nothing.
    fn decoy(&self, key: &CredentialKey) -> Credential {
        let salt = hmac::sign(&self.decoys, key.user.as_bytes());
        Credential {
            hash: key.hash,
            salt: salt.as_ref().iter().copied().take(SALT_BYTES).collect(),
            iterations: ITERATIONS_DEFAULT,
            stored_key: Vec::new(),
            server_key: Vec::new(),
        }
    }
}

/// A nonce: as many random bytes in a form without commas.
#[must_use]
pub fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes())
}

/// Enough for a salt or a secret.
fn random_bytes() -> Vec<u8> {
    let mut bytes = vec![0; SALT_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(user: &str, hash: ScramHash, password: &str) -> (CredentialKey, Credential) {
        let credential = Credential::of_password(hash, password, random_bytes(), ITERATIONS_DEFAULT).unwrap();
        let user = user.to_owned();
        (CredentialKey { user, hash }, credential)
    }

    #[test]
    fn the_configuration_file_comes_before_the_catalog() {
        let users = Users::new([("admin", "from the file")]).unwrap();
        let catalog: Credentials = [
            kept("admin", ScramHash::Sha256, "from the catalog"),
            kept("ann", ScramHash::Sha512, "hers"),
        ]
        .into();
        for hash in ScramHash::ALL {
            assert!(
                users
                    .credential(&catalog, "admin", hash)
                    .is_of_password("from the file")
            );
        }
        assert!(users.any_credential(&catalog, "admin").is_of_password("from the file"));
        assert!(users.any_credential(&catalog, "ann").is_of_password("hers"));
        assert!(
            !users
                .credential(&catalog, "ann", ScramHash::Sha256)
                .is_of_password("hers")
        );
    }

    #[test]
    fn nobody_looks_like_somebody_and_gets_in_with_nothing() {
        let users = Users::new([]).unwrap();
        let (one, again) = (
            users.any_credential(&Credentials::new(), "nobody"),
            users.any_credential(&Credentials::new(), "nobody"),
        );
        assert_eq!(one, again);
        assert_eq!((one.salt.len(), one.iterations), (SALT_BYTES, ITERATIONS_DEFAULT));
        assert_ne!(one.salt, users.any_credential(&Credentials::new(), "other").salt);
        assert!(!one.is_of_password("") && !one.is_of_password("x"));
    }
}
