//! The addresses at which Kafka clients connect: what is safe to offer, and the ports themselves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tailrace_shared::config::ListenAddr;
use tailrace_shared::sasl::Mechanism;
use tailrace_shared::tls::{ClientAuth, TlsError, TlsFiles, TlsServer};

use crate::config::{CollectorConfig, ListenerConfig};
use crate::kafka::{Connections, Endpoint, Listener, ListenerOptions, MemoryBudget};

/// Why a listener is not opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// The port.
    #[error("cannot listen for Kafka on {address}: {source}; {} ({name}.listen)", address.remedy(source))]
    Bind {
        /// Which listener.
        name: String,
        /// As configured.
        address: ListenAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Clients would be sent to an address that only says "all of mine".
    #[error(
        "{name}.listen is {address}, where clients cannot be sent; set {name}.advertised to the name under which they \
         reach this machine, for example advertised = \"logs.example.org:9092\""
    )]
    NothingAdvertised {
        /// Which listener.
        name: String,
        /// As configured.
        address: ListenAddr,
    },
    /// Whoever can reach the port could do everything.
    #[error(
        "{name} listens on {address}, beyond this machine, and asks nobody who they are: set {name}.sasl (with \
         {name}.tls), or {name}.tls with client_auth = \"required\"; or set {name}.insecure = true on a network where \
         you trust everybody"
    )]
    Open {
        /// Which listener.
        name: String,
        /// As configured.
        address: ListenAddr,
    },
    /// Passwords could be read on the way.
    #[error(
        "{name} listens on {address}, beyond this machine, and takes passwords or tokens in the clear (PLAIN or \
         OAUTHBEARER without TLS): set {name}.tls, or offer only SCRAM; or set {name}.insecure = true on a network where you trust everybody"
    )]
    PasswordsInTheClear {
        /// Which listener.
        name: String,
        /// As configured.
        address: ListenAddr,
    },
    /// Nobody could be told from anybody.
    #[error("{name}.tls asks clients for certificates, and {name}.tls.client_ca does not say whose are good")]
    NoClientAuthority {
        /// Which listener.
        name: String,
    },
    /// Nobody could get in with a token.
    #[error("{name}.sasl offers OAUTHBEARER, and [kafka.oauth] does not say whose tokens are good")]
    NoTokens {
        /// Which listener.
        name: String,
    },
    /// Logs and metrics could not tell them apart.
    #[error("two listeners are called {0}: give kafka.listeners names of their own, other than kafka")]
    SameName(String),
    /// A certificate or key.
    #[error("{name}.tls: {source}")]
    Tls {
        /// Which listener.
        name: String,
        /// What is wrong.
        source: Box<TlsError>,
    },
}

/// A port that is taken, and what its connections are told.
pub(super) struct Bound {
    pub(super) listener: Listener,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) address: SocketAddr,
}

/// What can be said of listeners without opening them.
pub(super) fn check(config: &CollectorConfig) -> Result<(), ListenerError> {
    let listeners = config.kafka.all_listeners();
    for (place, listener) in listeners.iter().enumerate() {
        let name = || listener.name.clone();
        if listeners.iter().take(place).any(|other| other.name == listener.name) {
            return Err(ListenerError::SameName(name()));
        }
        let address = || listener.listen.clone();
        if listener
            .advertised
            .as_ref()
            .unwrap_or(&listener.listen)
            .is_unspecified()
        {
            let (name, address) = (name(), address());
            return Err(ListenerError::NothingAdvertised { name, address });
        }
        let tls = listener.tls.as_ref();
        if tls.is_some_and(TlsFiles::lacks_authority) {
            return Err(ListenerError::NoClientAuthority { name: name() });
        }
        let tokens = listener.sasl.contains(&Mechanism::OauthBearer);
        if tokens && config.kafka.oauth.is_none() {
            return Err(ListenerError::NoTokens { name: name() });
        }
        if listener.insecure || listener.listen.is_loopback() {
            continue;
        }
        let (name, address) = (name(), address());
        if !knows_its_clients(listener) {
            return Err(ListenerError::Open { name, address });
        }
        if tls.is_none() && (tokens || listener.sasl.contains(&Mechanism::Plain)) {
            return Err(ListenerError::PasswordsInTheClear { name, address });
        }
    }
    Ok(())
}

fn knows_its_clients(listener: &ListenerConfig) -> bool {
    let by_certificate = listener
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_auth == ClientAuth::Required);
    by_certificate || !listener.sasl.is_empty()
}

