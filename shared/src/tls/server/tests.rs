//! Files that are in order, that are not, and that change.

use std::fs;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::*;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            dir: TempDir::new().unwrap(),
        };
        files.write_pair();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_pair(&self) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.path("cert.pem"), cert.pem()).unwrap();
        fs::write(self.path("key.pem"), signing_key.serialize_pem()).unwrap();
    }

    fn load(&self) -> Result<TlsServer, TlsError> {
        TlsServer::load(TlsFiles {
            cert: self.path("cert.pem"),
            key: self.path("key.pem"),
            client_ca: Some(self.path("cert.pem")),
            client_auth: ClientAuth::Required,
        })
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let files = Files::new();
    assert!(files.load().is_ok());
    let refused = |name: &str, text: Option<&str>| {
        let files = Files::new();
        match text {
            Some(text) => fs::write(files.path(name), text).unwrap(),
            None => fs::remove_file(files.path(name)).unwrap(),
        }
        let error = files.load().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        error
    };
    assert!(refused("key.pem", None).contains("check the path"));
    assert!(refused("cert.pem", Some("")).contains("must be PEM"));
    let other = Files::new();
    let key = fs::read_to_string(other.path("key.pem")).unwrap();
    assert!(refused("key.pem", Some(&key)).contains("cannot be used together"));
}

#[test]
fn changed_files_are_read_again_and_broken_ones_are_not_taken() {
    let files = Files::new();
    let server = files.load().unwrap();
    let config = || Arc::clone(server.acceptor().config());
    let first = config();
    assert!(Arc::ptr_eq(&first, &config()));

    fs::write(files.path("cert.pem"), "nothing").unwrap();
    assert!(Arc::ptr_eq(&first, &config()), "what cannot be used is not taken");
    assert!(server.expires_at().is_some());

    files.write_pair();
    let second = config();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &config()));
}
