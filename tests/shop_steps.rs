//! The shop's nodes in memory: whatever order the topics are read in, every order ends, and goods and money add up.
//!
//! No broker and no runtime: records are handed from topic to topic by a queue each, and a seed says which is read next. What
//! this holds is the meaning of the nodes; that nothing is lost between them is the business of `tests/broker` and the simulation.

#[path = "shared/sample.rs"]
mod sample;

use sample::bench;
use skald::node::testing::Bench;
use skald::record::{Header, Record, RecordRef, Value, json, partition_of};
use std::collections::{BTreeMap, VecDeque};

/// Topics as queues. A topic without readers keeps what it gets.
struct Topics {
    queues: BTreeMap<String, VecDeque<Record>>,
    read: BTreeMap<String, i64>,
}

impl Topics {
    fn new() -> Self {
        Self { queues: BTreeMap::new(), read: BTreeMap::new() }
    }

    fn put(&mut self, record: Record) {
        self.queues.entry(record.topic.to_string()).or_default().push_back(record);
    }

    fn command(&mut self, topic: &str, key: &str, kind: &str, data: &str) {
        let value = format!(r#"{{"id":"{kind}/{key}","type":"{kind}","data":{data}}}"#);
        self.put(Record {
            topic: topic.into(),
            partition: 0,
            timestamp: 1_795_248_000_000,
            key: Some(key.to_owned().into()),
            value: Some(value.into()),
            headers: Vec::new(),
        });
    }

    /// Reads until nothing is left, from topics chosen by the seed.
    fn run(&mut self, bench: &mut Bench, random: &mut fastrand::Rng) -> Vec<Record> {
        let mut written = Vec::new();
        loop {
            let ready: Vec<String> =
                self.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(topic, _)| topic.clone()).collect();
            let Some(topic) = random.choice(ready) else { return written };
            let record = self.queues.get_mut(&topic).and_then(VecDeque::pop_front).expect("one is ready");
            let offset = self.read.entry(topic.clone()).or_default();
            *offset += 1;
            let headers: Vec<_> = record.headers.iter().map(Header::as_ref).collect();
            let key = record.key.as_deref();
            bench.read_at(&RecordRef {
                topic: &topic,
                partition: key.map_or(0, |key| partition_of(key, 6)),
                offset: *offset,
                timestamp: record.timestamp,
                key,
                value: record.value.as_deref(),
                headers: &headers,
            });
            for sent in std::mem::take(&mut bench.memory.sent) {
                written.push(sent.clone());
                self.put(sent);
            }
        }
    }
}

fn state(bench: &Bench, aggregate: &str, key: &str) -> Value {
    let (state, _) = bench.state(aggregate, key).unwrap_or_else(|| panic!("`{aggregate}` has no `{key}`"));
    json::read(state.as_bytes()).expect("JSON")
}

fn number(value: &Value, field: &str) -> i64 {
    value.get(field).and_then(Value::as_int).unwrap_or_else(|| panic!("`{field}` is no int in {value:?}"))
}

#[test]
fn every_order_ends_and_goods_and_money_add_up_in_whatever_order_topics_are_read() {
    const SKUS: [&str; 3] = ["ale", "bun", "cup"];
    const ORDERS: usize = 40;
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = bench("topologies/shop/shop.yaml", 6);
        let mut topics = Topics::new();
        let (mut received, mut wanted) = (BTreeMap::new(), BTreeMap::new());
        for sku in SKUS {
            let quantity = random.i64(10..40);
            received.insert(sku, quantity);
            topics.command("stock.commands", sku, "stock.receive.v1", &format!(r#"{{"sku":"{sku}","quantity":{quantity}}}"#));
        }
        topics.run(&mut bench, &mut random);
        for order in 0..ORDERS {
            let key = format!("o{order}");
            let skus: Vec<&str> = SKUS.into_iter().filter(|_| random.bool()).collect();
            let skus = if skus.is_empty() { vec!["ale"] } else { skus };
            let items: Vec<(&str, i64)> = skus.into_iter().map(|sku| (sku, random.i64(1..5))).collect();
            let lines: Vec<String> =
                items.iter().map(|(sku, quantity)| format!(r#"{{"sku":"{sku}","quantity":{quantity},"price":100}}"#)).collect();
            let data = format!(r#"{{"orderId":"{key}","userId":"u","items":[{}]}}"#, lines.join(","));
            // Asked twice now and then, and cancelled at any moment.
            for _ in 0..random.usize(1..3) {
                topics.command("orders.commands", &key, "order.create.v1", &data);
            }
            if random.u8(..) < 50 {
                topics.command(
                    "orders.commands",
                    &key,
                    "order.cancel.v1",
                    &format!(r#"{{"orderId":"{key}","reason":"CHANGED_MIND"}}"#),
                );
            }
            wanted.insert(key, items);
        }
        let written = topics.run(&mut bench, &mut random);
        assert_eq!(bench.failures(), [""; 0], "seed {seed}");

        let mut sold: BTreeMap<&str, i64> = BTreeMap::new();
        let mut due = 0;
        let mut confirmed = 0;
        for (order, items) in &wanted {
            let status = state(&bench, "orders", order);
            match status.get("status").and_then(Value::as_str) {
                Some("CONFIRMED") => {
                    confirmed += 1;
                    due += number(&status, "amount");
                    for (sku, quantity) in items {
                        *sold.entry(sku).or_default() += quantity;
                    }
                }
                Some("CANCELLED") => {}
                other => panic!("seed {seed}: order `{order}` ended as {other:?}"),
            }
        }
        assert!(confirmed > 0, "seed {seed}: nothing was sold, nothing was tried");
        for (sku, received) in &received {
            let stock = state(&bench, "stock", sku);
            assert_eq!(
                stock.get("reserved").and_then(Value::as_map).map(|map| map.len()),
                Some(0),
                "seed {seed}: `{sku}` is still held"
            );
            assert_eq!(number(&stock, "quantity") + sold.get(sku).copied().unwrap_or(0), *received, "seed {seed}: `{sku}`");
        }
        let paid: i64 = wanted
            .keys()
            .filter(|order| bench.state("payments", order).is_some())
            .map(|order| state(&bench, "payments", order))
            .filter(|payment| payment.get("status").and_then(Value::as_str) == Some("CONFIRMED"))
            .map(|payment| number(&payment, "amount"))
            .sum();
        assert_eq!(paid, due, "seed {seed}: what is kept is what confirmed orders cost");

        let mails = written.iter().filter(|record| record.topic == "notifications.requests").count();
        assert!(mails >= ORDERS, "seed {seed}: {mails} mails");
    }
}
