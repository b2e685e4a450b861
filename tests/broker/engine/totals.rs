//! The order-totals sample as a workload: records with known sums, and a fold of them that is not the engine's.

use super::{LONG, Sample};
use crate::tools::{Engine, Input, create_topic, produce, read_committed, try_committed};
use serde_json::{Value, json};
use skald::clock::{Clock, SystemClock};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub(super) const PARTITIONS: u32 = 4;
const CUSTOMERS: u64 = 97;

/// Orders that were sent so far, and where.
pub(super) struct Totals {
    pub(super) sample: Sample,
    pub(super) brokers: String,
    sent: u64,
}

/// What the fold of a customer's orders must be after each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) orders: u64,
    pub(super) amount: u64,
    pub(super) last: String,
}

fn customer(order: u64) -> String {
    // Some customers order much more often than others.
    format!("customer-{}", (order * order + order / 3) % CUSTOMERS)
}

fn amount(order: u64) -> u64 {
    order.wrapping_mul(2_654_435_761) % 100_000
}

impl Totals {
    pub(super) fn new(brokers: &str) -> Self {
        Self::of(brokers, Sample::of("order-totals", &["orders.placed", "customers.totals"]))
    }

    /// Orders are keyed by their own id, so they go through a repartition topic.
    pub(super) fn repartitioned(brokers: &str) -> Self {
        let sample = Sample::of("order-totals", &["orders.placed", "customers.totals"]);
        let sample = sample
            .with("key: data.customerId\n    types:\n      order.placed", "key: data.orderId\n    types:\n      order.placed");
        let from = format!("from: {}\n", sample.topic("orders.placed"));
        Self::of(brokers, sample.with(&from, &format!("{from}    key: data.customerId\n")))
    }

    fn of(brokers: &str, sample: Sample) -> Self {
        for topic in ["orders.placed", "customers.totals"] {
            create_topic(brokers, &sample.topic(topic), PARTITIONS, &[]);
        }
        Self { sample, brokers: brokers.to_owned(), sent: 0 }
    }

    /// Sends so many more orders and waits until the brokers have them.
    pub(super) fn send(&mut self, count: u64) {
        let orders = self.sent..self.sent + count;
        self.sent += count;
        let topic = self.sample.topic("orders.placed");
        produce(
            &self.brokers,
            &topic,
            PARTITIONS,
            orders.map(|order| {
                let data = json!({ "orderId": format!("o-{order}"), "customerId": customer(order), "amount": amount(order) });
                let value = json!({ "id": format!("e-{order}"), "type": "order.placed.v1", "version": "1", "source": "test",
                    "timestamp": "2026-01-02T03:04:05Z", "data": data, "metadata": {} });
                Input::new(customer(order), value.to_string())
            }),
        );
    }

    /// How many orders the group has committed; nothing where the cluster does not say.
    pub(super) fn done(&self) -> Option<u64> {
        let topic = self.sample.topic("orders.placed");
        let places = try_committed(&self.brokers, &self.sample.topology, &topic, PARTITIONS)?;
        Some(places.into_iter().flatten().map(|(offset, _)| u64::try_from(offset).expect("offsets count from 0")).sum())
    }

