//! TLS of a listener. Its files are read again when they change; a new set that cannot be used leaves the old one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde::Deserialize;
use tailrace_shared::clock::TimestampMs;
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
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    /// As the files were when they were last looked at, whether they could be used or not.
    stamps: Vec<Stamp>,
    config: Arc<ServerConfig>,
    expires_at: Option<TimestampMs>,
}

/// By what a file is known to be another one.
type Stamp = Option<(SystemTime, u64)>;

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = Mutex::new(files.load()?);
        Ok(Self { files, loaded })
    }

    /// For the next handshake, with the files as they are now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock();
        self.refresh(&mut loaded);
        TlsAcceptor::from(Arc::clone(&loaded.config))
    }

    /// Until when the certificate holds that is shown now.
    #[must_use]
    pub fn expires_at(&self) -> Option<TimestampMs> {
        let mut loaded = self.loaded.lock();
        self.refresh(&mut loaded);
        loaded.expires_at
    }

    fn refresh(&self, loaded: &mut Loaded) {
        let stamps = self.files.stamps();
        if stamps == loaded.stamps {
            return;
        }
        match self.files.load() {
            Ok(fresh) => {
                *loaded = fresh;
                tracing::info!(cert = %self.files.cert.display(), "the TLS certificate was read again");
            }
            Err(error) => {
                loaded.stamps = stamps;
                tracing::error!(%error, "the TLS files changed and cannot be used: the certificate of before stays");
            }
        }
    }
}

impl TlsFiles {
    fn load(&self) -> Result<Loaded, TlsError> {
        // Taken first, so that a change while they are read is seen as one.
        let stamps = self.stamps();
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
            stamps,
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

    fn stamps(&self) -> Vec<Stamp> {
        let files = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        files.into_iter().flatten().map(|path| stamp(path)).collect()
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Whose certificate the client showed, if it did.
pub(crate) fn peer_principal<S>(stream: &TlsStream<S>) -> Option<Principal> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    certificate::principal(certificates.first()?)
}

#[cfg(test)]
mod tests;
