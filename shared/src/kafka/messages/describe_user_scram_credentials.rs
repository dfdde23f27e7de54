//! DescribeUserScramCredentials (key 50): who has a password, never which.
//!
//! Source: `DescribeUserScramCredentialsRequest.json` and `DescribeUserScramCredentialsResponse.json`; KIP-554.

use super::prelude::*;

schema! {
    /// Asks which credentials users have.
    message DescribeUserScramCredentialsRequest [DescribeUserScramCredentials, versions 0-0, flexible 0+] {
        /// The users; null or empty for all of them.
        users: Option<Vec<UserName>> [0+],
    }

    /// A user.
    struct UserName {
        /// Its name.
        name: ByteString [0+],
    }

    /// Which credentials users have.
    message DescribeUserScramCredentialsResponse [DescribeUserScramCredentials, versions 0-0, flexible 0+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Error code of the request as a whole, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// By user.
        results: Vec<DescribeUserScramCredentialsResult> [0+],
    }

    /// The credentials of one user.
    struct DescribeUserScramCredentialsResult {
        /// Its name.
        user: ByteString [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// One for each mechanism.
        credential_infos: Vec<CredentialInfo> [0+],
    }

    /// A credential, as far as it is told.
    struct CredentialInfo {
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0+],
        /// How often the password was hashed.
        iterations: i32 [0+],
    }
}
