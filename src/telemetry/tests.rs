//! The list of metrics: names, the reference page, what is rendered, and that labels have bounds.

use super::metric::{ALL, Unit};
use super::*;
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn names_follow_one_scheme() {
    let mut seen = BTreeSet::new();
    for metric in ALL {
        let name = metric.name();
        assert!(seen.insert(name), "`{name}` is declared twice");
        assert!(name.starts_with("skald_") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
        let unit = name.trim_end_matches("_total");
        assert_eq!(unit.ends_with("_bytes"), metric.unit() == Unit::Bytes, "{name}");
        assert_eq!(unit.ends_with("_seconds"), metric.unit() == Unit::Seconds, "{name}");
        assert!(metric.text().ends_with('.') && !metric.text().contains('|'), "{name}");
        if let Kind::Histogram(buckets) = metric.kind() {
            assert!(!buckets.is_empty() && buckets.is_sorted(), "{name}");
        }
    }
}

#[test]
fn the_reference_page_is_the_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md");
    if std::env::var_os("SKALD_UPDATE_DOCS").is_some() {
        std::fs::write(path, reference_page()).expect("writes");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == reference_page(), "run the tests once with SKALD_UPDATE_DOCS=1 to write `docs/reference/metrics.md`");
}

#[test]
fn everything_counted_is_rendered_with_its_description() {
    let telemetry = Telemetry::new();
    let thread = ThreadMetrics::new(&telemetry, "shop");
    thread.epoch_committed(Duration::from_millis(30), 700);
    thread.rebalanced(Rebalance::Lost);
    StreamMetrics::input(&telemetry, "shop", "source").add(700, 70_000);
    StreamMetrics::output(&telemetry, "shop", "snapshots").add(7, 700);
    TasksByState::new(&telemetry, "shop").running.set(3.0);
    let mut node = NodeMetrics::new(&telemetry, "shop", "orders");
    node.processed.increment(5);
    node.refusal("OUT_OF_STOCK").increment(1);
    node.refusal("OUT_OF_STOCK").increment(1);
    node.dead_letter("permanent", "EXPRESSION_ERROR").increment(1);
    node.remark("reply_not_allowed").increment(1);
    node.remark("saga_moved_to:completed").increment(2);
    let mut store = StoreMetrics::new(&telemetry, "shop", "orders", 3);
    store.note_reads(10, 2, 1);
    store.note_reads(15, 2, 1);
    store.note_sizes(1000, 100);
    let task = TaskMetrics::new(&telemetry, "shop", "0_3");
    task.lag.set(42.0);
    let text = telemetry.render();
    for line in [
        "# HELP skald_input_records_total Records read, by the role of their topic",
        "# TYPE skald_input_records_total counter",
        "skald_input_records_total{topology=\"shop\",role=\"source\"} 700",
        "skald_output_bytes_total{topology=\"shop\",role=\"snapshots\"} 700",
        "skald_node_outcomes_total{topology=\"shop\",node=\"orders\",outcome=\"processed\"} 5",
        "skald_node_refusals_total{topology=\"shop\",node=\"orders\",code=\"OUT_OF_STOCK\"} 2",
        "skald_dead_letters_total{topology=\"shop\",node=\"orders\",class=\"permanent\",code=\"EXPRESSION_ERROR\"} 1",
        "skald_node_remarks_total{topology=\"shop\",node=\"orders\",remark=\"reply_not_allowed\"} 1",
        "skald_saga_moves_total{topology=\"shop\",saga=\"orders\",status=\"completed\"} 2",
        "skald_epochs_total{topology=\"shop\",result=\"committed\"} 1",
        "# TYPE skald_epoch_duration_seconds histogram",
        "skald_epoch_duration_seconds_bucket{topology=\"shop\",le=\"0.02\"} 0",
        "skald_epoch_duration_seconds_bucket{topology=\"shop\",le=\"0.05\"} 1",
        "skald_epoch_input_records_bucket{topology=\"shop\",le=\"1000\"} 1",
        "skald_rebalances_total{topology=\"shop\",kind=\"lost\"} 1",
        "skald_transactions_indefinite_total{topology=\"shop\"} 0",
        "skald_tasks{topology=\"shop\",state=\"running\"} 3",
        "skald_task_lag_records{topology=\"shop\",task=\"0_3\"} 42",
        "skald_store_bytes{topology=\"shop\",store=\"orders\",partition=\"3\"} 1000",
        "skald_store_reads_total{topology=\"shop\",store=\"orders\",answer=\"hit\"} 15",
        "skald_process_resident_bytes ",
        "skald_build_info{version=\"",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
    }
    drop((task, store));
    let text = telemetry.render();
    assert!(text.contains("skald_task_lag_records{topology=\"shop\",task=\"0_3\"} 0"), "a task that is gone has no lag");
}

#[test]
fn two_of_them_count_apart() {
    let (one, other) = (Telemetry::new(), Telemetry::new());
    ThreadMetrics::new(&one, "shop").committed.increment(1);
    ThreadMetrics::new(&other, "shop");
    assert!(one.render().contains("skald_epochs_total{topology=\"shop\",result=\"committed\"} 1"));
    assert!(other.render().contains("skald_epochs_total{topology=\"shop\",result=\"committed\"} 0"));
}

#[test]
fn codes_do_not_make_series_without_bound() {
    let telemetry = Telemetry::new();
    let mut node = NodeMetrics::new(&telemetry, "shop", "orders");
    for number in 0..1000 {
        node.refusal(&format!("CODE_{number}")).increment(1);
        node.dead_letter("permanent", &format!("CODE_{number}")).increment(1);
    }
    let text = telemetry.render();
    for metric in ["skald_node_refusals_total{", "skald_dead_letters_total{"] {
        assert_eq!(text.lines().filter(|line| line.starts_with(metric)).count(), 101, "{metric}");
    }
    assert!(text.contains("code=\"other\"} 900"));
}

#[test]
#[should_panic(expected = "has the labels")]
fn a_handle_without_its_labels_is_a_fault_of_the_caller() {
    let _ = Telemetry::new().counter(&metric::EPOCHS, &["shop"]);
}
