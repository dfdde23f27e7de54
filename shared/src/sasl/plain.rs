//! PLAIN: user and password in one message. Only for a connection that nobody can listen to.

use std::fmt;

/// Who wants in, and with which password.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainLogin {
    /// Whom the client wants to act as; empty for itself.
    pub authorization_id: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for PlainLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PlainLogin")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl PlainLogin {
    /// Reads the only message there is; `None` if it is none.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let mut parts = text.split('\0');
        let mut next = || parts.next().map(str::to_owned);
        let login = Self {
            authorization_id: next()?,
            user: next()?,
            password: next()?,
        };
        let whole = next().is_none() && !login.user.is_empty() && !login.password.is_empty();
        whole.then_some(login)
    }

    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.authorization_id, &self.user, &self.password]
            .map(String::as_str)
            .join("\0")
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_three_parts_and_two_of_them_are_not_empty() {
        let login = PlainLogin::decode(b"\0ann\0secret").unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("ann", "secret"));
        assert_eq!(login.encode(), b"\0ann\0secret");
        assert_eq!(PlainLogin::decode(b"bob\0ann\0x").unwrap().authorization_id, "bob");
        for wrong in [
            &b""[..],
            b"\0ann",
            b"\0\0secret",
            b"\0ann\0",
            b"\0a\0b\0c",
            b"\0\xff\0b",
        ] {
            assert_eq!(PlainLogin::decode(wrong), None);
        }
        assert!(!format!("{login:?}").contains("secret"));
    }
}
