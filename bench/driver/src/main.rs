//! The load that `bench/run` measures with: makes log lines, produces, fetches, and moves bytes over loopback TCP by the
//! same code, so that what the client side costs is the same on both sides of a ratio.
//!
//! Blocking sockets and plain threads: on a machine with few cores a driver that idles well measures the other side.
//! Each command prints one JSON object.

mod fetch;
mod latency;
mod lines;
mod loopback;
mod numbered;
mod offsets;
mod produce;
mod wire;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write log lines of a web service, the same for the same seed.
    Lines(LinesArgs),
    /// Keep so many produce requests in flight for a while.
    Produce(ProduceArgs),
    /// Read a topic from its start to its end.
    Fetch(FetchArgs),
    /// Write lines to a file, and measure how long each takes until a consumer has it.
    Latency(LatencyArgs),
    /// Write numbered lines to files that are rotated, at a rate.
    WriteNumbered(WriteNumberedArgs),
    /// Follow a topic of numbered lines: every one once, each writer's in order; says every so often how it stands.
    CheckNumbered(CheckNumberedArgs),
    /// Move frames over loopback TCP.
    Loopback(LoopbackArgs),
    /// How many records a topic has, over all partitions; 0 while there is no such topic.
    Count(TopicArgs),
}

#[derive(Debug, Args)]
struct LinesArgs {
    /// Where to.
    file: PathBuf,
    /// Length of the file, to the last whole line.
    #[arg(long)]
    bytes: u64,
    /// Chooses the lines.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
struct TopicArgs {
    /// `host:port` of the collector.
    #[arg(long)]
    address: String,
    /// The topic, with any number of partitions.
    #[arg(long)]
    topic: String,
}

#[derive(Debug, Args)]
struct ProduceArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// Length of a batch, one per request.
    #[arg(long)]
    batch_bytes: usize,
    /// Requests without an answer at a time, for each connection.
    #[arg(long)]
    in_flight: usize,
    /// How many connections.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Send one batch per connection in so many milliseconds, and not as fast as they are acknowledged.
    #[arg(long)]
    interval_ms: Option<u64>,
    /// How long; ignored if there is a number of bytes.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How many bytes of batches.
    #[arg(long)]
    bytes: Option<u64>,
    /// Batches of zeros, of which a file system can make holes.
    #[arg(long)]
    zeros: bool,
}

#[derive(Debug, Args)]
struct FetchArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// The most that one answer may have of each partition.
    #[arg(long, default_value_t = 4 << 20)]
    partition_bytes: i32,
    /// Skip to what came last: about so many bytes, if batches have `batch_bytes`.
    #[arg(long, requires = "batch_bytes")]
    last_bytes: Option<u64>,
    /// Length of a batch of one record.
    #[arg(long)]
    batch_bytes: Option<u64>,
    /// How often to read the same.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

#[derive(Debug, Args)]
struct LatencyArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// The file, which an agent follows.
    #[arg(long)]
    file: PathBuf,
    /// Lines a second.
    #[arg(long, default_value_t = 1000)]
    lines: u64,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Debug, Args)]
struct WriteNumberedArgs {
    /// Where the files are.
    #[arg(long)]
    dir: PathBuf,
    /// How many programs write, each to a file of its own.
    #[arg(long)]
    writers: u64,
    /// Bytes a second of all.
    #[arg(long)]
    rate: u64,
    /// A file of this length is renamed, and a new one begun.
    #[arg(long)]
    rotate_bytes: u64,
    /// How many renamed files of a writer stay.
    #[arg(long, default_value_t = 5)]
    keep: u64,
    /// How long.
    #[arg(long)]
    seconds: f64,
}

#[derive(Debug, Args)]
struct CheckNumberedArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// Seconds between two lines of the report.
    #[arg(long, default_value_t = 10.0)]
    interval: f64,
    /// Ends when this file exists, and nothing has come for five seconds.
    #[arg(long)]
    until: PathBuf,
}

#[derive(Debug, Args)]
struct LoopbackArgs {
    /// Length of a frame.
    #[arg(long, default_value_t = 16 << 20)]
    frame_bytes: usize,
    /// How many bytes in all.
    #[arg(long)]
    bytes: u64,
}

fn main() -> anyhow::Result<()> {
    let result = match Cli::parse().command {
        Command::Lines(args) => lines::write(&args)?,
        Command::Produce(args) => produce::run(&args)?,
        Command::Fetch(args) => fetch::run(&args)?,
        Command::Latency(args) => latency::run(&args)?,
        Command::WriteNumbered(args) => numbered::write(&args)?,
        Command::CheckNumbered(args) => numbered::check(&args)?,
        Command::Loopback(args) => loopback::run(&args)?,
        Command::Count(args) => offsets::count(&args)?,
    };
    println!("{result}");
    Ok(())
}
