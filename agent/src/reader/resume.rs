//! Goes on with the files of earlier processes.

use std::collections::HashSet;
use std::time::Duration;

use tailrace_shared::disk::FileId;

use super::find::{Finder, Look};
use crate::discover::{Found, Scan, Whereabouts, age, locate};
use crate::tail::{Continues, StartAt, Tail};

/// While files are renamed some may have to be looked for again, but not for ever.
const ROUNDS_MAX: usize = 5;

impl Finder {
    /// Goes on with the files of earlier processes before new ones are begun: each in the order in which they were
    /// written, and those that were renamed meanwhile too, whatever they are called now.
    pub(super) fn resume_all(&mut self, scan: &Scan, tail: &mut Tail, now: Duration) {
        self.note_gaps_of_earlier_processes();
        let mut returning = self.returning(scan);
        for _ in 0..ROUNDS_MAX {
            // Of the files of one name, the one that still has it is the last.
            returning
                .sort_by_cached_key(|found| (self.is_at_its_name(found), found.metadata.modified_ms, age(&found.path)));
            let renamed: Vec<FileId> = returning
                .iter()
                .filter(|found| !self.resume(found, tail, now))
                .map(|found| found.metadata.id)
                .collect();
            if renamed.is_empty() {
                break;
            }
            returning = self.located(&renamed);
        }
        self.gone.iter().for_each(|id| drop(self.restored.remove(id)));
        self.keep_open_gaps();
    }

    fn is_at_its_name(&self, found: &Found) -> bool {
        self.restored
            .get(&found.metadata.id)
            .is_some_and(|position| position.path == found.path)
    }

    /// False if the file is not where it was found.
    fn resume(&mut self, found: &Found, tail: &mut Tail, now: Duration) -> bool {
        let (handle, opening) = match self.look_into(found, StartAt::Beginning) {
            Look::Open(handle, opening) => (handle, opening),
            Look::NotThere => return false,
            Look::Failed => return true,
        };
        let Some(position) = self.restored.remove(&found.metadata.id) else {
            return true;
        };
        if opening.continues == Continues::Replaced {
            // Not what was read, but a file that has its inode, or the same one written anew. What it is, its name says.
            self.gone.push(found.metadata.id);
            self.remember(&position.path, (&position).into());
            if found.path == position.path {
                self.report(found, &opening, Some(&position));
            }
            return true;
        }
        self.report(found, &opening, Some(&position));
        self.follow(found, Some(&position), handle, &opening, tail, now);
        true
    }

    /// Where the files of earlier processes are now.
    fn returning(&mut self, scan: &Scan) -> Vec<Found> {
        let mut returning: Vec<_> = scan
            .files
            .iter()
            .filter(|found| self.restored.contains_key(&found.metadata.id))
            .cloned()
            .collect();
        let met: HashSet<FileId> = returning.iter().map(|found| found.metadata.id).collect();
        let is_readable = |path: &std::path::Path| !scan.unreadable.iter().any(|(dir, _)| path.starts_with(dir));
        let unmet: Vec<FileId> = self
            .restored
            .values()
            .filter(|position| !met.contains(&position.key.id) && is_readable(&position.path))
            .map(|position| position.key.id)
            .collect();
        returning.extend(self.located(&unmet));
        returning
    }

    /// Looks for files beside where they were. Those that are nowhere are gone.
    fn located(&mut self, ids: &[FileId]) -> Vec<Found> {
        let sought: Vec<_> = ids
            .iter()
            .filter_map(|id| Some((*id, *id, &*self.restored.get(id)?.path)))
            .collect();
        let mut located = Vec::new();
        for (id, whereabouts) in locate(&*self.disk, &sought) {
            let Some(position) = self.restored.get(&id) else {
                continue;
            };
            match (whereabouts, self.walker.input_of(&position.path)) {
                (Whereabouts::At(path, metadata), Some(input)) => located.push(Found { path, metadata, input }),
                (Whereabouts::Here(_) | Whereabouts::At(..), _) => {
                    // It is no longer selected. Its position is kept, for the day it is again.
                }
                (Whereabouts::Nowhere, _) => {
                    tracing::info!(
                        path = %position.path.display(),
                        read_to = position.offset,
                        "a file was deleted while the agent was down; what was written to it after that byte is lost"
                    );
                    let (path, original) = (position.path.clone(), position.into());
                    self.remember(&path, original);
                    self.gone.push(id);
                }
            }
        }
        located
    }
}
