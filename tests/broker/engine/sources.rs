//! Where reading begins, how old a record may be, and which topics a pattern finds.

use super::{LONG, Sample, stop};
use crate::tools::{Input, create_topic, produce, read_committed, wait_until};
use serde_json::{Value, json};
use skald::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::fs;

const HOUR_MS: i64 = 3_600_000;

fn text(sample: &Sample) -> String {
    let Sample { topology, prefix, .. } = sample;
    let step = format!("[{{ emit: {{ type: seen.v1, to: {prefix}.seen, data: {{ id: =data.id }} }} }}]");
    let topic = |name: &str| format!("  {prefix}.{name}: {{ partitions: 1, key: data.id, types: {{ thing.v1: {{}} }} }}\n");
    let pipe = |name: &str, from: &str| format!("  {name}:\n    from: {from}\n    steps: {step}\n");
    [
        format!("skald: 1\ntopology: {topology}\nversion: 1\ndescription: Where reading begins.\ntopics:\n"),
        topic("late"),
        topic("since"),
        topic("young"),
        format!("  {prefix}.seen: {{ partitions: 1, key: data.id, types: {{ seen.v1: {{}} }} }}\n"),
        "pipelines:\n".into(),
        pipe("late", &format!("{{ topic: {prefix}.late, start: latest }}")),
        pipe("since", &format!("{{ topic: {prefix}.since, start: 2026-01-01T00:00:00Z }}")),
        pipe("young", &format!("{{ topic: {prefix}.young, max_age: 1h }}")),
        pipe("found", &format!("{{ pattern: '{prefix}[.]found[.].*' }}")),
    ]
    .concat()
}

fn thing(id: &str, timestamp: Option<i64>) -> Input {
    let value = json!({ "id": format!("e-{id}"), "type": "thing.v1", "data": { "id": id } });
    Input { timestamp, ..Input::new(id, value.to_string()) }
}

#[test]
fn sources_begin_where_they_say_take_what_is_young_enough_and_find_new_topics() {
    let brokers = brokers!();
    let sample = Sample::of("order-totals", &[]);
    fs::write(&sample.file, text(&sample)).expect("the folder is writable");
    let topic = |name: &str| sample.topic(name);
    for name in ["late", "since", "young", "seen", "found.one"] {
        create_topic(brokers, &topic(name), 1, &[("retention.ms", "-1")]);
    }
    let now = SystemClock::new().wall();
    let new_year = 1_767_225_600_000;
    produce(brokers, &topic("late"), 1, [thing("before", None)]);
    produce(brokers, &topic("since"), 1, [thing("2025", Some(new_year - 1)), thing("2026", Some(new_year))]);
    produce(brokers, &topic("young"), 1, [thing("old", Some(now - 2 * HOUR_MS)), thing("young", Some(now))]);
    produce(brokers, &topic("found.one"), 1, [thing("one", None)]);
    let seen = || -> BTreeSet<String> {
        let ids = read_committed(brokers, &topic("seen")).into_iter().map(|output| {
            let event: Value = serde_json::from_slice(output.value.as_deref().expect("it has a value")).expect("JSON");
            event["data"]["id"].as_str().expect("an id").to_owned()
        });
        ids.collect()
    };
    let set = |ids: &[&str]| -> BTreeSet<String> { ids.iter().map(|id| (*id).to_owned()).collect() };
    let refresh = ["-X", "consumer.topic.metadata.refresh.interval.ms=1000"];
    let mut worker = sample.worker_with(brokers, "only", "only", &refresh);
    let wait = |worker: &mut crate::tools::Engine, what: &str, ids: &[&str]| {
        wait_until(what, LONG, || {
            assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
            seen().is_superset(&set(ids))
        });
    };
    wait(&mut worker, "what was there", &["2026", "young", "one"]);
    create_topic(brokers, &topic("found.two"), 1, &[]);
    produce(brokers, &topic("found.two"), 1, [thing("two", None)]);
    wait(&mut worker, "a record of a new topic", &["two"]);
    // Everything is assigned, so the end of `late` has been looked up.
    produce(brokers, &topic("late"), 1, [thing("after", None)]);
    wait(&mut worker, "a record behind the start", &["after"]);
    stop(worker);
    assert_eq!(seen(), set(&["2026", "young", "one", "two", "after"]), "and nothing else");
    let letters = read_committed(brokers, &format!("{}.dlq", sample.topology));
    let codes: Vec<&[u8]> = letters
        .iter()
        .flat_map(|letter| letter.headers.iter().filter(|(name, _)| name == "__skald.errors.code"))
        .map(|(_, value)| value.as_deref().expect("a code"))
        .collect();
    assert_eq!(codes, [b"EXPIRED"]);
}
