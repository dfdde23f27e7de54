//! What a person wrote to be followed: a file that is there is taken by its name, and what cannot be meant is refused.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use tailrace_agent::config::Glob;

/// The pattern for what was given.
pub(super) fn parse(given: &str) -> Result<Glob> {
    let path = Path::new(given);
    let parsed = match path.metadata() {
        Ok(found) if found.is_dir() => bail!(
            "{given} is a directory; say which files in it, for example '{}'",
            path.join("**/*.log").display()
        ),
        Ok(found) if !found.is_file() => bail!("{given} is not a regular file, and only such are followed"),
        Ok(_) => Glob::literal(given),
        Err(_) => match given.strip_prefix("~/") {
            Some(rest) => bail!(
                "{given}: the shell does not expand a quoted ~, and nor does this; write \"$HOME\"'/{rest}', or leave \
                 the ~ out of the quotes"
            ),
            None => Glob::try_from(given.to_owned()),
        },
    };
    parsed.map_err(|reason| anyhow!("{given}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_taken_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a[1]{x}.log");
        std::fs::write(&file, "").unwrap();
        let glob = parse(file.to_str().unwrap()).unwrap();
        let pattern = tailrace_agent::discover::Pattern::parse(glob.as_str(), Path::new("/")).unwrap();
        assert!(pattern.matches(&file), "{glob:?}");
        assert!(!pattern.matches(&dir.path().join("a1x.log")), "{glob:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_remedy() {
        for (given, expected) in [
            ("/dev/null", "not a regular file"),
            ("~/x*.log", "\"$HOME\"'/x*.log'"),
            ("/", "is a directory"),
            ("/no/*/../x", "without it"),
        ] {
            let error = parse(given).unwrap_err().to_string();
            assert!(error.contains(given) && error.contains(expected), "{error}");
        }
    }
}
