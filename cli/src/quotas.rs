//! `tailrace quotas`: how much users and clients may write and read per second.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use tailrace_collector::catalog::QuotaKind;
use tailrace_shared::client::Cluster;
use tailrace_shared::config::ByteSize;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::alter_client_quotas::{EntityData, EntryData, OpData};
use tailrace_shared::kafka::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use crate::admin::{Common, check, controller};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  tailrace quotas list
  tailrace quotas set --principal billing --fetch 50MiB
  tailrace quotas set --client-id '*' --produce 5MiB    each without its own
  tailrace quotas set --principal ann --client-id app --produce 1MiB
  tailrace quotas remove --principal billing

Who uses more is slowed down, and loses nothing. Ten seconds' worth may come
at once. Of all quotas that fit, the most specific one holds: a principal's
with a client id before the principal's, and that before the client id's; each
by name before its '*'.";

/// What Kafka calls a principal here.
const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
/// Stands for whoever has no quota by name.
const DEFAULT: &str = "*";

/// `tailrace quotas …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct QuotasArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All quotas.
    #[command(after_help = "Examples:\n  tailrace quotas list\n  tailrace quotas list -o json | jq '.[].principal'")]
    List,
    /// Set what somebody may write and read per second; the rest stays.
    #[command(
        after_help = "Examples:\n  tailrace quotas set --principal ann --produce 10MiB --fetch 50MiB\n  tailrace quotas set --principal ann --fetch none"
    )]
    #[command(group = ArgGroup::new("what").required(true).multiple(true).args(["produce", "fetch"]))]
    Set {
        #[command(flatten)]
        entity: Entity,
        /// Bytes per second that may be produced, such as 10MiB, or none for no limit.
        #[arg(long, value_name = "SIZE")]
        produce: Option<Rate>,
        /// Bytes per second that may be fetched.
        #[arg(long, value_name = "SIZE")]
        fetch: Option<Rate>,
    },
    /// Take somebody's quotas away.
    #[command(
        after_help = "Examples:\n  tailrace quotas remove --principal ann\n  tailrace quotas remove --client-id '*'"
    )]
    Remove {
        #[command(flatten)]
        entity: Entity,
    },
}

/// Whose quota.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[group(required = true, multiple = true)]
struct Entity {
    /// A user's name, from its login or certificate; * is each without a quota by name.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// A client id, in the same way.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
}

/// Bytes per second, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate(Option<u64>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            size => match size.parse::<ByteSize>() {
                Ok(ByteSize(0)) => Err("with 0 nothing would ever come through; `none` is no limit".to_owned()),
                Ok(size) => Ok(Self(Some(size.0))),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("none"),
            Some(rate) => write!(formatter, "{}/s", ByteSize(rate)),
        }
    }
}

/// Quotas, as they are shown to programs.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    entity: Entity,
    producer_byte_rate: Option<u64>,
    consumer_byte_rate: Option<u64>,
}

/// What came of a change, for programs.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    done: &'static str,
    #[serde(flatten)]
    entity: &'a Entity,
}

