//! `tailrace`, the tool in a person's hand: read topics, write to them, look after topics and groups, or run a whole
//! collector and agent in one process. Here is the tree of commands and how each ends; every command is a module.

mod acls;
mod admin;
mod cluster;
mod connect;
mod from;
mod groups;
mod output;
mod produce;
mod quotas;
mod stop;
mod tail;
mod topics;
mod up;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use tailrace_shared::service::explain;
use tailrace_shared::telemetry::logging::{self, LogConfig};

const EXAMPLES: &str = "\
Examples:
  tailrace up                                collect /var/log/**/*.log here
  tailrace tail nginx                        what arrives from now on
  tailrace tail nginx --from 15m --grep ' 500 '
  dmesg | tailrace produce kernel            each line becomes a record
  tailrace topics describe nginx             partitions, offsets, configuration
  tailrace groups describe billing           members, committed offsets, lag
  tailrace tail --help                       each command has examples

All but `up` connect to a broker at 127.0.0.1:9092. Name another with
--bootstrap HOST:PORT, or once for all with TAILRACE_BOOTSTRAP. Any Kafka
broker will do, and any Kafka client reads what Tailrace keeps.

Exit codes:
  0    done; also when Ctrl-C ended what would go on for ever, or when nobody
       reads the pipe any more
  1    it failed; the reason is on stderr
  2    the command line is wrong
  130  stopped in the middle by a second Ctrl-C

TAILRACE_LOG=debug shows what goes on underneath.";

/// What is wrong, and that reading goes on after it was.
const LOG_LEVEL: &str = "warn,tailrace_shared::client::fetcher=info";

/// Collect logs, keep them, and read them with any Kafka client.
#[derive(Debug, Parser)]
#[command(name = "tailrace", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a collector and an agent on this machine, and print what they collect.
    Up(up::UpArgs),
    /// Print the records of a topic, and go on as more arrive.
    Tail(tail::TailArgs),
    /// Write lines to a topic, each as a record.
    Produce(produce::ProduceArgs),
    /// List, describe, create, alter and delete topics.
    Topics(topics::TopicsArgs),
    /// List, describe, reset and delete consumer groups.
    Groups(groups::GroupsArgs),
    /// Show the cluster: brokers, and what is kept and free.
    Cluster(cluster::ClusterArgs),
    /// List, add and remove access control entries.
    Acls(acls::AclsArgs),
    /// List users, set and take away their passwords.
    Users(users::UsersArgs),
    /// List, set and take away quotas of users and clients.
    Quotas(quotas::QuotasArgs),
}

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tailrace: {}", explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    logging::init(&LogConfig {
        level: LOG_LEVEL.parse()?,
        ..LogConfig::default()
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        match command {
            Command::Up(args) => up::run(args).await,
            Command::Tail(args) => tail::run(args).await,
            Command::Produce(args) => produce::run(args).await,
            Command::Topics(args) => topics::run(args).await,
            Command::Groups(args) => groups::run(args).await,
            Command::Cluster(args) => cluster::run(args).await,
            Command::Acls(args) => acls::run(args).await,
            Command::Users(args) => users::run(args).await,
            Command::Quotas(args) => quotas::run(args).await,
        }
    });
    // A thread may sit in a read of stdin that never ends.
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
