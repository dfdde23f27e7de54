//! `tailrace groups`: who reads what, how far they came, and how far they are behind.

mod lag;
mod reset;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use bytestring::ByteString;
use clap::{Args, Subcommand};
use serde::Serialize;
use tailrace_shared::client::{Cluster, Lane};
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use tailrace_shared::kafka::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest,
};

use self::lag::PartitionLag;
use self::reset::Move;
use crate::admin::{Common, check, confirm};
use crate::from::From;
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  tailrace groups list
  tailrace groups describe billing
  tailrace groups reset billing --to 2h --topic nginx
  tailrace groups delete billing";

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  tailrace groups describe billing
  tailrace groups describe billing -o json | jq '[.offsets[].lag] | add'

COMMITTED is the next record the group will read, END is behind the last, LAG
the records in between.";

const RESET_EXAMPLES: &str = "\
Examples:
  tailrace groups reset billing --to beginning --dry-run
  tailrace groups reset billing --to 2026-01-31T14:00:00Z --topic nginx
  tailrace groups reset billing --to end --yes

Its consumers must have stopped. NEXT is the next record that they will read.";

const FORGET_EXAMPLES: &str = "\
Examples:
  tailrace groups forget billing --topic old
  tailrace groups forget billing --topic old --topic older --yes";

const DELETE_EXAMPLES: &str = "\
Examples:
  tailrace groups delete billing

Forgets how far the group has read. Its consumers must have stopped.";

/// `tailrace groups …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GroupsArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All groups and their states.
    #[command(
        after_help = "Examples:\n  tailrace groups list\n  tailrace groups list --output json | jq -r '.[].group'"
    )]
    List,
    /// Members, committed offsets and lag of a group.
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe {
        /// Name of the group.
        group: String,
    },
    /// Let a group go on elsewhere: shows where, asks, and commits.
    #[command(after_help = RESET_EXAMPLES)]
    Reset {
        /// Name of the group.
        group: String,
        /// Where to: `beginning`, `end`, an offset, how long ago such as 15m, or a time such as 2026-01-31T14:00:00Z.
        #[arg(long, value_name = "WHERE")]
        to: From,
        /// In this topic; may be given several times. Without it, in all of which the group has committed an offset.
        #[arg(long, short)]
        topic: Vec<String>,
        #[command(flatten)]
        caution: Caution,
    },
    /// Forget the offsets of topics that the group reads no longer.
    #[command(after_help = FORGET_EXAMPLES)]
    Forget {
        /// Name of the group.
        group: String,
        /// Which topic; may be given several times.
        #[arg(long, short, required = true)]
        topic: Vec<String>,
        #[command(flatten)]
        caution: Caution,
    },
    /// Forget a group and its offsets.
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        /// Name of the group.
        group: String,
    },
}

