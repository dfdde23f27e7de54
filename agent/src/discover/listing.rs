//! Lists a directory in which files may be renamed meanwhile.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tailrace_shared::disk::{Disk, FileKind, Metadata};

/// So many looks at a directory that does not come to rest are enough: what they did not find is looked for again later.
const LOOKS_MAX: usize = 5;

/// The regular files of a directory whose names are wanted, by name. While files are renamed a listing may miss one, or
/// a file may go from a name that is asked later to one that was asked already; so it looks until two looks agree, or
/// until what they found is `enough`.
pub(super) fn regular_files(
    disk: &dyn Disk,
    dir: &Path,
    is_wanted: impl Fn(&OsStr) -> bool,
    is_enough: impl Fn(&[(PathBuf, Metadata)]) -> bool,
) -> Vec<(PathBuf, Metadata)> {
    let mut found = look(disk, dir, &is_wanted);
    for _ in 1..LOOKS_MAX {
        if is_enough(&found) {
            break;
        }
        let before = std::mem::replace(&mut found, look(disk, dir, &is_wanted));
        if identities(&before).eq(identities(&found)) {
            break;
        }
    }
    found
}

fn look(disk: &dyn Disk, dir: &Path, is_wanted: impl Fn(&OsStr) -> bool) -> Vec<(PathBuf, Metadata)> {
    let mut entries = disk.list(dir).unwrap_or_default();
    entries.retain(|entry| entry.kind == FileKind::File && is_wanted(&entry.name));
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let with_metadata = entries.into_iter().filter_map(|entry| {
        let path = dir.join(entry.name);
        let metadata = disk.metadata(&path).ok()?;
        (metadata.kind == FileKind::File).then_some((path, metadata))
    });
    with_metadata.collect()
}

fn identities(found: &[(PathBuf, Metadata)]) -> impl Iterator<Item = (&PathBuf, tailrace_shared::disk::FileId)> {
    found.iter().map(|(path, metadata)| (path, metadata.id))
}
