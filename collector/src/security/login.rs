//! How a connection proves who it is (KIP-43, KIP-152, KIP-368): what it may ask for before, the steps of a login, and
//! how long it holds. Pure; whoever drives it looks passwords up and says what time it is.

use std::time::Duration;

use tailrace_shared::kafka::ApiKey;
use tailrace_shared::sasl::{BearerLogin, ClientFirst, Exchange, Mechanism, PlainLogin, ScramError, ScramHash};

use super::Principal;

/// Where a connection stands.
#[derive(Debug)]
pub struct Login {
    /// What the listener offers; nothing where no login is asked for.
    mechanisms: Vec<Mechanism>,
    state: State,
    principal: Principal,
    /// How long a login holds; without it, as long as the connection.
    lifetime: Option<Duration>,
    /// On the clock of whoever drives it.
    expires_at: Option<Duration>,
    is_logged_in: bool,
    /// The messages of the mechanism come bare, as before KIP-152.
    is_bare: bool,
    mechanism: Option<Mechanism>,
    rejected: Option<LoginError>,
}

#[derive(Debug)]
enum State {
    Idle,
    Chosen(Mechanism),
    Challenged(Box<(String, Exchange)>),
}

/// What the driver has to do.
#[derive(Debug)]
pub enum Step {
    /// Look up the user's credential for this hash and hand it to [`Login::challenge`].
    Challenge(ScramHash, ClientFirst),
    /// Check the password and hand the verdict to [`Login::conclude`].
    CheckPassword(PlainLogin),
    /// Check the token and hand what it says to [`Login::conclude`].
    CheckToken(BearerLogin),
    /// The proof was right: the user, and what proves the server.
    Proved(String, Vec<u8>),
}

/// Why a login, or a request before it, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Nothing but a login is taken.
    #[error(
        "{0} was asked for before a login; set security.protocol=SASL_SSL (or SASL_PLAINTEXT), sasl.mechanism, and user and password or a token in the client"
    )]
    Unauthenticated(ApiKey),
    /// The login is over.
    #[error("{0} was asked for after the login had expired")]
    Expired(ApiKey),
    /// Not now.
    #[error("a {0} at this point is not SASL")]
    OutOfOrder(ApiKey),
    /// Not here.
    #[error("mechanism {0} is not offered on this listener")]
    Mechanism(String),
    /// Whatever is wrong, the client is told no more than this.
    #[error("the login failed: {reason}")]
    Failed {
        /// Who wanted in, as far as it is known.
        user: String,
        /// For the log only.
        reason: String,
    },
}

impl Login {
    /// A connection that belongs to `principal` until somebody logs in.
    #[must_use]
    pub fn new(mechanisms: Vec<Mechanism>, principal: Principal, lifetime: Option<Duration>) -> Self {
        Self {
            mechanisms,
            state: State::Idle,
            principal,
            lifetime,
            expires_at: None,
            is_logged_in: false,
            is_bare: false,
            mechanism: None,
            rejected: None,
        }
    }

