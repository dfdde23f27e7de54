//! SaslHandshake 0-1: the client chooses how to log in. After version 0 the messages of the mechanism come bare, each with
//! its length before it; after version 1 in SaslAuthenticate.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::{SaslHandshakeRequest, SaslHandshakeResponse};
use tailrace_shared::sasl::Mechanism;

use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

pub(in crate::kafka) async fn sasl_handshake(
    _: &Context,
    call: &Call,
    request: SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    let mut login = call.login.lock();
    let error_code = match login.choose(&request.mechanism, call.version == 0) {
        Ok(()) => ErrorCode::None,
        Err(error) => {
            let code = error.code();
            login.reject(error);
            code
        }
    };
    let name = |mechanism: &Mechanism| ByteString::from_static(mechanism.name());
    SaslHandshakeResponse {
        error_code: error_code.code(),
        mechanisms: login.mechanisms().iter().map(name).collect(),
    }
}
