//! From I/O errors to those of an object store: with the action and the file, for whoever reads the log.

use std::io;
use std::path::{Path, PathBuf};

use object_store::{Error, Result};

const STORE: &str = "LocalStore";

/// An I/O error, with what was being done to which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path:?}: {source}")]
struct FileError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

pub(super) fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    let kind = source.kind();
    let text = path.display().to_string();
    let source = Box::new(FileError {
        action,
        path: path.to_owned(),
        source,
    });
    match kind {
        io::ErrorKind::NotFound => Error::NotFound { path: text, source },
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: text, source },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path: text, source },
        _ => Error::Generic { store: STORE, source },
    }
}

/// The action of every read.
pub(super) const READ: &str = "read";

pub(super) fn generic(problem: &'static str) -> Error {
    Error::Generic {
        store: STORE,
        source: problem.into(),
    }
}

pub(super) fn unsupported(what: impl Into<String>) -> Error {
    let what = what.into();
    Error::NotSupported {
        source: format!("a local store does not take {what}").into(),
    }
}

pub(super) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Error::Generic {
        store: STORE,
        source: Box::new(error),
    })?
}
