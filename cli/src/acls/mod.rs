//! `tailrace acls`: who may do what.

mod selection;

use anyhow::{Result, bail};
use bytestring::ByteString;
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use tailrace_collector::catalog::acl::{Operation, Pattern, Permission, ResourceType, WILDCARD};
use tailrace_shared::client::Cluster;
use tailrace_shared::kafka::messages::create_acls::AclCreation;
use tailrace_shared::kafka::messages::delete_acls::DeleteAclsFilter;
use tailrace_shared::kafka::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

use self::selection::{Named, Resources, parse_operation, parse_principal, word};
use crate::admin::{Common, check, confirm, controller, who_may_alter};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  tailrace acls list
  tailrace acls allow agent write --topic 'nginx*'       a producer
  tailrace acls allow billing read --topic nginx --group billing
  tailrace acls deny '*' read --topic secrets --host 10.0.0.7
  tailrace acls remove --principal billing

Reading needs read on the topic, and on the group if offsets are committed.
A denial wins over any number of permissions. What nothing allows is denied,
except to acls.super_users of the collector's configuration.";

/// What follows the examples of both commands that add entries.
macro_rules! with_operations {
    ($examples:literal) => {
        concat!(
            $examples,
            "

Operations: read write create delete alter describe describe-configs
alter-configs cluster-action idempotent-write all. Read, write, delete and alter
include describe.

A name that ends in * is a prefix; quote it, or the shell looks for files."
        )
    };
}

const ALLOW_EXAMPLES: &str = with_operations!(
    "\
Examples:
  tailrace acls allow agent write --topic 'nginx*'
  tailrace acls allow billing read --topic nginx --group billing
  tailrace acls allow ops create,alter,describe --cluster"
);

const DENY_EXAMPLES: &str = with_operations!(
    "\
Examples:
  tailrace acls deny '*' read --topic secrets
  tailrace acls deny billing all --topic nginx --host 10.0.0.7"
);

const ANY: i8 = 1;

/// `tailrace acls …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AclsArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Entries, all or those about a resource or of a principal.
    #[command(after_help = "Examples:\n  tailrace acls list\n  tailrace acls list --topic 'nginx*' -o json")]
    List {
        #[command(flatten)]
        resources: Resources,
        /// Of this principal only.
        #[arg(long, value_parser = parse_principal)]
        principal: Option<String>,
    },
    /// Let somebody do something.
    #[command(after_help = ALLOW_EXAMPLES)]
    Allow(Addition),
    /// Keep somebody from doing something, whatever else allows it.
    #[command(after_help = DENY_EXAMPLES)]
    Deny(Addition),
    /// Remove the entries about a resource, of a principal, or of that principal about that resource.
    #[command(
        after_help = "Examples:\n  tailrace acls remove --principal billing\n  tailrace acls remove --topic nginx --yes"
    )]
    #[command(group = ArgGroup::new("which").required(true).multiple(true).args(["topic", "group", "cluster", "principal"]))]
    Remove {
        #[command(flatten)]
        resources: Resources,
        /// Of this principal only.
        #[arg(long, value_parser = parse_principal)]
        principal: Option<String>,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Entries to add: each operation on each resource.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["topic", "group", "cluster"]))]
struct Addition {
    /// Who: a user's name, or * for everybody.
    #[arg(value_parser = parse_principal)]
    principal: String,
    /// Does what; several are separated by commas.
    #[arg(value_parser = parse_operation, value_delimiter = ',', required = true)]
    operations: Vec<Operation>,
    #[command(flatten)]
    resources: Resources,
    /// From which IP address.
    #[arg(long, default_value = WILDCARD)]
    host: String,
}

/// An entry, as it is shown.
#[derive(Debug, Serialize)]
struct Entry {
    principal: String,
    host: String,
    permission: String,
    operation: String,
    resource: String,
}

/// What came of a change, for programs.
#[derive(Debug, Serialize)]
struct Changed {
    done: &'static str,
    entries: Vec<Entry>,
}

pub(crate) async fn run(args: AclsArgs) -> Result<()> {
    let cluster = args.common.connect().await?;
    match args.command {
        Command::List { resources, principal } => {
            let entries = find(&cluster, &filters(&resources, principal.as_deref())).await?;
            match args.common.output {
                Format::Json => output::print_json(&entries),
                Format::Table => output::print(&table(&entries)),
            }
        }
        Command::Allow(addition) => {
            let added = add(&cluster, addition, Permission::Allow).await?;
            report("added", added, args.common.output)
        }
        Command::Deny(addition) => {
            let added = add(&cluster, addition, Permission::Deny).await?;
            report("added", added, args.common.output)
        }
        Command::Remove {
            resources,
            principal,
            yes,
        } => {
            let filters = filters(&resources, principal.as_deref());
            let found = find(&cluster, &filters).await?;
            if !found.is_empty() && !yes {
                eprint!("{}", table(&found));
                if !confirm("Remove these entries?")? {
                    bail!("the entries were left as they are");
                }
            }
            let removed = remove(&cluster, filters).await?;
            report("removed", removed, args.common.output)
        }
    }
}

