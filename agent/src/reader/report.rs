//! What the reading thread tells the operator: what it counts, and the state of each file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Reader;
use super::find::Finder;
use crate::discover::{FileNo, Found, Scan};
use crate::position::FilePosition;
use crate::status::{FileStatus, ReadMetrics};
use crate::tail::{Continues, Followed, Opening, Tail};

/// How often gauges over all files are summed up.
const GAUGE_INTERVAL: Duration = Duration::from_secs(1);

impl Reader {
    pub(super) fn count(&self, file: FileNo, count: impl FnOnce(&ReadMetrics, &str)) {
        if let Some(input) = self.tail.get(file).and_then(|followed| self.inputs.get(followed.input)) {
            count(&self.seams.metrics, &input.records.topic);
        }
    }

    pub(super) fn count_lost(&self, file: FileNo, unread: u64) {
        if unread > 0
            && let Some(followed) = self.tail.get(file)
        {
            tracing::warn!(
                path = %followed.path.display(),
                lost_bytes = unread,
                "a file was deleted or cut, and is given up before it was read to its end"
            );
            self.count(file, |metrics, topic| metrics.lost_bytes.with([topic]).inc_by(unread));
        }
    }

    /// Whether it was time to.
    pub(super) fn refresh_gauges(&mut self, now: Duration) -> bool {
        if now < self.gauges_at {
            return false;
        }
        self.gauges_at = now + GAUGE_INTERVAL;
        let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for input in &self.inputs {
            sums.entry(&input.records.topic).or_default();
        }
        for (_, followed) in self.tail.iter() {
            if let Some((files, unread)) = self
                .inputs
                .get(followed.input)
                .and_then(|input| sums.get_mut(&*input.records.topic))
            {
                *files += 1;
                *unread = unread.saturating_add_unsigned(followed.unread());
            }
        }
        for (topic, (files, unread)) in sums {
            self.seams.metrics.files_followed.with([topic]).set(files);
            self.seams.metrics.unread_bytes.with([topic]).set(unread);
        }
        true
    }

    /// Answers questions for the state of the files.
    pub(super) fn answer(&mut self) {
        while let Ok(reply) = self.seams.questions.try_recv() {
            let mut files: Vec<_> = self.tail.iter().map(|(_, followed)| self.status(followed)).collect();
            files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            // Whoever asked may have left.
            drop(reply.send(files));
        }
    }

    fn status(&self, followed: &Followed) -> FileStatus {
        FileStatus {
            path: PathBuf::from(&*followed.path),
            topic: self
                .inputs
                .get(followed.input)
                .map_or_else(String::new, |input| input.records.topic.to_string()),
            lane: followed.lane,
            position: followed.mark.offset,
            size: followed.high,
            lag: followed.unread(),
            deleted: followed.is_nameless(),
            last_error: followed.error.as_deref().map(str::to_owned),
        }
    }
}

impl Finder {
    pub(super) fn count_rotation(&self, file: FileNo, tail: &Tail) {
        if let Some(taking) = tail.get(file).and_then(|followed| self.inputs.get(followed.input)) {
            self.metrics.rotations.with([&*taking.topic]).inc();
        }
    }

    pub(super) fn report(&self, found: &Found, opening: &Opening, position: Option<&FilePosition>) {
        let path = &found.path;
        let topic = self.inputs.get(found.input).map_or("", |taking| &*taking.topic);
        let read_to = position.map_or(0, |position| position.offset);
        match opening.continues {
            Continues::Torn => {
                self.metrics.torn_files.with([topic]).inc();
                tracing::warn!(
                    path = %path.display(),
                    read_to,
                    going_on_at = opening.mark.offset,
                    "a file has lost bytes that were read before, as in a power failure; following it from there"
                );
            }
            Continues::Replaced => {
                self.metrics.truncations.with([topic]).inc();
                tracing::info!(path = %path.display(), "a file was replaced or written anew; reading it from its start");
            }
            Continues::New | Continues::There => tracing::debug!(path = %path.display(), read_to, "following a file"),
        }
    }

    pub(super) fn trouble(&mut self, path: &Path, input: usize, error: &io::Error) {
        if let Some(taking) = self.inputs.get(input) {
            self.metrics.read_errors.with([&*taking.topic]).inc();
        }
        if self.troubled.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), %error, "cannot open a file; trying again at every scan");
        }
    }

    pub(super) fn complain(&mut self, scan: &Scan) {
        for (path, error) in &scan.unreadable {
            if self.troubled.insert(path.clone()) {
                tracing::warn!(path = %path.display(), %error, "cannot look for files here; trying again at every scan");
            }
        }
    }
}
