//! What a server keeps of a password: enough to check a proof, and too little to make one.

use std::fmt;
use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq;

use super::{ScramHash, prepared};

/// Fewer iterations are refused, as by Kafka (RFC 7677 asks for as many).
pub const ITERATIONS_MIN: u32 = 4096;
/// More are refused, as by Kafka: each login would cost too much.
pub const ITERATIONS_MAX: u32 = 16_384;
/// What is taken where nobody says.
pub const ITERATIONS_DEFAULT: u32 = 8192;
/// A salt must be there, and stay small.
const SALT_BYTES_MAX: usize = 1024;

/// The keys of one user for one hash (RFC 5802, section 3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Which hash they were made with.
    pub hash: ScramHash,
    /// Random, so that equal passwords have different keys.
    pub salt: Vec<u8>,
    /// How often the password was hashed.
    pub iterations: u32,
    /// `H(ClientKey)`.
    pub stored_key: Vec<u8>,
    /// Proves to a client that this server has the credential.
    pub server_key: Vec<u8>,
}

/// Parameters that no credential can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredential {
    /// Too few or too many.
    #[error("{0} iterations are not between {ITERATIONS_MIN} and {ITERATIONS_MAX}")]
    Iterations(i64),
    /// None, or too long.
    #[error("a salt has 1 to {SALT_BYTES_MAX} bytes, not {0}")]
    Salt(usize),
    /// It is not of that hash.
    #[error("the salted password has {found} bytes, where {expected} are due")]
    SaltedPassword {
        /// How many there are.
        found: usize,
        /// How many the hash gives.
        expected: usize,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Credential");
        debug.field("hash", &self.hash).field("iterations", &self.iterations);
        debug.finish_non_exhaustive()
    }
}

impl Credential {
    /// Makes one of a password. Takes milliseconds, and is meant to.
    ///
    /// # Errors
    /// When salt or iterations are out of bounds.
    pub fn of_password(
        hash: ScramHash,
        password: &str,
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<Self, InvalidCredential> {
        let salted = salted_password(hash, password, &salt, iterations);
        Self::of_salted_password(hash, &salted, salt, iterations.into())
    }

    /// Makes one of what a client has hashed already, as AlterUserScramCredentials has it.
    ///
    /// # Errors
    /// When it is not what that hash gives, or salt or iterations are out of bounds.
    pub fn of_salted_password(
        hash: ScramHash,
        salted_password: &[u8],
        salt: Vec<u8>,
        iterations: i64,
    ) -> Result<Self, InvalidCredential> {
        let iterations_in_range = u32::try_from(iterations)
            .ok()
            .filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(count));
        let Some(in_range) = iterations_in_range else {
            return Err(InvalidCredential::Iterations(iterations));
        };
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(InvalidCredential::Salt(salt.len()));
        }
        let (found, expected) = (salted_password.len(), hash.digest().output_len());
        if found != expected {
            return Err(InvalidCredential::SaltedPassword { found, expected });
        }
        let client_key = sign(hash, salted_password, b"Client Key");
        Ok(Self {
            hash,
            salt,
            iterations: in_range,
            stored_key: digest::digest(hash.digest(), client_key.as_ref()).as_ref().to_vec(),
            server_key: sign(hash, salted_password, b"Server Key").as_ref().to_vec(),
        })
    }

    /// Whether this is the password. Takes as long as making the credential did.
    #[must_use]
    pub fn is_of_password(&self, password: &str) -> bool {
        let salted = salted_password(self.hash, password, &self.salt, self.iterations);
        let client_key = sign(self.hash, &salted, b"Client Key");
        self.is_client_key(client_key.as_ref())
    }

    /// Whether a client that has this key knows the password.
    pub(super) fn is_client_key(&self, client_key: &[u8]) -> bool {
        let stored_key = digest::digest(self.hash.digest(), client_key);
        stored_key.as_ref().ct_eq(&self.stored_key).into()
    }
}

/// `Hi(Normalize(password), salt, i)`: what AlterUserScramCredentials sends instead of the password.
#[must_use]
pub fn salted_password(hash: ScramHash, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut salted = vec![0; hash.digest().output_len()];
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        hash.pbkdf2(),
        iterations,
        salt,
        prepared(password).as_bytes(),
        &mut salted,
    );
    salted
}

/// `HMAC(key, text)`.
pub(super) fn sign(hash: ScramHash, key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hash.hmac(), key), text)
}
