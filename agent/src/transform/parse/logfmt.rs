//! `key=value key="another value" flag`, as Go's and Heroku's loggers write it.

use std::borrow::Cow;

use super::super::{Field, Fields};

/// The pairs of a line, or why it has none.
pub(super) fn pairs(line: &[u8]) -> Result<Fields<'_>, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("logfmt: {error}"))?;
    let mut fields = Fields::default();
    let mut rest = text.trim_start();
    let mut has_value = false;
    while !rest.is_empty() {
        if fields.len() == Fields::MAX {
            return Err(format!("logfmt: more than {} keys", Fields::MAX));
        }
        let end = rest
            .find(|letter: char| letter == '=' || letter.is_whitespace())
            .unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() {
            return Err(format!(
                "logfmt: a value without a key at byte {}",
                text.len() - rest.len()
            ));
        }
        let Some(after) = after.strip_prefix('=') else {
            fields.put(key.into(), Field::Json("true"));
            rest = after.trim_start();
            continue;
        };
        has_value = true;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or("logfmt: a quote that does not end")?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (Cow::Borrowed(value), after)
            }
        };
        fields.put(key.into(), Field::Text(value));
        rest = after.trim_start();
    }
    match has_value {
        true => Ok(fields),
        false => Err("logfmt: there is no key=value".to_owned()),
    }
}

/// What stands before the closing quote, and what behind it.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    let (plain, from_end) = text.split_at(end);
    if let Some(after) = from_end.strip_prefix('"') {
        return Some((Cow::Borrowed(plain), after));
    }
    let mut value = plain.to_owned();
    let mut letters = from_end.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some((Cow::Owned(value), letters.as_str())),
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &str) -> Vec<String> {
        let fields = pairs(line.as_bytes()).unwrap();
        fields
            .iter()
            .map(|(name, field)| format!("{name}={}", field.text()))
            .collect()
    }

    #[test]
    fn values_may_be_quoted_empty_or_missing() {
        let line = r#" level=info msg="a \"b\"\n=c" debug n= path=/a=b"#;
        assert_eq!(
            all(line),
            ["level=info", "msg=a \"b\"\n=c", "debug=true", "n=", "path=/a=b"]
        );
        assert_eq!(all(r#"a="x"b=y"#), ["a=x", "b=y"]);
    }

    #[test]
    fn a_line_without_pairs_is_refused_with_the_reason() {
        for (line, reason) in [
            (&b"just words"[..], "logfmt: there is no key=value"),
            (b"", "logfmt: there is no key=value"),
            (b"a=1 =2", "logfmt: a value without a key at byte 4"),
            (b"a=\"1", "logfmt: a quote that does not end"),
            (b"a=\"1\\", "logfmt: a quote that does not end"),
        ] {
            assert_eq!(pairs(line).unwrap_err(), reason);
        }
        assert!(pairs(b"a=\xff").is_err());
        let many: String = (0..2000).map(|number| format!("{number}=1 ")).collect();
        assert_eq!(pairs(many.as_bytes()).unwrap_err(), "logfmt: more than 1000 keys");
    }
}
