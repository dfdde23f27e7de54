//! The simulated machine: nodes, open handles, locks, processes, the power switch, and the faults that a test has set.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::content::Content;
use super::names::{Names, Slot};
use super::{Fate, PowerLoss};
use crate::disk::{FileId, FileKind, Metadata, Space};

/// Tells nodes apart for ever, while inode numbers may be used again.
pub(super) type NodeKey = u64;
pub(super) type HandleKey = u64;

pub(super) const ROOT: NodeKey = 0;
const DEVICE: u64 = 1;
const UNLIMITED: u64 = 1 << 50;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// The process under test; the number counts its restarts.
    Tested(u64),
    /// Somebody else on the same machine, who outlives it.
    Outsider,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Killed,
    PowerLost,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    inode: u64,
    modified_ms: i64,
    pub(super) body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    File(Content),
    Dir,
    Symlink(PathBuf),
}

#[derive(Debug, Clone)]
pub(super) struct Machine {
    nodes: BTreeMap<NodeKey, Node>,
    pub(super) names: Names,
    handles: BTreeMap<HandleKey, (NodeKey, Process)>,
    locks: BTreeMap<HandleKey, (NodeKey, Process)>,
    next_key: u64,
    next_inode: u64,
    free_inodes: BTreeSet<u64>,
    process: u64,
    alive: bool,
    powered: bool,
    end_after: Option<(u64, End)>,
    pub(super) operations: u64,
    pub(super) failing_syncs: u32,
    pub(super) capacity: Option<u64>,
    pub(super) reuse_inodes: bool,
    pub(super) now_ms: i64,
    pub(super) rng: StdRng,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            nodes: BTreeMap::from([(
                ROOT,
                Node {
                    inode: 1,
                    modified_ms: 0,
                    body: Body::Dir,
                },
            )]),
            names: Names::default(),
            handles: BTreeMap::new(),
            locks: BTreeMap::new(),
            next_key: 1,
            next_inode: 2,
            free_inodes: BTreeSet::new(),
            process: 0,
            alive: true,
            powered: true,
            end_after: None,
            operations: 0,
            failing_syncs: 0,
            capacity: None,
            reuse_inodes: false,
            now_ms: 1_700_000_000_000,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    // Life and death.

    pub(super) fn check(&self, process: Process) -> io::Result<()> {
        let runs = match process {
            Process::Tested(number) => self.alive && number == self.process,
            Process::Outsider => true,
        };
        if runs && self.powered {
            Ok(())
        } else {
            Err(io::Error::other("the simulated process is dead"))
        }
    }

    pub(super) fn end_after(&mut self, operations: u64, end: End) {
        self.end_after = Some((operations, end));
    }

    /// Counts a mutating operation; tells the end that is due at this one.
    pub(super) fn count(&mut self, process: Process) -> Option<End> {
        if process == Process::Outsider {
            return None;
        }
        self.operations += 1;
        match &mut self.end_after {
            Some((0, end)) => Some(*end),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        !self.alive
    }

    pub(super) fn kill(&mut self) {
        self.alive = false;
        self.end_after = None;
        self.handles.retain(|_, (_, process)| *process == Process::Outsider);
        self.locks.retain(|_, (_, process)| *process == Process::Outsider);
        self.collect();
    }

    pub(super) fn lose_power(&mut self, loss: PowerLoss) {
        self.powered = false;
        self.handles.clear();
        self.locks.clear();
        self.kill();
        let fate = Fate::of(loss, &mut self.rng);
        self.names.lose_power(&mut self.rng, fate);
        for node in self.nodes.values_mut() {
            if let Body::File(content) = &mut node.body {
                content.lose_power(&mut self.rng, fate);
            }
        }
        self.collect();
    }

    pub(super) fn restart(&mut self) -> Process {
        self.kill();
        self.process += 1;
        self.alive = true;
        self.powered = true;
        Process::Tested(self.process)
    }

    /// The same disk and cache in another machine, where nothing runs.
    pub(super) fn copy(&self, seed: u64) -> Self {
        let mut copy = self.clone();
        copy.rng = StdRng::seed_from_u64(seed);
        copy.handles.clear();
        copy.locks.clear();
        copy
    }

    // Nodes.

    fn fresh_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key - 1
    }

    pub(super) fn add(&mut self, body: Body) -> NodeKey {
        if self.reuse_inodes {
            self.give_back_inodes();
        }
        let reused = if self.reuse_inodes {
            self.free_inodes.pop_first()
        } else {
            None
        };
        let inode = reused.unwrap_or(self.next_inode);
        self.next_inode = self.next_inode.max(inode + 1);
        let modified_ms = self.tick();
        let key = self.fresh_key();
        self.nodes.insert(
            key,
            Node {
                inode,
                modified_ms,
                body,
            },
        );
        key
    }

    fn tick(&mut self) -> i64 {
        self.now_ms += 1;
        self.now_ms
    }

