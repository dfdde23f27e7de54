//! Both ends against each other, against the examples of the RFCs, and against nonsense.

use proptest::prelude::*;

use super::*;
use crate::sasl::{ITERATIONS_MIN, InvalidCredential};

/// RFC 7677, section 3.
#[test]
fn the_example_of_the_rfc_is_reproduced_by_both_ends() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let credential = Credential::of_password(ScramHash::Sha256, "pencil", salt, 4096).unwrap();

    let client = ClientLogin::new(ScramHash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO");
    assert_eq!(client.message(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let exchange = ClientFirst::decode(&client.message())
        .unwrap()
        .challenge(credential, server_nonce);
    assert_eq!(
        text_of(exchange.message()).unwrap(),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let proved = client.prove("pencil", exchange.message()).unwrap();
    assert_eq!(
        text_of(proved.message()).unwrap(),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    let answer = exchange.finish(proved.message()).unwrap();
    assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(proved.check(&answer), Ok(()));
}

fn credential(hash: ScramHash, password: &str) -> Credential {
    Credential::of_password(hash, password, b"salt".to_vec(), ITERATIONS_MIN).unwrap()
}

/// The whole exchange, as far as it goes.
fn login(hash: ScramHash, user: &str, password: &str, stored: &Credential) -> Result<(), ScramError> {
    let client = ClientLogin::new(hash, user, "client-nonce");
    let first = ClientFirst::decode(&client.message())?;
    assert_eq!(first.user, user);
    let exchange = first.challenge(stored.clone(), "server-nonce");
    let proved = client.prove(password, exchange.message())?;
    let answer = exchange.finish(proved.message())?;
    proved.check(&answer)
}

#[test]
fn the_right_password_and_no_other_gets_in() {
    for hash in ScramHash::ALL {
        let stored = credential(hash, "pässwörd");
        for user in ["ann", "a,b=c", "=2C"] {
            assert_eq!(login(hash, user, "pässwörd", &stored), Ok(()));
        }
        assert_eq!(login(hash, "ann", "password", &stored), Err(ScramError::WrongProof));
        assert!(stored.is_of_password("pässwörd") && !stored.is_of_password("password"));
    }
    let other_hash = credential(ScramHash::Sha512, "x");
    assert_eq!(
        login(ScramHash::Sha256, "ann", "x", &other_hash),
        Err(ScramError::WrongProof)
    );
}

#[test]
fn a_server_without_the_credential_is_noticed() {
    let client = ClientLogin::new(ScramHash::Sha256, "ann", "nonce");
    let proved = client.prove("x", b"r=nonceX,s=c2FsdA==,i=4096").unwrap();
    let forged = format!("v={}", STANDARD.encode([0; 32]));
    assert_eq!(proved.check(forged.as_bytes()), Err(ScramError::WrongServer));
    assert_eq!(proved.check(b"v="), Err(ScramError::WrongServer));
    assert_eq!(
        proved.check(b"e=other-error"),
        Err(ScramError::Refused("other-error".to_owned()))
    );
}

#[test]
fn what_a_server_must_not_ask_is_refused() {
    for challenge in [
        "r=other,s=c2FsdA==,i=4096",
        "r=nonce,s=c2FsdA==,i=4096",
        "r=nonceX,s=c2FsdA==,i=0",
        "r=nonceX,s=c2FsdA==,i=4000000000",
        "r=nonceX,s=!,i=4096",
        "s=c2FsdA==,r=nonceX,i=4096",
    ] {
        let client = ClientLogin::new(ScramHash::Sha256, "ann", "nonce");
        let refused = client.prove("x", challenge.as_bytes()).unwrap_err();
        assert!(matches!(refused, ScramError::Malformed(_)), "{challenge}");
    }
}

#[test]
fn what_a_client_must_not_send_is_refused() {
    for (first, expected) in [
        ("p=tls-unique,,n=ann,r=x", ScramError::ChannelBinding),
        ("x,,n=ann,r=x", ScramError::Malformed("no channel binding flag")),
        ("n,b,n=ann,r=x", ScramError::Malformed("no authorization id")),
        ("n,,n=,r=x", ScramError::Malformed("an empty user or nonce")),
        ("n,,n=a=2Db,r=x", ScramError::Malformed("a bad escape in a name")),
        (
            "n,,m=ext,n=ann,r=x",
            ScramError::Malformed("an attribute is missing or out of place"),
        ),
    ] {
        assert_eq!(ClientFirst::decode(first.as_bytes()), Err(expected), "{first}");
    }
    let exchange = || {
        let first = ClientFirst::decode(b"y,a=bob,n=ann,r=x,tokenauth=true").unwrap();
        assert_eq!(first.authorization_id, "bob");
        first.challenge(credential(ScramHash::Sha256, "x"), "y")
    };
    for last in [
        "c=biws,r=xy,p=AAAA".to_owned(),
        format!("c={},r=xz,p=AAAA", STANDARD.encode("y,a=bob,")),
        format!("c={},r=xy", STANDARD.encode("y,a=bob,")),
    ] {
        let refused = exchange().finish(last.as_bytes()).unwrap_err();
        assert!(matches!(refused, ScramError::Malformed(_)), "{last}");
    }
    let short = format!("c={},r=xy,p=AAAA", STANDARD.encode("y,a=bob,"));
    assert_eq!(exchange().finish(short.as_bytes()), Err(ScramError::WrongProof));
}

#[test]
fn a_credential_has_bounds() {
    let of = |iterations, salt: &[u8], len: usize| {
        Credential::of_salted_password(ScramHash::Sha256, &vec![1; len], salt.to_vec(), iterations).err()
    };
    assert_eq!(of(4096, b"s", 32), None);
    assert_eq!(of(4095, b"s", 32), Some(InvalidCredential::Iterations(4095)));
    assert_eq!(of(-1, b"s", 32), Some(InvalidCredential::Iterations(-1)));
    assert_eq!(of(16_385, b"s", 32), Some(InvalidCredential::Iterations(16_385)));
    assert_eq!(of(4096, b"", 32), Some(InvalidCredential::Salt(0)));
    let wrong = InvalidCredential::SaltedPassword {
        found: 64,
        expected: 32,
    };
    assert_eq!(of(4096, b"s", 64), Some(wrong));
    let shown = format!("{:?}", credential(ScramHash::Sha256, "x"));
    assert!(shown.contains("4096") && !shown.contains("key"), "{shown}");
}

#[test]
fn a_client_that_repeats_its_part_of_the_nonce_gets_in() {
    let stored = credential(ScramHash::Sha256, "x");
    let client = ClientLogin::new(ScramHash::Sha256, "ann", "mine");
    let exchange = ClientFirst::decode(&client.message())
        .unwrap()
        .challenge(stored.clone(), "yours");
    let challenge = String::from_utf8(exchange.message().to_vec()).unwrap();
    let without_proof = "c=biws,r=minemineyours";
    let signed = format!("{},{challenge},{without_proof}", client.bare);
    let client_key = sign(
        stored.hash,
        &salted_password(stored.hash, "x", &stored.salt, stored.iterations),
        b"Client Key",
    );
    let proof = xor(
        client_key.as_ref(),
        sign(stored.hash, &stored.stored_key, signed.as_bytes()).as_ref(),
    );
    let last = format!("{without_proof},p={}", STANDARD.encode(proof));
    assert!(exchange.finish(last.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn nonsense_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let exchange = ClientFirst::decode(b"n,,n=ann,r=x").unwrap().challenge(credential(ScramHash::Sha256, "x"), "y");
        prop_assert!(exchange.finish(&bytes).is_err());
        let client = ClientLogin::new(ScramHash::Sha256, "ann", "nonce");
        prop_assert!(client.prove("x", &bytes).is_err());
        ClientFirst::decode(&bytes).ok();
    }
}
