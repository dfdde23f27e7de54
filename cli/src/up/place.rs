//! Where `up` keeps everything, and what it must never collect: that, and its own output.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// What this process prints goes to these files. Collecting one of them would collect its own lines for ever.
const OWN_OUTPUT: [&str; 2] = ["/proc/self/fd/1", "/proc/self/fd/2"];

/// The directory as given or by default, made if need be.
pub(super) fn prepare(given: Option<&Path>) -> Result<PathBuf> {
    let dir = match given {
        Some(dir) => dir.to_owned(),
        None => default_dir(
            env::var_os("XDG_STATE_HOME").map(PathBuf::from),
            env::var_os("HOME").map(PathBuf::from),
        )?,
    };
    let made = std::fs::create_dir_all(&dir).and_then(|()| dir.canonicalize());
    made.with_context(|| format!("cannot make {}; name another directory with --data-dir", dir.display()))
}

/// By the XDG base directory specification, in which a relative path counts for nothing.
fn default_dir(state_home: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    let absolute = |path: Option<PathBuf>| path.filter(|path| path.is_absolute());
    let state_home = absolute(state_home).or_else(|| Some(absolute(home)?.join(".local/state")));
    let no_home = || anyhow!("there is no home directory to keep anything in; name one with --data-dir");
    Ok(state_home.ok_or_else(no_home)?.join("tailrace"))
}

/// What is never followed, whatever the patterns say; compared by device and inode.
pub(super) fn off_limits(data_dir: &Path) -> Vec<PathBuf> {
    let output = OWN_OUTPUT.iter().map(PathBuf::from);
    [data_dir.to_owned()].into_iter().chain(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_follows_the_xdg_specification() {
        let path = |path: &str| Some(PathBuf::from(path));
        let at = |state_home, home| default_dir(state_home, home).unwrap();
        assert_eq!(at(path("/state"), path("/home/a")), Path::new("/state/tailrace"));
        assert_eq!(
            at(path("relative"), path("/home/a")),
            Path::new("/home/a/.local/state/tailrace")
        );
        assert_eq!(at(None, path("/home/a")), Path::new("/home/a/.local/state/tailrace"));
        assert!(default_dir(None, None).unwrap_err().to_string().contains("--data-dir"));
    }
}
