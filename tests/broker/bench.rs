//! `skald bench` on a real Kafka, small: every figure is there, the work was done, and nothing is left behind.

use crate::commands::skald;
use crate::tools::kafka;
use serde_json::Value;
use skald::broker::Broker;
use std::path::Path;

/// Runs the bench; its result as JSON.
fn bench(folder: &Path, brokers: &str, arguments: &[&str]) -> Value {
    let states = folder.join("states");
    let states = states.to_str().expect("UTF-8");
    let all = [&["bench"], arguments, &["-b", brokers, "--dir", states, "--keys", "50", "-o", "json"]].concat();
    let run = skald(folder, &all, b"");
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    nothing_is_left(folder, brokers, &run.err);
    serde_json::from_str(&run.out).expect("JSON")
}

/// Topics and folders that the bench made are gone.
fn nothing_is_left(folder: &Path, brokers: &str, said: &str) {
    let (_, rest) = said.split_once("groups `").expect("the bench says what its topics are called");
    let prefix = rest.split('…').next().expect("a prefix");
    let topics = kafka(brokers).admin().expect("an admin").topics().expect("topics");
    let left: Vec<_> = topics.iter().filter(|topic| topic.name.starts_with(prefix)).collect();
    assert!(left.is_empty(), "{left:?}");
    let folders = std::fs::read_dir(folder.join("states")).expect("the folder is there").count();
    assert_eq!(folders, 0, "{said}");
}

fn is_above_zero(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

#[test]
fn a_job_with_states_is_measured_in_every_way() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let times = folder.path().join("times.hgrm");
    let flags = ["run", "aggregate", "-n", "500", "--rate", "300", "--duration", "1s", "--restart"];
    let result = bench(folder.path(), brokers, &[&flags[..], &["--hgrm", times.to_str().expect("UTF-8")]].concat());
    let figures = &result["jobs"]["aggregate"]["skald"];
    for name in [
        "cpu_us_per_record",
        "records_per_s",
        "peak_rss_bytes",
        "p99_ms",
        "restart_s",
        "restore_records_per_s",
        "state_bytes_per_record",
    ] {
        assert!(is_above_zero(&figures[name]), "{name} of {figures:#}");
    }
    // Four fifths of 300 count, of which one in ten is no order.
    assert_eq!(figures["latency"]["count"], 216, "{figures:#}");
    assert_eq!(figures["runs"].as_array().map(Vec::len), Some(1));
    assert!(std::fs::read_to_string(times).expect("it was asked for").contains("Total count    =          216]"));

    // A result differs in nothing from itself.
    std::fs::write(folder.path().join("a.json"), result.to_string()).expect("the folder is writable");
    let compared = skald(folder.path(), &["bench", "compare", "a.json", "a.json", "-o", "json"], b"");
    let compared: Value = serde_json::from_str(&compared.out).expect("JSON");
    let differences = compared["differences"].as_array().expect("a list");
    assert!(differences.len() >= 6 && differences.iter().all(|one| one["ratio"] == 1.0), "{compared:#}");
}

#[test]
fn all_jobs_and_the_client_alone_do_their_work() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let result = bench(folder.path(), brokers, &["run", "-n", "100", "--rate", "off", "--floor"]);
    for job in ["passthrough", "map", "aggregate", "decide", "saga"] {
        let figures = &result["jobs"][job];
        // So few records may take no CPU time at all: it is counted in hundredths of a second.
        assert!(figures["skald"]["cpu_us_per_record"].is_number(), "{job}: {figures:#}");
        assert!(is_above_zero(&figures["skald"]["records_per_s"]), "{job}: {figures:#}");
        assert_eq!(figures["floor"].is_null(), job == "saga", "{job}: {figures:#}");
        assert_eq!(figures["peer"], Value::Null);
        assert_eq!(figures["skald"]["p99_ms"], Value::Null);
    }
}

#[test]
#[ignore = "builds the peer, which fetches 80 MB"]
fn the_peer_does_the_same_work() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/kafka-streams");
    let flags = ["compare", "--peer", "kafka-streams", "-n", "2000", "--rate", "200", "--duration", "1s", "--restart"];
    let result = bench(folder.path(), brokers, &[&flags[..], &["--peer-dir", peer.to_str().expect("UTF-8")]].concat());
    for job in ["passthrough", "map", "aggregate"] {
        let figures = &result["jobs"][job];
        assert_eq!(figures["outputs_equal"], true, "{job}: {figures:#}");
        assert!(is_above_zero(&figures["cpu_ratio"]) && is_above_zero(&figures["rss_ratio"]), "{job}: {figures:#}");
        assert!(is_above_zero(&figures["peer"]["p99_ms"]), "{job}: {figures:#}");
    }
    assert!(is_above_zero(&result["jobs"]["aggregate"]["peer"]["restore_records_per_s"]));
}
