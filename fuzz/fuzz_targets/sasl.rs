//! What a stranger sends to log in: two bytes of length, the first message of SCRAM, and then its last, or one of PLAIN
//! or OAUTHBEARER. Nobody gets in whose proof was not made with the password, and what is read of the others is the
//! same when it is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tailrace_fuzz::Input;
use tailrace_shared::sasl::{BearerLogin, ClientFirst, Credential, PlainLogin, ScramHash};

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let first_len = usize::from(input.short());
    let first = input.bytes(first_len);
    let rest = input.0;
    if let Some(login) = PlainLogin::decode(rest) {
        assert_eq!(PlainLogin::decode(&login.encode()), Some(login));
    }
    if let Some(login) = BearerLogin::decode(rest) {
        assert_eq!(BearerLogin::decode(&login.encode()), Some(login));
    }
    let Ok(first) = ClientFirst::decode(first) else {
        return;
    };
    assert!(!first.user.is_empty());
    let credential = Credential {
        hash: ScramHash::Sha256,
        salt: b"salt".to_vec(),
        iterations: 4096,
        stored_key: vec![7; 32],
        server_key: vec![8; 32],
    };
    assert!(first.challenge(credential, "server").finish(rest).is_err());
});
