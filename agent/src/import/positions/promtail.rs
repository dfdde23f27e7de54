//! positions.yaml: paths and offsets.

use std::path::{Path, PathBuf};

use super::super::Tool;
use super::super::settings::Settings;
use super::{PositionsError, Progress, Which, text_of, unknown};

pub(super) fn read(path: &Path) -> Result<Vec<Progress>, PositionsError> {
    let unknown = |reason| unknown(path, Tool::Promtail, reason);
    let settings = Settings::parse_yaml(&text_of(path)?).map_err(unknown)?;
    if !settings.has("positions") {
        return Err(unknown("there is no `positions` in it".to_owned()));
    }
    let files = settings.below("positions.").into_iter().filter_map(|(path, offset)| {
        // What is no path is the cursor of something else.
        let offset = offset.text.parse().ok().filter(|_| path.starts_with('/'))?;
        let which = Which::Named {
            path: PathBuf::from(path),
            inode: None,
        };
        Some(Progress { which, offset })
    });
    Ok(files.collect())
}
