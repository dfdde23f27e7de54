//! Metrics, declared once: [`crate::metrics!`] makes of one table the typed fields that code counts with, their
//! registration, and the list that the documentation is tested against.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Upper bounds of latency buckets, in seconds: from an answer out of memory to a stalled disk.
pub const LATENCY_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What is known of a metric before anything is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// The full name, prefix and unit included.
    pub name: &'static str,
    /// One sentence for the operator.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Upper bounds; only a histogram's are looked at.
    pub buckets: &'static [f64],
}

/// A metric, one for each combination of values of its `N` labels.
#[derive(Debug, Clone)]
pub struct Family<V, const N: usize>(V);

/// Counts up, in whole numbers.
pub type Counter<const N: usize> = Family<IntCounterVec, N>;
/// Goes up and down, in whole numbers.
pub type Gauge<const N: usize> = Family<IntGaugeVec, N>;
/// Counts up, in fractions.
pub type FloatCounter<const N: usize> = Family<CounterVec, N>;
/// Goes up and down, in fractions.
pub type FloatGauge<const N: usize> = Family<GaugeVec, N>;
/// Sorts observations into buckets.
pub type Histogram<const N: usize> = Family<HistogramVec, N>;

/// One of the kinds of metric that the `prometheus` crate has.
pub trait Kind: Collector + Clone + 'static {
    /// What one combination of label values is counted with.
    type One;
    /// Makes it from its definition.
    fn declare(definition: &Definition) -> prometheus::Result<Self>;
    /// Looks one up, or makes it. Panics on a wrong number of labels, which [`Family`] makes impossible.
    fn one(&self, values: &[&str]) -> Self::One;
    /// Forgets one; whether it was known.
    fn forget(&self, values: &[&str]) -> bool;
}

macro_rules! kinds {
    ($($vec:ident of $one:ident with $opts:expr;)+) => { $(
        impl Kind for $vec {
            type One = prometheus::$one;

            fn declare(definition: &Definition) -> prometheus::Result<Self> {
                let opts: fn(&Definition) -> _ = $opts;
                Self::new(opts(definition), definition.labels)
            }

            fn one(&self, values: &[&str]) -> Self::One {
                self.with_label_values(values)
            }

            fn forget(&self, values: &[&str]) -> bool {
                self.remove_label_values(values).is_ok()
            }
        }
    )+ };
}

kinds! {
    IntCounterVec of IntCounter with |metric| Opts::new(metric.name, metric.help);
    IntGaugeVec of IntGauge with |metric| Opts::new(metric.name, metric.help);
    CounterVec of Counter with |metric| Opts::new(metric.name, metric.help);
    GaugeVec of Gauge with |metric| Opts::new(metric.name, metric.help);
    HistogramVec of Histogram with |metric| {
        HistogramOpts::new(metric.name, metric.help).buckets(metric.buckets.to_vec())
    };
}

impl<V: Kind, const N: usize> Family<V, N> {
    /// Makes the metric known to a registry. One without labels shows from now on, others once they are used.
    pub fn register(definition: &Definition, registry: &Registry) -> prometheus::Result<Self> {
        let family = Self(V::declare(definition)?);
        registry.register(Box::new(family.0.clone()))?;
        if definition.labels.is_empty() {
            family.0.one(&[]);
        }
        Ok(family)
    }

    /// The metric for these label values. Keep it where it is used often: each call looks it up.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> V::One {
        self.0.one(&values)
    }

    /// Shows it at zero for a value of its only label, if that is the label's name: Prometheus cannot tell how far a
    /// counter has risen that it meets when something was counted already.
    pub fn start_at_zero(&self, labels: &[&str], label: &str, value: &str) {
        if labels == [label] {
            self.0.one(&[value]);
        }
    }

    /// Forgets what no longer exists, such as a deleted topic.
    pub fn forget(&self, values: [&str; N]) {
        self.0.forget(&values);
    }
}

