//! All entries, indexed so that a decision looks only at those that are about the resource.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::binding::{AclBinding, Operation, Pattern, Permission, Resource, ResourceType};
use super::{EVERYONE, WILDCARD};

/// Somebody wants to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access<'a> {
    /// Who, as `User:name`.
    pub principal: &'a str,
    /// From where.
    pub host: IpAddr,
    /// Wants to do what.
    pub operation: Operation,
}

/// What the entries say of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// An entry allows it, and none denies it.
    Allowed,
    /// An entry denies it.
    Denied,
    /// There are entries about the resource, and none of them is about this access.
    NotMentioned,
    /// There is no entry about the resource.
    NoEntries,
}

/// All entries there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AclSet {
    entries: BTreeSet<AclBinding>,
    literal: Index,
    prefixed: Index,
    /// The lengths that prefixes have, so that only those are looked up.
    prefix_lens: BTreeSet<usize>,
}

type Index = HashMap<ResourceType, HashMap<String, Vec<AclBinding>>>;

impl FromIterator<AclBinding> for AclSet {
    fn from_iter<I: IntoIterator<Item = AclBinding>>(entries: I) -> Self {
        let mut set = Self::default();
        for entry in entries {
            let index = match entry.pattern {
                Pattern::Literal => &mut set.literal,
                Pattern::Prefixed => {
                    set.prefix_lens.insert(entry.name.len());
                    &mut set.prefixed
                }
            };
            if set.entries.insert(entry.clone()) {
                let of_type = index.entry(entry.resource).or_default();
                of_type.entry(entry.name.clone()).or_default().push(entry);
            }
        }
        set
    }
}

impl AclSet {
    /// Every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &AclBinding> {
        self.entries.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it has this entry.
    #[must_use]
    pub fn contains(&self, entry: &AclBinding) -> bool {
        self.entries.contains(entry)
    }

    /// What the entries say of an access to a resource. A denial wins over any number of permissions.
    #[must_use]
    pub fn decide(&self, access: Access<'_>, resource: Resource<'_>) -> Decision {
        let mut decision = Decision::NoEntries;
        for entry in self.about(resource) {
            decision = match entry.permission {
                Permission::Deny if entry.denies(access) => return Decision::Denied,
                Permission::Allow if entry.allows(access) => Decision::Allowed,
                _ if decision == Decision::NoEntries => Decision::NotMentioned,
                _ => decision,
            };
        }
        decision
    }

    /// Whether there may be a resource of this type, existing or not, to which the access is allowed.
    #[must_use]
    pub fn allows_any(&self, access: Access<'_>, kind: ResourceType) -> bool {
        let mut allowing = self
            .entries
            .iter()
            .filter(|entry| entry.resource == kind && entry.permission == Permission::Allow && entry.allows(access));
        allowing.any(|entry| {
            let (kind, name) = (entry.resource, entry.name.as_str());
            let mut about = self.about(Resource { kind, name });
            !about.any(|other| {
                let covers = other.pattern == Pattern::Prefixed || other.name == WILDCARD || other.is_like(entry);
                covers && other.permission == Permission::Deny && other.denies(access)
            })
        })
    }

    fn about<'a>(&'a self, resource: Resource<'a>) -> impl Iterator<Item = &'a AclBinding> {
        let literal = [resource.name, WILDCARD]
            .into_iter()
            .take(if resource.name == WILDCARD { 1 } else { 2 });
        let literal = literal.filter_map(move |name| self.literal.get(&resource.kind)?.get(name));
        let prefixes = self.prefix_lens.iter().filter_map(move |len| resource.name.get(..*len));
        let prefixed = prefixes.filter_map(move |prefix| self.prefixed.get(&resource.kind)?.get(prefix));
        literal.chain(prefixed).flatten()
    }
}

impl AclBinding {
    fn denies(&self, access: Access<'_>) -> bool {
        self.is_of(access) && (self.operation == Operation::All || self.operation == access.operation)
    }

    fn allows(&self, access: Access<'_>) -> bool {
        let implies = match access.operation {
            Operation::Describe => matches!(
                self.operation,
                Operation::Read | Operation::Write | Operation::Delete | Operation::Alter
            ),
            Operation::DescribeConfigs => self.operation == Operation::AlterConfigs,
            _ => false,
        };
        self.is_of(access) && (implies || self.operation == Operation::All || self.operation == access.operation)
    }

    fn is_of(&self, access: Access<'_>) -> bool {
        let host = access.host.to_canonical();
        (self.principal == access.principal || self.principal == EVERYONE)
            && (self.host == WILDCARD || self.host.parse() == Ok(host))
    }

    fn is_like(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.name == other.name
    }
}
