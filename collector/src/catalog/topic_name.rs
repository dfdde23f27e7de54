//! Which topic names are legal: Kafka's rules, as its clients rely on them.

/// The longest name, so that a directory or object named after it stays legal everywhere.
const MAX_LEN: usize = 249;

/// Checks a topic's name; the error says what is wrong with it.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if name == "." || name == ".." {
        return Err(format!("the name may not be '{name}'"));
    }
    if name.len() > MAX_LEN {
        return Err(format!("the name has {} bytes, more than {MAX_LEN}", name.len()));
    }
    match name.chars().find(|&c| !is_legal(c)) {
        Some(bad) => Err(format!(
            "the name contains {bad:?}; only ASCII letters and digits, '.', '_' and '-' are allowed"
        )),
        None => Ok(()),
    }
}

/// True if metrics that turn `.` into `_` could not tell the two names apart.
pub(super) fn collide(one: &str, other: &str) -> bool {
    let folded = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.bytes().map(folded).eq(other.bytes().map(folded))
}

/// True if the name can collide with another at all.
pub(super) fn may_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn is_legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["a", "nginx", "A.b_c-9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", "a\n", &"x".repeat(250)] {
            assert!(check_topic_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dot_and_an_underscore_collide() {
        assert!(collide("a.b", "a_b"));
        assert!(collide("a.b_c", "a_b.c"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a.bc"));
    }
}
