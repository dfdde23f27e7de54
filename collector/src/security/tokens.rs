//! Tokens of OAUTHBEARER: JSON Web Tokens (RFC 7519) that an identity provider has signed with one of the keys in a file
//! (JWKS, RFC 7517), which is read again when it changes. The library takes them apart and looks at their claims;
//! signatures are `ring`'s, as in TLS.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::signature::{Error as WrongSignature, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation, decode, decode_header, get_current_timestamp,
};
use ring::signature;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tailrace_shared::reloading::Reloading;

/// How far our clock and the provider's may be apart.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longer names are refused.
const USER_BYTES_MAX: usize = 1024;

/// `[kafka.oauth]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthConfig {
    /// The provider's public keys. Read again when the file changes.
    pub jwks: PathBuf,
    /// Who must have issued a token (`iss`).
    #[serde(deserialize_with = "named")]
    pub issuer: String,
    /// For whom it must be meant (`aud`): one of these.
    #[serde(deserialize_with = "some_named")]
    pub audience: Vec<String>,
    /// The claim that names the user.
    #[serde(default = "subject", deserialize_with = "named")]
    pub principal_claim: String,
}

fn subject() -> String {
    "sub".to_owned()
}

fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Err(D::Error::custom("it is empty"));
    }
    Ok(name)
}

fn some_named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.is_empty() || names.iter().any(String::is_empty) {
        let why = "it names nobody: a token that is meant for somebody else would let its owner in here";
        return Err(D::Error::custom(why));
    }
    Ok(names)
}

/// Why no keys could be read.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file is not there, or not readable.
    #[error("cannot read {}: {source}; save the provider's keys (its jwks_uri) there", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// As the operating system puts it.
        source: io::Error,
    },
    /// It is not a set of keys.
    #[error("{} is no JSON Web Key Set: {reason}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Why a token lets nobody in. For the log only; nothing of the token is in it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// It is no token, its signature is wrong, or what it claims does not hold.
    #[error("the token does not hold: {0}")]
    Refused(#[from] Error),
    /// None of the keys fits.
    #[error("no key of the JWKS file fits the token (kid {kid:?}, alg {algorithm:?}): has the provider new keys?")]
    NoKey {
        /// Which one it asks for.
        kid: Option<String>,
        /// How it is signed.
        algorithm: Algorithm,
    },
    /// It does not name a user.
    #[error("the token's claim {0} names nobody")]
    NoUser(String),
}

/// Whom a token lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The user.
    pub user: String,
    /// For how long.
    pub holds: Duration,
}

/// Whose tokens are good.
#[derive(Debug)]
pub struct Tokens {
    config: OauthConfig,
    keys: Reloading<Arc<Vec<Key>>>,
}

/// What a provider signs with.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Tokens {
    /// Reads the keys, and reads them again once they change.
    ///
    /// # Errors
    /// When there are none in the file.
    pub fn load(config: OauthConfig) -> Result<Self, TokensError> {
        // Installed already, if this is not the first collector of this process.
        PROVIDER.install_default().ok();
        let path = config.jwks.clone();
        let keys = Reloading::new(vec![path.clone()], move || read_keys(&path).map(Arc::new))?;
        Ok(Self { config, keys })
    }

    /// Whom a token lets in.
    ///
    /// # Errors
    /// When it lets nobody in.
    pub fn check(&self, token: &str) -> Result<Bearer, InvalidToken> {
        let header = decode_header(token)?;
        let keys = self.keys.current();
        let fits = |key: &&Key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || key.id.is_none() || header.kid == key.id)
        };
        let mut refused = InvalidToken::NoKey {
            kid: header.kid.clone(),
            algorithm: header.alg,
        };
        for key in keys.iter().filter(fits) {
            match decode::<Map<String, Value>>(token, &key.key, &self.validation(header.alg)) {
                Ok(decoded) => return self.bearer(&decoded.claims),
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.config.audience);
        validation
    }

    fn bearer(&self, claims: &Map<String, Value>) -> Result<Bearer, InvalidToken> {
        let claim = &self.config.principal_claim;
        let user = claims.get(claim).and_then(Value::as_str);
        let user = user.filter(|user| (1..=USER_BYTES_MAX).contains(&user.len()));
        let user = user.ok_or_else(|| InvalidToken::NoUser(claim.clone()))?.to_owned();
        // A fraction of a second, as some providers have it, does not count.
        let expires_at = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        let left = Duration::try_from_secs_f64(expires_at).unwrap_or(Duration::MAX);
        let left = left.saturating_add(LEEWAY);
        let holds = left.saturating_sub(Duration::from_secs(get_current_timestamp()));
        // Zero would be for ever.
        let holds = holds.max(Duration::from_secs(1));
        Ok(Bearer { user, holds })
    }
}

fn read_keys(path: &PathBuf) -> Result<Vec<Key>, TokensError> {
    let text = fs::read(path).map_err(|source| TokensError::Read {
        path: path.clone(),
        source,
    })?;
    let content = |reason: String| TokensError::Content {
        path: path.clone(),
        reason,
    };
    let set: JwkSet = serde_json::from_slice(&text).map_err(|error| content(error.to_string()))?;
    // A provider may publish keys for other purposes, and of kinds that are not known here.
    let keys: Vec<Key> = set.keys.iter().filter_map(Key::of).collect();
    if keys.is_empty() {
        return Err(content(
            "it holds no public key for RS, PS, ES or EdDSA signatures".to_owned(),
        ));
    }
    Ok(keys)
}

impl Key {
    /// `None` for a key that does not verify signatures, or is a secret that a provider would not hand out.
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if common
            .public_key_use
            .as_ref()
            .is_some_and(|used| *used != PublicKeyUse::Signature)
        {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        if key.family() == AlgorithmFamily::Hmac {
            return None;
        }
        let family = key.family();
        let of_family = family.algorithms().iter().copied();
        let algorithms = match common.key_algorithm {
            None => of_family.collect(),
            Some(named) => {
                let named = Algorithm::try_from(named).ok()?;
                of_family.filter(|algorithm| *algorithm == named).collect()
            }
        };
        Some(Self {
            id: common.key_id.clone(),
            algorithms,
            key,
        })
    }
}

/// Signatures by `ring`. Nothing is signed here.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(Error::from(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        let verifier = RingVerifier {
            algorithm: *algorithm,
            key: key.clone(),
        };
        Ok(Box::new(verifier))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), WrongSignature> {
        let verified = match (self.key.kind(), rsa(self.algorithm), ec_or_ed(self.algorithm)) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, Some(parameters), _) => {
                signature::RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            (DecodingKeyKind::SecretOrDer(point), _, Some(algorithm)) => {
                signature::UnparsedPublicKey::new(algorithm, point).verify(message, signed)
            }
            _ => return Err(WrongSignature::new()),
        };
        verified.map_err(|_| WrongSignature::new())
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn ec_or_ed(algorithm: Algorithm) -> Option<&'static dyn signature::VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &signature::ED25519,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
