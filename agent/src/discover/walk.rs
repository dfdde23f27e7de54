//! Walks the directories in which a pattern can still match.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;
use tailrace_shared::disk::{Disk, FileId, FileKind, Metadata};

use super::pattern::{Pattern, Progress};

/// What one input selects.
#[derive(Debug)]
pub struct Selection {
    /// Any of these.
    pub include: Vec<Pattern>,
    /// But none of these.
    pub exclude: GlobSet,
}

impl Selection {
    /// Whether it selects a path, by its name alone.
    #[must_use]
    pub fn selects(&self, path: &Path) -> bool {
        !self.exclude.is_match(path) && self.include.iter().any(|pattern| pattern.matches(path))
    }
}

/// A regular file that an input selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name that matched; it may be, or lead through, a symbolic link.
    pub path: PathBuf,
    /// Of the file itself.
    pub metadata: Metadata,
    /// The first input that selects it.
    pub input: usize,
}

/// What a walk met.
#[derive(Debug, Default)]
pub struct Scan {
    /// The directories that were looked at.
    pub dirs: HashSet<PathBuf>,
    /// Each file once, under the first name it was met by.
    pub files: Vec<Found>,
    /// What could not be looked at: nothing is known of the files there.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// Real directories of files that were met through links, with the directory that has the link.
    pub linked: Vec<(PathBuf, PathBuf)>,
    /// Whether there was a name that leads nowhere, but may lead somewhere soon.
    pub dangling: bool,
    /// How many names were examined: what the look has cost.
    pub names: usize,
    seen: HashSet<FileId>,
}

/// Where every pattern of every input stands in one directory.
type Plan = Arc<[Step]>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Step {
    input: usize,
    pattern: usize,
    progress: Progress,
}

/// Walks file trees for the files that inputs select.
#[derive(Debug)]
pub struct Walker {
    disk: Arc<dyn Disk>,
    selections: Vec<Selection>,
    /// Never entered, and never followed: the agent's own data and output.
    off_limits: Vec<PathBuf>,
    off_limits_ids: HashSet<FileId>,
    /// The directories that matter, from the walks since the last of everything.
    plans: HashMap<PathBuf, Plan>,
    /// The same by identity: one that is met again with the same expectations is a loop of links, or soon will be.
    entered: HashSet<(FileId, Plan)>,
}

