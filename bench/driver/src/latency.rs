//! How long a line takes from the program that writes it to the consumer that wants it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use tailrace_shared::record::Batches;

use super::LatencyArgs;
use super::fetch::{self, Partition};
use super::offsets;
use super::produce::percentile;
use super::wire::Wire;

/// The first lines make the topic and are not measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// A line that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(30);
const FILLER: &str = "INFO http.server request completed user=4711 duration_ms=17";

pub(crate) fn run(args: &LatencyArgs) -> anyhow::Result<Value> {
    let begun = Instant::now();
    let file = OpenOptions::new().append(true).create(true).open(&args.file);
    let file = file.with_context(|| format!("cannot open {}", args.file.display()))?;
    let interval = Duration::from_secs(1) / u32::try_from(args.lines)?;
    let total = WARM_UP + Duration::from_secs_f64(args.seconds);
    let writer = thread::spawn(move || write(file, begun, interval, total));
    let mut latencies = read(args, begun, total)?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    latencies.sort_unstable();
    Ok(json!({
        "lines": latencies.len(),
        "p50": percentile(&latencies, 0.5),
        "p99": percentile(&latencies, 0.99),
        "p999": percentile(&latencies, 0.999),
        "most": latencies.last().map(Duration::as_secs_f64),
    }))
}

/// Each line begins with when it was written.
fn write(mut file: File, begun: Instant, interval: Duration, total: Duration) -> anyhow::Result<()> {
    let mut due = begun;
    while begun.elapsed() < total {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += interval;
        let line = format!("{} {FILLER}\n", begun.elapsed().as_nanos());
        file.write_all(line.as_bytes())?;
    }
    file.write_all(b"end\n")?;
    Ok(())
}

/// Follows the topic as a consumer does, until the last line comes.
fn read(args: &LatencyArgs, begun: Instant, total: Duration) -> anyhow::Result<Vec<Duration>> {
    let mut wire = Wire::connect(&args.topic.address)?;
    let count = loop {
        match offsets::partitions(&mut wire, &args.topic.topic, false)? {
            0 => thread::sleep(Duration::from_millis(20)),
            count => break count,
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "no line made the topic");
    };
    let mut partitions: Vec<_> = (0..count).map(Partition::whole).collect();
    let mut latencies = Vec::new();
    let mut buffer = Vec::new();
    while begun.elapsed() < total + PATIENCE {
        wire.send(&fetch::request(&args.topic.topic, &partitions, 1 << 20)?)?;
        let frame = Bytes::from(wire.receive(buffer)?);
        let arrived = begun.elapsed();
        for records in fetch::take(frame.clone(), &mut partitions)? {
            for batch in Batches::split(records, usize::MAX) {
                for record in batch?.records(1 << 20)? {
                    let value = record?.value.unwrap_or_default();
                    if value == "end" {
                        return Ok(latencies);
                    }
                    let written = std::str::from_utf8(&value)?.split(' ').next().unwrap_or_default();
                    let written = Duration::from_nanos(written.parse()?);
                    if written > WARM_UP {
                        latencies.push(arrived.saturating_sub(written));
                    }
                }
            }
        }
        buffer = Vec::from(frame);
    }
    anyhow::bail!("the last line did not come")
}