    fn give_back_inodes(&mut self) {
        let gone: Vec<NodeKey> = self.nodes.keys().copied().filter(|key| !self.is_live(*key)).collect();
        for key in gone {
            self.names.forget(key);
        }
        self.collect();
    }

    fn is_open(&self, key: NodeKey) -> bool {
        self.handles
            .values()
            .chain(self.locks.values())
            .any(|(node, _)| *node == key)
    }

    fn is_live(&self, key: NodeKey) -> bool {
        key == ROOT || self.is_open(key) || self.names.links(key) > 0
    }

    /// Forgets nodes that nothing leads to.
    fn collect(&mut self) {
        let reachable = self.names.reachable();
        let gone: Vec<NodeKey> = self
            .nodes
            .keys()
            .copied()
            .filter(|key| *key != ROOT && !reachable.contains(key) && !self.is_open(*key))
            .collect();
        for key in gone {
            self.free_inodes.extend(self.nodes.remove(&key).map(|node| node.inode));
        }
    }

    pub(super) fn node(&self, key: NodeKey) -> io::Result<&Node> {
        self.nodes.get(&key).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn kind(&self, key: NodeKey) -> io::Result<FileKind> {
        Ok(match self.node(key)?.body {
            Body::File(_) => FileKind::File,
            Body::Dir => FileKind::Dir,
            Body::Symlink(_) => FileKind::Symlink,
        })
    }

    pub(super) fn metadata(&self, key: NodeKey) -> io::Result<Metadata> {
        let node = self.node(key)?;
        let len = if let Body::File(content) = &node.body {
            content.len() as u64
        } else {
            0
        };
        let id = FileId {
            device: DEVICE,
            inode: node.inode,
        };
        let links = if key == ROOT { 1 } else { self.names.links(key) };
        Ok(Metadata {
            id,
            len,
            modified_ms: node.modified_ms,
            kind: self.kind(key)?,
            links,
        })
    }

    pub(super) fn content(&mut self, key: NodeKey) -> io::Result<&mut Content> {
        match self.nodes.get_mut(&key).map(|node| &mut node.body) {
            Some(Body::File(content)) => Ok(content),
            Some(_) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn contents(&mut self) -> impl Iterator<Item = &mut Content> {
        self.nodes.values_mut().filter_map(|node| {
            if let Body::File(content) = &mut node.body {
                Some(content)
            } else {
                None
            }
        })
    }

    pub(super) fn touch(&mut self, key: NodeKey) {
        let now_ms = self.tick();
        if let Some(node) = self.nodes.get_mut(&key) {
            node.modified_ms = now_ms;
        }
    }

    // Names; a directory is modified by each change of one.

    pub(super) fn link(&mut self, dir: NodeKey, name: OsString, node: NodeKey) {
        self.names.link(dir, name, node);
        self.touch(dir);
    }

    pub(super) fn unlink(&mut self, dir: NodeKey, name: OsString) {
        self.names.unlink(dir, name);
        self.touch(dir);
    }

    pub(super) fn rename(&mut self, from: Slot, to: Slot, node: NodeKey) {
        let dirs = [from.0, to.0];
        self.names.rename(from, to, node);
        dirs.into_iter().for_each(|dir| self.touch(dir));
    }

    /// Bytes by which files may still grow.
    pub(super) fn room(&self) -> u64 {
        let live = self.nodes.iter().filter(|(key, _)| self.is_live(**key));
        let used: usize = live
            .map(|(_, node)| {
                if let Body::File(content) = &node.body {
                    content.len()
                } else {
                    0
                }
            })
            .sum();
        self.size().saturating_sub(used as u64)
    }

    fn size(&self) -> u64 {
        self.capacity.unwrap_or(UNLIMITED)
    }

    pub(super) fn space(&self) -> Space {
        Space {
            total_bytes: self.size(),
            free_bytes: self.room(),
        }
    }

    // Handles and locks.

    pub(super) fn open(&mut self, node: NodeKey, process: Process) -> HandleKey {
        let handle = self.fresh_key();
        self.handles.insert(handle, (node, process));
        handle
    }

    pub(super) fn opened(&self, handle: HandleKey) -> io::Result<NodeKey> {
        let open = self.handles.get(&handle).map(|(node, _)| *node);
        open.ok_or_else(|| io::Error::other("the simulated process that opened this file is dead"))
    }

    pub(super) fn lock(&mut self, node: NodeKey, process: Process) -> io::Result<HandleKey> {
        if self.locks.values().any(|(locked, _)| *locked == node) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let handle = self.fresh_key();
        self.locks.insert(handle, (node, process));
        Ok(handle)
    }

    pub(super) fn close(&mut self, handle: HandleKey) {
        if self.handles.remove(&handle).or(self.locks.remove(&handle)).is_some() {
            self.collect();
        }
    }

    pub(super) fn coin(&mut self) -> bool {
        self.rng.random()
    }
}