/// How sure one is.
#[derive(Debug, Args)]
struct Caution {
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Caution {
    /// Whether to go on with what is shown.
    fn agrees_to(&self, question: &str, moves: &[Move], format: Format) -> Result<bool> {
        if self.dry_run {
            return reset::show(moves, format).map(|()| false);
        }
        if self.yes {
            return Ok(true);
        }
        eprint!("{}", reset::table(moves));
        if !confirm(question)? {
            bail!("the group was left as it is");
        }
        Ok(true)
    }
}

/// A group as listed.
#[derive(Debug, Serialize)]
struct Listed {
    group: String,
    state: String,
    protocol: String,
}

/// A group as described.
#[derive(Debug, Serialize)]
struct Described {
    group: String,
    state: String,
    assignor: String,
    members: Vec<Member>,
    offsets: Vec<PartitionLag>,
}

#[derive(Debug, Serialize)]
struct Member {
    member: String,
    client: String,
    host: String,
    /// Partitions by topic.
    assigned: BTreeMap<String, Vec<i32>>,
}

pub(crate) async fn run(args: GroupsArgs) -> Result<()> {
    let cluster = args.common.connect().await?;
    match args.command {
        Command::List => show_list(&list(&cluster).await?, args.common.output),
        Command::Describe { group } => show(&describe(&cluster, group.into()).await?, args.common.output),
        Command::Reset {
            group,
            to,
            topic,
            caution,
        } => {
            let group = group.into();
            let moves = reset::plan_reset(&cluster, &group, topic, to).await?;
            if caution.agrees_to("Commit these offsets?", &moves, args.common.output)? {
                reset::reset(&cluster, &group, &moves).await?;
                reset::show(&moves, args.common.output)?;
            }
            Ok(())
        }
        Command::Forget { group, topic, caution } => {
            let group = group.into();
            let moves = reset::plan_forget(&cluster, &group, &topic).await?;
            if moves.is_empty() {
                bail!("group {group} has committed nothing in {}", topic.join(", "));
            }
            if caution.agrees_to("Forget these offsets?", &moves, args.common.output)? {
                reset::forget(&cluster, &group, &moves).await?;
                reset::show(&moves, args.common.output)?;
            }
            Ok(())
        }
        Command::Delete { group } => {
            delete(&cluster, group.as_str().into()).await?;
            match args.common.output {
                Format::Json => output::print_json(&BTreeMap::from([("group", group.as_str()), ("done", "deleted")])),
                Format::Table => output::print(&format!("deleted group {group}\n")),
            }
        }
    }
}

/// Every broker knows those groups that it coordinates.
async fn list(cluster: &Cluster) -> Result<Vec<Listed>> {
    let metadata = cluster.refresh(&[]).await?;
    let mut groups = BTreeMap::new();
    for address in metadata.brokers.values() {
        let broker = cluster.connect(address, Lane::Prompt).await?;
        let answer = broker.send(&ListGroupsRequest::default()).await?;
        check(
            answer.error_code,
            None,
            &format!("list the groups of broker {address}"),
            |_| None,
        )?;
        for group in answer.groups {
            let listed = Listed {
                group: group.group_id.to_string(),
                state: group.group_state.to_string(),
                protocol: group.protocol_type.to_string(),
            };
            groups.insert(group.group_id, listed);
        }
    }
    Ok(groups.into_values().collect())
}

fn show_list(groups: &[Listed], format: Format) -> Result<()> {
    if format == Format::Json {
        return output::print_json(&groups);
    }
    let mut table = Table::new(&["GROUP", "STATE", "PROTOCOL"]);
    for group in groups {
        table.row([group.group.clone(), group.state.clone(), group.protocol.clone()]);
    }
    output::print(&table.render(output::has_colour()))
}

async fn describe(cluster: &Cluster, name: ByteString) -> Result<Described> {
    let coordinator = cluster.coordinator(&name, Lane::Prompt).await?;
    let request = DescribeGroupsRequest {
        groups: vec![name.clone()],
        ..Default::default()
    };
    let answer = coordinator.send(&request).await?;
    let group = answer.groups.into_iter().next().unwrap_or_default();
    let offsets = lag::of_group(cluster, &name).await?;
    // Coordinators call a group that they never heard of dead, the newer ones with an error.
    let code = ErrorCode::from_code(group.error_code);
    if offsets.is_empty() && (code == ErrorCode::GroupIdNotFound || is_dead(&group)) {
        return Err(no_such_group(&name));
    }
    if code != ErrorCode::GroupIdNotFound {
        let what = format!("describe group {name}");
        check(group.error_code, group.error_message.as_deref(), &what, |_| None)?;
    }
    Ok(Described {
        group: name.to_string(),
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        members: group.members.into_iter().map(member).collect(),
        offsets,
    })
}

fn is_dead(group: &DescribedGroup) -> bool {
    group.group_state == "Dead" && group.members.is_empty()
}

fn no_such_group(name: &str) -> anyhow::Error {
    anyhow::anyhow!("group {name} does not exist; `tailrace groups list` shows those that do")
}

/// What a member was told to read is bytes that only consumers need to understand; others have no partitions to show.
fn member(member: DescribedGroupMember) -> Member {
    let assignment = ConsumerProtocolAssignment::decode(member.member_assignment).unwrap_or_default();
    let assigned = assignment.assigned_partitions.into_iter();
    Member {
        member: member.member_id.to_string(),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: assigned.map(|it| (it.topic.to_string(), it.partitions)).collect(),
    }
}

fn show(group: &Described, format: Format) -> Result<()> {
    if format == Format::Json {
        return output::print_json(group);
    }
    let colour = output::has_colour();
    let lag: i64 = group.offsets.iter().filter_map(|offset| offset.lag).sum();
    let mut text = format!(
        "Group {}, {}, {} members, lag {lag}\n",
        group.group,
        group.state,
        group.members.len()
    );
    if !group.offsets.is_empty() {
        let mut table = Table::new(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"]);
        for offset in &group.offsets {
            let or_dash = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            table.row([
                offset.topic.clone(),
                offset.partition.to_string(),
                offset.committed.to_string(),
                or_dash(offset.end),
                or_dash(offset.lag),
            ]);
        }
        text += &format!("\n{}", table.render(colour));
    }
    if !group.members.is_empty() {
        let mut table = Table::new(&["MEMBER", "CLIENT", "HOST", "ASSIGNED"]);
        for member in &group.members {
            table.row([
                member.member.clone(),
                member.client.clone(),
                member.host.clone(),
                assigned_in_short(&member.assigned),
            ]);
        }
        text += &format!("\n{}", table.render(colour));
    }
    output::print(&text)
}

/// `nginx[0,1] app[0]`, as operators are used to it.
fn assigned_in_short(assigned: &BTreeMap<String, Vec<i32>>) -> String {
    let topics = assigned.iter().map(|(topic, partitions)| {
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        format!("{topic}[{}]", partitions.join(","))
    });
    topics.collect::<Vec<_>>().join(" ")
}

async fn delete(cluster: &Cluster, name: ByteString) -> Result<()> {
    let coordinator = cluster.coordinator(&name, Lane::Prompt).await?;
    let request = DeleteGroupsRequest {
        groups_names: vec![name.clone()],
    };
    let answer = coordinator.send(&request).await?;
    for group in answer.results {
        match ErrorCode::from_code(group.error_code) {
            ErrorCode::GroupIdNotFound => return Err(no_such_group(&name)),
            ErrorCode::NonEmptyGroup => {
                bail!(
                    "group {name} still has members; stop its consumers first, `tailrace groups describe {name}` shows them"
                )
            }
            _ => check(group.error_code, None, &format!("delete group {name}"), |_| None)?,
        }
    }
    Ok(())
}