    /// Waits until so many orders are committed; a worker that ends meanwhile ends the test with what it said.
    pub(super) fn wait_for(&self, count: u64, workers: &mut [&mut Engine]) {
        let clock = SystemClock::new();
        loop {
            let done = self.done();
            if done.is_some_and(|done| done >= count) {
                return;
            }
            for worker in workers.iter_mut() {
                assert!(!worker.has_ended(), "a worker ended by itself:\n{}", worker.output());
                assert!(clock.mono() < LONG, "{done:?} of {count} orders are committed; a worker said:\n{}", worker.output());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn wait_for_all(&self, workers: &mut [&mut Engine]) {
        self.wait_for(self.sent, workers);
    }

    /// Waits until every order has its update.
    pub(super) fn wait_for_updates(&self, workers: &mut [&mut Engine]) {
        let clock = SystemClock::new();
        let updates = || read_committed(&self.brokers, &self.sample.topic("customers.totals")).len() as u64;
        while updates() < self.sent {
            for worker in workers.iter_mut() {
                assert!(!worker.has_ended(), "a worker ended by itself:\n{}", worker.output());
                assert!(clock.mono() < LONG, "not {} updates; a worker said:\n{}", self.sent, worker.output());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn expected(&self) -> HashMap<String, Vec<Total>> {
        let mut histories: HashMap<String, Vec<Total>> = HashMap::new();
        for order in 0..self.sent {
            let history = histories.entry(customer(order)).or_default();
            let mut total = history.last().cloned().unwrap_or_default();
            total.orders += 1;
            total.amount += amount(order);
            total.last = format!("o-{order}");
            history.push(total);
        }
        histories
    }

    /// Every update exactly once, in the order of the input; the last state of every customer in the snapshots.
    pub(super) fn check(&self) {
        let expected = self.expected();
        let mut found: HashMap<String, Vec<Total>> = HashMap::new();
        for output in read_committed(&self.brokers, &self.sample.topic("customers.totals")) {
            let event: Value = serde_json::from_slice(output.value.as_deref().expect("an update has a value")).expect("JSON");
            let total = total(&event["data"]);
            found.entry(event["data"]["customerId"].as_str().expect("a customer").to_owned()).or_default().push(total);
        }
        for (customer, history) in &expected {
            let updates = found.remove(customer).unwrap_or_default();
            if let Some(at) = (0..history.len().max(updates.len())).find(|at| history.get(*at) != updates.get(*at)) {
                panic!(
                    "`{customer}`: update {at} of {} is {:?} where {:?} was expected ({} updates found)",
                    history.len(),
                    updates.get(at),
                    history.get(at),
                    updates.len()
                );
            }
        }
        assert!(found.is_empty(), "updates of customers that never ordered: {:?}", found.keys());
        let snapshots = self.snapshots();
        assert_eq!(snapshots.len(), expected.len(), "one state per customer");
        for (customer, history) in &expected {
            assert_eq!(snapshots.get(customer), history.last(), "the snapshot of `{customer}`");
        }
    }

    /// Every order is in an update, in the order of the input where it comes first; the last state of every customer counts each
    /// of its orders at least once.
    pub(super) fn check_nothing_is_lost(&self) {
        let mut told: HashMap<String, Vec<String>> = HashMap::new();
        for output in read_committed(&self.brokers, &self.sample.topic("customers.totals")) {
            let event: Value = serde_json::from_slice(output.value.as_deref().expect("an update has a value")).expect("JSON");
            let orders = told.entry(event["data"]["customerId"].as_str().expect("a customer").to_owned()).or_default();
            let order = total(&event["data"]).last;
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
        let snapshots = self.snapshots();
        for (customer, history) in self.expected() {
            let orders: Vec<String> = history.iter().map(|total| total.last.clone()).collect();
            assert_eq!(told.remove(&customer).unwrap_or_default(), orders, "updates of `{customer}`");
            let (wanted, found) = (&history[history.len() - 1], &snapshots[&customer]);
            assert_eq!(found.last, wanted.last, "the snapshot of `{customer}`");
            assert!(found.orders >= wanted.orders && found.amount >= wanted.amount, "`{customer}`: {found:?} of {wanted:?}");
        }
    }

    fn snapshots(&self) -> BTreeMap<String, Total> {
        let topic = format!("{}.totals.snapshots", self.sample.topology);
        read_committed(&self.brokers, &topic)
            .into_iter()
            .map(|output| {
                let key = String::from_utf8(output.key.expect("a snapshot has a key")).expect("a customer");
                let state: Value = serde_json::from_slice(output.value.as_deref().expect("nothing is deleted")).expect("JSON");
                (key, total(&state))
            })
            .collect()
    }
}

pub(super) fn total(value: &Value) -> Total {
    Total {
        orders: value["orders"].as_u64().expect("a count"),
        amount: value["amount"].as_u64().expect("a sum"),
        last: value["lastOrderId"].as_str().expect("an order").to_owned(),
    }
}
