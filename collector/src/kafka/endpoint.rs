//! One address at which clients connect: what they are told it is called, and how they prove who they are.

use std::time::Duration;

use bytestring::ByteString;
use tailrace_shared::sasl::Mechanism;
use tailrace_shared::tls::TlsServer;

use crate::security::Principal;
use crate::security::login::Login;

/// A listener, as its connections know it.
#[derive(Debug)]
pub struct Endpoint {
    /// For logs and metrics.
    pub name: String,
    /// Where clients are told to connect.
    pub host: ByteString,
    /// Where clients are told to connect.
    pub port: u16,
    /// Connections are TLS.
    pub tls: Option<TlsServer>,
    /// How clients may log in; where there is one, they must.
    pub mechanisms: Vec<Mechanism>,
    /// How long a login holds; without it, as long as the connection.
    pub login_lifetime: Option<Duration>,
}

impl Endpoint {
    /// A connection of whoever this is as far as it is known.
    pub(super) fn login(&self, principal: Principal) -> Login {
        Login::new(self.mechanisms.clone(), principal, self.login_lifetime)
    }
}
