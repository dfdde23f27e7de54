//! Discovery on simulated and real directories.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailrace_shared::disk::sim::SimDisk;
use tailrace_shared::disk::{Disk, RealDisk};

use super::*;

fn selection(include: &[&str], exclude: &[&str]) -> Selection {
    let exclude: Vec<String> = exclude.iter().map(|text| (*text).to_owned()).collect();
    Selection {
        include: include
            .iter()
            .map(|text| Pattern::parse(text, Path::new("/")).unwrap())
            .collect(),
        exclude: exclusions(&exclude, Path::new("/")).unwrap(),
    }
}

/// A disk with these files, each with its own path as content.
fn disk_with(files: &[&str]) -> SimDisk {
    let disk = SimDisk::new(1);
    for file in files {
        create(&disk, file);
    }
    disk
}

fn create(disk: &SimDisk, file: &str) {
    let path = Path::new(file);
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    disk.append(path, file.as_bytes()).unwrap();
}

fn walker(disk: &SimDisk, selections: Vec<Selection>) -> Walker {
    Walker::new(Arc::new(disk.clone()), selections, Vec::new())
}

fn paths(scan: &Scan) -> Vec<&str> {
    let mut paths: Vec<_> = scan.files.iter().map(|found| found.path.to_str().unwrap()).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn patterns_match_component_by_component() {
    let cases = [
        ("/var/log/*.log", "/var/log/a.log", true),
        ("/var/log/*.log", "/var/log/x/a.log", false),
        ("/var/log/**/*.log", "/var/log/a.log", true),
        ("/var/log/**/*.log", "/var/log/x/y/a.log", true),
        ("/var/log/**", "/var/log/x/y/a", true),
        ("/var/**/app/**/*.log", "/var/a/app/b/c/d.log", true),
        ("/var/**/app/**/*.log", "/var/a/b/c/d.log", false),
        ("/srv/{web,db}-?/log", "/srv/db-1/log", true),
        ("/srv/[a-c]*/log", "/srv/delta/log", false),
        ("/exact", "/exact", true),
    ];
    for (pattern, path, expected) in cases {
        let parsed = Pattern::parse(pattern, Path::new("/")).unwrap();
        assert_eq!(parsed.matches(Path::new(path)), expected, "{pattern} on {path}");
    }
    let relative = Pattern::parse("logs/*.log", Path::new("/home/me")).unwrap();
    assert!(relative.matches(Path::new("/home/me/logs/a.log")));
}

#[test]
fn dots_are_resolved_by_name() {
    let cases = [
        ("../logs/*.log", "/home/logs/a.log"),
        ("./a.log", "/home/me[1]/a.log"),
        ("sub/.././x/*", "/home/me[1]/x/a"),
        ("/var/log/../lib/*.log", "/var/lib/a.log"),
        ("../../../../etc/*", "/etc/a"),
    ];
    let base = Path::new("/home/me[1]");
    for (pattern, path) in cases {
        let parsed = Pattern::parse(pattern, base).unwrap();
        assert!(parsed.matches(Path::new(path)), "{pattern} on {path}");
        let excluded = exclusions(&[pattern.to_owned()], base).unwrap();
        assert!(excluded.is_match(path), "{pattern} on {path}");
    }
    for pattern in ["/srv/*/../x", "/srv/**/../x", "/srv/{a,b}/.."] {
        let error = Pattern::parse(pattern, base).unwrap_err().to_string();
        assert!(error.contains(pattern) && error.contains("without it"), "{error}");
    }
}

#[test]
fn names_that_are_spelled_out_are_found_beside_patterns() {
    let disk = disk_with(&["/here/Apache.log", "/there/Linux.log"]);
    let include = ["/here/Apa*.log", "/here/../there/Linux.log", "/there/../here/none.log"];
    let mut walker = walker(&disk, vec![selection(&include, &[])]);
    assert_eq!(paths(&walker.scan_all()), ["/here/Apache.log", "/there/Linux.log"]);
}

#[test]
fn a_slash_within_alternatives_is_refused_with_the_remedy() {
    let error = Pattern::parse("/var/{a/b,c}/x", Path::new("/"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/var/{a/b,c}/x") && error.contains("write a pattern for each"),
        "{error}"
    );
}

#[test]
fn a_walk_finds_what_the_inputs_select() {
    let disk = disk_with(&[
        "/log/a.log",
        "/log/b.txt",
        "/log/sub/c.log",
        "/log/old.log.gz",
        "/other/d.log",
    ]);
    let mut walker = walker(
        &disk,
        vec![
            selection(&["/log/**"], &["*.gz", "/log/b*"]),
            selection(&["/log/*", "/other/d.log"], &[]),
        ],
    );
    let scan = walker.scan_all();
    let found: Vec<_> = scan
        .files
        .iter()
        .map(|found| (found.path.to_str().unwrap(), found.input))
        .collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    let expected = [
        ("/log/a.log", 0),
        ("/log/b.txt", 1),
        ("/log/old.log.gz", 1),
        ("/log/sub/c.log", 0),
        ("/other/d.log", 1),
    ];
    assert_eq!(sorted, expected);
}

#[test]
fn only_directories_that_can_match_are_entered() {
    let disk = disk_with(&["/srv/a/log/x.log", "/srv/b/data/deep/y.log", "/home/z.log"]);
    let mut walker = walker(&disk, vec![selection(&["/srv/*/log/*.log"], &[])]);
    let scan = walker.scan_all();
    assert_eq!(paths(&scan), ["/srv/a/log/x.log"]);
    let mut dirs: Vec<_> = scan.dirs.iter().map(|dir| dir.to_str().unwrap()).collect();
    dirs.sort_unstable();
    assert_eq!(dirs, ["/", "/srv", "/srv/a", "/srv/a/log", "/srv/b"]);
}

#[test]
fn excluded_directories_and_the_agents_own_are_not_entered() {
    let disk = disk_with(&["/log/journal/a.log", "/log/own/b.log", "/log/c.log"]);
    let selections = vec![selection(&["/log/**/*.log"], &["/log/journal"])];
    create(&disk, "/log/output.log");
    let off_limits = ["/log/own", "/log/output.log"].map(PathBuf::from).to_vec();
    let mut walker = Walker::new(Arc::new(disk), selections, off_limits);
    let scan = walker.scan_all();
    assert_eq!(paths(&scan), ["/log/c.log"]);
    assert!(!scan.dirs.contains(Path::new("/log/journal")));
}

#[test]
fn links_are_followed_each_target_is_taken_once_and_loops_end() {
    let disk = disk_with(&["/log/pods/a.log"]);
    disk.symlink(Path::new("/log/pods/a.log"), Path::new("/log/zz.log"))
        .unwrap();
    disk.symlink(Path::new("/log"), Path::new("/log/pods/again")).unwrap();
    disk.symlink(Path::new("/nowhere"), Path::new("/log/dangling.log"))
        .unwrap();
    let mut walker = walker(&disk, vec![selection(&["/log/**/*.log"], &[])]);
    for _ in 0..2 {
        assert_eq!(walker.scan_all().files.len(), 1);
        walker.scan_dir(Path::new("/log/pods"));
    }
}

#[test]
fn a_linked_file_is_watched_where_it_really_is() {
    let disk = disk_with(&["/pods/a/0.log"]);
    disk.create_dir_all(Path::new("/containers")).unwrap();
    disk.symlink(Path::new("/pods/a/0.log"), Path::new("/containers/a.log"))
        .unwrap();
    let scan = walker(&disk, vec![selection(&["/containers/*.log"], &[])]).scan_all();
    assert_eq!(paths(&scan), ["/containers/a.log"]);
    assert_eq!(scan.linked, [(PathBuf::from("/pods/a"), PathBuf::from("/containers"))]);
}

#[test]
fn a_look_at_one_directory_meets_new_files_and_new_directories_below() {
    let disk = disk_with(&["/log/a.log", "/log/known/b.log"]);
    let mut walker = walker(&disk, vec![selection(&["/log/**/*.log"], &[])]);
    walker.scan_all();
    create(&disk, "/log/new/deep/c.log");
    create(&disk, "/log/d.log");
    assert_eq!(
        paths(&walker.scan_dir(Path::new("/log"))),
        ["/log/a.log", "/log/d.log", "/log/new/deep/c.log"]
    );
}

#[test]
fn a_directory_that_does_not_exist_yet_is_met_later() {
    let disk = disk_with(&["/srv/other"]);
    let mut walker = walker(&disk, vec![selection(&["/srv/app/log/*.log"], &[])]);
    assert_eq!(paths(&walker.scan_all()), Vec::<&str>::new());
    create(&disk, "/srv/app/log/x.log");
    assert_eq!(paths(&walker.scan_dir(Path::new("/srv"))), ["/srv/app/log/x.log"]);
}

/// The files of a first scan, taken in.
fn know(walker: &mut Walker) -> Known {
    let mut known = Known::default();
    for found in walker.scan_all().files {
        known.add(&found.path, &found.metadata);
    }
    known
}

#[test]
fn a_rotation_by_rename_is_a_move_and_an_appearance() {
    let disk = disk_with(&["/log/app.log"]);
    let mut walker = walker(&disk, vec![selection(&["/log/app*"], &[])]);
    let known = know(&mut walker);
    disk.rename(Path::new("/log/app.log"), Path::new("/log/app.log.1"))
        .unwrap();
    create(&disk, "/log/app.log");
    let scan = walker.scan_dir(Path::new("/log"));
    let found = scan.files.iter().find(|found| found.path.ends_with("app.log")).unwrap();
    let file = FileNo(0);
    let to = PathBuf::from("/log/app.log.1");
    assert_eq!(
        known.compare(&scan, false),
        [Event::Appeared(found.clone()), Event::Moved { file, to }]
    );
}

#[test]
fn a_file_that_left_the_glob_is_unseen_and_then_located_beside() {
    let disk = disk_with(&["/log/app.log", "/log/b.log", "/log/c.log"]);
    let mut walker = walker(&disk, vec![selection(&["/log/*.log"], &[])]);
    let known = know(&mut walker);
    disk.rename(Path::new("/log/app.log"), Path::new("/log/app.log.1"))
        .unwrap();
    disk.remove(Path::new("/log/b.log")).unwrap();
    let events = known.compare(&walker.scan_dir(Path::new("/log")), false);
    let mut sought: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Unseen { file } => (*file, known.get(*file).unwrap().0, &**known.get(*file).unwrap().1),
            other => panic!("{other:?}"),
        })
        .collect();
    sought.sort_unstable_by_key(|sought| sought.2);
    let places: Vec<_> = locate(&disk, &sought).into_iter().map(|(_, place)| place).collect();
    let rotated = PathBuf::from("/log/app.log.1");
    let metadata = disk.metadata(&rotated).unwrap();
    assert_eq!(places, [Whereabouts::At(rotated, metadata), Whereabouts::Nowhere]);
}