pub(crate) async fn run(args: QuotasArgs) -> Result<()> {
    let cluster = args.common.connect().await?;
    match args.command {
        Command::List => list(&cluster, args.common.output).await,
        Command::Set { entity, produce, fetch } => {
            let asked = [(QuotaKind::Produce, produce), (QuotaKind::Fetch, fetch)];
            let ops = asked.into_iter().filter_map(|(kind, rate)| Some(op(kind, rate?)));
            alter(&cluster, &entity, ops.collect()).await?;
            report("set", &entity, args.common.output)
        }
        Command::Remove { entity } => {
            if !find(&cluster).await?.iter().any(|listed| listed.entity == entity) {
                bail!("{entity} has no quotas; `tailrace quotas list` shows who has");
            }
            let ops = QuotaKind::ALL.map(|kind| op(kind, Rate(None)));
            alter(&cluster, &entity, ops.into()).await?;
            report("removed", &entity, args.common.output)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Kafka's protocol has no other form for it")]
fn op(kind: QuotaKind, rate: Rate) -> OpData {
    OpData {
        key: kind.name().into(),
        value: (rate.0.unwrap_or_default() as f64).into(),
        remove: rate.0.is_none(),
    }
}

async fn alter(cluster: &Cluster, entity: &Entity, ops: Vec<OpData>) -> Result<()> {
    let entries = vec![EntryData {
        entity: entity.to_wire(),
        ops,
    }];
    let request = AlterClientQuotasRequest {
        entries,
        validate_only: false,
    };
    let answer = controller(cluster).await?.send(&request).await?;
    for result in answer.entries {
        let what = format!("change the quotas of {entity}");
        check(result.error_code, result.error_message.as_deref(), &what, who_may)?;
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole and at least 1; what is more than u64 has no limit that anybody would meet"
)]
async fn find(cluster: &Cluster) -> Result<Vec<Listed>> {
    let broker = cluster.any_broker().await?;
    let answer = broker.send(&DescribeClientQuotasRequest::default()).await?;
    check(
        answer.error_code,
        answer.error_message.as_deref(),
        "list quotas",
        who_may,
    )?;
    let mut listed = Vec::new();
    for entry in answer.entries.unwrap_or_default() {
        let part = |kind: &str| {
            let part = entry.entity.iter().find(|part| part.entity_type == *kind)?;
            Some(part.entity_name.as_deref().unwrap_or(DEFAULT).to_owned())
        };
        let rate = |kind: QuotaKind| {
            let value = entry.values.iter().find(|value| value.key == *kind.name())?;
            Some(value.value.get() as u64)
        };
        let (principal, client_id) = (part(USER), part(CLIENT_ID));
        listed.push(Listed {
            entity: Entity { principal, client_id },
            producer_byte_rate: rate(QuotaKind::Produce),
            consumer_byte_rate: rate(QuotaKind::Fetch),
        });
    }
    Ok(listed)
}

fn who_may(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::ClusterAuthorizationFailed => {
            Some("a super user may, and whom `tailrace acls allow NAME describe-configs,alter-configs --cluster` lets")
        }
        ErrorCode::UnsupportedVersion => Some("this broker has no quotas"),
        _ => None,
    }
}

impl Entity {
    fn to_wire(&self) -> Vec<EntityData> {
        let parts = [(USER, &self.principal), (CLIENT_ID, &self.client_id)];
        let part = |(kind, name): (&'static str, &Option<String>)| {
            name.as_ref().map(|name| EntityData {
                entity_type: kind.into(),
                entity_name: (name != DEFAULT).then(|| name.as_str().into()),
            })
        };
        parts.into_iter().filter_map(part).collect()
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("principal", &self.principal), ("client id", &self.client_id)];
        let parts = parts
            .iter()
            .filter_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
        formatter.write_str(&parts.collect::<Vec<_>>().join(" with "))
    }
}

async fn list(cluster: &Cluster, format: Format) -> Result<()> {
    let listed = find(cluster).await?;
    if format == Format::Json {
        return output::print_json(&listed);
    }
    let mut table = Table::new(&["PRINCIPAL", "CLIENT ID", "PRODUCE", "FETCH"]);
    for it in listed {
        let name = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
        table.row([
            name(it.entity.principal),
            name(it.entity.client_id),
            Rate(it.producer_byte_rate).to_string(),
            Rate(it.consumer_byte_rate).to_string(),
        ]);
    }
    output::print(&table.render(output::has_colour()))
}

fn report(done: &'static str, entity: &Entity, format: Format) -> Result<()> {
    match format {
        Format::Json => output::print_json(&Changed { done, entity }),
        Format::Table => output::print(&format!("{done} the quotas of {entity}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown_as_people_write_them() {
        assert_eq!("10MiB".parse(), Ok(Rate(Some(10 << 20))));
        assert_eq!(Rate(Some(10 << 20)).to_string(), "10MiB/s");
        assert_eq!("none".parse(), Ok(Rate(None)));
        assert_eq!(Rate(None).to_string(), "none");
        for wrong in ["0", "fast", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_default_is_no_name_on_the_wire() {
        let entity = Entity {
            principal: Some("*".to_owned()),
            client_id: Some("app".to_owned()),
        };
        let names: Vec<_> = entity.to_wire().into_iter().map(|part| part.entity_name).collect();
        assert_eq!(names, [None, Some("app".into())]);
        assert_eq!(entity.to_string(), "principal * with client id app");
    }
}
