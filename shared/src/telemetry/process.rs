//! The process's own metrics, under the names that dashboards expect of any process, read from `/proc/self`.

use std::fs;

use crate::metrics;
use crate::telemetry::metrics::Exporter;

metrics! {
    /// What `/proc/self` tells of this process. A value that cannot be read stays as it was.
    pub struct ProcessMetrics {
        cpu_seconds: FloatCounter[] = "process_cpu_seconds_total", "User and system CPU time spent, in seconds.";
        resident_memory: Gauge[] = "process_resident_memory_bytes", "Resident memory, in bytes.";
        virtual_memory: Gauge[] = "process_virtual_memory_bytes", "Virtual memory, in bytes.";
        open_fds: Gauge[] = "process_open_fds", "Open file descriptors.";
        max_fds: Gauge[] = "process_max_fds", "The most file descriptors that may be open.";
        threads: Gauge[] = "process_threads", "Threads.";
        start_time: FloatGauge[] = "process_start_time_seconds", "Start, in seconds since the Unix epoch.";
    }
}

impl ProcessMetrics {
    /// Registers them, and has them read before each scrape.
    pub fn export(exporter: &mut Exporter) -> prometheus::Result<()> {
        let metrics = Self::register(exporter.registry())?;
        exporter.before_scrape(move || metrics.refresh());
        Ok(())
    }

    fn refresh(&self) {
        if let Some(stat) = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|text| Stat::parse(&text))
        {
            let cpu = self.cpu_seconds.with([]);
            cpu.inc_by((stat.cpu_seconds - cpu.get()).max(0.0));
            self.threads.with([]).set(stat.threads);
            self.virtual_memory.with([]).set(stat.virtual_bytes);
            self.resident_memory.with([]).set(stat.resident_bytes);
            if let Some(boot) = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text)) {
                self.start_time.with([]).set(boot + stat.started_after_boot_seconds);
            }
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            let open = entries.count().saturating_sub(1);
            self.open_fds.with([]).set(i64::try_from(open).unwrap_or(i64::MAX));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.max_fds
            .with([])
            .set(limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX));
    }
}

#[derive(Debug)]
struct Stat {
    cpu_seconds: f64,
    threads: i64,
    virtual_bytes: i64,
    resident_bytes: i64,
    started_after_boot_seconds: f64,
}

impl Stat {
    /// The fields are those of proc(5), counted from 1.
    fn parse(text: &str) -> Option<Self> {
        // The second, the name, may hold spaces and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
        let ticks_per_second = seconds(i64::try_from(rustix::param::clock_ticks_per_second()).ok()?);
        let page_size = i64::try_from(rustix::param::page_size()).ok()?;
        Some(Self {
            cpu_seconds: seconds(field(14)?.saturating_add(field(15)?)) / ticks_per_second,
            threads: field(20)?,
            started_after_boot_seconds: seconds(field(22)?) / ticks_per_second,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)?.saturating_mul(page_size),
        })
    }
}

/// Exact up to 2^53, which no machine reaches.
#[allow(
    clippy::cast_precision_loss,
    reason = "seconds and ticks since boot are far below 2^53"
)]
fn seconds(number: i64) -> f64 {
    number as f64
}

fn boot_time(proc_stat: &str) -> Option<f64> {
    proc_stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_sees_itself() {
        let mut exporter = Exporter::default();
        ProcessMetrics::export(&mut exporter).unwrap();
        let text = exporter.render().unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
            line.split(' ').nth(1).unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_start_time_seconds") > 1e9);
    }

    #[test]
    fn a_hostile_process_name_does_not_shift_the_fields() {
        let mut fields: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        fields[0] = "R".to_owned();
        let stat = Stat::parse(&format!("1 (a) b) c) {}", fields.join(" "))).unwrap();
        assert_eq!((stat.threads, stat.virtual_bytes), (20, 23));
        assert!(Stat::parse("1 (a) R 1").is_none());
    }
}
