//! positions.yaml: paths and offsets, and cursors of journals.

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
    let progress = settings.below("positions.").into_iter().filter_map(|(key, at)| {
        if let Some(job) = key.strip_prefix("cursor-").or_else(|| key.strip_prefix("journal-")) {
            // There are cursors of other things.
            return at.text.starts_with("s=").then(|| Progress::Journal {
                name: job.to_owned(),
                cursor: at.text,
            });
        }
        let offset = at.text.parse().ok().filter(|_| key.starts_with('/'))?;
        let which = Which::Named {
            path: PathBuf::from(key),
            inode: None,
        };
        Some(Progress::File { which, offset })
    });
    Ok(progress.collect())
}