impl Walker {
    /// A walker for these inputs, the first of which takes a file that several select.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, selections: Vec<Selection>, off_limits: Vec<PathBuf>) -> Self {
        Self {
            disk,
            selections,
            off_limits,
            off_limits_ids: HashSet::new(),
            plans: HashMap::new(),
            entered: HashSet::new(),
        }
    }

    /// The input that selects a path, by its name alone.
    #[must_use]
    pub fn input_of(&self, path: &Path) -> Option<usize> {
        self.selections.iter().position(|selection| selection.selects(path))
    }

    /// Whether an input may take a file that is not selected for its own sake: it is neither excluded, nor another
    /// input's, nor the agent's own.
    #[must_use]
    pub fn may_take(&self, input: usize, path: &Path, id: FileId) -> bool {
        !self.off_limits_ids.contains(&id)
            && !path.ancestors().any(|part| self.excludes(input, part))
            && self.input_of(path).is_none_or(|owner| owner == input)
    }

    /// Looks at everything, from the root down.
    pub fn scan_all(&mut self) -> Scan {
        self.plans.clear();
        self.entered.clear();
        self.off_limits_ids = self
            .off_limits
            .iter()
            .filter_map(|dir| Some(self.disk.metadata(dir).ok()?.id))
            .collect();
        let plan: Plan = self
            .selections
            .iter()
            .enumerate()
            .flat_map(|(input, selection)| {
                let patterns = selection.include.iter().enumerate();
                patterns.map(move |(pattern, glob)| Step {
                    input,
                    pattern,
                    progress: glob.start(),
                })
            })
            .collect();
        let mut scan = Scan::default();
        self.walk(PathBuf::from("/"), plan, &mut scan);
        scan
    }

    /// Looks at one directory that an earlier walk met, and into new directories below it.
    pub fn scan_dir(&mut self, dir: &Path) -> Scan {
        let mut scan = Scan::default();
        if let Some(plan) = self.plans.get(dir).cloned() {
            self.walk(dir.to_owned(), plan, &mut scan);
        }
        scan
    }

    fn walk(&mut self, dir: PathBuf, plan: Plan, scan: &mut Scan) {
        let mut waiting = vec![(dir, plan)];
        while let Some((dir, plan)) = waiting.pop() {
            self.plans.insert(dir.clone(), Arc::clone(&plan));
            let names = match self.names(&dir, &plan) {
                Ok(names) => names,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    scan.dirs.insert(dir);
                    continue;
                }
                Err(error) => {
                    scan.unreadable.push((dir, error));
                    continue;
                }
            };
            for (name, kind) in names {
                let below: Plan = self.advance(&plan, &name);
                if below.is_empty() {
                    continue;
                }
                scan.names += 1;
                let path = dir.join(&name);
                if let Some(id) = self.examine(&path, kind, &below, scan)
                    && !self.plans.contains_key(&path)
                    && self.entered.insert((id, Arc::clone(&below)))
                {
                    waiting.push((path, below));
                }
            }
            scan.dirs.insert(dir);
        }
    }

    /// The names worth a look in a directory: those that the patterns spell out, or all.
    fn names(&self, dir: &Path, plan: &[Step]) -> io::Result<Vec<(OsString, FileKind)>> {
        let mut literals = BTreeSet::new();
        for step in plan {
            match self
                .pattern(step)
                .and_then(|pattern| pattern.next_literals(step.progress))
            {
                Some(names) => literals.extend(names),
                None => {
                    let mut entries: Vec<_> = self.disk.list(dir)?.into_iter().map(|e| (e.name, e.kind)).collect();
                    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                    return Ok(entries);
                }
            }
        }
        // Of a name that was not listed nothing is known: a link needs the longest look.
        Ok(literals
            .into_iter()
            .map(|name| (name.to_owned(), FileKind::Symlink))
            .collect())
    }

    fn advance(&self, plan: &[Step], name: &OsStr) -> Plan {
        plan.iter()
            .filter_map(|step| {
                let progress = self.pattern(step)?.enter(step.progress, name);
                (!progress.is_dead()).then_some(Step { progress, ..*step })
            })
            .collect()
    }

    /// Notes a selected file; returns the identity of a directory that should be entered.
    fn examine(&self, path: &Path, kind: FileKind, below: &[Step], scan: &mut Scan) -> Option<FileId> {
        let leads_on = self.leads_on(below);
        let input = self.selected_by(path, below);
        let worth_a_look = match kind {
            FileKind::File => input.is_some(),
            FileKind::Dir => leads_on,
            FileKind::Symlink => true,
            FileKind::Other => false,
        };
        if !worth_a_look {
            return None;
        }
        let metadata = match self.disk.metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                scan.dangling |= kind == FileKind::Symlink;
                return None;
            }
            Err(error) => {
                scan.unreadable.push((path.to_owned(), error));
                return None;
            }
        };
        if self.off_limits_ids.contains(&metadata.id) {
            return None;
        }
        match metadata.kind {
            FileKind::Dir if leads_on && !self.is_left_out(path, below) => return Some(metadata.id),
            FileKind::File => {
                let input = input?;
                if scan.seen.insert(metadata.id) {
                    self.note_link(path, kind, scan);
                    scan.files.push(Found {
                        path: path.to_owned(),
                        metadata,
                        input,
                    });
                }
            }
            _ => {}
        }
        None
    }

    fn leads_on(&self, below: &[Step]) -> bool {
        below.iter().any(|step| {
            self.pattern(step)
                .is_some_and(|pattern| pattern.leads_on(step.progress))
        })
    }

    fn selected_by(&self, path: &Path, below: &[Step]) -> Option<usize> {
        below
            .iter()
            .filter(|step| self.pattern(step).is_some_and(|pattern| pattern.accepts(step.progress)))
            .map(|step| step.input)
            .find(|input| !self.excludes(*input, path))
    }

    fn excludes(&self, input: usize, path: &Path) -> bool {
        self.selections
            .get(input)
            .is_some_and(|selection| selection.exclude.is_match(path))
    }

    /// Whether no input may look into a directory.
    fn is_left_out(&self, path: &Path, below: &[Step]) -> bool {
        below.iter().all(|step| self.excludes(step.input, path))
    }

    /// Events for a file that is reached through a link come from the directory that really has it.
    fn note_link(&self, path: &Path, kind: FileKind, scan: &mut Scan) {
        if kind != FileKind::Symlink {
            return;
        }
        let (Some(dir), Ok(real)) = (path.parent(), self.disk.canonicalize(path)) else {
            return;
        };
        if let Some(real_dir) = real.parent().filter(|real_dir| *real_dir != dir) {
            scan.linked.push((real_dir.to_owned(), dir.to_owned()));
        }
    }

    fn pattern(&self, step: &Step) -> Option<&Pattern> {
        self.selections.get(step.input)?.include.get(step.pattern)
    }
}