#[test]
fn growth_is_a_change_and_quiet_files_give_no_events() {
    let disk = disk_with(&["/log/a.log", "/log/b.log"]);
    let mut walker = walker(&disk, vec![selection(&["/log/*.log"], &[])]);
    let mut known = know(&mut walker);
    assert_eq!(known.compare(&walker.scan_all(), true), []);
    disk.append(Path::new("/log/b.log"), b"more").unwrap();
    let metadata = disk.metadata(Path::new("/log/b.log")).unwrap();
    let file = known.by_id(metadata.id).unwrap();
    assert_eq!(
        known.compare(&walker.scan_all(), true),
        [Event::Changed { file, metadata }]
    );
    assert!(known.update(file, &metadata));
    assert_eq!(known.compare(&walker.scan_all(), true), []);
}

#[test]
fn an_unreadable_directory_says_nothing_of_its_files() {
    let disk = disk_with(&["/log/a.log"]);
    let mut walker = walker(&disk, vec![selection(&["/log/*.log"], &[])]);
    let known = know(&mut walker);
    let mut scan = Scan::default();
    scan.unreadable
        .push((PathBuf::from("/log"), std::io::ErrorKind::PermissionDenied.into()));
    assert_eq!(known.compare(&scan, true), []);
    assert_eq!(
        known.compare(&Scan::default(), true),
        [Event::Unseen { file: FileNo(0) }]
    );
}

