//! Looks for files that left their glob beside where they were: a rotated `app.log.1` still has lines to give.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tailrace_shared::disk::{Disk, FileId, FileKind, Metadata};

/// Where a file was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Where it was; only its name does not match.
    Here(Metadata),
    /// Under another name in the same directory.
    At(PathBuf, Metadata),
    /// Nowhere near.
    Nowhere,
}

/// Looks for each of some files under its last known path, then in that directory, then (where the path is a link) in
/// the directory that it leads to. A directory is listed once, for all files sought in it.
pub fn locate<K: Copy + Eq + std::hash::Hash>(disk: &dyn Disk, sought: &[(K, FileId, &Path)]) -> Vec<(K, Whereabouts)> {
    let mut results = Vec::with_capacity(sought.len());
    let mut by_dir: HashMap<PathBuf, Vec<usize>> = HashMap::new();
    for (key, id, path) in sought {
        match disk.metadata(path) {
            Ok(metadata) if metadata.id == *id => results.push((*key, Whereabouts::Here(metadata))),
            _ => {
                for dir in directories(disk, path) {
                    by_dir.entry(dir).or_default().push(results.len());
                }
                results.push((*key, Whereabouts::Nowhere));
            }
        }
    }
    for (dir, wanted) in by_dir {
        let wanted: HashMap<FileId, usize> = wanted
            .into_iter()
            .filter_map(|index| Some((sought.get(index)?.1, index)))
            .collect();
        for (path, metadata) in regular_files(disk, &dir) {
            if let Some((_, whereabouts @ Whereabouts::Nowhere)) =
                wanted.get(&metadata.id).and_then(|index| results.get_mut(*index))
            {
                *whereabouts = Whereabouts::At(path, metadata);
            }
        }
    }
    results
}

fn directories(disk: &dyn Disk, path: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = path.parent().map(Path::to_owned).into_iter().collect();
    if let Ok(real) = disk.canonicalize(path)
        && let Some(real_dir) = real.parent()
        && path.parent().is_some_and(|dir| dir != real_dir)
    {
        dirs.push(real_dir.to_owned());
    }
    dirs
}

fn regular_files<'a>(disk: &'a dyn Disk, dir: &'a Path) -> impl Iterator<Item = (PathBuf, Metadata)> + 'a {
    let entries = disk.list(dir).unwrap_or_default();
    entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::File)
        .filter_map(move |entry| {
            let path = dir.join(entry.name);
            let metadata = disk.metadata(&path).ok()?;
            Some((path, metadata))
        })
}