/// Takes the ports, in the order of the configuration.
pub(super) async fn bind(
    config: &CollectorConfig,
    memory: &MemoryBudget,
    connections: &Connections,
) -> Result<Vec<Bound>, ListenerError> {
    let mut bound = Vec::new();
    for listener in config.kafka.all_listeners() {
        bound.push(bind_one(config, listener, memory, connections).await?);
    }
    Ok(bound)
}

async fn bind_one(
    config: &CollectorConfig,
    configured: ListenerConfig,
    memory: &MemoryBudget,
    connections: &Connections,
) -> Result<Bound, ListenerError> {
    let kafka = &config.kafka;
    let options = ListenerOptions {
        request_bytes_max: kafka.request_bytes_max.as_usize(),
        idle: kafka.idle_timeout.0,
        stall: kafka.stall_timeout.0,
    };
    let ListenerConfig { name, listen, .. } = &configured;
    let failed = |source| ListenerError::Bind {
        name: name.clone(),
        address: listen.clone(),
        source,
    };
    let tls = configured.tls.clone().map(TlsServer::load).transpose();
    let tls = tls.map_err(|source| ListenerError::Tls {
        name: name.clone(),
        source: Box::new(source),
    })?;
    let listener = Listener::bind(listen, options, memory.clone(), connections.clone()).await;
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if configured.insecure && !listen.is_loopback() {
        let risk = if knows_its_clients(&configured) {
            "passwords go over the network in the clear"
        } else {
            "whoever can reach it may do everything"
        };
        tracing::warn!(listener = name, %address, "{risk} (insecure = true)");
    }
    let advertised = configured.advertised.as_ref().unwrap_or(listen);
    let endpoint = Endpoint {
        name: name.clone(),
        host: advertised.host.as_str().into(),
        // Port 0 asks the operating system for one, and that is what clients must be told.
        port: if advertised.port == 0 {
            address.port()
        } else {
            advertised.port
        },
        tls,
        mechanisms: configured.sasl.clone(),
        login_lifetime: kafka.login_lifetime.map(|lifetime| lifetime.0),
    };
    Ok(Bound {
        listener,
        endpoint: Arc::new(endpoint),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kafka: &str) -> String {
        let text = format!("data_dir = '/x'\n[kafka]\n{kafka}");
        let config = tailrace_shared::config::parse("c.toml".as_ref(), text.as_bytes(), &|_| None).unwrap();
        check(&config).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn what_listens_beyond_this_machine_must_know_its_clients_or_say_that_it_does_not() {
        let there = "listen = '10.0.0.1:9092'\n";
        let tls = "tls = { cert = 'c', key = 'k' }\n";
        let oauth = "oauth = { jwks = 'j', issuer = 'i', audience = ['a'] }\n";
        let mutual = "tls = { cert = 'c', key = 'k', client_ca = 'a', client_auth = 'required' }\n";
        let cases = [
            ("listen = '127.0.0.1:9092'".to_owned(), "fine"),
            (there.to_owned(), "kafka.insecure = true"),
            (format!("{there}insecure = true"), "fine"),
            (format!("{there}{tls}"), "asks nobody who they are"),
            (format!("{there}{mutual}"), "fine"),
            (format!("{there}sasl = ['PLAIN']"), "in the clear"),
            (format!("{there}sasl = ['SCRAM-SHA-512']"), "fine"),
            (format!("{there}{tls}sasl = ['PLAIN']"), "fine"),
            (format!("{there}{tls}sasl = ['OAUTHBEARER']"), "[kafka.oauth]"),
            (format!("{there}sasl = ['OAUTHBEARER']\n{oauth}"), "in the clear"),
            (format!("{there}{tls}sasl = ['OAUTHBEARER']\n{oauth}"), "fine"),
            (format!("{there}insecure = true\nsasl = ['PLAIN']"), "fine"),
            (
                format!("{there}tls = {{ cert = 'c', key = 'k', client_auth = 'required' }}"),
                "client_ca",
            ),
        ];
        for (kafka, expected) in cases {
            let said = checked(&kafka);
            assert!(said.contains(expected), "{kafka}: {said}");
        }
    }

    #[test]
    fn each_listener_is_looked_at_and_has_a_name() {
        let more = "[[kafka.listeners]]\nname = 'outside'\nlisten = '0.0.0.0:9093'\n";
        assert!(checked(more).contains("outside.advertised"), "{}", checked(more));
        let named = format!("{more}advertised = 'logs:9093'\n");
        assert!(checked(&named).contains("outside.insecure"));
        let twice = format!("{named}insecure = true\n{}", more.replace("outside", "kafka"));
        assert!(checked(&twice).contains("two listeners are called kafka"));
    }
}
