//! Looks for files that left their glob beside where they were: a rotated `app.log.1` still has lines to give.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tailrace_shared::disk::{Disk, FileId, Metadata};

use super::listing::regular_files;

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
/// the directory that it leads to. A directory is listed for all files sought in it at once, and again if some were not
/// found, since files may be renamed meanwhile.
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
        let all_found = |found: &[(PathBuf, Metadata)]| {
            let ids: HashSet<FileId> = found.iter().map(|(_, metadata)| metadata.id).collect();
            wanted.keys().all(|id| ids.contains(id))
        };
        for (path, metadata) in regular_files(disk, &dir, |_| true, all_found) {
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