fn filters(resources: &Resources, principal: Option<&str>) -> Vec<DeleteAclsFilter> {
    let all = DeleteAclsFilter {
        resource_type_filter: ANY,
        pattern_type_filter: ANY,
        principal_filter: principal.map(ByteString::from),
        operation: ANY,
        permission_type: ANY,
        ..Default::default()
    };
    let about = |named: &Named| DeleteAclsFilter {
        resource_type_filter: named.resource.code(),
        resource_name_filter: Some(named.name.as_str().into()),
        pattern_type_filter: named.pattern.code(),
        ..all.clone()
    };
    let named = resources.named();
    if named.is_empty() {
        return vec![all];
    }
    named.iter().map(about).collect()
}

async fn find(cluster: &Cluster, filters: &[DeleteAclsFilter]) -> Result<Vec<Entry>> {
    let broker = cluster.any_broker().await?;
    let mut entries = Vec::new();
    for filter in filters.iter().cloned() {
        let request = DescribeAclsRequest {
            resource_type_filter: filter.resource_type_filter,
            resource_name_filter: filter.resource_name_filter,
            pattern_type_filter: filter.pattern_type_filter,
            principal_filter: filter.principal_filter,
            host_filter: filter.host_filter,
            operation: filter.operation,
            permission_type: filter.permission_type,
        };
        let answer = broker.send(&request).await?;
        check(
            answer.error_code,
            answer.error_message.as_deref(),
            "list access control entries",
            who_may_alter,
        )?;
        for about in answer.resources {
            let resource = resource(about.resource_type, about.pattern_type, &about.resource_name);
            let acls = about.acls.iter();
            entries.extend(acls.map(|acl| {
                entry(
                    &acl.principal,
                    &acl.host,
                    acl.permission_type,
                    acl.operation,
                    resource.clone(),
                )
            }));
        }
    }
    Ok(entries)
}

async fn add(cluster: &Cluster, addition: Addition, permission: Permission) -> Result<Vec<Entry>> {
    let mut creations = Vec::new();
    let mut entries = Vec::new();
    for named in addition.resources.named() {
        for operation in &addition.operations {
            creations.push(AclCreation {
                resource_type: named.resource.code(),
                resource_name: named.name.as_str().into(),
                resource_pattern_type: named.pattern.code(),
                principal: addition.principal.as_str().into(),
                host: addition.host.as_str().into(),
                operation: operation.code(),
                permission_type: permission.code(),
            });
            entries.push(Entry {
                principal: addition.principal.clone(),
                host: addition.host.clone(),
                permission: word(permission),
                operation: word(operation),
                resource: named.to_text(),
            });
        }
    }
    let answer = controller(cluster)
        .await?
        .send(&CreateAclsRequest { creations })
        .await?;
    for result in answer.results {
        check(
            result.error_code,
            result.error_message.as_deref(),
            "add access control entries",
            who_may_alter,
        )?;
    }
    Ok(entries)
}

async fn remove(cluster: &Cluster, filters: Vec<DeleteAclsFilter>) -> Result<Vec<Entry>> {
    let answer = controller(cluster).await?.send(&DeleteAclsRequest { filters }).await?;
    let mut removed = Vec::new();
    for result in answer.filter_results {
        check(
            result.error_code,
            result.error_message.as_deref(),
            "remove access control entries",
            who_may_alter,
        )?;
        removed.extend(result.matching_acls.iter().map(|acl| {
            let resource = resource(acl.resource_type, acl.pattern_type, &acl.resource_name);
            entry(&acl.principal, &acl.host, acl.permission_type, acl.operation, resource)
        }));
    }
    Ok(removed)
}

fn entry(principal: &str, host: &str, permission: i8, operation: i8, resource: String) -> Entry {
    Entry {
        principal: principal.to_owned(),
        host: host.to_owned(),
        permission: Permission::from_code(permission).map(word).unwrap_or_default(),
        operation: Operation::from_code(operation).map(word).unwrap_or_default(),
        resource,
    }
}

fn resource(kind: i8, pattern: i8, name: &str) -> String {
    let named = ResourceType::from_code(kind).zip(Pattern::from_code(pattern));
    let named = named.map(|(resource, pattern)| Named {
        resource,
        pattern,
        name: name.to_owned(),
    });
    named.map_or_else(|| name.to_owned(), |named| named.to_text())
}

fn table(entries: &[Entry]) -> String {
    let mut table = Table::new(&["PRINCIPAL", "HOST", "PERMISSION", "OPERATION", "RESOURCE"]);
    for it in entries {
        table.row([&it.principal, &it.host, &it.permission, &it.operation, &it.resource].map(Clone::clone));
    }
    table.render(output::has_colour())
}

fn report(done: &'static str, entries: Vec<Entry>, format: Format) -> Result<()> {
    match format {
        Format::Json => output::print_json(&Changed { done, entries }),
        Format::Table => {
            let lines = entries.iter().map(|it| {
                let Entry {
                    permission,
                    principal,
                    operation,
                    resource,
                    host,
                } = it;
                format!("{done}: {permission} {principal} from {host} to {operation} {resource}\n")
            });
            output::print(&lines.collect::<String>())
        }
    }
}
