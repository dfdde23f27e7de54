//! The way to a cluster that all commands share, and answers in a person's words when it leads nowhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytestring::ByteString;
use clap::Args;
use tailrace_shared::client::{
    ClientError, Cluster, ClusterOptions, ConnectionOptions, Credentials, Security, Topic, retry_for,
};
use tailrace_shared::config::Secret;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::sasl::Mechanism;
use tailrace_shared::tls::ClientTls;

/// A person waits for this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a topic may take to have leaders, or to be created on demand.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 9092;

/// Where the cluster is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Bootstrap {
    /// Brokers to start from, separated by commas; the port is 9092 unless given.
    #[arg(
        long,
        short,
        env = "TAILRACE_BOOTSTRAP",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092",
        value_delimiter = ',',
        global = true
    )]
    bootstrap: Vec<String>,
    /// TLS, with the authorities that the system trusts.
    #[arg(long, global = true, help_heading = SECURITY)]
    tls: bool,
    /// TLS, with the authorities of this PEM file.
    #[arg(long, value_name = "FILE", global = true, help_heading = SECURITY)]
    tls_ca: Option<PathBuf>,
    /// The certificate to show, with --tls-key.
    #[arg(long, value_name = "FILE", global = true, help_heading = SECURITY)]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "FILE", global = true, help_heading = SECURITY)]
    tls_key: Option<PathBuf>,
    /// Log in as this user; the password is in --password-file or TAILRACE_PASSWORD.
    #[arg(long, env = "TAILRACE_USER", value_name = "NAME", global = true, help_heading = SECURITY)]
    user: Option<String>,
    /// A file that holds the password.
    #[arg(long, env = "TAILRACE_PASSWORD_FILE", value_name = "FILE", global = true, help_heading = SECURITY)]
    password_file: Option<PathBuf>,
    /// How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or OAUTHBEARER with a token for a password.
    #[arg(long, value_name = "NAME", default_value_t, global = true, help_heading = SECURITY)]
    sasl_mechanism: Mechanism,
}

const SECURITY: &str = "TLS and login";
/// Where the password is, unless it is in a file. It is no option, for command lines can be seen by everybody.
const PASSWORD: &str = "TAILRACE_PASSWORD";

/// Whether to bring a topic into being by asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingTopic {
    /// It is an error.
    Fail,
    /// The broker creates it, if it is configured to.
    Create,
}

impl Bootstrap {
    /// These addresses.
    pub(crate) fn at(addresses: Vec<String>) -> Self {
        Self {
            bootstrap: addresses,
            tls: false,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            user: None,
            password_file: None,
            sasl_mechanism: Mechanism::default(),
        }
    }

    /// A cluster of which at least one broker answers.
    pub(crate) async fn connect(&self, missing_topic: MissingTopic) -> Result<Cluster> {
        let bootstrap: Vec<String> = self.bootstrap.iter().map(|address| with_port(address.trim())).collect();
        let asked = bootstrap.join(", ");
        let cluster = Cluster::new(ClusterOptions {
            bootstrap,
            connection: ConnectionOptions {
                connect_timeout: CONNECT_TIMEOUT,
                security: self.security()?,
                ..ConnectionOptions::default()
            },
            create_topics: missing_topic == MissingTopic::Create,
        });
        match cluster.any_broker().await {
            Ok(_) => Ok(cluster),
            Err(ClientError::NoBroker { last, .. }) if matches!(*last, ClientError::Login { .. }) => Err(anyhow!(last)),
            Err(error) => Err(anyhow!(
                "no broker answers at {asked} ({}); start one with `tailrace up`, or say where it is with --bootstrap \
                 HOST:PORT or TAILRACE_BOOTSTRAP",
                in_short(&error)
            )),
        }
    }
}

impl Bootstrap {
    fn security(&self) -> Result<Security> {
        let files = ClientTls {
            ca: self.tls_ca.clone(),
            cert: self.tls_cert.clone(),
            key: self.tls_key.clone(),
        };
        let tls = (self.tls || files != ClientTls::default()).then(|| files.load());
        let login = self.user.as_ref().map(|user| {
            Ok::<_, anyhow::Error>(Credentials {
                mechanism: self.sasl_mechanism,
                user: user.clone(),
                password: Secret::new(self.password(user)?),
            })
        });
        Ok(Security {
            tls: tls.transpose()?.map(Arc::new),
            login: login.transpose()?,
        })
    }

    fn password(&self, user: &str) -> Result<String> {
        let Some(path) = &self.password_file else {
            return std::env::var(PASSWORD).map_err(|_| {
                anyhow!("there is no password for {user}: set {PASSWORD}, or name a file with --password-file")
            });
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }
}

/// A topic that must be there, with a leader.
pub(crate) async fn topic(cluster: &Cluster, name: &ByteString, missing: MissingTopic) -> Result<Topic> {
    let found = retry_for(TOPIC_TIMEOUT, || async {
        match cluster.topic(name).await {
            Err(error) if missing == MissingTopic::Fail && is_unknown_topic(&error) => Ok(None),
            found => found.map(Some),
        }
    });
    match found.await {
        Ok(Some(topic)) => Ok(topic),
        Ok(None) => Err(no_such_topic(name)),
        Err(error) if is_unknown_topic(&error) => Err(no_such_topic(name)),
        Err(error) if error.code() == Some(ErrorCode::InvalidTopicException) => Err(anyhow!(
            "`{name}` is no name of a topic: write letters, digits, `.`, `_` and `-`, at most 249 of them"
        )),
        Err(error) => Err(error.into()),
    }
}

/// What to do about a topic that is not there.
pub(crate) fn no_such_topic(name: &str) -> anyhow::Error {
    anyhow!(
        "topic {name} does not exist; `tailrace topics list` shows those that do, and `tailrace topics create {name}` \
         creates it"
    )
}

fn is_unknown_topic(error: &ClientError) -> bool {
    matches!(error, ClientError::UnknownTopic { .. }) || error.code() == Some(ErrorCode::UnknownTopicOrPartition)
}

/// The address is said around it already.
fn in_short(error: &ClientError) -> String {
    match error {
        ClientError::Connect { reason, .. } => reason.to_string(),
        ClientError::NoBroker { last, .. } => in_short(last),
        ClientError::Lost { lost, .. } => lost.to_string(),
        other => other.to_string(),
    }
}

fn with_port(address: &str) -> String {
    let is_bare_ipv6 = address.parse::<std::net::Ipv6Addr>().is_ok();
    if is_bare_ipv6 {
        format!("[{address}]:{DEFAULT_PORT}")
    } else if address.contains(':') && !address.ends_with(']') {
        address.to_owned()
    } else {
        format!("{address}:{DEFAULT_PORT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_there_is_none() {
        for (given, meant) in [
            ("logs", "logs:9092"),
            ("logs:1", "logs:1"),
            ("::1", "[::1]:9092"),
            ("[::1]", "[::1]:9092"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(with_port(given), meant);
        }
    }
}
