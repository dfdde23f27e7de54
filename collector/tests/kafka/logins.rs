//! Logins over a plain socket, byte by byte where it matters; real clients do the rest.

use tailrace_collector::config::{CollectorConfig, UserConfig};
use tailrace_shared::config::{HumanDuration, Secret};
use tailrace_shared::kafka::messages::*;
use tailrace_shared::sasl::Mechanism;
use tokio::io::AsyncWriteExt;

use super::support::*;

fn with_logins(config: &mut CollectorConfig) {
    config.kafka.sasl = vec![Mechanism::default(), Mechanism::Plain];
    config.users.push(UserConfig {
        name: "admin".to_owned(),
        password: Secret::new("secret".to_owned()),
    });
}

async fn choose(client: &mut Client, mechanism: &str, version: i16) -> &'static str {
    let request = SaslHandshakeRequest {
        mechanism: text(mechanism),
    };
    name_of(client.ask(&request, version).await.error_code)
}

async fn log_in(client: &mut Client, message: &'static [u8]) -> SaslAuthenticateResponse {
    assert_eq!(choose(client, "PLAIN", 1).await, "NONE");
    let request = SaslAuthenticateRequest {
        auth_bytes: message.into(),
    };
    client.newest(&request).await
}

async fn send_bare(client: &mut Client, message: &[u8]) {
    client
        .socket
        .write_u32(u32::try_from(message.len()).unwrap())
        .await
        .unwrap();
    client.socket.write_all(message).await.unwrap();
}

#[tokio::test]
async fn after_a_handshake_of_version_0_messages_come_bare() {
    let server = Server::start_with(with_logins).await;
    let mut client = server.client().await;
    assert_eq!(choose(&mut client, "PLAIN", 0).await, "NONE");
    send_bare(&mut client, b"\0admin\0secret").await;
    assert_eq!(client.frame().await.unwrap(), "");
    assert_eq!(client.newest(&MetadataRequest::default()).await.brokers.len(), 1);

    let mut other = server.client().await;
    assert_eq!(choose(&mut other, "PLAIN", 0).await, "NONE");
    send_bare(&mut other, b"\0admin\0wrong").await;
    assert_eq!(other.frame().await, None);
}

#[tokio::test]
async fn a_refused_login_is_answered_and_then_the_connection_ends() {
    let server = Server::start_with(with_logins).await;
    for message in [
        &b"\0admin\0wrong"[..],
        b"\0nobody\0secret",
        b"nonsense",
        b"root\0admin\0secret",
    ] {
        let mut client = server.client().await;
        let answer = log_in(&mut client, message).await;
        assert_eq!(name_of(answer.error_code), "SASL_AUTHENTICATION_FAILED");
        assert_eq!(
            answer.error_message.unwrap(),
            "the login failed: wrong user, password or token"
        );
        assert_eq!(client.frame().await, None);
    }
    let mut client = server.client().await;
    assert_eq!(choose(&mut client, "GSSAPI", 1).await, "UNSUPPORTED_SASL_MECHANISM");
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn a_stranger_may_ask_for_versions_and_for_nothing_large() {
    let server = Server::start_with(with_logins).await;
    let mut client = server.client().await;
    assert_eq!(client.newest(&ApiVersionsRequest::default()).await.error_code, 0);
    client.send(&MetadataRequest::default(), 12).await;
    assert_eq!(client.frame().await, None);
    let mut client = server.client().await;
    client.socket.write_u32(600 << 10).await.unwrap();
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn a_login_lapses_unless_it_is_renewed() {
    let server = Server::start_with(|config| {
        with_logins(config);
        config.kafka.login_lifetime = Some(HumanDuration::secs(2));
    })
    .await;
    let mut lapsing = server.client().await;
    let mut renewing = server.client().await;
    for client in [&mut lapsing, &mut renewing] {
        let answer = log_in(client, b"\0admin\0secret").await;
        assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 2_000));
        assert_eq!(client.newest(&MetadataRequest::default()).await.brokers.len(), 1);
    }
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    lapsing.send(&MetadataRequest::default(), 12).await;
    assert_eq!(lapsing.frame().await, None);
    assert_eq!(log_in(&mut renewing, b"\0admin\0secret").await.error_code, 0);
    assert_eq!(renewing.newest(&MetadataRequest::default()).await.brokers.len(), 1);
}
