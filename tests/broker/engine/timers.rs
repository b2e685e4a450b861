//! Delayed messages over the deaths of the worker that holds them.

use super::{LONG, Sample, stop};
use crate::tools::{Input, Output, create_topic, produce, read_committed, try_committed, unique, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

pub(super) const PARTITIONS: u32 = 4;

const FILE: &str = r#"
skald: 1
topology: TOPOLOGY
topics:
  PREFIX.orders:
    partitions: 4
    key: data.id
    types:
      order.placed.v1: { type: object, required: [id, wait], properties: { id: { type: string }, wait: { type: integer } } }
      order.paid.v1: { type: object, required: [id], properties: { id: { type: string } } }
  PREFIX.reminders: { partitions: 4, types: { order.reminded.v1: {} } }
aggregates:
  orders:
    from: PREFIX.orders
    initial: { paid: false }
    decide:
      order.placed.v1:
        emit:
          - { type: order.opened.v1 }
          - { type: order.reminded.v1, to: PREFIX.reminders, delay: "=duration(string(data.wait) + 'ms')", timer: reminder, data: { id: =key } }
      order.paid.v1:
        when: "!state.paid"
        cancel_timer: reminder
        emit: { type: order.closed.v1 }
    evolve:
      order.opened.v1: { set: { paid: false } }
      order.closed.v1: { set: { paid: true } }
"#;

/// Orders that are reminded of after a while, unless they are paid.
pub(super) fn sample(brokers: &str) -> Sample {
    let prefix = unique("t");
    let topology = format!("{prefix}-orders");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("orders.yaml");
    fs::write(&file, FILE.replace("TOPOLOGY", &topology).replace("PREFIX", &prefix)).expect("the folder is writable");
    let sample = Sample { folder, file, prefix, topology };
    for topic in ["orders", "reminders"] {
        create_topic(brokers, &sample.topic(topic), PARTITIONS, &[]);
    }
    sample
}

pub(super) fn placed(number: u64, wait_ms: u64) -> Input {
    message(number, "placed", &json!({ "id": id(number), "wait": wait_ms }))
}

fn message(number: u64, what: &str, data: &Value) -> Input {
    let value = json!({ "id": format!("{what}-{number}"), "type": format!("order.{what}.v1"), "version": "1", "source": "test",
        "timestamp": "2026-01-02T03:04:05Z", "data": data, "metadata": {} });
    Input::new(id(number), value.to_string())
}

fn id(number: u64) -> String {
    format!("order-{number}")
}

/// Records of the input that are committed.
pub(super) fn done(brokers: &str, sample: &Sample) -> u64 {
    let places = try_committed(brokers, &sample.topology, &sample.topic("orders"), PARTITIONS).unwrap_or_default();
    places.into_iter().flatten().map(|(offset, _)| u64::try_from(offset).expect("offsets count from 0")).sum()
}

#[test]
fn delayed_messages_are_sent_once_though_their_worker_is_killed_and_its_state_is_lost() {
    const ORDERS: u64 = 600;
    let brokers = brokers!();
    let sample = sample(brokers);
    let send = |inputs: Vec<Input>| produce(brokers, &sample.topic("orders"), PARTITIONS, inputs);
    // Every third is paid at once and would be reminded of before the others are.
    let wait = |number: u64| if number.is_multiple_of(3) { 2_000 } else { 3_000 + number * 10 };
    let mut worker = sample.worker(brokers, "only");
    send((0..ORDERS).map(|number| placed(number, wait(number))).collect());
    let paid = (0..ORDERS).filter(|number| number.is_multiple_of(3));
    send(paid.map(|number| message(number, "paid", &json!({ "id": id(number) }))).collect());
    wait_until("the orders are read", LONG, || done(brokers, &sample) >= ORDERS + ORDERS / 3);
    worker.kill();
    // Its store is where it was, then nowhere: timers come back from the changelog.
    let mut worker = sample.worker(brokers, "only");
    let reminders = || read_committed(brokers, &sample.topic("reminders"));
    wait_until("the first reminders are there", LONG, || !reminders().is_empty());
    worker.kill();
    let worker = sample.worker_with(brokers, "only", "empty", &[]);
    let wanted = usize::try_from(ORDERS - ORDERS / 3).expect("few");
    wait_until("all reminders are there", LONG, || reminders().len() >= wanted);
    // What is done last is done by the same worker, with nothing before it left.
    send(vec![placed(ORDERS, 1)]);
    wait_until("one more reminder", LONG, || reminders().len() > wanted);
    stop(worker);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for reminder in reminders() {
        let (key, value) = told(&reminder);
        assert_eq!(value["data"]["id"], key.as_str());
        *counts.entry(key).or_default() += 1;
    }
    let expected = (0..=ORDERS).filter(|number| !number.is_multiple_of(3) || *number == ORDERS).map(|number| (id(number), 1));
    assert_eq!(counts, expected.collect(), "each order that was not paid once, and no other");
}

fn told(output: &Output) -> (String, Value) {
    let key = String::from_utf8(output.key.clone().expect("a key")).expect("text");
    (key, serde_json::from_str(&output.value_text()).expect("an envelope"))
}
