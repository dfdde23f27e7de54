//! Files that had a followed name for a while and were rotated away before anybody looked: `app.log` was `app.log.2`
//! before it became `app.log.1`, and the agent slept through both rotations.
//!
//! Rotation adds to a name: a number (`app.log.1`), a date (`app.log-20261124`), or both. Of the files that are called so
//! those are generations which nobody knows and which were modified after the last one that is known: that is so because
//! a generation begins when its predecessor has left the name. A copy may look the same, which only its content can tell.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tailrace_shared::disk::{Disk, FileId, Metadata};

use super::listing::regular_files;

/// With fewer digits what follows a dash is no date: `worker-2` is not what became of `worker`.
const DATE_DIGITS_MIN: usize = 4;

/// Where rotated names lie, and the name that they begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    /// The name before the rotation.
    pub stem: OsString,
}

/// A regular file that is called as if rotation had named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Its name.
    pub path: PathBuf,
    /// As it was found.
    pub metadata: Metadata,
}

/// Where the rotated names of a followed name may lie: beside it; where it leads to, if it is a link; and where a file
/// that had it was `found`.
#[must_use]
pub fn places(disk: &dyn Disk, name: &Path, found: Option<&Path>) -> Vec<Place> {
    let place = |dir: &Path, stem: &Path| {
        Some(Place {
            dir: dir.parent()?.to_owned(),
            stem: stem.file_name()?.to_owned(),
        })
    };
    let mut places: Vec<_> = place(name, name).into_iter().collect();
    let real = disk.canonicalize(name).ok();
    let others = [
        real.and_then(|real| place(&real, &real)),
        found.and_then(|found| place(found, name)),
    ];
    for other in others.into_iter().flatten() {
        if !places.contains(&other) {
            places.push(other);
        }
    }
    places
}

/// What lies at each of these places. A directory is listed once, for all places in it.
#[must_use]
pub fn rotated(disk: &dyn Disk, places: &[Place]) -> Vec<Vec<Rotated>> {
    let mut rotated = vec![Vec::new(); places.len()];
    let mut by_dir: BTreeMap<&Path, HashMap<&OsStr, Vec<usize>>> = BTreeMap::new();
    for (index, place) in places.iter().enumerate() {
        let stems = by_dir.entry(&place.dir).or_default();
        stems.entry(&place.stem).or_default().push(index);
    }
    for (dir, stems) in by_dir {
        let is_wanted = |name: &OsStr| stems_of(name).any(|stem| stems.contains_key(stem));
        for (path, metadata) in regular_files(disk, dir, is_wanted, |_| false) {
            let wanted_by = path
                .file_name()
                .into_iter()
                .flat_map(stems_of)
                .filter_map(|stem| stems.get(stem));
            for index in wanted_by.flatten() {
                if let Some(at_place) = rotated.get_mut(*index) {
                    at_place.push(Rotated {
                        path: path.clone(),
                        metadata,
                    });
                }
            }
        }
    }
    rotated
}

/// The generations that nobody saw, the oldest first: each once, none that is known, and none that was last modified
/// before `since_ms`, when their predecessor was.
#[must_use]
pub fn unseen(rotated: Vec<Rotated>, since_ms: i64, is_known: impl Fn(FileId) -> bool) -> Vec<Rotated> {
    let mut met = HashSet::new();
    let mut unseen = rotated;
    unseen.retain(|one| {
        one.metadata.modified_ms >= since_ms && !is_known(one.metadata.id) && met.insert(one.metadata.id)
    });
    unseen.sort_by_cached_key(|one| (one.metadata.modified_ms, age(&one.path)));
    unseen
}

/// Orders files of one instant, the oldest first: numbers count up with each rotation, dates go on.
#[must_use]
pub fn age(path: &Path) -> impl Ord + use<> {
    let name = path.file_name().map_or(&[][..], OsStrExt::as_bytes);
    let digits = name.rsplit(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    let number = match digits.len() {
        1..=3 => std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<u32>().ok()),
        _ => None,
    };
    (Reverse(number.unwrap_or(0)), path.to_owned())
}

/// Whether a name is what rotation makes of another.
#[must_use]
pub fn is_rotated(path: &Path, name: &Path) -> bool {
    path.file_name()
        .is_some_and(|file_name| stems_of(file_name).any(|stem| name.file_name() == Some(stem)))
}