    /// Whom the connection belongs to.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether a login is asked for and has not come yet.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        !self.mechanisms.is_empty() && !self.is_logged_in
    }

    /// The mechanism that was chosen last.
    #[must_use]
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.mechanism
    }

    /// What the listener offers.
    #[must_use]
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    /// Whether a request may be answered at this point.
    ///
    /// # Errors
    /// When a login must come first.
    pub fn admit(&self, api: ApiKey, now: Duration) -> Result<(), LoginError> {
        if self.mechanisms.is_empty() || matches!(api, ApiKey::SaslHandshake | ApiKey::SaslAuthenticate) {
            return Ok(());
        }
        if !self.is_logged_in {
            // ApiVersions is asked for to find out how to log in.
            let first = matches!(self.state, State::Idle) && api == ApiKey::ApiVersions;
            return if first {
                Ok(())
            } else {
                Err(LoginError::Unauthenticated(api))
            };
        }
        match self.expires_at {
            Some(expires_at) if now >= expires_at => Err(LoginError::Expired(api)),
            _ => Ok(()),
        }
    }

    /// SaslHandshake: the client chooses a mechanism, whose messages come bare after version 0.
    ///
    /// # Errors
    /// When it is not offered, or another one was chosen already.
    pub fn choose(&mut self, name: &str, is_bare: bool) -> Result<(), LoginError> {
        if self.mechanisms.is_empty() || !matches!(self.state, State::Idle) {
            return Err(LoginError::OutOfOrder(ApiKey::SaslHandshake));
        }
        let mechanism = Mechanism::from_name(name).filter(|mechanism| self.mechanisms.contains(mechanism));
        let mechanism = mechanism.ok_or_else(|| LoginError::Mechanism(name.to_owned()))?;
        self.state = State::Chosen(mechanism);
        self.mechanism = Some(mechanism);
        self.is_bare = is_bare;
        Ok(())
    }

    /// Whether the next frame is a bare message of the mechanism.
    #[must_use]
    pub fn expects_bare_message(&self) -> bool {
        self.is_bare && !matches!(self.state, State::Idle)
    }

    /// Ends the connection once the answer that says so is sent.
    pub fn reject(&mut self, error: LoginError) {
        // Where no login is asked for, asking for one does no harm.
        if !self.mechanisms.is_empty() {
            self.rejected = Some(error);
        }
    }

    /// Why the connection has to end.
    #[must_use]
    pub fn rejected(&self) -> Option<&LoginError> {
        self.rejected.as_ref()
    }

    /// SaslAuthenticate: the next message of the exchange.
    ///
    /// # Errors
    /// When there is none to come, or it is wrong; the login starts over then.
    pub fn step(&mut self, message: &[u8]) -> Result<Step, LoginError> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Err(LoginError::OutOfOrder(ApiKey::SaslAuthenticate)),
            State::Chosen(Mechanism::Plain) => {
                let login = PlainLogin::decode(message).ok_or_else(|| failed("", "not a message of PLAIN"))?;
                acts_as_itself(&login.user, &login.authorization_id)?;
                Ok(Step::CheckPassword(login))
            }
            State::Chosen(Mechanism::OauthBearer) => {
                let login = BearerLogin::decode(message).ok_or_else(|| failed("", "not a message of OAUTHBEARER"))?;
                Ok(Step::CheckToken(login))
            }
            State::Chosen(Mechanism::Scram(hash)) => {
                let first = ClientFirst::decode(message).map_err(|error| failed("", &error.to_string()))?;
                acts_as_itself(&first.user, &first.authorization_id)?;
                Ok(Step::Challenge(hash, first))
            }
            State::Challenged(challenged) => {
                let (user, exchange) = *challenged;
                match exchange.finish(message) {
                    Ok(answer) => Ok(Step::Proved(user, answer)),
                    Err(ScramError::WrongProof) => Err(failed(&user, "wrong user or password")),
                    Err(error) => Err(failed(&user, &error.to_string())),
                }
            }
        }
    }

    /// Goes on with [`Step::Challenge`].
    pub fn challenge(&mut self, user: String, exchange: Exchange) {
        self.state = State::Challenged(Box::new((user, exchange)));
    }

    /// The user has proved who it is, by something that holds for so long, if not for ever. Gives the time for which the
    /// login holds; zero is as long as the connection.
    ///
    /// # Errors
    /// When the connection belongs to somebody else already.
    pub fn conclude(
        &mut self,
        user: &str,
        proof_holds: Option<Duration>,
        now: Duration,
    ) -> Result<Duration, LoginError> {
        let principal = Principal::user(user);
        if self.is_logged_in && principal != self.principal {
            return Err(failed(user, "the connection belongs to another user"));
        }
        self.principal = principal;
        self.is_logged_in = true;
        let lifetime = self.lifetime.into_iter().chain(proof_holds).min();
        self.expires_at = lifetime.map(|lifetime| now.saturating_add(lifetime));
        Ok(lifetime.unwrap_or_default())
    }
}

/// Acting for somebody else is not offered.
///
/// # Errors
/// When the user wants to.
pub fn acts_as_itself(user: &str, authorization_id: &str) -> Result<(), LoginError> {
    if authorization_id.is_empty() || authorization_id == user {
        return Ok(());
    }
    Err(failed(user, "it wants to act as another user"))
}

/// A login that failed.
#[must_use]
pub fn failed(user: &str, reason: &str) -> LoginError {
    LoginError::Failed {
        user: user.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
