//! The exchange of SCRAM: four messages, after which each side knows that the other has the secret.
//!
//! Channel binding is not offered: Kafka's clients do not know it. Extensions are kept as they came, since they are part
//! of what is signed, and otherwise ignored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::credential::{Credential, ITERATIONS_MAX, salted_password, sign};
use super::{ScramHash, prepared};

/// Longer messages are refused before they are looked at.
const MESSAGE_BYTES_MAX: usize = 4096;
/// More than this many iterations would be an attack on a client.
const CLIENT_ITERATIONS_MAX: u32 = 64 * ITERATIONS_MAX;

/// Why an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// It is not what the RFC has at this place.
    #[error("the message is not one of SCRAM: {0}")]
    Malformed(&'static str),
    /// What the other side demands is not offered.
    #[error("channel binding is not supported")]
    ChannelBinding,
    /// The proof is not of this password.
    #[error("wrong password")]
    WrongProof,
    /// The server said no.
    #[error("the server refused the login: {0}")]
    Refused(String),
    /// Somebody else answers for the server.
    #[error("the server does not know the password either; something stands between")]
    WrongServer,
}

/// What the client sent first, as the server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// The user who wants in.
    pub user: String,
    /// Whom it wants to act as; empty for itself.
    pub authorization_id: String,
    gs2_header: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads it.
    ///
    /// # Errors
    /// When it is malformed, or asks for channel binding.
    pub fn decode(message: &[u8]) -> Result<Self, ScramError> {
        let text = text_of(message)?;
        let mut parts = text.splitn(3, ',');
        let (flag, authorization, bare) = (parts.next(), parts.next(), parts.next());
        match flag {
            Some("n" | "y") => {}
            Some(flag) if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed("no channel binding flag")),
        }
        let authorization = authorization.ok_or(ScramError::Malformed("no authorization id"))?;
        let authorization_id = match authorization.strip_prefix("a=") {
            Some(id) => unescape(id)?,
            None if authorization.is_empty() => String::new(),
            None => return Err(ScramError::Malformed("no authorization id")),
        };
        let bare = bare.ok_or(ScramError::Malformed("no user"))?;
        let mut attributes = bare.split(',');
        let user = unescape(attribute(attributes.next(), "n=")?)?;
        let nonce = attribute(attributes.next(), "r=")?;
        if user.is_empty() || nonce.is_empty() {
            return Err(ScramError::Malformed("an empty user or nonce"));
        }
        let gs2_header = text.strip_suffix(bare).unwrap_or_default();
        Ok(Self {
            user,
            authorization_id,
            gs2_header: gs2_header.to_owned(),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }

    /// Answers with the salt. `server_nonce` is random and without commas.
    #[must_use]
    pub fn challenge(self, credential: Credential, server_nonce: &str) -> Exchange {
        let nonce = self.nonce + server_nonce;
        let salt = STANDARD.encode(&credential.salt);
        Exchange {
            challenge: format!("r={nonce},s={salt},i={}", credential.iterations),
            gs2_header: self.gs2_header,
            client_first_bare: self.bare,
            nonce,
            credential,
        }
    }
}

/// The server between its two messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    challenge: String,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
    credential: Credential,
}

impl Exchange {
    /// What the client is answered.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.challenge.as_bytes()
    }

    /// Checks the proof, and gives the message by which the server proves itself.
    ///
    /// # Errors
    /// When the message is malformed, or the proof wrong.
    pub fn finish(self, client_final: &[u8]) -> Result<Vec<u8>, ScramError> {
        let text = text_of(client_final)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = decode_base64(attribute(attributes.next(), "c=")?)?;
        let nonce = attribute(attributes.next(), "r=")?;
        if binding != self.gs2_header.as_bytes() {
            return Err(ScramError::Malformed("another channel binding than at first"));
        }
        // librdkafka below 2.6.1 puts its own part of the nonce before it once more, which Kafka up to 3.9 takes. What counts is
        // that the server's part is there, which nobody could know before.
        if !nonce.ends_with(&self.nonce) {
            return Err(ScramError::Malformed("another nonce than the one agreed on"));
        }
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.challenge);
        let Credential {
            hash,
            stored_key,
            server_key,
            ..
        } = &self.credential;
        let client_signature = sign(*hash, stored_key, auth_message.as_bytes());
        let client_key = xor(&decode_base64(proof)?, client_signature.as_ref());
        if !self.credential.is_client_key(&client_key) {
            return Err(ScramError::WrongProof);
        }
        let server_signature = sign(*hash, server_key, auth_message.as_bytes());
        Ok(format!("v={}", STANDARD.encode(server_signature.as_ref())).into_bytes())
    }
}

