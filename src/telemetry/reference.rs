//! The reference page of metrics, made from the list.

use super::metric::{self, Kind, Unit};
use std::fmt::Write as _;

/// The text of `docs/reference/metrics.md`.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Made from `src/telemetry/metric.rs`; a test holds the two together. Served at `/metrics` in Prometheus' text format.\n\n\
         Counters end in `_total` and start at 0 with the process. What happens in an epoch is counted when it has committed.\n\n\
         | metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in metric::ALL {
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let unit = match metric.unit() {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
        };
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".into() } else { labels.join(" ") };
        writeln!(page, "| `{}` | {kind} | {unit} | {labels} | {} |", metric.name(), metric.text())
            .expect("memory takes any write");
    }
    page
}
