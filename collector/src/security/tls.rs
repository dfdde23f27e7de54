//! TLS of a listener. Its files are read again when they change; a new set that cannot be used leaves the old one.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde::Deserialize;
use tailrace_shared::clock::TimestampMs;
use tailrace_shared::reloading::Reloading;
use tailrace_shared::tls::{TlsError, authorities, certificates, private_key, provider};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Principal, certificate};

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
        let paths = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
        let paths = paths.into_iter().flatten().cloned().collect();
        Ok(Self {
            loaded: Reloading::new(paths, move || files.load())?,
        })
    }

    /// For the next handshake, with the files as they are now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
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
        let expires_at = chain.first().and_then(|first| certificate::expires_at(first));
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

/// Whose certificate the client showed, if it did.
pub(crate) fn peer_principal<S>(stream: &TlsStream<S>) -> Option<Principal> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    certificate::principal(certificates.first()?)
}

#[cfg(test)]
mod tests;
