//! TLS of a listener. Its files are read again when they change; a new set that cannot be used leaves the old one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsError, authorities, certificates, private_key, provider};
use crate::clock::TimestampMs;
use crate::reloading::Reloading;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// It is not asked for one.
    #[default]
    None,
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// The files of a listener's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, with those between it and an authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who may sign clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

impl TlsFiles {
    /// What is read again when it changes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let always = [&self.cert, &self.key];
        always.into_iter().chain(&self.client_ca).map(PathBuf::as_path)
    }

    /// Whether clients are to be verified, and nothing says by whom.
    #[must_use]
    pub fn lacks_authority(&self) -> bool {
        self.client_auth != ClientAuth::None && self.client_ca.is_none()
    }
}

/// Why a connection did not become one of TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It did not even try.
    #[error("the client is not on TLS")]
    Plain,
    /// It tried, or took too long.
    #[error("the TLS handshake failed: {0}")]
    Failed(#[source] io::Error),
}

/// TLS as a server does it.
#[derive(Debug)]
pub struct TlsServer {
    loaded: Reloading<Loaded>,
}

#[derive(Debug, Clone)]
struct Loaded {
    config: Arc<ServerConfig>,
    expires_at: Option<TimestampMs>,
}

impl TlsServer {
    /// Reads the files, and reads them again once they change.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let paths = files.paths().map(Path::to_owned).collect();
        Ok(Self {
            loaded: Reloading::new(paths, move || files.load())?,
        })
    }

    /// The handshake of a new connection, with the files as they are now.
    ///
    /// # Errors
    /// When the client does not do TLS, cannot be trusted, or takes too long.
    pub async fn accept<S>(&self, stream: S) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match timeout(HANDSHAKE_TIMEOUT, self.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if is_plain(&error) => Err(HandshakeError::Plain),
            Ok(Err(error)) => Err(HandshakeError::Failed(error)),
            Err(_) => Err(HandshakeError::Failed(io::ErrorKind::TimedOut.into())),
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.loaded.current().config)
    }

    /// Until when the certificate holds that is shown now.
    #[must_use]
    pub fn expires_at(&self) -> Option<TimestampMs> {
        self.loaded.current().expires_at
    }
}

impl TlsFiles {
    fn load(&self) -> Result<Loaded, TlsError> {
        let chain = certificates(&self.cert)?;
        let expires_at = chain.first().and_then(|first| expires_at(first));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = match self.client_verifier()? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder
            .with_single_cert(chain, private_key(&self.key)?)
            .map_err(|source| TlsError::Pair {
                cert: self.cert.clone(),
                key: self.key.clone(),
                source,
            })?;
        Ok(Loaded {
            config: Arc::new(config),
            expires_at,
        })
    }

    fn client_verifier(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some(ca) = self.client_ca.as_ref().filter(|_| self.client_auth != ClientAuth::None) else {
            return Ok(None);
        };
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(ca)?), provider());
        let builder = match self.client_auth {
            ClientAuth::Required => builder,
            ClientAuth::Optional | ClientAuth::None => builder.allow_unauthenticated(),
        };
        let verifier = builder.build().map_err(|error| TlsError::Content {
            path: ca.clone(),
            what: "certificate authority",
            reason: error.to_string(),
        })?;
        Ok(Some(verifier))
    }
}

/// Until when a certificate holds, as a Unix time in milliseconds; `None` if it cannot be read.
fn expires_at(certificate: &[u8]) -> Option<TimestampMs> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    certificate.validity().not_after.timestamp().checked_mul(1000)
}

/// Whether the client did not even try.
fn is_plain(error: &io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
        ))
    )
}

#[cfg(test)]
mod tests;
