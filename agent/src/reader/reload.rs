//! A new configuration for a reader that runs. What it follows stays open and where it stands stays known, so a reload
//! loses nothing that a restart would: not even the rest of a file that was deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::find::{Finder, Taking};
use super::{Input, Reader, Settings};
use crate::batch::{Batcher, StretchError};
use crate::discover::{FileNo, Selection, Walker};
use crate::tail::Tail;

/// What is to be read from now on, and how.
#[derive(Debug)]
pub struct Reload {
    /// In the place of all inputs.
    pub inputs: Vec<Input>,
    /// In the place of what these had in common.
    pub settings: Settings,
    /// Told once it holds.
    pub done: oneshot::Sender<()>,
}

/// What a walker and a finder need of the inputs.
pub(super) fn selections(inputs: &mut [Input]) -> (Vec<Selection>, Vec<Taking>) {
    let nothing = || Selection {
        include: Vec::new(),
        exclude: globset::GlobSet::empty(),
    };
    inputs
        .iter_mut()
        .map(|input| {
            let selection = std::mem::replace(&mut input.selection, nothing());
            let taking = Taking {
                topic: Arc::clone(&input.records.topic),
                start_at: input.start_at,
                ignore_older: input.ignore_older,
            };
            (selection, taking)
        })
        .unzip()
}

impl Reader {
    /// Takes on a configuration that waits. What was gathered under the old one is closed first; true if it waits for the
    /// spool now.
    pub(super) fn reload(&mut self) -> Result<bool, StretchError> {
        if self.coming.is_none() {
            self.coming = self.seams.reloads.try_recv().ok();
        }
        if self.coming.is_some() && self.has_gathered() {
            self.waiting = self.close()?;
            return Ok(true);
        }
        if let Some(Reload { inputs, settings, done }) = self.coming.take() {
            self.take_on(inputs, settings);
            // Whoever asked may have stopped waiting.
            done.send(()).ok();
        }
        Ok(false)
    }

    fn take_on(&mut self, mut inputs: Vec<Input>, settings: Settings) {
        let (selections, taking) = selections(&mut inputs);
        let disk = Arc::clone(&self.seams.disk);
        let walker = Walker::new(disk, selections, settings.off_limits.clone());
        let files: Vec<_> = self
            .tail
            .iter()
            .map(|(file, followed)| (file, Arc::clone(&followed.origin)))
            .collect();
        for (file, origin) in files {
            match walker.input_of(&origin) {
                Some(input) => self.tail.belongs_to(file, input),
                None => self.let_go(file),
            }
        }
        let topics_now: BTreeSet<_> = inputs.iter().map(|input| Arc::clone(&input.records.topic)).collect();
        for input in &self.inputs {
            if !topics_now.contains(&input.records.topic) {
                self.seams.metrics.files_followed.with([&*input.records.topic]).set(0);
                self.seams.metrics.unread_bytes.with([&*input.records.topic]).set(0);
            }
        }
        self.finder.select_anew(walker, taking, &settings);
        self.tail.set_limits(settings.tail.clone());
        self.batcher = Batcher::new(Arc::clone(&self.seams.routes), settings.size.clone());
        (self.inputs, self.settings) = (inputs, settings);
    }

    /// Nothing selects a file any more. Its position is kept, for the day that something does.
    fn let_go(&mut self, file: FileNo) {
        let position = self.tail.get(file).and_then(|followed| {
            let input = self.inputs.get(followed.input)?;
            Some(followed.position(&input.records.topic))
        });
        self.tail.forget(file);
        self.finder.let_go(file);
        if let Some(position) = position {
            self.finder.restored.insert(position.key.id, position);
        }
    }
}

impl Finder {
    fn let_go(&mut self, file: FileNo) {
        self.known.remove(file);
        self.latest.retain(|_, latest| *latest != file);
    }

    /// Looks at everything at once, by other selections.
    fn select_anew(&mut self, walker: Walker, inputs: Vec<Taking>, settings: &Settings) {
        self.gaps.retain(|name, gap| match walker.input_of(name) {
            Some(input) => {
                gap.belongs_to(input);
                true
            }
            None => false,
        });
        (self.walker, self.inputs) = (walker, inputs);
        self.host = Arc::clone(&settings.host);
        self.scan_interval = settings.scan_interval;
        self.next_scan = std::time::Duration::ZERO;
        self.troubled.clear();
    }
}

impl Tail {
    /// A file is of another input now, which may make other records of it.
    fn belongs_to(&mut self, file: FileNo, input: usize) {
        if let Some(followed) = self.get_mut(file) {
            followed.input = input;
            followed.common = None;
        }
        self.wake(file);
    }
}
