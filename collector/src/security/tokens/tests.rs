//! Tokens as they should be, and one thing wrong at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use super::*;

const MINUTE: u64 = 60;

/// Somebody who signs tokens.
struct Provider {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ed = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self { ec, ed }
    }

    fn keys(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
        json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "x": x, "y": y },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": base64(self.ed.public_key()) },
            // Keys that are not for us.
            { "kty": "EC", "crv": "P-256", "kid": "enc", "use": "enc", "x": x, "y": y },
            { "kty": "oct", "kid": "oct", "k": base64("secret") },
            { "kty": "new", "kid": "new", "q": "?" },
            { "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "x": x, "y": y },
            { "kty": "OKP", "crv": "X448", "use": "enc", "x": x },
            { "kty": "RSA", "n": "not base64!", "e": "AQAB", "x5c": [x] },
        ] })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = match header["alg"].as_str() {
            Some("EdDSA") => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
            Some("none") => Vec::new(),
            Some("HS256") => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.ec.public_key().as_ref());
                ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            _ => {
                let signed = self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
                signed.as_ref().to_vec()
            }
        };
        format!("{message}.{}", base64(signature))
    }
}

fn claims() -> Value {
    let now = get_current_timestamp();
    json!({ "sub": "ann", "iss": "https://login", "aud": ["other", "logs"], "exp": now + 5 * MINUTE, "nbf": now })
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "ec" })
}

fn with(mut value: Value, key: &str, other: Value) -> Value {
    value[key] = other;
    value
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value
}

fn config(dir: &TempDir, keys: &Value) -> OauthConfig {
    let jwks = dir.path().join("jwks.json");
    fs::write(&jwks, keys.to_string()).unwrap();
    OauthConfig {
        jwks,
        issuer: "https://login".to_owned(),
        audience: vec!["logs".to_owned()],
        principal_claim: "sub".to_owned(),
    }
}

#[test]
fn a_token_lets_its_user_in_until_it_expires() {
    let (dir, provider) = (tempfile::tempdir().unwrap(), Provider::new());
    let tokens = Tokens::load(config(&dir, &provider.keys())).unwrap();
    for header in [
        header(),
        without(header(), "kid"),
        json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" }),
        json!({ "alg": "EdDSA" }),
    ] {
        let bearer = tokens.check(&provider.sign(&header, &claims())).unwrap();
        assert_eq!(bearer.user, "ann");
        let (least, most) = (Duration::from_secs(5 * MINUTE), Duration::from_secs(6 * MINUTE));
        assert!(bearer.holds > least && bearer.holds < most, "{:?}", bearer.holds);
    }
    let fraction = with(claims(), "exp", json!(get_current_timestamp() as f64 + 100.5));
    assert!(tokens.check(&provider.sign(&header(), &fraction)).is_ok());
    let just_over = with(claims(), "exp", json!(get_current_timestamp() - 5));
    assert!(tokens.check(&provider.sign(&header(), &just_over)).unwrap().holds >= Duration::from_secs(1));
}

