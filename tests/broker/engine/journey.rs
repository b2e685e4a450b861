//! A saga of states over the deaths of its workers: it follows the shop, and ends as the shop's orders do.

use super::shop::{TOPICS, events, last_states, message, orders_with, wait_for_topics};
use super::{LONG, Sample, stop};
use crate::tools::{Engine, Input, produce, read_committed, wait_until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ORDERS: u64 = 80;
const SKUS: u64 = 8;
const PARTITIONS: u32 = 3;

fn order(number: u64) -> Input {
    let items = json!([
        { "sku": format!("sku-{}", number % SKUS), "quantity": 1 + number % 4, "price": 250 },
        { "sku": format!("sku-{}", (number + 1) % SKUS), "quantity": 1, "price": 1_000 },
    ]);
    let data = json!({ "orderId": format!("order-{number}"), "userId": "u", "items": items });
    Input::new(format!("order-{number}"), message(format!("create-{number}"), "order.create.v1", data))
}

#[test]
fn every_journey_ends_once_and_as_its_order_does_though_workers_are_killed() {
    let brokers = brokers!();
    let few = format!("partitions: {PARTITIONS}");
    let shop = Sample::of("shop", &TOPICS).with("partitions: 6", &few);
    let followed = ["orders.commands", "orders.events", "inventory.events", "payments.events"];
    let journey = Sample::beside(&shop, "journey", &followed).with("partitions: 6", &few);
    let mut seller = shop.worker(brokers, "seller");
    let (commands, shelf) = (shop.topic("orders.commands"), shop.topic("stock.commands"));
    wait_for_topics(brokers, &mut seller, &[&commands, &shelf, &shop.topic("payments.events")]);
    let delivery = |sku: u64| {
        let data = json!({ "sku": format!("sku-{sku}"), "quantity": 25 });
        Input::new(format!("sku-{sku}"), message(format!("receive-{sku}"), "stock.receive.v1", data))
    };
    produce(brokers, &shelf, PARTITIONS, (0..SKUS).map(delivery));

    let mut followers: Vec<Engine> = ["a", "b"].map(|id| journey.worker(brokers, id)).into();
    let history = format!("{}.journey.history", journey.topology);
    wait_for_topics(brokers, &mut followers[0], &[&history]);
    let lines = || events(read_committed(brokers, &history)).into_iter().map(|mut line| line["data"].take());
    let ended = || lines().filter(|line| line["what"] == "ended").count() as u64;
    // A worker of either dies while orders keep coming.
    for round in 0..4 {
        produce(brokers, &commands, PARTITIONS, (round * ORDERS / 4..(round + 1) * ORDERS / 4).map(order));
        wait_until("some more have ended", LONG * 2, || ended() > round * ORDERS / 8);
        if round == 2 {
            seller.kill();
            seller = shop.worker(brokers, "seller");
        } else {
            let victim = (round % 2) as usize;
            followers[victim].kill();
            followers[victim] = journey.worker(brokers, ["a", "b"][victim]);
        }
    }
    wait_until("all have ended", LONG * 3, || {
        for worker in followers.iter_mut().chain([&mut seller]) {
            assert!(!worker.has_ended(), "a worker ended by itself:\n{}", worker.output());
        }
        ended() == ORDERS
    });
    followers.into_iter().for_each(stop);
    stop(seller);

    let mut journeys: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines() {
        journeys.entry(line["sagaId"].as_str().expect("a saga").to_owned()).or_default().push(line);
    }
    let (mut completed, mut undone) = (BTreeSet::new(), BTreeSet::new());
    for (id, lines) in journeys {
        let numbers: Vec<u64> = lines.iter().map(|line| line["entry"].as_u64().expect("a number")).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "the history of `{id}` has the lines {numbers:?}");
        let ends: Vec<&Value> = lines.iter().filter(|line| line["what"] == "ended").collect();
        assert_eq!(ends.len(), 1, "`{id}` ends once: {lines:?}");
        match ends[0]["status"].as_str() {
            Some("completed") => completed.insert(id),
            Some("compensated") => undone.insert(id),
            other => panic!("`{id}` ended as {other:?}: {lines:?}"),
        };
    }
    assert!(!completed.is_empty() && !undone.is_empty(), "both ends are met: {} and {}", completed.len(), undone.len());
    let sales = events(read_committed(brokers, &shop.topic("orders.events")));
    let (confirmed, cancelled) = (orders_with(&sales, "order.confirmed.v1"), orders_with(&sales, "order.cancelled.v1"));
    assert_eq!(&confirmed - &cancelled, completed, "confirmed are the orders of the journeys that completed");
    assert_eq!(cancelled, undone, "cancelled are the orders of those that were undone");
    let payments = events(read_committed(brokers, &shop.topic("payments.events")));
    let (paid, refunded) = (orders_with(&payments, "payment.confirmed.v1"), orders_with(&payments, "payment.refunded.v1"));
    assert_eq!(&paid - &refunded, completed, "money is kept for these alone");
    for (sku, state) in last_states(brokers, &shop, "stock") {
        assert_eq!(state["reserved"], json!({}), "of `{sku}` is still reserved");
    }
}
