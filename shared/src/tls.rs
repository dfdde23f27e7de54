//! What both ends need for TLS: certificates and keys out of PEM files, and errors that name the file and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::reloading::Reloading;

mod server;

pub use server::{ClientAuth, HandshakeError, TlsFiles, TlsServer};

/// Why TLS cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is not there, or not readable.
    #[error("cannot read {}: {source}; check the path, and that the user that this runs as may read it", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// As the operating system puts it.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{} holds no usable {what}: {reason}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Each file is in order by itself.
    #[error("the certificate in {} and the key in {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// A client's certificate is half configured.
    #[error("tls.cert and tls.key belong together: set both, or neither")]
    HalfAPair,
    /// The system has no certificate authorities.
    #[error("this system knows no certificate authorities ({0}): set tls.ca to a file with those that you trust")]
    NoRoots(String),
    /// It should not happen with the cipher suites there are.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}

/// The implementation of the cryptography, the same everywhere.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// When the file cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WHAT: &str = "certificate";
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| failed(path, WHAT, error))?;
    if certificates.is_empty() {
        return Err(failed(path, WHAT, pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

/// The private key of a PEM file.
///
/// # Errors
/// When the file cannot be read, or holds none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| failed(path, "private key", error))
}

/// The certificate authorities of a PEM file.
///
/// # Errors
/// When the file cannot be read, or one of them is none.
pub fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Content {
            path: path.to_owned(),
            what: "certificate authority",
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// How a client does TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// Whom to trust; by default whom the system trusts.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, and its key.
    pub cert: Option<PathBuf>,
    /// See `cert`.
    pub key: Option<PathBuf>,
}

impl ClientTls {
    /// Reads the files, and reads them again once they change.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn load(&self) -> Result<Reloading<Arc<ClientConfig>>, TlsError> {
        let own = self.clone();
        let files = self.files().map(Path::to_owned).collect();
        Reloading::new(files, move || own.read())
    }

    /// What is read again when it changes.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.ca, &self.cert, &self.key]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }

    fn read(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let roots = match &self.ca {
            Some(path) => authorities(path)?,
            None => system_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_root_certificates(roots);
        let config = match (&self.cert, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|source| TlsError::Pair {
                    cert: cert.clone(),
                    key: key.clone(),
                    source,
                })?,
            _ => return Err(TlsError::HalfAPair),
        };
        Ok(Arc::new(config))
    }
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(TlsError::NoRoots(reason));
    }
    Ok(roots)
}

fn failed(path: &Path, what: &'static str, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Read { path, source },
        pem::Error::NoItemsFound => TlsError::Content {
            path,
            what,
            reason: "there is none in it; it must be PEM".to_owned(),
        },
        other => TlsError::Content {
            path,
            what,
            reason: other.to_string(),
        },
    }
}
