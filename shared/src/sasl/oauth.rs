//! OAUTHBEARER: a token in one message (RFC 7628). Only for a connection that nobody can listen to.

use std::fmt;

/// Separates what a message is made of.
const SEPARATOR: char = '\u{1}';
/// What comes before a token.
const BEARER: &str = "bearer ";

/// Who shows which token.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerLogin {
    /// Whom the client wants to act as; empty for itself.
    pub authorization_id: String,
    /// The token, which says who the client is.
    pub token: String,
}

impl fmt::Debug for BearerLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BearerLogin").finish_non_exhaustive()
    }
}

impl BearerLogin {
    /// Reads the only message there is; `None` if it is none. What clients say beside the token (`host`, extensions of
    /// KIP-342) is not looked at.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let (header, rest) = text.split_once(SEPARATOR)?;
        let authorization_id = match header.strip_prefix("n,")?.strip_suffix(',')? {
            "" => "",
            named => named.strip_prefix("a=").filter(|name| !name.contains(','))?,
        };
        let pairs = rest.strip_suffix(SEPARATOR)?.strip_suffix(SEPARATOR)?;
        let mut tokens = pairs.split(SEPARATOR).filter_map(|pair| pair.strip_prefix("auth="));
        let (scheme, token) = tokens.next()?.split_at_checked(BEARER.len())?;
        let whole = tokens.next().is_none() && scheme.eq_ignore_ascii_case(BEARER) && !token.is_empty();
        whole.then(|| Self {
            authorization_id: authorization_id.to_owned(),
            token: token.to_owned(),
        })
    }

    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let named = if self.authorization_id.is_empty() { "" } else { "a=" };
        let Self {
            authorization_id,
            token,
        } = self;
        format!("n,{named}{authorization_id},\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_one_token() {
        let login = BearerLogin::decode(b"n,,\x01auth=Bearer a.b.c\x01\x01").unwrap();
        assert_eq!((login.token.as_str(), login.authorization_id.as_str()), ("a.b.c", ""));
        assert_eq!(login.encode(), b"n,,\x01auth=Bearer a.b.c\x01\x01");
        assert!(!format!("{login:?}").contains("a.b.c"));
        let full = b"n,a=ann,\x01host=logs\x01auth=BEARER t\x01port=9092\x01traceId=7\x01\x01";
        let login = BearerLogin::decode(full).unwrap();
        assert_eq!((login.token.as_str(), login.authorization_id.as_str()), ("t", "ann"));
        for wrong in [
            &b""[..],
            b"n,,",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Basic dXNlcg==\x01\x01",
            b"n,,\x01auth=Bearer a\x01",
            b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            b"y,,\x01auth=Bearer a\x01\x01",
            b"n,b=x,\x01auth=Bearer a\x01\x01",
            b"n,a=x,y,\x01auth=Bearer a\x01\x01",
            b"n,,\x01auth=Bearer \xff\x01\x01",
        ] {
            assert_eq!(BearerLogin::decode(wrong), None, "{wrong:?}");
        }
    }
}
