//! The shop sample end to end: orders end confirmed or cancelled, goods and money add up.

use super::{LONG, Sample, stop};
use crate::tools::{Engine, Input, Output, kafka, produce, read_committed, wait_until};
use serde_json::{Value, json};
use skald::broker::Broker;
use std::collections::{BTreeMap, BTreeSet};

const PARTITIONS: u32 = 6;
const ORDERS: u64 = 120;
const SKUS: u64 = 5;
const RECEIVED: u64 = 60;
pub(super) const TOPICS: [&str; 8] = [
    "orders.commands",
    "orders.events",
    "inventory.events",
    "payments.events",
    "stock.commands",
    "stock.answers",
    "stock.events",
    "notifications.requests",
];

pub(super) fn message(id: String, kind: &str, data: Value) -> String {
    json!({ "id": id, "type": kind, "version": "1", "source": "test", "timestamp": "2026-01-02T03:04:05Z",
        "data": data, "metadata": {} })
    .to_string()
}

pub(super) fn events(outputs: Vec<Output>) -> Vec<Value> {
    outputs.into_iter().map(|output| serde_json::from_slice(&output.value.expect("an event")).expect("JSON")).collect()
}

/// Ids of the orders that have an event of this type; each may have it once.
pub(super) fn orders_with(events: &[Value], kind: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for event in events.iter().filter(|event| event["type"] == kind) {
        let order = event["data"]["orderId"].as_str().expect("an order").to_owned();
        assert!(found.insert(order.clone()), "`{kind}` twice for `{order}`");
    }
    found
}

/// The last state of every key of an aggregate.
pub(super) fn last_states(brokers: &str, sample: &Sample, node: &str) -> BTreeMap<String, Value> {
    read_committed(brokers, &format!("{}.{node}.snapshots", sample.topology))
        .into_iter()
        .filter_map(|output| {
            let key = String::from_utf8(output.key?).ok()?;
            Some((key, serde_json::from_slice(&output.value?).ok()?))
        })
        .collect()
}

/// Waits until a worker has created these topics.
pub(super) fn wait_for_topics(brokers: &str, worker: &mut Engine, names: &[&str]) {
    let admin = Broker::admin(&kafka(brokers)).expect("an admin client");
    wait_until("the declared topics are created", LONG, || {
        assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
        let topics = admin.topics().unwrap_or_default();
        names.iter().all(|name| topics.iter().any(|topic| topic.name == *name))
    });
}

#[test]
fn every_order_of_the_shop_ends_and_goods_and_money_add_up() {
    let brokers = brokers!();
    let sample = Sample::of("shop", &TOPICS);
    let mut worker = sample.worker(brokers, "shop");
    let (orders_commands, stock_commands) = (sample.topic("orders.commands"), sample.topic("stock.commands"));
    wait_for_topics(brokers, &mut worker, &[&orders_commands, &stock_commands]);
    produce(
        brokers,
        &stock_commands,
        PARTITIONS,
        (0..SKUS).map(|sku| {
            let data = json!({ "sku": format!("sku-{sku}"), "quantity": RECEIVED });
            Input::new(format!("sku-{sku}"), message(format!("receive-{sku}"), "stock.receive.v1", data))
        }),
    );
    // The shelves hold less than is asked for, so some orders must fail; every seventh is sent twice.
    let create = |order: u64, copy: u64| {
        let items = json!([
            { "sku": format!("sku-{}", order % SKUS), "quantity": 1 + order % 4, "price": 250 },
            { "sku": format!("sku-{}", (order + 1) % SKUS), "quantity": 1, "price": 1_000 },
        ]);
        let data = json!({ "orderId": format!("order-{order}"), "userId": "u", "items": items });
        Input::new(format!("order-{order}"), message(format!("create-{order}-{copy}"), "order.create.v1", data))
    };
    produce(brokers, &orders_commands, PARTITIONS, (0..ORDERS).map(|order| create(order, 0)));
    produce(brokers, &orders_commands, PARTITIONS, (0..ORDERS).step_by(7).map(|order| create(order, 1)));
    produce(brokers, &orders_commands, PARTITIONS, [Input::new("garbage", "{not json")]);

    let last_states = |node: &str| last_states(brokers, &sample, node);
    wait_until("every order is confirmed or cancelled and nothing is reserved any more", LONG, || {
        assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
        let orders = last_states("orders");
        let ended = orders.values().filter(|state| ["CONFIRMED", "CANCELLED"].iter().any(|end| state["status"] == *end));
        ended.count() as u64 == ORDERS
            && last_states("stock").values().all(|state| state["reserved"].as_object().is_some_and(serde_json::Map::is_empty))
    });
    stop(worker);

    let order_events = events(read_committed(brokers, &sample.topic("orders.events")));
    let payment_events = events(read_committed(brokers, &sample.topic("payments.events")));
    let created = orders_with(&order_events, "order.created.v1");
    let confirmed = orders_with(&order_events, "order.confirmed.v1");
    let cancelled = orders_with(&order_events, "order.cancelled.v1");
    assert_eq!(created.len() as u64, ORDERS, "an order that is sent twice is created once");
    assert!(confirmed.is_disjoint(&cancelled), "an order ends once");
    assert_eq!(confirmed.len() + cancelled.len(), created.len(), "every order ends");
    assert!(!confirmed.is_empty() && !cancelled.is_empty(), "both ends are met: {} and {}", confirmed.len(), cancelled.len());

    let paid = orders_with(&payment_events, "payment.confirmed.v1");
    let refunded = orders_with(&payment_events, "payment.refunded.v1");
    let kept: BTreeSet<String> = paid.difference(&refunded).cloned().collect();
    assert_eq!(kept, confirmed, "money is kept for the orders that were confirmed, and for no other");

    let mut sold: BTreeMap<String, u64> = BTreeMap::new();
    for event in order_events.iter().filter(|event| event["type"] == "order.created.v1") {
        if confirmed.contains(event["data"]["orderId"].as_str().expect("an order")) {
            for item in event["data"]["items"].as_array().expect("items") {
                let sku = item["sku"].as_str().expect("a sku").to_owned();
                *sold.entry(sku).or_default() += item["quantity"].as_u64().expect("a quantity");
            }
        }
    }
    for (sku, state) in last_states("stock") {
        let free = state["quantity"].as_u64().expect("a quantity");
        assert_eq!(free + sold.get(&sku).copied().unwrap_or(0), RECEIVED, "what is free and what was sold of `{sku}`");
    }

    let letters = read_committed(brokers, &format!("{}.dlq", sample.topology));
    assert_eq!(letters.len(), 1, "the garbage, and nothing else");
    assert_eq!(letters[0].value.as_deref(), Some(&b"{not json"[..]), "a dead letter keeps its bytes");
    let code = letters[0].headers.iter().find(|(name, _)| name == "__skald.errors.code").and_then(|(_, value)| value.clone());
    assert_eq!(code.as_deref(), Some(&b"UNDECODABLE"[..]));
}