/// A client that has sent its first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLogin {
    hash: ScramHash,
    bare: String,
    nonce: String,
}

impl ClientLogin {
    /// Begins. `nonce` is random and without commas.
    #[must_use]
    pub fn new(hash: ScramHash, user: &str, nonce: &str) -> Self {
        let user = prepared(user).replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            bare: format!("n={user},r={nonce}"),
            nonce: nonce.to_owned(),
        }
    }

    /// The first message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    /// Answers the server's challenge with a proof.
    ///
    /// # Errors
    /// When the challenge is malformed, or asks for too much.
    pub fn prove(self, password: &str, challenge: &[u8]) -> Result<ClientFinal, ScramError> {
        let text = text_of(challenge)?;
        let mut attributes = text.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        let salt = decode_base64(attribute(attributes.next(), "s=")?)?;
        let iterations: u32 = attribute(attributes.next(), "i=")?
            .parse()
            .map_err(|_| ScramError::Malformed("the iterations are no number"))?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Malformed("another nonce than the one sent"));
        }
        if iterations == 0 || iterations > CLIENT_ITERATIONS_MAX {
            return Err(ScramError::Malformed("an impossible number of iterations"));
        }
        let salted = salted_password(self.hash, password, &salt, iterations);
        let client_key = sign(self.hash, &salted, b"Client Key");
        let stored_key = ring::digest::digest(self.hash.digest(), client_key.as_ref());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode("n,,"));
        let auth_message = format!("{},{text},{without_proof}", self.bare);
        let client_signature = sign(self.hash, stored_key.as_ref(), auth_message.as_bytes());
        let proof = STANDARD.encode(xor(client_key.as_ref(), client_signature.as_ref()));
        let server_key = sign(self.hash, &salted, b"Server Key");
        let server_signature = sign(self.hash, server_key.as_ref(), auth_message.as_bytes());
        Ok(ClientFinal {
            message: format!("{without_proof},p={proof}"),
            server_signature: server_signature.as_ref().to_vec(),
        })
    }
}

/// A client that has sent its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFinal {
    message: String,
    server_signature: Vec<u8>,
}

impl ClientFinal {
    /// The last message of the client.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Checks that the server has the credential.
    ///
    /// # Errors
    /// When it has not, or says no.
    pub fn check(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let text = text_of(server_final)?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(ScramError::Refused(error.to_owned()));
        }
        let signature = decode_base64(attribute(text.split(',').next(), "v=")?)?;
        if bool::from(signature.as_slice().ct_eq(&self.server_signature)) {
            Ok(())
        } else {
            Err(ScramError::WrongServer)
        }
    }
}

fn text_of(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed("it is too long"));
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("it is not UTF-8"))
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    part.and_then(|part| part.strip_prefix(name))
        .ok_or(ScramError::Malformed("an attribute is missing or out of place"))
}

fn unescape(name: &str) -> Result<String, ScramError> {
    let mut pieces = name.split('=');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (with, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Malformed("a bad escape in a name")),
        };
        plain.push(with);
        plain.push_str(rest);
    }
    Ok(plain)
}

fn decode_base64(text: &str) -> Result<Vec<u8>, ScramError> {
    STANDARD.decode(text).map_err(|_| ScramError::Malformed("bad base64"))
}

/// Of unequal lengths it makes what fits no key.
fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    if one.len() != other.len() {
        return Vec::new();
    }
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests;
