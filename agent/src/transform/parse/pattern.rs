//! Named groups of a regular expression.

use super::super::{Field, Fields};
use crate::line_regex::LineRegex;

/// The groups that took part in the match.
pub(super) fn groups(regex: &LineRegex, line: &[u8]) -> Result<Fields<'static>, String> {
    let names = regex.over_bytes().capture_names();
    let found = regex.captures(line, |found| {
        let mut fields = Fields::default();
        for (index, name) in names.clone().enumerate() {
            if let (Some(name), Some(group)) = (name, found.get(index)) {
                let text = String::from_utf8_lossy(group.as_bytes()).into_owned();
                fields.put(name.to_owned().into(), Field::Text(text.into()));
            }
        }
        fields
    });
    found.ok_or_else(|| "regex: the line does not match".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_did_not_take_part_are_not_there() {
        let regex = LineRegex::new(r"^(?<a>\d+)( (?<b>.*))?$").unwrap();
        let all = |line| {
            let fields = groups(&regex, line)?;
            Ok(fields
                .iter()
                .map(|(name, field)| format!("{name}={}", field.text()))
                .collect::<Vec<_>>())
        };
        assert_eq!(all(b"1 x\xff"), Ok(vec!["a=1".to_owned(), "b=x\u{fffd}".to_owned()]));
        assert_eq!(all(b"1"), Ok(vec!["a=1".to_owned()]));
        assert_eq!(all(b"x"), Err("regex: the line does not match".to_owned()));
    }
}
