//! `tailrace tail`: prints the records of a topic exactly as they are, and goes on as more arrive.

mod member;
mod printer;
pub(crate) mod reading;
mod render;

use std::pin::pin;

use anyhow::{Result, bail};
use bytestring::ByteString;
use clap::Args;
use regex::bytes::Regex;
use tailrace_shared::client::{Cluster, OffsetSpec, list_offsets};

use self::member::PrintingMember;
use self::printer::Printer;
use self::reading::Reading;
use self::render::{Form, Renderer};
use crate::connect::{self, Bootstrap, MissingTopic};
use crate::from::From;
use crate::output;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  tailrace tail nginx                               what arrives from now on
  tailrace tail nginx --from beginning --no-follow  the whole topic, then end
  tailrace tail nginx --from 15m                    what is not older, and on
  tailrace tail nginx --from 2026-01-31T14:00:00Z
  tailrace tail nginx --from 4711 --partition 0
  tailrace tail nginx --grep ' 50[0-9] '            a regular expression
  tailrace tail nginx --group billing               where it stopped
  tailrace tail nginx --output json | jq .headers.path

With one partition the order is that of the topic; several are read side by
side, each in its own order. A group prints each record at least once: what was
printed in the second before a crash is printed again.";

/// `tailrace tail …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TailArgs {
    /// The topic to read.
    topic: String,
    /// Where to begin: beginning, end, an offset, how long ago (15m), or a time (RFC 3339). Without it at the end when
    /// following, else at the beginning. A group begins here only in partitions that it has not read before.
    #[arg(long, short, value_name = "PLACE")]
    from: Option<From>,
    /// Read as a member of this consumer group: go on at its committed offsets, and commit what was printed.
    #[arg(long, short)]
    group: Option<String>,
    /// Print only records whose value matches this regular expression.
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,
    /// End at what is the end of the topic now.
    #[arg(long)]
    no_follow: bool,
    /// The form of a record.
    #[arg(long, short, value_enum, default_value_t = Form::Raw)]
    output: Form,
    /// Read this partition only.
    #[arg(long, short, value_name = "N", conflicts_with = "group", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub(crate) async fn run(args: TailArgs) -> Result<()> {
    let stop = Stop::on_signals()?;
    let cluster = args.bootstrap.connect(MissingTopic::Fail).await?;
    let topic = ByteString::from(args.topic);
    let partitions = partitions(&cluster, &topic, args.partition).await?;
    let ends = match args.no_follow {
        true => Some(list_offsets(&cluster, &topic, &partitions, OffsetSpec::Latest).await?),
        false => None,
    };
    let from = args
        .from
        .unwrap_or(if args.no_follow { From::Beginning } else { From::End });
    let renderer = Renderer {
        topic: topic.to_string(),
        form: args.output,
        grep: args.grep,
    };
    let printer = Printer::new(renderer, ends);
    match args.group {
        Some(group) => {
            PrintingMember::new(cluster, topic, group.into(), from, printer)
                .run(stop)
                .await
        }
        None => {
            let positions = from.resolve(&cluster, &topic, &partitions).await?;
            print(Reading::new(cluster, topic, positions), printer, stop).await
        }
    }
}

async fn partitions(cluster: &Cluster, topic: &ByteString, only: Option<i32>) -> Result<Vec<i32>> {
    let known = connect::topic(cluster, topic, MissingTopic::Fail).await?.partitions;
    let Some(wanted) = only else {
        return Ok(known.iter().map(|partition| partition.index).collect());
    };
    match (known.iter().any(|partition| partition.index == wanted), known.last()) {
        (true, _) => Ok(vec![wanted]),
        (false, last) => bail!(
            "topic {topic} has no partition {wanted}; its partitions are 0 to {}",
            last.map_or(0, |partition| partition.index)
        ),
    }
}

async fn print(mut reading: Reading, mut printer: Printer, mut stop: Stop) -> Result<()> {
    let mut closed = pin!(output::closed());
    while !printer.is_done(&reading.positions()) {
        let batches = tokio::select! {
            batches = reading.next() => batches?,
            () = stop.requested() => return Ok(()),
            () = &mut closed => return Ok(()),
        };
        printer.print(batches).await?;
    }
    Ok(())
}
