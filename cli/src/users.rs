//! `tailrace users`: who may log in with a password.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use rand::RngCore;
use serde::Serialize;
use tailrace_shared::client::Cluster;
use tailrace_shared::kafka::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsResult, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use tailrace_shared::kafka::messages::{AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest};
use tailrace_shared::sasl::{ITERATIONS_DEFAULT, Mechanism, ScramHash, salted_password};

use crate::admin::{Common, check, confirm, controller, who_may_alter};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  tailrace users list
  tailrace users set ann                                asks for the password
  tailrace users set ann --new-password-file ann.txt
  openssl rand -base64 24 | tee agent.txt | tailrace users set agent
  tailrace users delete ann

The password is hashed here and never sent. Users of the collector's
configuration file ([[users]]) are changed there and not listed.";

const SALT_BYTES: usize = 24;

/// `tailrace users …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All users that have a password.
    #[command(after_help = "Examples:\n  tailrace users list\n  tailrace users list -o json | jq -r '.[].user'")]
    List,
    /// Give a user a password, new or another one.
    #[command(
        after_help = "Examples:\n  tailrace users set ann\n  tailrace users set ann --new-password-file ann.txt\n\nConnections that are open stay open."
    )]
    Set {
        /// Name of the user.
        name: String,
        /// A file that holds the password; without it, it is asked for, or read from a pipe.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// Take a user's password away.
    #[command(
        after_help = "Examples:\n  tailrace users delete ann          asks first\n  tailrace users delete ann --yes    for scripts\n\nConnections that are open stay open."
    )]
    Delete {
        /// Name of the user.
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// A user as listed.
#[derive(Debug, Serialize)]
struct Listed {
    user: String,
    mechanisms: Vec<&'static str>,
}

/// What came of a change, for programs.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    user: &'a str,
    done: &'static str,
}

pub(crate) async fn run(args: UsersArgs) -> Result<()> {
    let cluster = args.common.connect().await?;
    match args.command {
        Command::List => list(&cluster, args.common.output).await,
        Command::Set {
            name,
            new_password_file,
        } => {
            let password = new_password(new_password_file)?;
            set(&cluster, &name, &password).await?;
            report(&name, "set the password of", args.common.output)
        }
        Command::Delete { name, yes } => {
            let there = users(&cluster).await?;
            let Some(hashes) = there.get(&name) else {
                bail!("there is no user {name}; `tailrace users list` shows those that there are");
            };
            if !yes && !confirm(&format!("Take the password of {name} away?"))? {
                bail!("user {name} was left as it is");
            }
            delete(&cluster, &name, hashes).await?;
            report(&name, "deleted", args.common.output)
        }
    }
}

async fn users(cluster: &Cluster) -> Result<BTreeMap<String, Vec<ScramHash>>> {
    let broker = cluster.any_broker().await?;
    let answer = broker.send(&DescribeUserScramCredentialsRequest::default()).await?;
    check(answer.error_code, answer.error_message.as_deref(), "list users", |_| {
        None
    })?;
    let user = |found: tailrace_shared::kafka::messages::describe_user_scram_credentials::DescribeUserScramCredentialsResult| {
        let hashes = found.credential_infos.iter().filter_map(|info| ScramHash::from_code(info.mechanism));
        (found.user.to_string(), hashes.collect())
    };
    Ok(answer.results.into_iter().map(user).collect())
}

async fn list(cluster: &Cluster, format: Format) -> Result<()> {
    let listed = users(cluster).await?.into_iter().map(|(user, hashes)| Listed {
        user,
        mechanisms: hashes.into_iter().map(|hash| Mechanism::Scram(hash).name()).collect(),
    });
    let listed: Vec<Listed> = listed.collect();
    if format == Format::Json {
        return output::print_json(&listed);
    }
    let mut table = Table::new(&["USER", "MECHANISMS"]);
    for it in listed {
        table.row([it.user, it.mechanisms.join(", ")]);
    }
    output::print(&table.render(output::has_colour()))
}

fn new_password(file: Option<PathBuf>) -> Result<String> {
    let text = match file {
        Some(path) => std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?,
        None if io::stdin().is_terminal() => {
            let password = rpassword::prompt_password("New password: ")?;
            if rpassword::prompt_password("The same again: ")? != password {
                bail!("these were two different passwords; nothing was changed");
            }
            password
        }
        None => {
            let mut piped = String::new();
            io::stdin()
                .read_to_string(&mut piped)
                .context("cannot read the password from the pipe")?;
            piped
        }
    };
    let password = text.strip_suffix('\n').unwrap_or(&text);
    if password.is_empty() {
        bail!("the password is empty");
    }
    Ok(password.to_owned())
}

/// Under every hash, so that any client can log in.
async fn set(cluster: &Cluster, name: &str, password: &str) -> Result<()> {
    let upsertions = ScramHash::ALL.map(|hash| {
        let mut salt = vec![0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        let salted = salted_password(hash, password, &salt, ITERATIONS_DEFAULT);
        ScramCredentialUpsertion {
            name: name.into(),
            mechanism: hash.code(),
            iterations: i32::try_from(ITERATIONS_DEFAULT).unwrap_or(i32::MAX),
            salt: salt.into(),
            salted_password: salted.into(),
        }
    });
    let request = AlterUserScramCredentialsRequest {
        deletions: Vec::new(),
        upsertions: upsertions.into(),
    };
    alter(cluster, request, &format!("set the password of {name}")).await
}

async fn delete(cluster: &Cluster, name: &str, hashes: &[ScramHash]) -> Result<()> {
    let deletions = hashes.iter().map(|hash| ScramCredentialDeletion {
        name: name.into(),
        mechanism: hash.code(),
    });
    let request = AlterUserScramCredentialsRequest {
        deletions: deletions.collect(),
        upsertions: Vec::new(),
    };
    alter(cluster, request, &format!("delete user {name}")).await
}

async fn alter(cluster: &Cluster, request: AlterUserScramCredentialsRequest, what: &str) -> Result<()> {
    let answer = controller(cluster).await?.send(&request).await?;
    for AlterUserScramCredentialsResult {
        error_code,
        error_message,
        ..
    } in answer.results
    {
        check(error_code, error_message.as_deref(), what, who_may_alter)?;
    }
    Ok(())
}

fn report(user: &str, done: &'static str, format: Format) -> Result<()> {
    match format {
        Format::Json => output::print_json(&Changed { user, done }),
        Format::Table => output::print(&format!("{done} {user}\n")),
    }
}
