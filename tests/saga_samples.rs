//! The samples with sagas, in memory: whatever is lost and in whatever order topics are read, every instance ends, and goods and
//! money add up.
//!
//! No broker and no runtime, as in `shop_steps`: records are handed from topic to topic by a queue each, time is passed by hand, and
//! a seed says what is read next and what is lost.

#[path = "shared/sample.rs"]
mod sample;

use sample::bench;
use skald::node::testing::Bench;
use skald::record::{Header, Record, RecordRef, Value, json, partition_of};
use std::collections::{BTreeMap, VecDeque};

const PARTITIONS: u32 = 6;
const SEEDS: u64 = 8;

/// Samples that run beside each other, and what is on its way between them.
struct Town {
    benches: Vec<Bench>,
    queues: BTreeMap<String, VecDeque<Record>>,
    offsets: BTreeMap<String, i64>,
    random: fastrand::Rng,
    seed: u64,
    meddling: Option<Meddling>,
    /// Replies, and commands that want one, that were on their way so far.
    replies: usize,
    commands: usize,
}

/// What goes wrong with one message: the number of it among its like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meddling {
    /// A reply is lost.
    Lost(usize),
    /// A command is refused, and nothing is done.
    Refused(usize),
}

impl Town {
    fn new(names: &[&str], seed: u64) -> Self {
        let benches = names.iter().map(|name| bench(&format!("topologies/{name}/{name}.yaml"), PARTITIONS)).collect();
        let random = fastrand::Rng::with_seed(seed);
        let (queues, offsets) = (BTreeMap::new(), BTreeMap::new());
        Self { benches, queues, offsets, random, seed, meddling: None, replies: 0, commands: 0 }
    }

    /// Is it the message that something goes wrong with? Then it does not arrive.
    fn is_met(&mut self, topic: &str, record: &Record) -> bool {
        if topic.ends_with(".replies") {
            self.replies += 1;
            return self.meddling == Some(Meddling::Lost(self.replies));
        }
        let header =
            |name: &str| record.headers.iter().find(|header| header.name == name).and_then(|header| header.value.clone());
        let Some(reply_to) = header("reply-to") else { return false };
        self.commands += 1;
        if self.meddling != Some(Meddling::Refused(self.commands)) {
            return false;
        }
        let command = json::read(record.value.as_deref().expect("a command")).expect("JSON");
        let id = command.get("id").and_then(Value::as_str).expect("an id").to_owned();
        let refusal = format!(
            r#"{{"id":"no/{id}","type":"reply.rejected","data":{{"code":"NO","message":"no"}},"metadata":{{"causationId":"{id}"}}}}"#
        );
        let topic = String::from_utf8_lossy(&reply_to).into_owned();
        let reply = Record {
            topic: topic.as_str().into(),
            key: header("reply-key"),
            value: Some(refusal.into()),
            headers: Vec::new(),
            ..record.clone()
        };
        self.queues.entry(topic).or_default().push_back(reply);
        true
    }

