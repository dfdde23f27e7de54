//! `${NAME}` and `${NAME:-default}` inside a string.

use super::Environment;
use super::error::Problem;

pub(super) fn expand(text: &str, environment: Environment) -> Result<String, Problem> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded.extend([before, "${"]);
            rest = after;
            continue;
        }
        let Some((reference, after)) = after.split_once('}') else {
            return Err(Problem::new("`${` without its `}`").remedy("close it, or write `$${` for a literal `${`"));
        };
        expanded.extend([before, &resolve(reference, environment)?]);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn resolve(reference: &str, environment: Environment) -> Result<String, Problem> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !is_name {
        let problem = Problem::new(format!("`{name}` cannot be the name of an environment variable"));
        return Err(problem.remedy("write `${NAME}` or `${NAME:-default}`, or `$${` for a literal `${`"));
    }
    // As in a shell, `:-` stands in for an empty variable as well.
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            let problem = Problem::new(format!("the environment variable `{name}` is not set"));
            Err(problem.remedy(format!("set it, or give a default: `${{{name}:-…}}`")))
        }
    }
}