/// Declares the metrics of a binary or of a part of it: a struct with a field for each.
///
/// The kinds are `Counter`, `Gauge`, `FloatCounter`, `FloatGauge` and `Histogram`; a histogram may name its buckets, and
/// has [`LATENCY_SECONDS`] otherwise. The struct gets `register`, `start_at_zero`, and `DEFINITIONS` for
/// the test of the documentation.
///
/// ```
/// tailrace_shared::metrics! {
///     /// What the broker counts.
///     pub struct BrokerMetrics {
///         produced_bytes: Counter["topic"] = "tailrace_collector_produced_bytes_total", "Bytes produced.";
///         connections: Gauge[] = "tailrace_collector_connections", "Open connections.";
///         commit_seconds: Histogram[] = "tailrace_collector_commit_seconds", "Time for a commit.";
///         batch_bytes: Histogram[] = "tailrace_collector_batch_bytes", "Size of batches.", &[1e3, 1e6];
///     }
/// }
/// let metrics = BrokerMetrics::register(&prometheus::Registry::new())?;
/// metrics.produced_bytes.with(["nginx"]).inc_by(42);
/// metrics.connections.with([]).set(1);
/// assert_eq!(BrokerMetrics::DEFINITIONS.len(), 4);
/// # Ok::<(), prometheus::Error>(())
/// ```
#[macro_export]
macro_rules! metrics {
    (
        $(#[$attribute:meta])* $visibility:vis struct $name:ident {
            $($field:ident: $kind:ident[$($label:literal),*] = $metric:literal, $help:literal $(, $buckets:expr)?;)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone)]
        $visibility struct $name {
            $(#[doc = $help] $visibility $field: $crate::telemetry::metrics::$kind<{ <[&str]>::len(&[$($label),*]) }>,)+
        }

        impl $name {
            /// Every metric, in the order of the fields.
            $visibility const DEFINITIONS: &'static [$crate::telemetry::metrics::Definition] = &[
                $($crate::telemetry::metrics::Definition {
                    name: $metric,
                    help: $help,
                    labels: &[$($label),*],
                    buckets: $crate::metrics!(@buckets $($buckets)?),
                },)+
            ];

            /// Makes them known to a registry.
            $visibility fn register(registry: &::prometheus::Registry) -> ::prometheus::Result<Self> {
                let mut definitions = Self::DEFINITIONS.iter();
                let mut next = || definitions.next().ok_or(::prometheus::Error::AlreadyReg);
                Ok(Self {
                    $($field: $crate::telemetry::metrics::Family::register(next()?, registry)?,)+
                })
            }

            /// Shows those that have this label alone at zero for one of its values that is known beforehand.
            #[allow(dead_code, reason = "for labels whose values are known beforehand, which not every struct has")]
            $visibility fn start_at_zero(&self, label: &str, value: &str) {
                $(self.$field.start_at_zero(&[$($label),*], label, value);)+
            }
        }
    };
    (@buckets) => { $crate::telemetry::metrics::LATENCY_SECONDS };
    (@buckets $buckets:expr) => { $buckets };
}

/// What `/metrics` shows: a registry, and what must be asked just before it is read.
#[derive(Default)]
pub struct Exporter {
    registry: Registry,
    refreshers: Vec<Box<dyn Fn() + Send + Sync>>,
}

impl Exporter {
    /// Where metrics are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Calls this before each scrape, to set gauges that nobody keeps up to date. It must not block.
    pub fn before_scrape(&mut self, refresh: impl Fn() + Send + Sync + 'static) {
        self.refreshers.push(Box::new(refresh));
    }

    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> prometheus::Result<String> {
        self.refreshers.iter().for_each(|refresh| refresh());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    crate::metrics! {
        /// One of each kind.
        struct Sample {
            lines: Counter["topic", "input"] = "t_lines_total", "Lines.";
            open: Gauge[] = "t_open", "Open files.";
            cpu: FloatCounter[] = "t_cpu_seconds_total", "CPU time.";
            age: FloatGauge["path"] = "t_age_seconds", "Age.";
            size: Histogram[] = "t_size_bytes", "Sizes.", &[10.0, 100.0];
        }
    }

    #[test]
    fn declared_metrics_are_exported() {
        let mut exporter = Exporter::default();
        let sample = Sample::register(exporter.registry()).unwrap();
        let open = Arc::new(AtomicI64::new(0));
        let (gauge, count) = (sample.open.with([]), Arc::clone(&open));
        exporter.before_scrape(move || gauge.set(count.load(Ordering::SeqCst)));
        assert!(exporter.render().unwrap().contains("\nt_open 0\n"));
        sample.lines.with(["nginx", "a\"b"]).inc_by(3);
        sample.cpu.with([]).inc_by(0.5);
        sample.size.with([]).observe(50.0);
        sample.age.with(["/a"]).set(1.5);
        sample.age.with(["/gone"]).set(9.0);
        sample.age.forget(["/gone"]);
        open.store(7, Ordering::SeqCst);
        let text = exporter.render().unwrap();
        for line in [
            "# HELP t_lines_total Lines.",
            "# TYPE t_lines_total counter",
            "t_lines_total{input=\"a\\\"b\",topic=\"nginx\"} 3",
            "t_open 7",
            "t_cpu_seconds_total 0.5",
            "t_age_seconds{path=\"/a\"} 1.5",
            "t_size_bytes_bucket{le=\"100\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("/gone"));
    }

    #[test]
    fn what_is_known_beforehand_is_shown_at_zero() {
        let exporter = Exporter::default();
        let sample = Sample::register(exporter.registry()).unwrap();
        sample.start_at_zero("path", "/a");
        let text = exporter.render().unwrap();
        assert!(text.contains("t_age_seconds{path=\"/a\"} 0\n"), "{text}");
        assert!(!text.contains("t_lines_total"), "it has another label: {text}");
    }

    #[test]
    fn a_name_is_registered_once() {
        let exporter = Exporter::default();
        Sample::register(exporter.registry()).unwrap();
        assert!(Sample::register(exporter.registry()).is_err());
        assert_eq!(Sample::DEFINITIONS[0].labels, ["topic", "input"]);
    }
}
