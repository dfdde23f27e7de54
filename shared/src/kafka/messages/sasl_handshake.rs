//! SaslHandshake (key 17): chooses how to authenticate.
//!
//! Source: `SaslHandshakeRequest.json` and `SaslHandshakeResponse.json`; KIP-43 (v0), KIP-152 (v1). After version 0 the
//! client goes on with bare SASL tokens, after version 1 with SaslAuthenticate. There never was a compact form.

use super::prelude::*;

schema! {
    /// Names the mechanism.
    message SaslHandshakeRequest [SaslHandshake, versions 0-1, flexible none] {
        /// The mechanism: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
        mechanism: ByteString [0+],
    }

    /// Whether the broker knows it.
    message SaslHandshakeResponse [SaslHandshake, versions 0-1, flexible none] {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The mechanisms that the broker offers.
        mechanisms: Vec<ByteString> [0+],
    }
}
