//! Logins in order and out of order.

use tailrace_shared::sasl::{ClientLogin, Credential, ITERATIONS_MIN};

use super::*;

const NOW: Duration = Duration::from_secs(100);
const HOUR: Duration = Duration::from_secs(3600);

fn login(lifetime: Option<Duration>) -> Login {
    Login::new(Mechanism::ALL.to_vec(), Principal::ANONYMOUS, lifetime)
}

/// Goes through the exchange as the user with the password.
fn scram(login: &mut Login, user: &str, password: &str) -> Result<(), LoginError> {
    let hash = ScramHash::Sha256;
    login.choose("SCRAM-SHA-256", false)?;
    let client = ClientLogin::new(hash, user, "nonce");
    let Step::Challenge(ScramHash::Sha256, first) = login.step(&client.message())? else {
        panic!()
    };
    let stored = Credential::of_password(hash, "secret", b"salt".to_vec(), ITERATIONS_MIN).unwrap();
    let exchange = first.challenge(stored, "more");
    let proof = client.prove(password, exchange.message()).unwrap();
    login.challenge(user.to_owned(), exchange);
    let Step::Proved(proved, answer) = login.step(proof.message())? else {
        panic!()
    };
    proof.check(&answer).unwrap();
    login.conclude(&proved, None, NOW).map(drop)
}

#[test]
fn before_a_login_nothing_else_is_taken() {
    let mut login = login(None);
    for api in [ApiKey::Produce, ApiKey::Metadata, ApiKey::CreateAcls] {
        assert_eq!(login.admit(api, NOW), Err(LoginError::Unauthenticated(api)));
    }
    assert_eq!(login.admit(ApiKey::ApiVersions, NOW), Ok(()));
    scram(&mut login, "ann", "secret").unwrap();
    assert_eq!(login.admit(ApiKey::Produce, NOW + HOUR), Ok(()));
    assert_eq!(login.principal().as_str(), "User:ann");
}

#[test]
fn where_no_login_is_asked_for_everything_is_taken_but_one() {
    let mut open = Login::new(Vec::new(), Principal::ANONYMOUS, None);
    assert_eq!(open.admit(ApiKey::Produce, NOW), Ok(()));
    assert_eq!(
        open.choose("PLAIN", false),
        Err(LoginError::OutOfOrder(ApiKey::SaslHandshake))
    );
    assert!(matches!(open.step(b"\0ann\0secret"), Err(LoginError::OutOfOrder(_))));
}

#[test]
fn a_token_is_read_and_a_login_by_it_holds_no_longer_than_the_token() {
    for (lifetime, expected) in [(None, HOUR), (Some(HOUR * 2), HOUR), (Some(HOUR / 2), HOUR / 2)] {
        let mut login = login(lifetime);
        login.choose("OAUTHBEARER", false).unwrap();
        let Step::CheckToken(bearer) = login.step(b"n,,\x01auth=Bearer a.b.c\x01\x01").unwrap() else {
            panic!()
        };
        assert_eq!(bearer.token, "a.b.c");
        assert_eq!(login.conclude("ann", Some(HOUR), NOW), Ok(expected));
        assert_eq!(
            login.admit(ApiKey::Produce, NOW + expected),
            Err(LoginError::Expired(ApiKey::Produce))
        );
    }
    let mut login = login(None);
    login.choose("OAUTHBEARER", false).unwrap();
    assert!(matches!(login.step(b"\0ann\0secret"), Err(LoginError::Failed { .. })));
    assert!(acts_as_itself("ann", "root").is_err());
}

#[test]
fn a_wrong_password_leaves_the_connection_outside() {
    let mut login = login(None);
    let refused = scram(&mut login, "ann", "wrong").unwrap_err();
    assert!(
        matches!(&refused, LoginError::Failed { user, .. } if user == "ann"),
        "{refused}"
    );
    assert!(login.admit(ApiKey::Produce, NOW).is_err());
    assert_eq!(login.principal(), &Principal::ANONYMOUS);
}

#[test]
fn messages_out_of_order_are_refused() {
    let out_of_order = |result: Result<Step, LoginError>| matches!(result, Err(LoginError::OutOfOrder(_)));
    let mut login = login(None);
    assert!(out_of_order(login.step(b"\0ann\0secret")), "nothing was chosen");
    login.choose("PLAIN", false).unwrap();
    assert_eq!(
        login.choose("PLAIN", false),
        Err(LoginError::OutOfOrder(ApiKey::SaslHandshake))
    );
    assert_eq!(
        login.admit(ApiKey::ApiVersions, NOW),
        Err(LoginError::Unauthenticated(ApiKey::ApiVersions))
    );
    assert!(matches!(login.step(b"\0ann\0secret"), Ok(Step::CheckPassword(_))));
    assert!(out_of_order(login.step(b"\0ann\0secret")), "a message is taken once");
    assert!(matches!(login.choose("GSSAPI", false), Err(LoginError::Mechanism(name)) if name == "GSSAPI"));
    let mut plain_only = Login::new(vec![Mechanism::Plain], Principal::ANONYMOUS, None);
    assert!(matches!(
        plain_only.choose("SCRAM-SHA-256", false),
        Err(LoginError::Mechanism(_))
    ));
}

#[test]
fn nobody_acts_for_another_user() {
    let mut login = login(None);
    login.choose("PLAIN", false).unwrap();
    assert!(matches!(
        login.step(b"root\0ann\0secret"),
        Err(LoginError::Failed { .. })
    ));
    login.choose("SCRAM-SHA-512", false).unwrap();
    assert!(matches!(
        login.step(b"n,a=root,n=ann,r=x"),
        Err(LoginError::Failed { .. })
    ));
}

#[test]
fn a_login_expires_and_may_be_renewed_by_the_same_user_only() {
    let mut login = login(Some(HOUR));
    scram(&mut login, "ann", "secret").unwrap();
    assert_eq!(
        login.admit(ApiKey::Fetch, NOW + HOUR - Duration::from_millis(1)),
        Ok(())
    );
    assert_eq!(
        login.admit(ApiKey::Fetch, NOW + HOUR),
        Err(LoginError::Expired(ApiKey::Fetch))
    );
    assert!(matches!(
        scram(&mut login, "bob", "secret"),
        Err(LoginError::Failed { .. })
    ));
    assert_eq!(login.principal().as_str(), "User:ann");
    login.choose("PLAIN", false).unwrap();
    assert!(login.step(b"\0ann\0secret").is_ok());
    assert_eq!(login.conclude("ann", None, NOW + HOUR), Ok(HOUR));
    assert_eq!(login.admit(ApiKey::Fetch, NOW + HOUR), Ok(()));
}
