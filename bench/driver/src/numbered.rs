//! Numbered lines, written to files that are rotated, and checked by who reads the topic they end up in.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use tailrace_shared::clock::{Clock, SystemClock};
use tailrace_shared::record::Batches;

use super::fetch::{self, Partition};
use super::offsets;
use super::produce::percentile;
use super::wire::Wire;
use super::{CheckNumberedArgs, WriteNumberedArgs};

/// How often each writer writes.
const TICK: Duration = Duration::from_millis(20);
/// Nothing more comes after so long a silence.
const SILENCE: Duration = Duration::from_secs(5);
const FILLER: &str =
    "INFO http.server request completed method=GET path=/api/v1/orders status=200 user=4711 duration_ms=17";

struct Writer {
    path: PathBuf,
    number: u64,
    file: File,
    len: u64,
    next_line: u64,
    rotations: u64,
}

/// The wall clock, which writer and reader share, since the epoch.
fn now() -> Duration {
    Duration::from_millis(SystemClock::default().now_ms().unsigned_abs())
}

pub(crate) fn write(args: &WriteNumberedArgs) -> anyhow::Result<Value> {
    let writers = (0..args.writers).map(|number| Writer::create(args, number));
    let mut writers = writers.collect::<Result<Vec<_>, _>>()?;
    let ticks_a_second = 1000 / u64::try_from(TICK.as_millis())?;
    let bytes_a_tick = args.rate / args.writers.max(1) / ticks_a_second;
    let started = Instant::now();
    let mut due = started;
    while started.elapsed().as_secs_f64() < args.seconds {
        for writer in &mut writers {
            writer.tick(bytes_a_tick)?;
            if writer.len >= args.rotate_bytes {
                writer.rotate(args.keep)?;
            }
        }
        due += TICK;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let lines: Vec<_> = writers.iter().map(|writer| writer.next_line).collect();
    Ok(json!({ "lines": lines, "seconds": started.elapsed().as_secs_f64() }))
}

impl Writer {
    fn create(args: &WriteNumberedArgs, number: u64) -> anyhow::Result<Self> {
        let path = args.dir.join(format!("{number}.log"));
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            path,
            number,
            file,
            len: 0,
            next_line: 0,
            rotations: 0,
        })
    }

    /// Many lines in one write, as a program with a buffer does.
    fn tick(&mut self, bytes: u64) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        let written_at = now().as_millis();
        while (lines.len() as u64) < bytes {
            writeln!(lines, "{written_at} {} {} {FILLER}", self.number, self.next_line)?;
            self.next_line += 1;
        }
        self.file.write_all(&lines)?;
        self.len += lines.len() as u64;
        Ok(())
    }

    fn rotated(&self, rotation: u64) -> PathBuf {
        self.path.with_extension(format!("log.{rotation}"))
    }

    fn rotate(&mut self, keep: u64) -> anyhow::Result<()> {
        fs::rename(&self.path, self.rotated(self.rotations))?;
        if let Some(old) = self.rotations.checked_sub(keep) {
            fs::remove_file(self.rotated(old))?;
        }
        self.rotations += 1;
        self.file = File::create(&self.path)?;
        self.len = 0;
        Ok(())
    }
}

#[derive(Default)]
struct Checked {
    /// What is next of each writer.
    next: BTreeMap<u64, u64>,
    lines: u64,
    lost: u64,
    doubled: u64,
    latencies: Vec<Duration>,
}

pub(crate) fn check(args: &CheckNumberedArgs) -> anyhow::Result<Value> {
    let topic = &args.topic.topic;
    let mut wire = Wire::connect(&args.topic.address)?;
    let count = loop {
        match offsets::partitions(&mut wire, topic, false)? {
            0 => thread::sleep(Duration::from_millis(100)),
            count => break count,
        }
    };
    let mut partitions: Vec<_> = (0..count).map(Partition::whole).collect();
    let mut checked = Checked::default();
    let interval = Duration::from_secs_f64(args.interval);
    let (mut report_at, mut heard_at) = (Instant::now() + interval, Instant::now());
    let mut buffer = Vec::new();
    while heard_at.elapsed() < SILENCE || !args.until.exists() {
        wire.send(&fetch::request(topic, &partitions, 4 << 20)?)?;
        let frame = Bytes::from(wire.receive(buffer)?);
        let arrived = now();
        for records in fetch::take(frame.clone(), &mut partitions)? {
            for batch in Batches::split(records, usize::MAX) {
                heard_at = Instant::now();
                for record in batch?.records(64 << 20)? {
                    checked.line(&record?.value.unwrap_or_default(), arrived)?;
                }
            }
        }
        buffer = Vec::from(frame);
        if Instant::now() >= report_at {
            report_at += interval;
            println!("{}", checked.report());
        }
    }
    let report = checked.report();
    let lines: Vec<_> = checked.next.values().collect();
    Ok(json!({ "end": report, "lines": lines }))
}

impl Checked {
    fn line(&mut self, line: &[u8], arrived: Duration) -> anyhow::Result<()> {
        let line = std::str::from_utf8(line)?;
        let mut fields = line.split(' ').map(str::parse::<u64>);
        let (Some(Ok(written)), Some(Ok(writer)), Some(Ok(number))) = (fields.next(), fields.next(), fields.next())
        else {
            anyhow::bail!("not a line of ours: {line}");
        };
        self.lines += 1;
        // One line of many stands for those that were written with it.
        if number.is_multiple_of(16) {
            self.latencies
                .push(arrived.saturating_sub(Duration::from_millis(written)));
        }
        let next = self.next.entry(writer).or_default();
        self.doubled += u64::from(number < *next);
        self.lost += number.saturating_sub(*next);
        *next = (number + 1).max(*next);
        Ok(())
    }

    /// Since the last one, and in all.
    fn report(&mut self) -> Value {
        let mut latencies = std::mem::take(&mut self.latencies);
        latencies.sort_unstable();
        json!({
            "at": now().as_secs_f64(),
            "lines": self.lines,
            "lost": self.lost,
            "doubled": self.doubled,
            "p50": percentile(&latencies, 0.5),
            "p99": percentile(&latencies, 0.99),
        })
    }
}
