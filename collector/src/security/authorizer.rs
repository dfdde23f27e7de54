//! Decides by the access control entries, and by what the configuration file says of them.

use std::collections::HashSet;

use crate::catalog::acl::{Access, AclSet, Decision, Resource, ResourceType};

/// What holds beside the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorizer {
    /// Without it, everybody may do everything.
    pub enabled: bool,
    /// They may do everything, whatever the entries say, so that nobody can be locked out for good.
    pub super_users: HashSet<String>,
    /// What no entry is about, everybody may use.
    pub allow_without_entries: bool,
}

impl Authorizer {
    /// Whether the access to the resource is allowed.
    #[must_use]
    pub fn allows(&self, entries: &AclSet, access: Access<'_>, resource: Resource<'_>) -> bool {
        if !self.enabled || self.super_users.contains(access.principal) {
            return true;
        }
        match entries.decide(access, resource) {
            Decision::Allowed => true,
            Decision::NoEntries => self.allow_without_entries,
            Decision::Denied | Decision::NotMentioned => false,
        }
    }

    /// Whether there may be a resource of this type to which the access is allowed.
    #[must_use]
    pub fn allows_any(&self, entries: &AclSet, access: Access<'_>, kind: ResourceType) -> bool {
        let by_default = !self.enabled || self.allow_without_entries || self.super_users.contains(access.principal);
        by_default || entries.allows_any(access, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::acl::{AclBinding, EVERYONE, Operation, Pattern, Permission, WILDCARD};

    fn read(principal: &str) -> Access<'_> {
        Access {
            principal,
            host: [127, 0, 0, 1].into(),
            operation: Operation::Read,
        }
    }

    fn deny_all() -> AclSet {
        let entry = AclBinding {
            resource: ResourceType::Topic,
            pattern: Pattern::Literal,
            name: WILDCARD.to_owned(),
            principal: EVERYONE.to_owned(),
            host: WILDCARD.to_owned(),
            operation: Operation::All,
            permission: Permission::Deny,
        };
        [entry].into_iter().collect()
    }

    fn authorizer(allow_without_entries: bool) -> Authorizer {
        Authorizer {
            enabled: true,
            super_users: ["User:root".to_owned()].into(),
            allow_without_entries,
        }
    }

    #[test]
    fn a_super_user_cannot_be_locked_out() {
        let (entries, topic) = (deny_all(), Resource::topic("nginx"));
        assert!(authorizer(false).allows(&entries, read("User:root"), topic));
        assert!(!authorizer(true).allows(&entries, read("User:ann"), topic));
        assert!(authorizer(false).allows_any(&entries, read("User:root"), ResourceType::Topic));
        assert!(!authorizer(false).allows_any(&entries, read("User:ann"), ResourceType::Topic));
    }

    #[test]
    fn what_no_entry_is_about_is_denied_unless_configured_otherwise() {
        let (entries, group) = (deny_all(), Resource::group("g"));
        assert!(!authorizer(false).allows(&entries, read("User:ann"), group));
        assert!(authorizer(true).allows(&entries, read("User:ann"), group));
    }

    #[test]
    fn switched_off_everybody_may_do_everything() {
        assert!(Authorizer::default().allows(&deny_all(), read("User:ann"), Resource::topic("nginx")));
    }
}
