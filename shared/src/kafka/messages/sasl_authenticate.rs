//! SaslAuthenticate (key 36): one step of the exchange that SaslHandshake began.
//!
//! Source: `SaslAuthenticateRequest.json` and `SaslAuthenticateResponse.json`; KIP-152 (v0), KIP-368 (v1).

use super::prelude::*;

schema! {
    /// A token from the client.
    message SaslAuthenticateRequest [SaslAuthenticate, versions 0-2, flexible 2+] {
        /// The token, as the mechanism defines it.
        auth_bytes: Bytes [0+],
    }

    /// The broker's reply to it.
    message SaslAuthenticateResponse [SaslAuthenticate, versions 0-2, flexible 2+] {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// The token, as the mechanism defines it.
        auth_bytes: Bytes [0+],
        /// Time after which the client must authenticate again, in milliseconds, or 0.
        session_lifetime_ms: i64 [1+, ignorable],
    }
}
