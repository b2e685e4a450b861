//! What the engine tells about itself: metrics and logs.
//!
//! Every metric is declared once, in [`metric`]: its name, kind, unit, labels and meaning; the reference page
//! (`docs/reference/metrics.md`) is made from that list. Handles are structs made once per thread, task or node
//! ([`ThreadMetrics`] and its like), so counting is an addition to a number and no look-up.
//!
//! [`Telemetry`] is a value that is handed around, not a global: two engines in one process, as in tests, count apart.
//! What happened in an epoch is counted when it has committed, so the metrics agree with what others can see. Left to the
//! caller: when to count, and serving [`Telemetry::render`].

mod handles;
mod logs;
pub mod metric;
mod process;
mod reference;
#[cfg(test)]
mod tests;

pub use handles::{
    NodeMetrics, ParkedMetrics, Rebalance, SAGA_MOVED, SagaMetrics, StoreMetrics, StreamMetrics, TaskMetrics, TasksByState,
    ThreadMetrics,
};
pub use logs::{LogError, LogFormat, LogSettings, init_logs};
pub use process::{ProcessUsage, process_usage};
pub use reference::reference_page;

use metric::{Kind, Metric};
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::sync::Arc;

/// The metrics of one process, and the way to read them out. Clones share them.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: process::ProcessMetrics,
}

const METADATA: Metadata<'static> = Metadata::new("skald", Level::INFO, None);

impl Telemetry {
    /// All metrics declared, none counted.
    pub fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in metric::ALL {
            if let Kind::Histogram(buckets) = metric.kind() {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(metric.name().into()), buckets)
                    .expect("the list gives every histogram buckets");
            }
        }
        let recorder = builder.build_recorder();
        for metric in metric::ALL {
            let (name, text) = (metric.name().into(), metric.text().into());
            match metric.kind() {
                Kind::Counter => recorder.describe_counter(name, None, text),
                Kind::Gauge => recorder.describe_gauge(name, None, text),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, text),
            }
        }
        let handle = recorder.handle();
        let process = process::ProcessMetrics::new(&recorder);
        Self { inner: Arc::new(Inner { recorder, handle, process }) }
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.inner.process.sample();
        self.inner.handle.render()
    }

    /// Moves what histograms have collected into their buckets; to be called every few seconds when nobody renders.
    pub fn upkeep(&self) {
        self.inner.handle.run_upkeep();
    }

    /// A counter of these label values, in the order declared.
    pub fn counter(&self, metric: &'static Metric, labels: &[&str]) -> Counter {
        counter(&self.inner.recorder, metric, labels)
    }

    /// A gauge of these label values, in the order declared.
    pub fn gauge(&self, metric: &'static Metric, labels: &[&str]) -> Gauge {
        gauge(&self.inner.recorder, metric, labels)
    }

    /// A histogram of these label values, in the order declared.
    pub fn histogram(&self, metric: &'static Metric, labels: &[&str]) -> Histogram {
        assert!(matches!(metric.kind(), Kind::Histogram(_)), "`{}` is declared as something else", metric.name());
        self.inner.recorder.register_histogram(&key(metric, labels), &METADATA)
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}

fn counter(recorder: &PrometheusRecorder, metric: &'static Metric, labels: &[&str]) -> Counter {
    assert!(matches!(metric.kind(), Kind::Counter), "`{}` is declared as something else", metric.name());
    recorder.register_counter(&key(metric, labels), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, metric: &'static Metric, labels: &[&str]) -> Gauge {
    assert!(matches!(metric.kind(), Kind::Gauge), "`{}` is declared as something else", metric.name());
    recorder.register_gauge(&key(metric, labels), &METADATA)
}

fn key(metric: &'static Metric, labels: &[&str]) -> Key {
    assert!(metric.labels().len() == labels.len(), "`{}` has the labels {:?}", metric.name(), metric.labels());
    let labels = metric.labels().iter().zip(labels).map(|(name, value)| Label::new(*name, String::from(*value)));
    Key::from_parts(metric.name(), labels.collect::<Vec<_>>())
}