/// The names that rotation may have made this one of.
fn stems_of(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    let bytes = name.as_bytes();
    let is_suffix = |byte: &u8| byte.is_ascii_digit() || b"-_.:TZ".contains(byte);
    let end_of_stem = bytes
        .iter()
        .rposition(|byte| !is_suffix(byte))
        .map_or(0, |last| last + 1);
    (end_of_stem.max(1)..bytes.len()).filter_map(move |at| {
        let (stem, suffix) = bytes.split_at_checked(at)?;
        let digits = suffix.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_rotated = match suffix {
            [b'.', first, ..] => first.is_ascii_digit(),
            [b'-', first, ..] => first.is_ascii_digit() && digits >= DATE_DIGITS_MIN,
            _ => false,
        };
        is_rotated.then(|| OsStr::from_bytes(stem))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tailrace_shared::disk::FileKind;
    use tailrace_shared::disk::sim::SimDisk;

    use super::*;

    fn stems(name: &str) -> Vec<&str> {
        stems_of(OsStr::new(name)).map(|stem| stem.to_str().unwrap()).collect()
    }

    #[test]
    fn rotation_adds_a_number_or_a_date_and_nothing_else() {
        let rotated = [
            "app.log.1",
            "app.log.12",
            "app.log-20261124",
            "app.log-2026-11-24",
            "app.log.2026-11-24-1795480800",
            "app.log.2026-11-24_10",
            "app.log-2026-11-24T10:20:30Z",
            "app.log-20261124.1",
        ];
        for name in rotated {
            assert!(stems(name).contains(&"app.log"), "{name}");
        }
        let others = [
            "app.log",
            "app.log.",
            "app.log.gz",
            "app.log.1.gz",
            "app.log.1.bak",
            "app.log.old",
            "app.log_1",
            "app.log1",
            "app.log..1x",
            "other.log.1",
            "app.log.T1",
            "app.log-2",
        ];
        for name in others {
            assert!(!stems(name).contains(&"app.log"), "{name}");
        }
        assert_eq!(stems("1.2"), ["1"]);
        assert_eq!(stems(".1"), [""; 0]);
    }

    fn one(name: &str, inode: u64, modified_ms: i64) -> Rotated {
        Rotated {
            path: Path::new("/log").join(name),
            metadata: Metadata {
                id: FileId { device: 1, inode },
                len: 1,
                modified_ms,
                kind: FileKind::File,
                links: 1,
            },
        }
    }

    fn names(unseen: &[Rotated]) -> Vec<&str> {
        unseen
            .iter()
            .map(|one| one.path.file_name().unwrap().to_str().unwrap())
            .collect()
    }

    #[test]
    fn of_one_instant_the_higher_number_and_the_earlier_date_are_older() {
        let numbered =
            ["a.1", "a.10", "a.2"].map(|name| one(name, name.len() as u64 * 7 + u64::from(name.as_bytes()[2]), 5));
        assert_eq!(names(&unseen(numbered.to_vec(), 5, |_| false)), ["a.10", "a.2", "a.1"]);
        let dated = vec![
            one("a-20261125", 1, 5),
            one("a-20261124", 2, 5),
            one("a-20261123", 3, 6),
        ];
        assert_eq!(
            names(&unseen(dated, 5, |_| false)),
            ["a-20261124", "a-20261125", "a-20261123"]
        );
    }

    #[test]
    fn rotated_names_are_sought_beside_behind_a_link_and_where_one_was_found() {
        let disk = SimDisk::new(1).outsider();
        for dir in ["/log/old", "/pods"] {
            disk.create_dir_all(Path::new(dir)).unwrap();
        }
        for file in [
            "/pods/0.log",
            "/pods/0.log.20261124-101112",
            "/log/a.log.1",
            "/log/a.log.2.gz",
            "/log/old/a.log-20261123",
            "/log/b.log.1",
        ] {
            disk.append(Path::new(file), b"x").unwrap();
        }
        disk.create_dir_all(Path::new("/log/a.log.3")).unwrap();
        disk.symlink(Path::new("/pods/0.log"), Path::new("/log/a.log")).unwrap();
        let places = places(
            &disk,
            Path::new("/log/a.log"),
            Some(Path::new("/log/old/a.log-20261124")),
        );
        let paths: Vec<_> = rotated(&disk, &places)
            .concat()
            .into_iter()
            .map(|one| one.path)
            .collect();
        assert_eq!(
            paths,
            ["/log/a.log.1", "/pods/0.log.20261124-101112", "/log/old/a.log-20261123"].map(PathBuf::from)
        );
    }

    proptest! {
        #[test]
        fn what_is_unseen_is_unknown_new_enough_and_in_order(
            files in prop::collection::vec((0..12_u64, 0..6_i64, 1..5_u32), 0..20),
            since_ms in 0..6_i64,
            known in prop::collection::hash_set(0..12_u64, 0..6),
        ) {
            let rotated: Vec<_> = files.iter().map(|(inode, at, number)| one(&format!("a.{number}"), *inode, *at)).collect();
            let is_known = |id: FileId| known.contains(&id.inode);
            let chosen = unseen(rotated.clone(), since_ms, is_known);
            let ids: HashSet<_> = chosen.iter().map(|one| one.metadata.id).collect();
            prop_assert_eq!(ids.len(), chosen.len(), "each once");
            for one in &rotated {
                let fits = one.metadata.modified_ms >= since_ms && !is_known(one.metadata.id);
                prop_assert!(!fits || ids.contains(&one.metadata.id), "none is missed");
            }
            for one in &chosen {
                prop_assert!(one.metadata.modified_ms >= since_ms && !is_known(one.metadata.id));
            }
            let order: Vec<_> = chosen.iter().map(|one| (one.metadata.modified_ms, age(&one.path))).collect();
            prop_assert!(order.is_sorted());
        }
    }
}
