//! Decisions are compared with a reference that knows Kafka's rules and no index.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

const HOST: &str = "10.0.0.7";

fn entry(pattern: Pattern, name: &str, principal: &str, operation: Operation, permission: Permission) -> AclBinding {
    AclBinding {
        resource: ResourceType::Topic,
        pattern,
        name: name.to_owned(),
        principal: principal.to_owned(),
        host: WILDCARD.to_owned(),
        operation,
        permission,
    }
}

fn allow(name: &str, operation: Operation) -> AclBinding {
    entry(Pattern::Literal, name, "User:ann", operation, Permission::Allow)
}

fn ann(operation: Operation) -> Access<'static> {
    Access {
        principal: "User:ann",
        host: HOST.parse().unwrap(),
        operation,
    }
}

fn decide(entries: &[AclBinding], operation: Operation, topic: &str) -> Decision {
    let set: AclSet = entries.iter().cloned().collect();
    set.decide(ann(operation), Resource::topic(topic))
}

#[test]
fn nothing_is_allowed_that_no_entry_mentions() {
    let entries = [allow("nginx", Operation::Read)];
    assert_eq!(decide(&entries, Operation::Read, "nginx"), Decision::Allowed);
    assert_eq!(decide(&entries, Operation::Write, "nginx"), Decision::NotMentioned);
    assert_eq!(decide(&entries, Operation::Read, "other"), Decision::NoEntries);
}

#[test]
fn a_denial_wins_over_permissions_before_and_after_it() {
    let deny = entry(Pattern::Prefixed, "ng", EVERYONE, Operation::Read, Permission::Deny);
    for entries in [
        [allow("nginx", Operation::All), deny.clone()],
        [deny, allow("nginx", Operation::All)],
    ] {
        assert_eq!(decide(&entries, Operation::Read, "nginx"), Decision::Denied);
        assert_eq!(decide(&entries, Operation::Write, "nginx"), Decision::Allowed);
    }
}

#[test]
fn reading_implies_describing_and_denying_to_read_does_not_deny_it() {
    let read = allow("nginx", Operation::Read);
    assert_eq!(
        decide(std::slice::from_ref(&read), Operation::Describe, "nginx"),
        Decision::Allowed
    );
    let mut deny = read.clone();
    deny.permission = Permission::Deny;
    assert_eq!(decide(&[deny], Operation::Describe, "nginx"), Decision::NotMentioned);
    assert_eq!(
        decide(&[read], Operation::DescribeConfigs, "nginx"),
        Decision::NotMentioned
    );
    let alter = allow("nginx", Operation::AlterConfigs);
    assert_eq!(decide(&[alter], Operation::DescribeConfigs, "nginx"), Decision::Allowed);
}

#[test]
fn an_entry_for_a_host_holds_for_that_host_in_either_notation() {
    let mut entry = allow("nginx", Operation::Read);
    entry.host = HOST.to_owned();
    let set: AclSet = [entry].into_iter().collect();
    let from = |host: &str| {
        let host: IpAddr = host.parse().unwrap();
        let access = Access {
            host,
            ..ann(Operation::Read)
        };
        set.decide(access, Resource::topic("nginx"))
    };
    assert_eq!(from(HOST), Decision::Allowed);
    assert_eq!(from("::ffff:10.0.0.7"), Decision::Allowed);
    assert_eq!(from("10.0.0.8"), Decision::NotMentioned);
}

#[test]
fn a_producer_may_write_somewhere_unless_what_it_may_write_is_denied() {
    let deny = |pattern, name| entry(pattern, name, EVERYONE, Operation::Write, Permission::Deny);
    let any = |entries: &[AclBinding]| {
        let set: AclSet = entries.iter().cloned().collect();
        set.allows_any(ann(Operation::Write), ResourceType::Topic)
    };
    let write = allow("nginx", Operation::Write);
    assert!(!any(&[]));
    assert!(any(std::slice::from_ref(&write)));
    assert!(any(&[write.clone(), deny(Pattern::Literal, "other")]));
    assert!(!any(&[write.clone(), deny(Pattern::Literal, "nginx")]));
    assert!(!any(&[write.clone(), deny(Pattern::Prefixed, "ng")]));
    assert!(!any(&[write, deny(Pattern::Literal, WILDCARD)]));
    let prefix = entry(Pattern::Prefixed, "ng", "User:ann", Operation::Write, Permission::Allow);
    assert!(any(&[prefix.clone(), deny(Pattern::Literal, "ng")]));
    assert!(any(&[prefix.clone(), deny(Pattern::Prefixed, "ngi")]));
    assert!(!any(&[prefix, deny(Pattern::Prefixed, "n")]));
}

