//! Something made of files, and made anew once they change: certificates and keys are renewed while the process runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;

/// By what a file is known to be another one.
type Stamp = Option<(SystemTime, u64)>;

type Load<T> = Box<dyn Fn() -> Option<T> + Send + Sync>;

/// What is made of some files, as they are now. Files that changed and cannot be used leave what there was.
pub struct Reloading<T> {
    files: Vec<PathBuf>,
    load: Load<T>,
    loaded: Mutex<Loaded<T>>,
}

struct Loaded<T> {
    /// As the files were when they were last looked at, whether they could be used or not.
    stamps: Vec<Stamp>,
    made: T,
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Reloading");
        debug.field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T: Clone> Reloading<T> {
    /// Reads the files; `load` makes of them what is wanted, now and whenever one of them has changed.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new<E: fmt::Display>(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Taken first, so that a change while they are read is seen as one.
        let stamps = stamps(&files);
        let made = load()?;
        let load = move || {
            let made = load();
            let complain =
                |error: &E| tracing::error!(%error, "files changed and cannot be used: those of before stay");
            made.inspect_err(complain).ok()
        };
        Ok(Self {
            files,
            load: Box::new(load),
            loaded: Mutex::new(Loaded { stamps, made }),
        })
    }

    /// What the files make now.
    #[must_use]
    pub fn current(&self) -> T {
        let mut loaded = self.loaded.lock();
        let stamps = stamps(&self.files);
        if stamps != loaded.stamps {
            loaded.stamps = stamps;
            if let Some(made) = (self.load)() {
                loaded.made = made;
                tracing::info!(files = %self.names(), "files were read again");
            }
        }
        loaded.made.clone()
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        names.join(", ")
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_changed_is_made_anew_and_what_cannot_be_used_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "one").unwrap();
        let path = file.clone();
        let length = move || match fs::read(&path).unwrap() {
            text if text.is_empty() => Err("it is empty"),
            text => Ok(text.len()),
        };
        let reloading = Reloading::new(vec![file.clone()], length).unwrap();
        assert_eq!(reloading.current(), 3);
        fs::write(&file, "").unwrap();
        assert_eq!(reloading.current(), 3);
        fs::write(&file, "another").unwrap();
        assert_eq!(reloading.current(), 7);
        fs::remove_file(&file).unwrap();
        assert!(Reloading::new(vec![file], || Err::<(), _>("no")).is_err());
    }
}
