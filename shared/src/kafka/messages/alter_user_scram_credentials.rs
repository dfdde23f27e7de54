//! AlterUserScramCredentials (key 51): gives users passwords, and takes them away.
//!
//! Source: `AlterUserScramCredentialsRequest.json` and `AlterUserScramCredentialsResponse.json`; KIP-554.

use super::prelude::*;

schema! {
    /// Asks to set and remove credentials.
    message AlterUserScramCredentialsRequest [AlterUserScramCredentials, versions 0-0, flexible 0+] {
        /// Those to remove.
        deletions: Vec<ScramCredentialDeletion> [0+],
        /// Those to set.
        upsertions: Vec<ScramCredentialUpsertion> [0+],
    }

    /// A credential to remove.
    struct ScramCredentialDeletion {
        /// The user.
        name: ByteString [0+],
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0+],
    }

    /// A credential to set.
    struct ScramCredentialUpsertion {
        /// The user.
        name: ByteString [0+],
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8 [0+],
        /// How often the password was hashed.
        iterations: i32 [0+],
        /// What it was hashed with.
        salt: Bytes [0+],
        /// The hashed password.
        salted_password: Bytes [0+],
    }

    /// What became of it.
    message AlterUserScramCredentialsResponse [AlterUserScramCredentials, versions 0-0, flexible 0+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By user.
        results: Vec<AlterUserScramCredentialsResult> [0+],
    }

    /// What became of the changes of one user.
    struct AlterUserScramCredentialsResult {
        /// The user.
        user: ByteString [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
    }
}