#[test]
fn filters_pick_by_name_pattern_or_resource() {
    let literal = allow("nginx", Operation::Read);
    let all = allow(WILDCARD, Operation::Read);
    let prefixed = entry(Pattern::Prefixed, "ng", "User:ann", Operation::Read, Permission::Allow);
    let other = allow("other", Operation::Read);
    let entries = [&literal, &all, &prefixed, &other];
    let picked = |pattern, name: Option<&str>| {
        let filter = AclFilter {
            pattern,
            name: name.map(str::to_owned),
            ..AclFilter::default()
        };
        entries.map(|entry| filter.picks(entry))
    };
    let exactly = PatternFilter::Exactly;
    assert_eq!(picked(PatternFilter::Any, None), [true; 4]);
    assert_eq!(picked(PatternFilter::Any, Some("nginx")), [true, false, false, false]);
    assert_eq!(picked(PatternFilter::Match, Some("nginx")), [true, true, true, false]);
    assert_eq!(picked(exactly(Pattern::Prefixed), None), [false, false, true, false]);
    assert_eq!(
        picked(exactly(Pattern::Prefixed), Some("ng")),
        [false, false, true, false]
    );
    assert_eq!(picked(exactly(Pattern::Literal), Some("ng")), [false; 4]);
    let by_permission = AclFilter {
        permission: Some(Permission::Deny),
        ..AclFilter::default()
    };
    assert!(!entries.iter().any(|entry| by_permission.picks(entry)));
}

#[test]
fn an_entry_that_could_never_hold_is_refused() {
    let good = allow("nginx", Operation::Read);
    assert_eq!(good.check(), Ok(()));
    let with = |change: &dyn Fn(&mut AclBinding)| {
        let mut entry = good.clone();
        change(&mut entry);
        entry.check().unwrap_err().to_string()
    };
    assert!(with(&|entry| entry.name.clear()).contains("no name"));
    assert!(with(&|entry| entry.name = "x".repeat(1025)).contains("too long"));
    assert!(with(&|entry| entry.principal = "ann".to_owned()).contains("User:name"));
    assert!(with(&|entry| entry.principal = "User:".to_owned()).contains("User:name"));
    assert!(with(&|entry| entry.host = "web1".to_owned()).contains("IP address"));
    assert!(with(&|entry| entry.resource = ResourceType::Cluster).contains(CLUSTER_NAME));
}

/// Kafka's rules, read off one entry after another.
fn reference(entries: &[AclBinding], access: Access<'_>, topic: &str) -> Decision {
    let about = |entry: &&AclBinding| match entry.pattern {
        Pattern::Literal => entry.name == topic || entry.name == "*",
        Pattern::Prefixed => topic.starts_with(&entry.name),
    };
    let about: Vec<_> = entries.iter().filter(about).collect();
    let is_of = |entry: &AclBinding| [access.principal, "User:*"].contains(&entry.principal.as_str());
    let has = |permission: Permission, operations: &[Operation]| {
        about
            .iter()
            .any(|entry| entry.permission == permission && is_of(entry) && operations.contains(&entry.operation))
    };
    let mut allowing = vec![Operation::All, access.operation];
    if access.operation == Operation::Describe {
        allowing.extend([Operation::Read, Operation::Write, Operation::Delete, Operation::Alter]);
    }
    if has(Permission::Deny, &[Operation::All, access.operation]) {
        Decision::Denied
    } else if has(Permission::Allow, &allowing) {
        Decision::Allowed
    } else if about.is_empty() {
        Decision::NoEntries
    } else {
        Decision::NotMentioned
    }
}

prop_compose! {
    fn any_entry()(
        prefixed in any::<bool>(),
        name in prop::sample::select(vec!["*", "a", "ab", "abc", "é", "b"]),
        principal in prop::sample::select(vec!["User:ann", "User:bob", "User:*"]),
        operation in prop::sample::select(vec![Operation::All, Operation::Read, Operation::Describe, Operation::Create]),
        denies in prop::bool::weighted(0.2),
    ) -> AclBinding {
        let pattern = if prefixed { Pattern::Prefixed } else { Pattern::Literal };
        let permission = if denies { Permission::Deny } else { Permission::Allow };
        entry(pattern, name, principal, operation, permission)
    }
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_reference(
        entries in prop::collection::vec(any_entry(), 0..8),
        topic in prop::sample::select(vec!["*", "a", "ab", "abcd", "éa", "c"]),
        operation in prop::sample::select(vec![Operation::Read, Operation::Describe, Operation::Create]),
    ) {
        prop_assert_eq!(decide(&entries, operation, topic), reference(&entries, ann(operation), topic));
    }
}