    fn put(&mut self, topic: &str, key: &str, kind: &str, data: &str) {
        let value = format!(r#"{{"id":"{kind}/{key}","type":"{kind}","data":{data}}}"#);
        let record = Record {
            topic: topic.into(),
            partition: 0,
            timestamp: 1_795_248_000_000,
            key: Some(key.to_owned().into()),
            value: Some(value.into()),
            headers: Vec::new(),
        };
        self.queues.entry(topic.to_owned()).or_default().push_back(record);
    }

    /// Sixty goods, twenty of each, on the shelves.
    fn deliver(&mut self, topic: &str) {
        for sku in ["ale", "bun", "cup"] {
            self.put(topic, sku, "stock.receive.v1", &format!(r#"{{"sku":"{sku}","quantity":20}}"#));
        }
        self.live(1, &|_, _| false, &[]);
    }

    fn order(&mut self, topic: &str, order: &str) {
        let items = items(&mut self.random);
        self.put(topic, order, "order.create.v1", &format!(r#"{{"orderId":"{order}","userId":"u","items":[{items}]}}"#));
    }

    /// Reads what lies there, and lets so many seconds pass. `lost` says what never arrives, `held` which topics are not read.
    fn live(&mut self, seconds: u32, lost: &dyn Fn(&str, &mut fastrand::Rng) -> bool, held: &[&str]) {
        for _ in 0..seconds {
            self.settle(lost, held);
            self.benches.iter_mut().for_each(|bench| bench.pass(1_000));
        }
        self.settle(lost, held);
        for bench in &mut self.benches {
            assert_eq!(bench.failures(), [""; 0], "seed {}", self.seed);
        }
    }

    fn settle(&mut self, lost: &dyn Fn(&str, &mut fastrand::Rng) -> bool, held: &[&str]) {
        loop {
            for bench in &mut self.benches {
                for sent in std::mem::take(&mut bench.memory.sent) {
                    self.queues.entry(sent.topic.to_string()).or_default().push_back(sent);
                }
            }
            let waits = |topic: &str, queue: &VecDeque<Record>| !queue.is_empty() && !held.contains(&topic);
            let ready: Vec<String> =
                self.queues.iter().filter(|(topic, queue)| waits(topic, queue)).map(|(topic, _)| topic.clone()).collect();
            let Some(topic) = self.random.choice(ready) else { return };
            let record = self.queues.get_mut(&topic).and_then(VecDeque::pop_front).expect("one is ready");
            let offset = self.offsets.entry(topic.clone()).or_default();
            *offset += 1;
            let offset = *offset;
            if lost(&topic, &mut self.random) || self.is_met(&topic, &record) {
                continue;
            }
            let headers: Vec<_> = record.headers.iter().map(Header::as_ref).collect();
            let key = record.key.as_deref();
            for bench in &mut self.benches {
                bench.read_at(&RecordRef {
                    topic: &topic,
                    partition: key.map_or(0, |key| partition_of(key, PARTITIONS)),
                    offset,
                    timestamp: bench.memory.now,
                    key,
                    value: record.value.as_deref(),
                    headers: &headers,
                });
            }
        }
    }

    fn state(&self, bench: usize, node: &str, key: &str) -> Value {
        let state = self.benches[bench].state(node, key);
        state.map_or(Value::Null, |(state, _)| json::read(state.as_bytes()).expect("JSON"))
    }

    fn text(&self, bench: usize, node: &str, key: &str, field: &str) -> String {
        self.state(bench, node, key).get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A field of `saga.data`.
    fn data(&self, saga: &str, id: &str, field: &str) -> String {
        let row = self.state(0, saga, id);
        row.get("data").and_then(|data| data.get(field)).and_then(Value::as_str).expect("it is set at the start").to_owned()
    }
}

fn replies_get_lost(topic: &str, random: &mut fastrand::Rng) -> bool {
    topic.ends_with(".replies") && random.u8(..6) == 0
}

/// `{sku: quantity}` as items of an order.
fn items(random: &mut fastrand::Rng) -> String {
    let mut skus = vec!["ale", "bun", "cup"];
    random.shuffle(&mut skus);
    let items = skus
        .iter()
        .take(random.usize(1..=3))
        .map(|sku| format!(r#"{{"sku":"{sku}","quantity":{},"price":{}}}"#, quantity(sku), 100));
    items.collect::<Vec<_>>().join(",")
}

fn quantity(sku: &str) -> i64 {
    if sku == "cup" { 4 } else { 2 }
}

/// What is on the shelf, free of reservations.
fn shelf_is_free(town: &Town, node: &str) -> i64 {
    ["ale", "bun", "cup"]
        .into_iter()
        .map(|sku| {
            let shelf = town.state(0, node, sku);
            let reserved = shelf.get("reserved").and_then(Value::as_map).map(skald::record::Map::len);
            assert_eq!(reserved, Some(0), "seed {}: `{sku}` is still reserved", town.seed);
            shelf.get("quantity").and_then(Value::as_int).expect("a quantity")
        })
        .sum()
}

#[test]
fn the_fulfilment_sells_what_it_charged_for_and_gives_back_everything_else() {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut town = Town::new(&["fulfilment"], seed);
        town.deliver("warehouse.deliveries");
        let orders: Vec<String> = (0..10).map(|order| format!("o{seed}-{order}")).collect();
        for order in &orders {
            town.order("sales.requests", order);
            if town.random.u8(..5) == 0 {
                let data = format!(r#"{{"orderId":"{order}","reason":"CHANGED_MY_MIND"}}"#);
                town.put("sales.requests", order, "order.cancel.v1", &data);
            }
        }
        let lost: &dyn Fn(&str, &mut fastrand::Rng) -> bool = if seed % 2 == 0 { &|_, _| false } else { &replies_get_lost };
        town.live(900, lost, &[]);
        let mut sold = 0;
        for order in &orders {
            let end = town.text(0, "fulfilment", order, "status");
            let (status, payment) = (town.text(0, "orders", order, "status"), town.data("fulfilment", order, "paymentId"));
            let money = town.text(0, "payments", &payment, "status");
            match end.as_str() {
                "completed" => {
                    assert_eq!((status.as_str(), money.as_str()), ("CONFIRMED", "CHARGED"), "seed {seed}: `{order}`");
                    let bought = town.state(0, "orders", order);
                    let Some(Value::List(items)) = bought.get("items") else { panic!("items") };
                    sold += items.iter().map(|item| item.get("quantity").and_then(Value::as_int).expect("an int")).sum::<i64>();
                }
                "compensated" => {
                    assert_eq!(status, "CANCELLED", "seed {seed}: `{order}`");
                    assert_ne!(money, "CHARGED", "seed {seed}: `{order}` is charged and undone");
                }
                other => panic!("seed {seed}: `{order}` is {other}: {:?}", town.state(0, "fulfilment", order)),
            }
            *ends.entry(end).or_default() += 1;
        }
        assert_eq!(shelf_is_free(&town, "stock") + sold, 60, "seed {seed}: goods add up");
    }
    assert!(ends["completed"] > 10 && ends["compensated"] > 10, "{ends:?}");
}

#[test]
fn the_journey_ends_what_the_shop_leaves_lying() {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut town = Town::new(&["shop", "journey"], seed);
        town.deliver("stock.commands");
        let orders: Vec<String> = (0..10).map(|order| format!("o{seed}-{order}")).collect();
        for order in &orders {
            town.order("orders.commands", order);
        }
        // A service that stands still for a while: the orders that wait for it are cancelled.
        let held: &[&str] = match seed % 3 {
            0 => &[],
            1 => &["stock.answers"],
            _ => &["payments.events"],
        };
        town.live(100, &|_, _| false, held);
        town.live(700, &|_, _| false, &[]);
        for order in &orders {
            let (end, status) = (town.text(1, "journey", order, "status"), town.text(0, "orders", order, "status"));
            let money = town.text(0, "payments", order, "status");
            match end.as_str() {
                "completed" => {
                    assert_eq!((status.as_str(), money.as_str()), ("CONFIRMED", "CONFIRMED"), "seed {seed}: `{order}`")
                }
                "compensated" => {
                    assert_eq!(status, "CANCELLED", "seed {seed}: `{order}`");
                    assert_ne!(money, "CONFIRMED", "seed {seed}: `{order}` is charged and undone");
                }
                other => panic!("seed {seed}: `{order}` is {other}: {:?}", town.state(1, "journey", order)),
            }
            *ends.entry(end).or_default() += 1;
        }
        shelf_is_free(&town, "stock");
    }
    assert!(ends["completed"] > 10 && ends["compensated"] > 10, "{ends:?}");
}

/// Orders of a saga `purchase` end well or are undone: what `check` says of each that ended so.
fn purchases(sample: &str, shelf: &str, order: &dyn Fn(&mut Town, &str), check: &dyn Fn(&Town, &str, bool)) {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut town = Town::new(&[sample], seed);
        for sku in ["ale", "bun", "cup"] {
            town.put(shelf, sku, "stock.receive.v1", &format!(r#"{{"sku":"{sku}","quantity":20}}"#));
        }
        town.live(1, &|_, _| false, &[]);
        let orders: Vec<String> = (0..10).map(|order| format!("o{seed}-{order}")).collect();
        for id in &orders {
            order(&mut town, id);
        }
        let lost: &dyn Fn(&str, &mut fastrand::Rng) -> bool = if seed % 2 == 0 { &|_, _| false } else { &replies_get_lost };
        town.live(900, lost, &[]);
        for id in &orders {
            let end = town.text(0, "purchase", id, "status");
            assert!(matches!(end.as_str(), "completed" | "compensated"), "seed {seed}: {:?}", town.state(0, "purchase", id));
            check(&town, id, end == "completed");
            *ends.entry(end).or_default() += 1;
        }
    }
    assert!(ends["completed"] > 10 && ends["compensated"] > 5, "{ends:?}");
}

#[test]
fn four_steps_end_paid_and_confirmed_or_not_at_all() {
    let order = |town: &mut Town, id: &str| {
        let sku = town.random.choice(["ale", "bun", "cup"]).expect("some");
        let data = format!(r#"{{"orderId":"{id}","sku":"{sku}","quantity":{},"amount":500}}"#, quantity(sku));
        town.put("purchases", id, "order.placed.v1", &data);
    };
    purchases("payment-saga", "inventory.deliveries", &order, &|town, id, completed| {
        let (status, payment) = (town.text(0, "orders", id, "status"), town.data("purchase", id, "paymentId"));
        let money = town.text(0, "payments", &payment, "status");
        match completed {
            true => assert_eq!((status.as_str(), money.as_str()), ("CONFIRMED", "CHARGED"), "seed {}: `{id}`", town.seed),
            false => {
                assert_eq!(status, "CANCELLED", "seed {}: `{id}`", town.seed);
                assert_ne!(money, "CHARGED", "seed {}: `{id}`", town.seed);
            }
        }
    });
}

#[test]
fn six_steps_end_paid_shipped_and_confirmed_or_not_at_all() {
    let order = |town: &mut Town, id: &str| {
        let items = items(&mut town.random);
        let data = format!(r#"{{"orderId":"{id}","userId":"u","items":[{items}]}}"#);
        town.put("baskets", id, "basket.bought.v1", &data);
        if town.random.u8(..8) == 0 {
            let data = format!(r#"{{"orderId":"{id}","reason":"CHANGED_MY_MIND"}}"#);
            town.put("baskets", id, "basket.withdrawn.v1", &data);
        }
    };
    purchases("order-saga", "shelf.deliveries", &order, &|town, id, completed| {
        let (status, payment) = (town.text(0, "orders", id, "status"), town.data("purchase", id, "paymentId"));
        let money = town.text(0, "bank", &payment, "status");
        let shipped = town.text(0, "carrier", &town.data("purchase", id, "shipmentId"), "status");
        match completed {
            true => {
                let all = (status.as_str(), money.as_str(), shipped.as_str());
                assert_eq!(all, ("CONFIRMED", "CHARGED", "ARRANGED"), "seed {}: `{id}`", town.seed);
            }
            false => {
                assert_ne!(status, "CONFIRMED", "seed {}: `{id}`", town.seed);
                assert_ne!(money, "CHARGED", "seed {}: `{id}`", town.seed);
                assert_ne!(shipped, "ARRANGED", "seed {}: `{id}`", town.seed);
            }
        }
        let shelves = ["ale", "bun", "cup"].map(|sku| town.state(0, "shelf", sku));
        let holds = shelves.iter().any(|shelf| shelf.get("reserved").is_some_and(|reserved| reserved.get(id).is_some()));
        assert_eq!(holds, completed, "seed {}: `{id}`", town.seed);
    });
}

/// A sample whose participants reply, and where what its saga moves is to be found.
struct Led {
    name: &'static str,
    saga: &'static str,
    deliveries: &'static str,
    /// Topic and type of what an order begins with.
    order: (&'static str, &'static str),
    money: &'static str,
    goods: &'static str,
    /// Does what was bought stay reserved?
    keeps: bool,
}

const LED: [Led; 3] = [
    Led {
        name: "fulfilment",
        saga: "fulfilment",
        deliveries: "warehouse.deliveries",
        order: ("sales.requests", "order.create.v1"),
        money: "payments",
        goods: "stock",
        keeps: false,
    },
    Led {
        name: "order-saga",
        saga: "purchase",
        deliveries: "shelf.deliveries",
        order: ("baskets", "basket.bought.v1"),
        money: "bank",
        goods: "shelf",
        keeps: true,
    },
    Led {
        name: "payment-saga",
        saga: "purchase",
        deliveries: "inventory.deliveries",
        order: ("purchases", "order.placed.v1"),
        money: "payments",
        goods: "inventory",
        keeps: true,
    },
];

impl Led {
    /// One order from its beginning to its end, by the hand of an operator where it needs one; how it ended, and how many replies and
    /// commands there were.
    fn play(&self, id: &str, meddling: Option<Meddling>) -> (String, usize, usize) {
        let mut town = Town::new(&[self.name], 0);
        for sku in ["ale", "bun"] {
            town.put(self.deliveries, sku, "stock.receive.v1", &format!(r#"{{"sku":"{sku}","quantity":20}}"#));
        }
        town.live(1, &|_, _| false, &[]);
        town.meddling = meddling;
        let items = r#"{"sku":"ale","quantity":2,"price":100},{"sku":"bun","quantity":2,"price":50}"#;
        let data = format!(r#"{{"orderId":"{id}","userId":"u","items":[{items}],"sku":"ale","quantity":2,"amount":500}}"#);
        let fields = if self.name == "payment-saga" { ["userId", "items"] } else { ["sku", "quantity"] };
        let mut data: serde_json::Value = serde_json::from_str(&data).expect("JSON");
        let own = data.as_object_mut().expect("a map");
        fields.iter().for_each(|field| drop(own.remove(*field)));
        if self.name != "payment-saga" {
            own.remove("amount");
        }
        town.put(self.order.0, id, self.order.1, &data.to_string());
        town.live(300, &|_, _| false, &[]);
        for act in 0..2 {
            if matches!(town.text(0, self.saga, id, "status").as_str(), "compensation_failed" | "pivot_failed") {
                let act = format!(r#"{{"id":"act-{act}","type":"saga.act.v1","data":{{"act":"retry","by":"ada"}}}}"#);
                let inbox = format!("{}.{}.inbox", self.name, self.saga);
                let record = Record {
                    topic: inbox.as_str().into(),
                    partition: 0,
                    timestamp: 1_795_248_000_000,
                    key: Some(id.to_owned().into()),
                    value: Some(act.into()),
                    headers: Vec::new(),
                };
                town.queues.entry(inbox).or_default().push_back(record);
                town.live(300, &|_, _| false, &[]);
            }
        }
        (self.check(&town, id, meddling), town.replies, town.commands)
    }

    fn check(&self, town: &Town, id: &str, meddling: Option<Meddling>) -> String {
        let end = town.text(0, self.saga, id, "status");
        let case = format!("{} `{id}` with {meddling:?}: {end}, {:?}", self.name, town.state(0, self.saga, id));
        let completed = end == "completed";
        assert!(completed || end == "compensated", "{case}");
        let paid = town.text(0, self.money, &town.data(self.saga, id, "paymentId"), "status") == "CHARGED";
        assert_eq!(paid, completed, "money: {case}");
        assert_eq!(town.text(0, "orders", id, "status") == "CONFIRMED", completed, "order: {case}");
        for sku in ["ale", "bun"] {
            let goods = town.state(0, self.goods, sku);
            let held = goods.get("reserved").and_then(Value::as_map).is_some_and(|reserved| reserved.get(id).is_some());
            assert!(!held || (self.keeps && completed), "`{sku}` is held: {case}");
        }
        end
    }
}

#[test]
fn whichever_reply_is_lost_and_whichever_command_is_refused_every_sample_ends_and_adds_up() {
    for led in &LED {
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        let mut calm: BTreeMap<String, (String, usize, usize)> = BTreeMap::new();
        for order in 0..40 {
            let id = format!("o-{order}");
            let (end, replies, commands) = led.play(&id, None);
            calm.entry(end).or_insert((id, replies, commands));
            if calm.len() == 2 {
                break;
            }
        }
        assert_eq!(calm.len(), 2, "{}: {calm:?}", led.name);
        for (id, replies, commands) in calm.values() {
            let lost = (1..=*replies).map(Meddling::Lost);
            let refused = (1..=*commands).map(Meddling::Refused);
            for meddling in lost.chain(refused) {
                *ends.entry(led.play(id, Some(meddling)).0).or_default() += 1;
            }
        }
        assert!(ends["completed"] > 0 && ends["compensated"] > 0, "{}: {ends:?}", led.name);
    }
}
