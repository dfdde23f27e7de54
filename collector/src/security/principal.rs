//! Whom a connection belongs to, as access control entries name it.

use std::fmt;

use bytestring::ByteString;

/// `User:` and a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(ByteString);

impl Principal {
    /// Whoever did not say who they are.
    pub const ANONYMOUS: Self = Self(ByteString::from_static("User:ANONYMOUS"));

    /// A user.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self(format!("User:{name}").into())
    }

    /// The user's name, as quotas have it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, name)| name)
    }

    /// As access control entries have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
