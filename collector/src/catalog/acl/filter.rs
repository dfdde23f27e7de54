//! Picks entries. What a filter does not say, any entry has.

use super::WILDCARD;
use super::binding::{AclBinding, Operation, Pattern, Permission, ResourceType};

/// How the name of a filter picks entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PatternFilter {
    /// Entries of this name, however it is to be taken.
    #[default]
    Any,
    /// Entries that hold for the resource of this name.
    Match,
    /// Entries of this name and pattern.
    Exactly(Pattern),
}

impl PatternFilter {
    /// What Kafka's number stands for.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Any),
            2 => Some(Self::Match),
            code => Pattern::from_code(code).map(Self::Exactly),
        }
    }
}

/// Which entries are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AclFilter {
    /// About this type of resource.
    pub resource: Option<ResourceType>,
    /// How `name` is to be taken.
    pub pattern: PatternFilter,
    /// About this name.
    pub name: Option<String>,
    /// Of this principal.
    pub principal: Option<String>,
    /// From this host.
    pub host: Option<String>,
    /// For this operation.
    pub operation: Option<Operation>,
    /// With this decision.
    pub permission: Option<Permission>,
}

impl AclFilter {
    /// Whether it picks the entry.
    #[must_use]
    pub fn picks(&self, entry: &AclBinding) -> bool {
        agrees(self.resource.as_ref(), &entry.resource)
            && self.picks_name(entry)
            && agrees(self.principal.as_ref(), &entry.principal)
            && agrees(self.host.as_ref(), &entry.host)
            && agrees(self.operation.as_ref(), &entry.operation)
            && agrees(self.permission.as_ref(), &entry.permission)
    }

    fn picks_name(&self, entry: &AclBinding) -> bool {
        if let PatternFilter::Exactly(pattern) = self.pattern
            && pattern != entry.pattern
        {
            return false;
        }
        let Some(name) = &self.name else { return true };
        match (self.pattern, entry.pattern) {
            (PatternFilter::Match, Pattern::Literal) => entry.name == *name || entry.name == WILDCARD,
            (PatternFilter::Match, Pattern::Prefixed) => name.starts_with(&entry.name),
            _ => entry.name == *name,
        }
    }
}

fn agrees<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}
