//! One glob, matched a path component at a time.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

/// Why a glob cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The glob library refuses a part of it.
    #[error(
        "in the pattern \"{pattern}\": {source} (alternatives in {{}} may not contain '/': write a pattern for each)"
    )]
    Glob {
        /// As configured.
        pattern: String,
        /// As the library puts it.
        source: globset::Error,
    },
    /// What the directory above a wildcard's is called is not known.
    #[error("in the pattern \"{pattern}\": a `..` behind a wildcard has no meaning; write the path without it")]
    ParentOfGlob {
        /// As configured.
        pattern: String,
    },
    /// More components than a match can keep track of.
    #[error("the pattern \"{pattern}\" has more than {max} parts between slashes")]
    TooDeep {
        /// As configured.
        pattern: String,
        /// The limit.
        max: usize,
    },
}

/// A glob: `*`, `?`, `[…]` and `{a,b}` within one component; `**` as a whole component for any number of directories.
#[derive(Debug)]
pub struct Pattern {
    components: Vec<Component>,
}

#[derive(Debug)]
enum Component {
    Literal(OsString),
    Glob(GlobMatcher),
    AnyDepth,
}

/// Where a match stands: bit `i` says that the components from `i` on are still to be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Progress(u64);

impl Progress {
    pub(super) fn is_dead(self) -> bool {
        self.0 == 0
    }

    fn at(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |index| self.0 & (1 << index) != 0)
    }
}

impl Pattern {
    const MAX_COMPONENTS: usize = 63;

    /// Parses a glob; a relative one is taken from `base`.
    pub fn parse(pattern: &str, base: &Path) -> Result<Self, PatternError> {
        let parts = parts(pattern, base)?.into_iter();
        let components = parts
            .map(|part| part.component(pattern))
            .collect::<Result<Vec<_>, _>>()?;
        if components.len() > Self::MAX_COMPONENTS {
            return Err(PatternError::TooDeep {
                pattern: pattern.to_owned(),
                max: Self::MAX_COMPONENTS,
            });
        }
        Ok(Self { components })
    }

    /// At the root directory.
    pub(super) fn start(&self) -> Progress {
        self.skipping_any_depth(Progress(1))
    }

    /// From a directory to the entry `name` in it.
    pub(super) fn enter(&self, from: Progress, name: &OsStr) -> Progress {
        let mut to = 0;
        for index in from.at() {
            match self.components.get(index) {
                Some(Component::Literal(literal)) if literal == name => to |= 1 << (index + 1),
                Some(Component::Glob(glob)) if glob.is_match(Path::new(name)) => to |= 1 << (index + 1),
                Some(Component::AnyDepth) => to |= 1 << index,
                _ => {}
            }
        }
        self.skipping_any_depth(Progress(to))
    }

    /// Whether the entry itself matches.
    pub(super) fn accepts(&self, progress: Progress) -> bool {
        progress.0 & (1 << self.components.len()) != 0
    }

    /// Whether something below the entry may match.
    pub(super) fn leads_on(&self, progress: Progress) -> bool {
        progress.0 & !(1 << self.components.len()) != 0
    }

    /// The names that may come next, if they are all known: then the directory need not be listed.
    pub(super) fn next_literals(&self, progress: Progress) -> Option<Vec<&OsStr>> {
        progress
            .at()
            .filter_map(|index| self.components.get(index))
            .map(|component| match component {
                Component::Literal(name) => Some(name.as_os_str()),
                _ => None,
            })
            .collect()
    }

    /// Whether a whole path matches.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let end = path.iter().skip(1).fold(self.start(), |at, name| self.enter(at, name));
        self.accepts(end)
    }

    fn skipping_any_depth(&self, progress: Progress) -> Progress {
        let mut states = progress.0;
        for (index, component) in self.components.iter().enumerate() {
            if states & (1 << index) != 0 && matches!(component, Component::AnyDepth) {
                states |= 1 << (index + 1);
            }
        }
        Progress(states)
    }
}

/// What stands between two slashes.
#[derive(Debug)]
enum Part {
    Literal(OsString),
    /// With wildcards, or what escapes them.
    Glob(String),
}

/// The parts of a whole path, `.` and `..` resolved by name alone, as a shell shows them. Nothing in `base` is a wildcard.
fn parts(pattern: &str, base: &Path) -> Result<Vec<Part>, PatternError> {
    use std::path::Component as Name;
    let mut parts: Vec<Part> = base.iter().skip(1).map(|name| Part::Literal(name.to_owned())).collect();
    for name in Path::new(pattern).components() {
        match name {
            Name::RootDir => parts.clear(),
            Name::Normal(name) => parts.push(Part::new(name)),
            Name::ParentDir => {
                if let Some(Part::Glob(_)) = parts.pop() {
                    let pattern = pattern.to_owned();
                    return Err(PatternError::ParentOfGlob { pattern });
                }
            }
            Name::CurDir | Name::Prefix(_) => {}
        }
    }
    Ok(parts)
}

impl Part {
    fn new(name: &OsStr) -> Self {
        let text = name.to_string_lossy();
        match text.contains(['*', '?', '[', '{', '}', '\\']) {
            true => Self::Glob(text.into_owned()),
            false => Self::Literal(name.to_owned()),
        }
    }

    fn component(self, pattern: &str) -> Result<Component, PatternError> {
        let text = match self {
            Self::Literal(name) => return Ok(Component::Literal(name)),
            Self::Glob(text) if text == "**" => return Ok(Component::AnyDepth),
            Self::Glob(text) => text,
        };
        let glob = GlobBuilder::new(&text)
            .literal_separator(true)
            .build()
            .map_err(|source| PatternError::Glob {
                pattern: pattern.to_owned(),
                source,
            })?;
        Ok(Component::Glob(glob.compile_matcher()))
    }

    /// As a part of a longer glob.
    fn in_glob(&self) -> String {
        match self {
            Self::Literal(name) => globset::escape(&name.to_string_lossy()),
            Self::Glob(text) => text.clone(),
        }
    }
}

/// Globs of what to leave out: one without a slash is for names anywhere, others are for whole paths. One that matches a
/// directory leaves out all that is in it.
pub fn exclusions(patterns: &[String], base: &Path) -> Result<GlobSet, PatternError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let failed = |source| PatternError::Glob {
            pattern: pattern.clone(),
            source,
        };
        let whole = if pattern.contains('/') {
            let parts = parts(pattern, base)?;
            parts.iter().map(|part| format!("/{}", part.in_glob())).collect()
        } else {
            format!("**/{pattern}")
        };
        set.add(
            GlobBuilder::new(&whole)
                .literal_separator(true)
                .build()
                .map_err(failed)?,
        );
    }
    set.build().map_err(|source| PatternError::Glob {
        pattern: patterns.join(", "),
        source,
    })
}
