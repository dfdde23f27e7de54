//! Asks the agent that runs on this machine, by its HTTP.

use std::io;
use std::time::Duration;

use tailrace_shared::config::ListenAddr;

use crate::status::FileStatus;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it did not answer.
#[derive(Debug, thiserror::Error)]
#[error("no agent answers at {url}: {reason}; is it running, with the same http.listen?")]
pub struct NotRunning {
    url: String,
    reason: String,
}

/// The agent that listens where the configuration says.
#[derive(Debug)]
pub struct Running {
    http: ureq::Agent,
    url: String,
}

impl Running {
    /// Nothing is asked yet. One that listens on every address is asked on loopback.
    #[must_use]
    pub fn at(listen: &ListenAddr) -> Self {
        let host = match listen.host.as_str() {
            "0.0.0.0" => "127.0.0.1".to_owned(),
            "::" => "[::1]".to_owned(),
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_owned(),
        };
        // The environment may name a proxy, which knows nothing of this machine's own addresses.
        let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE));
        Self {
            http: config.build().into(),
            url: format!("http://{host}:{}/files", listen.port),
        }
    }

    /// The files that it follows.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn files(&self) -> Result<Vec<FileStatus>, NotRunning> {
        let not_running = |reason: String| NotRunning {
            url: self.url.clone(),
            reason,
        };
        let answer = self.http.get(&self.url).call();
        let mut answer = answer.map_err(|error| not_running(error.to_string()))?;
        let body = io::BufReader::new(answer.body_mut().as_reader());
        serde_json::from_reader(body).map_err(|error| not_running(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_asked_where_it_listens() {
        let url = |listen: &str| Running::at(&listen.parse().unwrap()).url;
        assert_eq!(url("127.0.0.1:9601"), "http://127.0.0.1:9601/files");
        assert_eq!(url("0.0.0.0:9601"), "http://127.0.0.1:9601/files");
        assert_eq!(url("[::]:9601"), "http://[::1]:9601/files");
        assert_eq!(url("[fd00::1]:9601"), "http://[fd00::1]:9601/files");
    }
}
