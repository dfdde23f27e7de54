//! SaslAuthenticate 0-2: a message of the mechanism that SaslHandshake chose (KIP-152). A login may be renewed on the same
//! connection (KIP-368). Who is refused learns nothing but that, a moment later, and then the connection is closed.

use std::time::Duration;

use bytes::Bytes;
use tailrace_shared::kafka::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use tailrace_shared::sasl::{BearerLogin, Mechanism, PlainLogin};

use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;
use crate::security::login::{LoginError, Step, acts_as_itself, failed};
use crate::security::tokens::Bearer;
use crate::security::users::random_text;

/// As in Kafka (`connection.failed.authentication.delay.ms`).
const REFUSED_AFTER: Duration = Duration::from_millis(100);

pub(in crate::kafka) async fn sasl_authenticate(
    context: &Context,
    call: &Call,
    request: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    match authenticate(context, call, &request.auth_bytes).await {
        Ok((answer, lifetime)) => SaslAuthenticateResponse {
            auth_bytes: answer,
            session_lifetime_ms: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
            ..Default::default()
        },
        Err(error) => SaslAuthenticateResponse {
            error_code: error.code().code(),
            error_message: error.message(),
            ..Default::default()
        },
    }
}

/// Goes on with a login by one message: what to answer, and if that was the last one, for how long the login holds.
pub(in crate::kafka) async fn authenticate(
    context: &Context,
    call: &Call,
    message: &[u8],
) -> Result<(Bytes, Duration), LoginError> {
    let mechanism = call.login.lock().mechanism().map_or("none", Mechanism::name);
    let result = take(context, call, message).await;
    if let Err(error) = &result {
        context.metrics.logins.with([mechanism, "failed"]).inc();
        call.login.lock().reject(error.clone());
        tokio::time::sleep(REFUSED_AFTER).await;
    }
    result
}

async fn take(context: &Context, call: &Call, message: &[u8]) -> Result<(Bytes, Duration), LoginError> {
    let step = call.login.lock().step(message)?;
    let mut proof_holds = None;
    let (user, answer) = match step {
        Step::Challenge(hash, first) => {
            let user = first.user.clone();
            let credential = context.users.credential(&context.broker.credentials(), &user, hash);
            let exchange = first.challenge(credential, &random_text());
            let challenge = Bytes::copy_from_slice(exchange.message());
            call.login.lock().challenge(user, exchange);
            return Ok((challenge, Duration::ZERO));
        }
        Step::CheckToken(login) => {
            let bearer = check_token(context, &login)?;
            proof_holds = Some(bearer.holds);
            (bearer.user, Vec::new())
        }
        Step::CheckPassword(login) => (check_password(context, login).await?, Vec::new()),
        Step::Proved(user, answer) => (user, answer),
    };
    let (lifetime, mechanism) = {
        let mut login = call.login.lock();
        let lifetime = login.conclude(&user, proof_holds, context.broker.clock().monotonic())?;
        (lifetime, login.mechanism().map_or("none", Mechanism::name))
    };
    context.metrics.logins.with([mechanism, "succeeded"]).inc();
    tracing::debug!(user, peer = %call.peer, listener = call.endpoint.name, "logged in");
    Ok((answer.into(), lifetime))
}

fn check_token(context: &Context, login: &BearerLogin) -> Result<Bearer, LoginError> {
    let tokens = context
        .tokens
        .as_ref()
        .ok_or_else(|| failed("", "no tokens are taken"))?;
    let checked = tokens.check(&login.token);
    let bearer = checked.map_err(|reason| failed("", &reason.to_string()))?;
    acts_as_itself(&bearer.user, &login.authorization_id)?;
    Ok(bearer)
}

/// Hashing takes milliseconds, so it is done beside everybody else's requests, a few at a time.
async fn check_password(context: &Context, login: PlainLogin) -> Result<String, LoginError> {
    let credential = context.users.any_credential(&context.broker.credentials(), &login.user);
    let _turn = context.password_checks.acquire().await;
    let PlainLogin { user, password, .. } = login;
    let checked = tokio::task::spawn_blocking(move || credential.is_of_password(&password)).await;
    if checked.unwrap_or(false) {
        Ok(user)
    } else {
        Err(failed(&user, "wrong user or password"))
    }
}
