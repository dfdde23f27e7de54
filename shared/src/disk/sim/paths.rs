//! How a path leads to a node, through directories and symbolic links.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::machine::{Body, Machine, NodeKey, ROOT};
use crate::disk::FileKind;

const SYMLINKS_MAX: u32 = 40;

/// Where a path leads.
pub(super) struct Place {
    pub(super) dir: NodeKey,
    pub(super) name: OsString,
    pub(super) node: Option<NodeKey>,
    pub(super) path: PathBuf,
}

impl Machine {
    pub(super) fn resolve(&self, path: &Path, follow_last: bool) -> io::Result<Place> {
        let mut walked = vec![(OsString::from("/"), ROOT)];
        let mut parts = Vec::new();
        push_parts(&mut parts, path);
        let mut symlinks = 0;
        while let Some(part) = parts.pop() {
            if part == ".." {
                walked.truncate(walked.len().saturating_sub(1).max(1));
                continue;
            }
            let dir = walked.last().map_or(ROOT, |(_, key)| *key);
            if !matches!(self.node(dir)?.body, Body::Dir) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            let Some(node) = self.names.get(dir, &part) else {
                let path = walked.iter().map(|(name, _)| name).chain([&part]).collect();
                let found = Place {
                    dir,
                    name: part,
                    node: None,
                    path,
                };
                return if parts.is_empty() {
                    Ok(found)
                } else {
                    Err(io::ErrorKind::NotFound.into())
                };
            };
            match &self.node(node)?.body {
                Body::Symlink(target) if follow_last || !parts.is_empty() => {
                    symlinks += 1;
                    if symlinks > SYMLINKS_MAX {
                        return Err(io::Error::other("too many levels of symbolic links"));
                    }
                    if target.is_absolute() {
                        walked.truncate(1);
                    }
                    push_parts(&mut parts, target);
                }
                _ => walked.push((part, node)),
            }
        }
        let path = walked.iter().map(|(name, _)| name).collect();
        let (name, node) = walked.pop().unwrap_or_default();
        Ok(Place {
            dir: walked.last().map_or(ROOT, |(_, key)| *key),
            name,
            node: Some(node),
            path,
        })
    }

    pub(super) fn existing(&self, path: &Path) -> io::Result<NodeKey> {
        self.resolve(path, true)?
            .node
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn directory(&self, path: &Path) -> io::Result<NodeKey> {
        let key = self.existing(path)?;
        if self.kind(key)? == FileKind::Dir {
            Ok(key)
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }
}

/// Pushes a path's parts, the first on top.
fn push_parts(parts: &mut Vec<OsString>, path: &Path) {
    parts.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
}
