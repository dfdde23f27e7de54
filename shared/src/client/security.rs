//! TLS and the login at the start of a connection.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use rand::Rng;
use rand::distr::Alphanumeric;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ClientError, Connection};
use crate::config::Secret;
use crate::kafka::ErrorCode;
use crate::kafka::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use crate::reloading::Reloading;
use crate::sasl::{BearerLogin, ClientLogin, Mechanism, PlainLogin, ScramError};

const NONCE_LEN: usize = 32;

/// How a connection is kept from others, and whose it is.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// TLS, if the brokers expect it, with the files as they are when a connection begins.
    pub tls: Option<Arc<Reloading<Arc<ClientConfig>>>>,
    /// A login, if the brokers expect one.
    pub login: Option<Credentials>,
}

/// Who logs in.
#[derive(Clone)]
pub struct Credentials {
    /// How.
    pub mechanism: Mechanism,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Credentials");
        debug.field("mechanism", &self.mechanism).field("user", &self.user);
        debug.finish_non_exhaustive()
    }
}

/// Why TLS did not come about; the certificate has to be for the host that was asked for.
pub(super) async fn start_tls(
    config: Arc<ClientConfig>,
    address: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await.map_err(explain)
}

/// What an operator can do about the failures that are met most.
fn explain(error: io::Error) -> io::Error {
    use rustls::{CertificateError, Error, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let hint = match inner {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => "the broker does not speak TLS on this port",
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "the broker's certificate is signed by nobody who is trusted here: is tls.ca the right file?"
        }
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "the broker's certificate has expired"
        }
        Some(Error::AlertReceived(_)) => {
            "the broker refused: does it ask for a client's certificate (tls.cert, tls.key)?"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{hint} ({error})"))
}

impl Connection {
    /// Logs in, and proves the broker too where the mechanism does.
    pub(super) async fn log_in(&self, who: &Credentials, timeout: Duration) -> Result<(), ClientError> {
        let handshake = SaslHandshakeRequest {
            mechanism: ByteString::from_static(who.mechanism.name()),
        };
        let answer = self.send_within(&handshake, timeout).await?;
        if ErrorCode::from_code(answer.error_code).is_error() {
            let offered: Vec<&str> = answer.mechanisms.iter().map(|name| &**name).collect();
            let offered = if offered.is_empty() {
                "none".to_owned()
            } else {
                offered.join(", ")
            };
            return Err(self.refused(who, format!("{} is not offered; offered: {offered}", who.mechanism)));
        }
        let hash = match who.mechanism {
            Mechanism::Plain => {
                let login = PlainLogin {
                    authorization_id: String::new(),
                    user: who.user.clone(),
                    password: who.password.expose().to_owned(),
                };
                return self.exchange(who, login.encode(), timeout).await.map(drop);
            }
            Mechanism::OauthBearer => {
                let login = BearerLogin {
                    authorization_id: String::new(),
                    token: who.password.expose().trim().to_owned(),
                };
                return self.exchange(who, login.encode(), timeout).await.map(drop);
            }
            Mechanism::Scram(hash) => hash,
        };
        let nonce: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(NONCE_LEN)
            .map(char::from)
            .collect();
        let login = ClientLogin::new(hash, &who.user, &nonce);
        let challenge = self.exchange(who, login.message(), timeout).await?;
        let failed = |error: ScramError| self.refused(who, error.to_string());
        let proved = login.prove(who.password.expose(), &challenge).map_err(failed)?;
        let answer = self.exchange(who, proved.message().to_vec(), timeout).await?;
        proved.check(&answer).map_err(failed)
    }

    async fn exchange(&self, who: &Credentials, message: Vec<u8>, timeout: Duration) -> Result<Bytes, ClientError> {
        let request = SaslAuthenticateRequest {
            auth_bytes: message.into(),
        };
        let answer = self.send_within(&request, timeout).await?;
        let code = ErrorCode::from_code(answer.error_code);
        if code.is_error() {
            let message = answer.error_message.filter(|message| !message.is_empty());
            return Err(self.refused(who, message.map_or_else(|| code.to_string(), String::from)));
        }
        Ok(answer.auth_bytes)
    }

    fn refused(&self, who: &Credentials, reason: String) -> ClientError {
        ClientError::Login {
            address: self.address().to_owned(),
            user: who.user.clone(),
            reason,
        }
    }
}
