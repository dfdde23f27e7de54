//! JSON objects. Only the outermost is taken apart.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::{Field, Fields};

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Fields::default();
                while let Some(Name(name)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    fields.put(name, Field::Json(value.get()));
                    if fields.len() > Fields::MAX {
                        return Err(M::Error::custom("an object of more than 1000 members"));
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The members of an object, or why it is none.
pub(in crate::transform) fn object(text: &[u8]) -> Result<Fields<'_>, String> {
    serde_json::from_slice(text).map_err(|error| format!("json: {error}"))
}

/// Whether this is how JSON writes a number.
pub(in crate::transform) fn is_number(text: &str) -> bool {
    let is_bare = text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && text.trim_end() == text;
    is_bare && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Appends text as a string of JSON.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory cannot fail.
    serde_json::to_writer(out, text).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_the_text_that_they_are() {
        let line = br#" {"a" : 1.10, "b\n":"x\u0041", "c":{"d": [1, {}]}, "a":12345678901234567890123} "#;
        let fields = object(line).unwrap();
        let all: Vec<_> = fields.iter().collect();
        let expected = [
            ("a", &Field::Json("12345678901234567890123")),
            ("b\n", &Field::Json(r#""x\u0041""#)),
            ("c", &Field::Json(r#"{"d": [1, {}]}"#)),
        ];
        assert_eq!(all, expected);
        assert_eq!(fields.get("b\n").unwrap().text(), "xA");
    }

    #[test]
    fn what_is_no_object_is_refused_with_the_reason() {
        for (line, reason) in [
            (&b"{\"a\":1"[..], "json: EOF while parsing an object at line 1 column 6"),
            (
                b"[1]",
                "json: invalid type: sequence, expected a JSON object at line 1 column 0",
            ),
            (b"", "json: EOF while parsing a value at line 1 column 0"),
        ] {
            assert_eq!(object(line).unwrap_err(), reason);
        }
        for line in [&b"{\"a\":1} x"[..], b"plain", b"{\"a\":\"\xff\"}"] {
            assert!(object(line).is_err());
        }
    }

    #[test]
    fn an_object_with_too_many_members_is_refused_before_it_takes_long() {
        let members: Vec<_> = (0..200_000).map(|number| format!("\"{number}\":1")).collect();
        let error = object(format!("{{{}}}", members.join(",")).as_bytes()).unwrap_err();
        assert!(error.contains("more than 1000 members"), "{error}");
    }

    #[test]
    fn no_depth_is_too_much() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(object(deep.as_bytes()).is_ok());
    }
}
