//! `tailrace produce`: lines from stdin or a file, each as a record, acknowledged before it ends well.

mod lines;
mod outbox;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytestring::ByteString;
use clap::Args;
use memchr::memmem;
use tailrace_shared::client::Producer;
use tokio::io::AsyncRead;
use tokio::time::{Instant, sleep_until};

use self::lines::Lines;
use self::outbox::{Outbox, Route};
use crate::connect::{self, Bootstrap, MissingTopic};
use crate::output::records;
use crate::stop::Stop;

/// A batch that gets no acknowledgement for so long is given up.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// A line waits at most so long for others to share its batch.
const LINGER: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Examples:
  tailrace produce nginx access.log
  dmesg | tailrace produce kernel
  tail -F app.log | tailrace produce app
  tailrace produce events --key-separator : < keyed.txt
  tailrace produce nginx --partition 0 < access.log

Lines without a key go to one partition, chosen anew by each run, so they stay
in order. Lines with a key go where every Kafka client sends that key. What a
lost connection makes us send twice, the broker drops. A line is sent as it is
but for its newline: a carriage return before it stays.

Ends with the number of records and their offsets on stderr, and with exit code
1 if any of them was not acknowledged. If the topic does not exist, the broker
may create it.";

/// `tailrace produce …`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProduceArgs {
    /// The topic to write to.
    topic: String,
    /// The file to read; without it, or with `-`, stdin.
    file: Option<PathBuf>,
    /// Write everything to this partition.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// The record's key is what stands before the first of these in a line.
    #[arg(long, short, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub(crate) async fn run(args: ProduceArgs) -> Result<()> {
    let stop = Stop::on_signals()?;
    let input = open(args.file).await?;
    let cluster = args.bootstrap.connect(MissingTopic::Create).await?;
    let topic = ByteString::from(args.topic);
    let partitions = connect::topic(&cluster, &topic, MissingTopic::Create).await?.partitions;
    let route = match args.partition {
        Some(wanted) if partitions.iter().any(|partition| partition.index == wanted) => Route::Fixed(wanted),
        Some(wanted) => bail!(
            "topic {topic} has no partition {wanted}; it has {}, from 0 on",
            partitions.len()
        ),
        None => Route::ByKey(i32::try_from(partitions.len())?),
    };
    let producer = Producer::start(cluster, topic.clone(), DELIVERY_TIMEOUT).await?;
    let mut outbox = Outbox::new(producer, route);
    let sent = send_lines(input, args.key_separator.as_deref(), &mut outbox, stop).await;
    eprint!("{}", outbox.report(&topic));
    sent.with_context(|| match outbox.unacknowledged() {
        0 => "reading stopped".to_owned(),
        count => format!("not acknowledged: {}", records(count)),
    })
}

async fn open(file: Option<PathBuf>) -> Result<Box<dyn AsyncRead + Unpin>> {
    match file.filter(|path| path.as_os_str() != "-") {
        None => Ok(Box::new(tokio::io::stdin())),
        Some(path) => {
            let cannot = || format!("cannot read {}", path.display());
            let file = tokio::fs::File::open(&path).await.with_context(cannot)?;
            if file.metadata().await.with_context(cannot)?.is_dir() {
                bail!("{}: it is a directory", cannot());
            }
            Ok(Box::new(file))
        }
    }
}

/// Until the input ends, or Ctrl-C does; either way everything that was read is sent.
async fn send_lines(
    input: Box<dyn AsyncRead + Unpin>,
    key_separator: Option<&str>,
    outbox: &mut Outbox,
    mut stop: Stop,
) -> Result<()> {
    let mut lines = Lines::new(input);
    let mut flush_at = None;
    loop {
        let line = tokio::select! {
            line = lines.next() => line?,
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                outbox.flush().await?;
                flush_at = None;
                continue;
            }
            () = stop.requested() => None,
        };
        let Some(line) = line else { return outbox.flush().await };
        let (key, value) = split_key(&line, key_separator);
        outbox.add(key, value).await?;
        flush_at.get_or_insert_with(|| Instant::now() + LINGER);
    }
}

/// A line without the separator has no key.
fn split_key<'a>(line: &'a [u8], separator: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let split = separator.and_then(|separator| {
        let at = memmem::find(line, separator.as_bytes())?;
        Some((line.get(..at)?, line.get(at + separator.len()..)?))
    });
    split.map_or((None, line), |(key, value)| (Some(key), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_ends_the_key() {
        assert_eq!(split_key(b"a::b::c", Some("::")), (Some(&b"a"[..]), &b"b::c"[..]));
        assert_eq!(split_key(b"::", Some("::")), (Some(&b""[..]), &b""[..]));
        assert_eq!(split_key(b"abc", Some("::")), (None, &b"abc"[..]));
        assert_eq!(split_key(b"a:b", None), (None, &b"a:b"[..]));
    }
}
