//! `tailrace cluster`: which brokers there are, and what they keep.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tailrace_shared::client::{Cluster, Lane};
use tailrace_shared::config::ByteSize;
use tailrace_shared::kafka::messages::DescribeLogDirsRequest;

use crate::admin::{Common, check};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  tailrace cluster
  tailrace cluster -o json | jq '.brokers[].free_bytes'

KEPT is what the partitions take, in the WAL and in segments, FREE what the file
system still has.";

/// `tailrace cluster`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Described {
    id: String,
    brokers: Vec<Broker>,
}

/// A directory of a broker.
#[derive(Debug, Serialize)]
struct Broker {
    broker: i32,
    address: String,
    directory: String,
    partitions: usize,
    kept_bytes: i64,
    /// None where the broker is too old to tell.
    free_bytes: Option<i64>,
    total_bytes: Option<i64>,
}

pub(crate) async fn run(args: ClusterArgs) -> Result<()> {
    let cluster = args.common.connect().await?;
    let described = describe(&cluster).await?;
    if args.common.output == Format::Json {
        return output::print_json(&described);
    }
    let mut table = Table::new(&["BROKER", "ADDRESS", "PARTITIONS", "KEPT", "FREE", "OF", "DIRECTORY"]);
    for it in &described.brokers {
        table.row([
            it.broker.to_string(),
            it.address.clone(),
            it.partitions.to_string(),
            size(Some(it.kept_bytes)),
            size(it.free_bytes),
            size(it.total_bytes),
            it.directory.clone(),
        ]);
    }
    output::print(&format!(
        "Cluster {}\n\n{}",
        described.id,
        table.render(output::has_colour())
    ))
}

fn size(bytes: Option<i64>) -> String {
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    bytes.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string())
}

async fn describe(cluster: &Cluster) -> Result<Described> {
    let metadata = cluster.refresh(&[]).await?;
    let mut brokers = Vec::new();
    let in_order: BTreeMap<i32, &String> = metadata.brokers.iter().map(|(id, address)| (*id, address)).collect();
    for (broker, address) in in_order {
        let connection = cluster.connect(address, Lane::Prompt).await?;
        let answer = connection.send(&DescribeLogDirsRequest { topics: None }).await?;
        let what = format!("see what broker {address} keeps");
        check(answer.error_code, None, &what, |_| None)?;
        for directory in answer.results {
            check(directory.error_code, None, &what, |_| None)?;
            let partitions = || directory.topics.iter().flat_map(|topic| &topic.partitions);
            brokers.push(Broker {
                broker,
                address: address.clone(),
                directory: directory.log_dir.to_string(),
                partitions: partitions().count(),
                kept_bytes: partitions().map(|partition| partition.partition_size).sum(),
                free_bytes: Some(directory.usable_bytes).filter(|bytes| *bytes >= 0),
                total_bytes: Some(directory.total_bytes).filter(|bytes| *bytes >= 0),
            });
        }
    }
    Ok(Described {
        id: metadata.cluster_id.as_deref().unwrap_or_default().to_owned(),
        brokers,
    })
}
