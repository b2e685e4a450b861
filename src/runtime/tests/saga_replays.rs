//! Dead letters of a saga: what was to start an instance, and what was to answer it, mended and replayed by hand.

use super::engine::wait_for;
use super::replays::{Bench, LETTERS, PARTITIONS, stop};
use crate::broker::Broker;
use crate::dlq::{Chosen, Edit, Order};
use crate::record::{Record, partition_of};
use std::ops::ControlFlow;

const SAGA: &str = "
skald: 1
topology: replays
topics:
  orders:
    partitions: 3
    key: data.order
    types:
      order.placed.v1: { type: object, required: [order], properties: { order: { type: string } } }
  payments: { partitions: 3, key: data.order, types: { payment.charge.v1: {} } }
  told: { partitions: 3, key: data.order, types: { order.done.v1: {} } }
sagas:
  ordering:
    from: orders
    key: data.order
    start: { type: order.placed.v1 }
    steps:
      - name: charge
        send: { type: payment.charge.v1, data: { order: =saga.id } }
        success: { set: { receipt: =data.receipt } }
        timeout: 1h
    completed:
      emit: { type: order.done.v1, data: { order: =saga.id, receipt: =saga.data.receipt } }
";

fn send(bench: &Bench, topic: &str, value: &[u8]) {
    let record = Record {
        topic: topic.into(),
        partition: partition_of(b"o1", PARTITIONS),
        timestamp: 1_000,
        key: Some(b"o1"[..].into()),
        value: Some(value.to_vec().into()),
        headers: Vec::new(),
    };
    bench.cluster.producer().expect("there is one").send(&record).expect("sent");
}

/// Mends the one letter of a topic, and says how many were replayed and how many had been before.
fn mend(bench: &Bench, topic: &str, value: &str, again: bool) -> (u64, u64) {
    let letter = bench.letters().into_iter().find(|letter| letter.found.origin().topic == topic).expect("it failed");
    let places = [(letter.record.partition, letter.offset)];
    let order = Order { edit: Edit { value: Some(value.to_owned().into()), key: None }, ..Order::default() };
    let chosen = Chosen { places: &places, again, ..Chosen::default() };
    let done = bench.redrive().replay(&chosen, &order, 7, &mut || 1, &mut |_, _| ControlFlow::Continue(())).expect("done");
    assert_eq!(done.refused, 0, "{done:?}");
    (done.acted, done.settled)
}

fn values(bench: &Bench, topic: &str) -> Vec<serde_json::Value> {
    let value = |record: Record| serde_json::from_slice(&record.value.expect("an event")).expect("JSON");
    bench.read(topic).into_iter().map(|(_, record)| value(record)).collect()
}

#[test]
fn a_start_and_an_answer_that_could_not_be_read_bring_the_instance_on_once_when_they_are_mended() {
    let bench = Bench::new();
    let running = bench.run(SAGA);
    let placed = r#"{"id":"p1","type":"order.placed.v1","data":{"order":"o1"}}"#;
    send(&bench, "orders", placed.replace("\"o1\"", "1").as_bytes());
    wait_for("a start that fits no schema", || bench.count(LETTERS) == 1);
    assert_eq!(bench.count("payments"), 0);

    assert_eq!(mend(&bench, "orders", placed, false), (1, 0));
    wait_for("the command of its first step", || bench.count("payments") == 1);
    let command = values(&bench, "payments")[0]["id"].as_str().expect("an id").to_owned();

    send(&bench, "replays.ordering.replies", b"receipt r-17");
    wait_for("an answer that nobody can read", || bench.count(LETTERS) == 2);
    let answer = format!(
        r#"{{"id":"a1","type":"reply.accepted","data":{{"receipt":"r-17"}},"metadata":{{"causationId":"{command}"}}}}"#
    );
    assert_eq!(mend(&bench, "replays.ordering.replies", &answer, false), (1, 0));
    wait_for("its end", || bench.count("told") == 1);
    assert_eq!(values(&bench, "told")[0]["data"], serde_json::json!({ "order": "o1", "receipt": "r-17" }));

    // Worked off already; and insisted on, they change nothing.
    assert_eq!(mend(&bench, "orders", placed, false), (0, 1));
    assert_eq!(mend(&bench, "orders", placed, true), (1, 0));
    assert_eq!(mend(&bench, "replays.ordering.replies", &answer, true), (1, 0));
    // The inbox is read in order: what stands behind them is a letter when they are done with.
    send(&bench, "replays.ordering.inbox", b"no act");
    wait_for("all of the inbox", || bench.count(LETTERS) == 3);
    assert_eq!((bench.count("payments"), bench.count("told")), (1, 1));
    stop(running);
}
