//! The directories of a simulated disk: which names are durable, and which operations on names still hang in the cache.
//!
//! An operation is atomic (a rename is never half done), independent of operations on other names, and never overtakes
//! an earlier one on a name that both touch: the least that a journaling file system promises.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use rand::rngs::StdRng;

use super::Fate;
use super::machine::NodeKey;

/// A name in a directory.
pub(super) type Slot = (NodeKey, OsString);

#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    live: BTreeMap<NodeKey, Entries>,
    durable: BTreeMap<NodeKey, Entries>,
    pending: Vec<Operation>,
}

/// What a directory holds.
pub(super) type Entries = BTreeMap<OsString, NodeKey>;

/// Names that change together.
type Operation = Vec<(Slot, Option<NodeKey>)>;

impl Names {
    pub(super) fn entries(&self, dir: NodeKey) -> impl Iterator<Item = (&OsString, NodeKey)> {
        self.live
            .get(&dir)
            .into_iter()
            .flatten()
            .map(|(name, node)| (name, *node))
    }

    pub(super) fn get(&self, dir: NodeKey, name: &OsString) -> Option<NodeKey> {
        self.live.get(&dir)?.get(name).copied()
    }

    pub(super) fn links(&self, node: NodeKey) -> u64 {
        self.live
            .values()
            .flat_map(Entries::values)
            .filter(|named| **named == node)
            .count() as u64
    }

    /// Nodes that some name leads to, or may lead to again after a power failure.
    pub(super) fn reachable(&self) -> BTreeSet<NodeKey> {
        let named = self
            .live
            .values()
            .chain(self.durable.values())
            .flat_map(Entries::values)
            .copied();
        named
            .chain(self.pending.iter().flatten().filter_map(|(_, node)| *node))
            .collect()
    }

    pub(super) fn link(&mut self, dir: NodeKey, name: OsString, node: NodeKey) {
        self.run(vec![((dir, name), Some(node))]);
    }

    pub(super) fn unlink(&mut self, dir: NodeKey, name: OsString) {
        self.run(vec![((dir, name), None)]);
    }

    pub(super) fn rename(&mut self, from: Slot, to: Slot, node: NodeKey) {
        self.run(vec![(from, None), (to, Some(node))]);
    }

    fn run(&mut self, operation: Operation) {
        apply(&mut self.live, &operation);
        self.pending.push(operation);
    }

    pub(super) fn sync_dir(&mut self, dir: NodeKey) {
        self.persist(|operation| operation.iter().any(|((in_dir, _), _)| *in_dir == dir));
    }

    /// Makes durable that a node has lost its names: a file system does so before it gives the inode away again.
    pub(super) fn forget(&mut self, node: NodeKey) {
        let slots: BTreeSet<Slot> = self
            .durable
            .iter()
            .flat_map(|(dir, entries)| entries.iter().map(move |(name, named)| ((*dir, name.clone()), *named)))
            .filter_map(|(slot, named)| (named == node).then_some(slot))
            .collect();
        self.persist(|operation| {
            operation
                .iter()
                .any(|(slot, to)| *to == Some(node) || slots.contains(slot))
        });
    }

    /// Makes the chosen operations durable, and the earlier ones that they rest upon.
    fn persist(&mut self, chosen: impl Fn(&Operation) -> bool) {
        let mut needed = BTreeSet::new();
        let mut persisted = Vec::new();
        let mut left = Vec::new();
        for operation in self.pending.drain(..).rev() {
            if chosen(&operation) || operation.iter().any(|(slot, _)| needed.contains(slot)) {
                needed.extend(operation.iter().map(|(slot, _)| slot.clone()));
                persisted.push(operation);
            } else {
                left.push(operation);
            }
        }
        for operation in persisted.iter().rev() {
            apply(&mut self.durable, operation);
        }
        left.reverse();
        self.pending = left;
    }

    pub(super) fn lose_power(&mut self, rng: &mut StdRng, fate: Fate) {
        let mut lost = BTreeSet::new();
        for operation in std::mem::take(&mut self.pending) {
            let rests_on_lost = operation.iter().any(|(slot, _)| lost.contains(slot));
            if rests_on_lost || !fate.or_kept_or_lost(rng) {
                lost.extend(operation.into_iter().map(|(slot, _)| slot));
            } else {
                apply(&mut self.durable, &operation);
            }
        }
        self.live.clone_from(&self.durable);
    }
}

fn apply(names: &mut BTreeMap<NodeKey, Entries>, operation: &Operation) {
    for ((dir, name), node) in operation {
        let entries = names.entry(*dir).or_default();
        match node {
            Some(node) => entries.insert(name.clone(), *node),
            None => entries.remove(name),
        };
    }
}