#[test]
fn a_name_taken_over_stays_with_its_new_owner() {
    let disk = disk_with(&["/log/a", "/log/b"]);
    let mut walker = walker(&disk, vec![selection(&["/log/*"], &[])]);
    let mut known = know(&mut walker);
    let (a, b) = (FileNo(0), FileNo(1));
    known.rename(b, Path::new("/log/a"));
    known.remove(a);
    disk.remove(Path::new("/log/a")).unwrap();
    disk.remove(Path::new("/log/b")).unwrap();
    let events = known.compare(&walker.scan_dir(Path::new("/log")), false);
    assert_eq!(events, [Event::Unseen { file: b }]);
}

#[test]
fn a_file_that_comes_back_under_its_old_name_is_noticed() {
    let disk = disk_with(&["/log/a"]);
    let mut walker = walker(&disk, vec![selection(&["/log/*"], &[])]);
    let mut known = know(&mut walker);
    known.lose_name(FileNo(0));
    let to = PathBuf::from("/log/a");
    assert_eq!(
        known.compare(&walker.scan_all(), true),
        [Event::Moved { file: FileNo(0), to }]
    );
}

#[test]
fn a_walk_over_real_directories() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("sub/a.log"), "a").unwrap();
    std::os::unix::fs::symlink(root.join("sub"), root.join("link")).unwrap();
    std::os::unix::fs::symlink(&root, root.join("sub/loop")).unwrap();
    let pattern = root.join("**/*.log");
    let selections = vec![selection(&[pattern.to_str().unwrap()], &[])];
    let scan = Walker::new(Arc::new(RealDisk), selections, Vec::new()).scan_all();
    assert_eq!(scan.files.len(), 1);
}
