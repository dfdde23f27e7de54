//! Log lines as web services write them: half access log, half application log, with ids and durations that differ and
//! words that recur. zstd at level 1 makes about a sixth of them, as of real ones.

use std::fs::File;
use std::io::{BufWriter, Write};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::LinesArgs;

const METHODS: [&str; 6] = ["GET", "GET", "GET", "GET", "POST", "PUT"];
const PATHS: [&str; 8] = [
    "/api/v1/orders",
    "/api/v1/orders/search",
    "/api/v1/customers",
    "/static/app.js",
    "/static/logo.svg",
    "/healthz",
    "/login",
    "/api/v2/cart/items",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6",
    "curl/8.9.1",
    "Go-http-client/2.0",
];
const LEVELS: [&str; 5] = ["INFO", "INFO", "INFO", "WARN", "DEBUG"];
const LOGGERS: [&str; 4] = ["http.server", "db.pool", "payments.gateway", "cache.redis"];
const MESSAGES: [&str; 6] = [
    "request completed",
    "connection returned to pool",
    "retrying after timeout",
    "cache miss, loading from primary",
    "payment authorised",
    "slow query",
];

pub(crate) fn write(args: &LinesArgs) -> anyhow::Result<Value> {
    let mut rng = StdRng::seed_from_u64(args.seed);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&args.file)?);
    let (mut bytes, mut lines, mut clock_ms) = (0, 0, 0);
    let mut line = Vec::with_capacity(512);
    loop {
        line.clear();
        clock_ms += rng.random_range(0..20);
        put_line(&mut line, &mut rng, clock_ms)?;
        if bytes + line.len() as u64 > args.bytes {
            break;
        }
        out.write_all(&line)?;
        bytes += line.len() as u64;
        lines += 1;
    }
    out.into_inner()?.sync_all()?;
    Ok(json!({ "bytes": bytes, "lines": lines }))
}

fn put_line(out: &mut Vec<u8>, rng: &mut StdRng, clock_ms: u64) -> std::io::Result<()> {
    let (hour, minute, second) = (clock_ms / 3_600_000 % 24, clock_ms / 60_000 % 60, clock_ms / 1000 % 60);
    let (day, millis) = (clock_ms / 86_400_000 % 28 + 1, clock_ms % 1000);
    let duration = rng.random_range(1..2000) * rng.random_range(1..20) / 10;
    if rng.random() {
        let (method, path, agent) = (pick(&METHODS, rng), pick(&PATHS, rng), pick(&AGENTS, rng));
        let status = if rng.random_range(0..20) == 0 { 500 } else { 200 };
        let (client, sent, id) = (
            rng.random::<u16>(),
            rng.random_range(100..50_000),
            rng.random_range(0..100_000),
        );
        writeln!(
            out,
            "10.0.{}.{} - - [{day:02}/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] \"{method} {path}?id={id} \
             HTTP/1.1\" {status} {sent} \"https://shop.example.com/\" \"{agent}\" {duration}",
            client >> 8,
            client & 255,
        )
    } else {
        let (level, logger, message) = (pick(&LEVELS, rng), pick(&LOGGERS, rng), pick(&MESSAGES, rng));
        let (trace, user) = (rng.random::<u64>(), rng.random_range(0..1_000_000));
        writeln!(
            out,
            "2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z {level} {logger} {message} \
             trace_id={trace:016x} user={user} duration_ms={duration} thread=worker-{}",
            rng.random_range(0..16),
        )
    }
}

fn pick<'a>(words: &[&'a str], rng: &mut StdRng) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}
