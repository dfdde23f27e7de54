//! Turns what the parser and serde say into what an operator can act on.

use super::error::Problem;

/// An error of TOML's grammar, which duplicate keys are too.
pub(super) fn syntax(error: &toml::de::Error, text: &str) -> Problem {
    let span = error.span().unwrap_or_default();
    if error.message().starts_with("duplicate key") {
        let key = text.get(span.clone()).unwrap_or_default();
        return Problem::new(format!("the key `{key}` is set twice"))
            .at(span)
            .remedy("remove one of the two");
    }
    Problem::new(error.message()).at(span)
}

/// A file that is TOML but not what the type asks for.
pub(super) fn meaning(error: &toml::de::Error) -> Problem {
    let problem = match complaint(error.message()) {
        Complaint::UnknownKey(key, valid) => {
            Problem::new(format!("unknown key `{key}`")).remedy(suggest(key, &valid, "valid keys here"))
        }
        Complaint::UnknownVariant(value, valid) => {
            Problem::new(format!("unknown value `{value}`")).remedy(suggest(value, &valid, "valid values"))
        }
        Complaint::MissingKey(key) => {
            Problem::new(format!("the key `{key}` is missing")).remedy(format!("add `{key} = …`"))
        }
        Complaint::Other(message) => Problem::new(message),
    };
    match error.span() {
        Some(span) => problem.at(span),
        None => problem,
    }
}

/// If an unknown key is the `_file` form of a valid one: that one.
pub(super) fn key_of_value_file(error: &toml::de::Error) -> Option<&str> {
    match complaint(error.message()) {
        Complaint::UnknownKey(key, valid) => key.strip_suffix("_file").filter(|key| valid.contains(key)),
        _ => None,
    }
}

enum Complaint<'a> {
    UnknownKey(&'a str, Vec<&'a str>),
    UnknownVariant(&'a str, Vec<&'a str>),
    MissingKey(&'a str),
    Other(&'a str),
}

/// Reads the sentences that serde's `unknown_field`, `unknown_variant` and `missing_field` make.
fn complaint(message: &str) -> Complaint<'_> {
    let first_line = message.lines().next().unwrap_or_default();
    let mut quoted = first_line.split('`').skip(1).step_by(2);
    let kind = first_line.split('`').next().unwrap_or_default();
    match (kind.trim_end(), quoted.next()) {
        ("unknown field", Some(key)) => Complaint::UnknownKey(key, quoted.collect()),
        ("unknown variant", Some(value)) => Complaint::UnknownVariant(value, quoted.collect()),
        ("missing field", Some(key)) => Complaint::MissingKey(key),
        _ => Complaint::Other(message),
    }
}

/// What to write instead of a word that is not valid: the nearest that is, or all of them behind `what`.
#[must_use]
pub fn suggest(given: &str, valid: &[&str], what: &str) -> String {
    if valid.is_empty() {
        return "there are no keys here; remove it".to_owned();
    }
    let slips_max = (given.chars().count() / 3).max(2);
    let nearest = valid
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(given, candidate), candidate))
        .min()
        .filter(|(slips, candidate)| *slips <= slips_max && *slips < candidate.chars().count());
    match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("{what}: `{}`", valid.join("`, `")),
    }
}