#[test]
fn what_is_wrong_with_a_token_lets_nobody_in_and_is_not_told_with_the_token() {
    let (dir, provider, other) = (tempfile::tempdir().unwrap(), Provider::new(), Provider::new());
    let tokens = Tokens::load(config(&dir, &provider.keys())).unwrap();
    let now = get_current_timestamp();
    let of = |claims: Value| provider.sign(&header(), &claims);
    let good = of(claims());
    let mut parts = good.split('.');
    let (head, signature) = (parts.next().unwrap(), parts.nth(1).unwrap());
    let swapped = format!(
        "{head}.{}.{signature}",
        base64(with(claims(), "sub", json!("root")).to_string())
    );
    for (token, reason) in [
        (String::new(), "InvalidToken"),
        ("a.b.c".to_owned(), ""),
        (good.replace('.', "!"), "InvalidToken"),
        (swapped, "InvalidSignature"),
        (other.sign(&header(), &claims()), "InvalidSignature"),
        (provider.sign(&json!({ "alg": "none" }), &claims()), ""),
        (provider.sign(&json!({ "alg": "HS256" }), &claims()), "no key"),
        (
            provider.sign(&json!({ "alg": "HS256", "kid": "oct" }), &claims()),
            "no key",
        ),
        (provider.sign(&with(header(), "kid", json!("enc")), &claims()), "no key"),
        (
            provider.sign(&with(header(), "kid", json!("gone")), &claims()),
            "has the provider new keys",
        ),
        (
            provider.sign(&with(header(), "alg", json!("ES384")), &claims()),
            "InvalidSignature",
        ),
        (of(without(claims(), "exp")), "exp"),
        (of(with(claims(), "exp", json!(now - MINUTE))), "ExpiredSignature"),
        (of(with(claims(), "exp", json!("never"))), "exp"),
        (of(with(claims(), "nbf", json!(now + MINUTE))), "ImmatureSignature"),
        (of(without(claims(), "iss")), "iss"),
        (of(with(claims(), "iss", json!("https://evil"))), "InvalidIssuer"),
        (of(without(claims(), "aud")), "aud"),
        (of(with(claims(), "aud", json!("mail"))), "InvalidAudience"),
        (of(without(claims(), "sub")), "claim sub names nobody"),
        (of(with(claims(), "sub", json!(""))), "claim sub names nobody"),
        (of(with(claims(), "sub", json!(7))), "claim sub names nobody"),
        (
            of(with(claims(), "sub", json!("x".repeat(1025)))),
            "claim sub names nobody",
        ),
    ] {
        let said = tokens.check(&token).unwrap_err().to_string();
        assert!(said.contains(reason), "{reason}: {said}");
        assert!(token.is_empty() || !said.contains(&token));
    }
    assert!(tokens.check(&good).is_ok());
}

#[test]
fn the_user_may_stand_in_another_claim() {
    let (dir, provider) = (tempfile::tempdir().unwrap(), Provider::new());
    let principal_claim = "preferred_username".to_owned();
    let config = OauthConfig {
        principal_claim,
        ..config(&dir, &provider.keys())
    };
    let tokens = Tokens::load(config).unwrap();
    let named = with(claims(), "preferred_username", json!("ann@example"));
    assert_eq!(
        tokens.check(&provider.sign(&header(), &named)).unwrap().user,
        "ann@example"
    );
    assert!(tokens.check(&provider.sign(&header(), &claims())).is_err());
}

#[test]
fn new_keys_are_taken_and_a_broken_file_is_not() {
    let (dir, old, new) = (tempfile::tempdir().unwrap(), Provider::new(), Provider::new());
    let config = config(&dir, &old.keys());
    let tokens = Tokens::load(config.clone()).unwrap();
    let (old_token, new_token) = (old.sign(&header(), &claims()), new.sign(&header(), &claims()));
    assert!(tokens.check(&old_token).is_ok());
    fs::write(&config.jwks, "{").unwrap();
    assert!(tokens.check(&old_token).is_ok());
    fs::write(&config.jwks, new.keys().to_string()).unwrap();
    assert!(tokens.check(&old_token).is_err());
    assert!(tokens.check(&new_token).is_ok());
}

#[test]
fn a_file_without_keys_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (keys, reason) in [
        (json!({ "keys": [] }), "no public key"),
        (json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }), "no public key"),
        (json!([]), "no JSON Web Key Set"),
    ] {
        let said = Tokens::load(config(&dir, &keys)).unwrap_err().to_string();
        assert!(said.contains(reason) && said.contains("jwks.json"), "{said}");
    }
    let mut config = config(&dir, &json!({}));
    config.jwks = dir.path().join("nowhere");
    let said = Tokens::load(config).unwrap_err().to_string();
    assert!(said.contains("nowhere") && said.contains("jwks_uri"), "{said}");
}
