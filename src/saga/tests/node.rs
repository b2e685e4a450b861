//! The node with the participants beside it, on a runtime in memory: what is kept, sent and armed is what the core wants.

use crate::node::testing::Bench;
use crate::node::{Node, World};
use crate::record::{Header, Record, RecordRef, Text, Value, json, partition_of};
use crate::saga::{COUNTS_KEY, Counts, Status};
use crate::state::layout::Tag;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    crate::saga::compile(world, node).or_else(|| crate::aggregate::compile(world, node))
}

fn yaml(file: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saga").join(file);
    std::fs::read_to_string(path).expect("the file is there")
}

fn shop() -> Bench {
    let mut bench = Bench::of_text(&yaml("shop.yaml"), compile);
    bench.partitions = 6;
    bench
}

/// What is on its way, by topic.
#[derive(Default)]
struct Ways {
    queues: BTreeMap<Text, VecDeque<Record>>,
    offsets: BTreeMap<Text, i64>,
    seen: Vec<Record>,
}

impl Ways {
    fn put(&mut self, topic: &str, key: &str, value: String, headers: Vec<Header>) {
        let (topic, key, value) = (Text::from(topic), Some(key.to_owned().into()), Some(value.into()));
        let record = Record { topic: topic.clone(), partition: 0, timestamp: 1_795_248_000_000, key, value, headers };
        self.queues.entry(topic).or_default().push_back(record);
    }

    fn message(&mut self, topic: &str, key: &str, kind: &str, data: &str) {
        self.put(topic, key, format!(r#"{{"id":"{kind}/{key}","type":"{kind}","data":{data}}}"#), Vec::new());
    }

    /// Reads until nothing is left. `lost` says of a record that it never arrives.
    fn run(&mut self, bench: &mut Bench, random: &mut fastrand::Rng, lost: &mut dyn FnMut(&Record) -> bool) {
        loop {
            self.collect(bench);
            let ready: Vec<Text> =
                self.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(topic, _)| topic.clone()).collect();
            let Some(topic) = random.choice(ready) else { return };
            let record = self.queues.get_mut(&topic).and_then(VecDeque::pop_front).expect("one is ready");
            let offset = self.offsets.entry(topic.clone()).or_default();
            *offset += 1;
            if lost(&record) {
                continue;
            }
            let headers: Vec<_> = record.headers.iter().map(Header::as_ref).collect();
            let key = record.key.as_deref();
            bench.read_at(&RecordRef {
                topic: &topic,
                partition: key.map_or(0, |key| partition_of(key, 6)),
                offset: *offset,
                timestamp: bench.memory.now,
                key,
                value: record.value.as_deref(),
                headers: &headers,
            });
        }
    }

    fn collect(&mut self, bench: &mut Bench) {
        for sent in std::mem::take(&mut bench.memory.sent) {
            self.seen.push(sent.clone());
            self.queues.entry(sent.topic.clone()).or_default().push_back(sent);
        }
    }

    /// Everything happens, timers included, for so many seconds.
    fn live(&mut self, bench: &mut Bench, random: &mut fastrand::Rng, lost: &mut dyn FnMut(&Record) -> bool, seconds: i64) {
        for _ in 0..seconds {
            self.run(bench, random, lost);
            bench.pass(1_000);
        }
        self.run(bench, random, lost);
    }
}

fn state(bench: &Bench, aggregate: &str, key: &str) -> Option<Value> {
    let (state, _) = bench.state(aggregate, key)?;
    Some(json::read(state.as_bytes()).expect("JSON"))
}

fn int(value: &Value, field: &str) -> i64 {
    value.get(field).and_then(Value::as_int).expect("an int")
}

fn counts(bench: &Bench) -> Counts {
    let row = bench.memory.rows.iter().find(|((_, tag, key), _)| *tag == Tag::Own && key == COUNTS_KEY).expect("they are kept");
    Counts::read(row.1).expect("counts")
}

fn status(bench: &Bench, order: &str) -> String {
    let row = state(bench, "order", order).unwrap_or_else(|| panic!("no saga `{order}`"));
    row.get("status").and_then(Value::as_str).expect("a status").to_owned()
}

#[test]
fn goods_and_money_add_up_whatever_is_lost_and_in_whatever_order_it_comes() {
    const SKUS: [&str; 3] = ["ale", "bun", "cup"];
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = shop();
        let mut ways = Ways::default();
        let orders: Vec<String> = (0..12).map(|order| format!("o{seed}-{order}")).collect();
        for order in &orders {
            let skus: Vec<&str> = SKUS.into_iter().filter(|_| random.bool()).collect();
            let items: Vec<String> =
                skus.iter().map(|sku| format!(r#"{{"sku":"{sku}","quantity":{}}}"#, random.i64(1..6))).collect();
            let data = format!(r#"{{"orderId":"{order}","amount":{},"items":[{}]}}"#, random.i64(1..50), items.join(","));
            // Cancelled now and then, also before it was placed.
            if random.u8(..5) == 0 {
                let data = format!(r#"{{"orderId":"{order}","reason":"CHANGED"}}"#);
                ways.message("orders", order, "order.cancelled.v1", &data);
            }
            for _ in 0..random.usize(1..3) {
                ways.message("orders", order, "order.placed.v1", &data);
            }
        }
        let mut loss = fastrand::Rng::with_seed(seed);
        let mut lost = |record: &Record| {
            let may_be_lost = record.topic.ends_with(".replies") || record.topic.ends_with(".commands");
            may_be_lost && seed % 3 != 0 && loss.u8(..8) == 0
        };
        ways.live(&mut bench, &mut random, &mut lost, 120);
        assert_eq!(bench.failures(), [""; 0], "seed {seed}");

        let mut due = 0;
        for order in &orders {
            let end = status(&bench, order);
            let money = state(&bench, "payments", order);
            let kept = money.map_or(0, |money| int(&money, "charged") - int(&money, "refunded"));
            match end.as_str() {
                "completed" => due += kept,
                "compensated" => assert_eq!(kept, 0, "seed {seed}: `{order}` is charged and undone"),
                other => panic!("seed {seed}: `{order}` is {other}"),
            }
            *ends.entry(end).or_default() += 1;
        }
        assert!(due >= 0);
        for sku in SKUS {
            let Some(stock) = state(&bench, "stock", sku) else { continue };
            assert_eq!(stock.get("held").and_then(Value::as_map).map(crate::record::Map::len), Some(0), "seed {seed}: `{sku}`");
            assert_eq!(int(&stock, "free") + int(&stock, "sold"), 20, "seed {seed}: `{sku}`");
        }
        let timers = bench.memory.rows.keys().filter(|(_, tag, _)| *tag == Tag::Timer).count();
        let kept = bench.memory.rows.keys().filter(|(_, tag, _)| matches!(tag, Tag::Own | Tag::Early)).count();
        // The counts are a row, too.
        assert_eq!((timers, kept), (0, 1), "seed {seed}: nothing is left behind");
        let number = |status: Status| orders.iter().filter(|order| self::status(&bench, order) == status.name()).count() as u64;
        for status in Status::ALL {
            assert_eq!(counts(&bench).of(status), number(status), "seed {seed}: {}", status.name());
        }

        // A day later they are forgotten.
        bench.pass(25 * 3_600_000);
        assert!(orders.iter().all(|order| bench.state("order", order).is_none()), "seed {seed}");
        assert_eq!(counts(&bench), Counts::default(), "seed {seed}");
    }
    assert!(ends["completed"] > 20 && ends["compensated"] > 20, "{ends:?}");
}

#[test]
fn whoever_asks_is_told_at_the_end_and_everything_is_in_the_history() {
    let mut bench = shop();
    let mut ways = Ways::default();
    let placed = r#"{"id":"r-1","type":"order.placed.v1","data":{"orderId":"a","amount":5,"items":[{"sku":"ale","quantity":1}]},"metadata":{"correlationId":"c-9"}}"#;
    let headers = vec![
        Header::text("reply-to", "app.replies"),
        Header::text("reply-key", "me"),
        Header::text("traceparent", "00-1-2-01"),
    ];
    bench.memory.others.insert("app.replies".into());
    ways.put("orders", "a", placed.to_owned(), headers);
    let mut random = fastrand::Rng::with_seed(1);
    ways.live(&mut bench, &mut random, &mut |_| false, 1);
    assert_eq!(bench.failures(), [""; 0]);
    assert_eq!(status(&bench, "a"), "completed");

    let text = |record: &Record| String::from_utf8(record.value.clone().expect("a value").to_vec()).expect("UTF-8");
    let reply = ways.seen.iter().find(|record| record.topic == "app.replies").expect("a reply");
    assert_eq!(reply.key.as_deref(), Some(&b"me"[..]));
    let said = text(reply);
    assert!(said.contains("reply.accepted") && said.contains(r#""causationId":"r-1""#) && said.contains(r#""c-9""#), "{said}");

    let history: Vec<Value> = ways
        .seen
        .iter()
        .filter(|record| record.topic == "shop.order.history")
        .map(|record| json::read(text(record).as_bytes()).expect("JSON"))
        .collect();
    let what = |line: &Value| line.get("data").and_then(|data| data.get("what")).and_then(Value::as_str).map(str::to_owned);
    let lines: Vec<String> = history.iter().filter_map(what).collect();
    assert_eq!(lines, ["started", "sent", "succeeded", "sent", "succeeded", "sent", "succeeded", "ended"]);
    let numbers: Vec<i64> = history.iter().map(|line| int(line.get("data").expect("data"), "entry")).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<i64>>());

    // Commands go on with the conversation and the trace, and say where their answer is wanted.
    let command = ways.seen.iter().find(|record| record.topic == "payments.commands").expect("a command");
    assert!(text(command).contains(r#""correlationId":"c-9""#), "{}", text(command));
    let header = |name: &str| command.headers.iter().find(|header| header.name == name).and_then(|header| header.value.clone());
    assert_eq!(header("reply-to").as_deref(), Some(&b"shop.order.replies"[..]));
    assert_eq!(header("reply-key").as_deref(), Some(&b"a"[..]));
    assert_eq!(header("traceparent").as_deref(), Some(&b"00-1-2-01"[..]));
}

#[test]
fn an_early_message_whose_saga_never_begins_is_a_dead_letter() {
    for (then, letters, counted) in [("dead_letter", 1, None), ("drop", 0, Some(&1))] {
        let text = yaml("shop.yaml")
            .replace("    retain: 1d\n", &format!("    retain: 1d\n    early: {{ within: 5m, then: {then} }}\n"));
        let mut bench = Bench::of_text(&text, compile);
        bench.partitions = 6;
        let value = r#"{"id":"x","type":"order.cancelled.v1","data":{"orderId":"a","reason":"R"}}"#;
        bench.read("orders", Some("a"), Some(value), &[]);
        bench.pass(299_000);
        assert!(bench.state("order", "a").is_some());
        bench.pass(1_000);
        assert_eq!(bench.memory.letters.len(), letters);
        assert!(bench.memory.letters.iter().all(|failure| failure.code() == "ORPHAN"));
        assert_eq!(bench.memory.counts.get("saga_early_dropped"), counted);
        assert!(bench.state("order", "a").is_none() && bench.memory.rows.is_empty(), "nothing is left of it");
    }
}

#[test]
fn an_act_comes_by_the_inbox_and_what_is_none_is_refused() {
    let mut bench = shop();
    let placed =
        r#"{"id":"r-1","type":"order.placed.v1","data":{"orderId":"a","amount":5,"items":[{"sku":"ale","quantity":1}]}}"#;
    bench.read("orders", Some("a"), Some(placed), &[]);
    assert_eq!(status(&bench, "a"), "running");
    let act = r#"{"id":"act-1","type":"saga.act.v1","data":{"act":"abort","by":"ada","reason":"a test"}}"#;
    bench.read("shop.order.inbox", Some("a"), Some(act), &[]);
    assert_eq!(status(&bench, "a"), "compensating");
    let again = act.replace("act-1", "act-2");
    bench.read("shop.order.inbox", Some("a"), Some(&again), &[]);
    assert_eq!(status(&bench, "a"), "cancelled");
    bench.read("shop.order.inbox", Some("a"), Some(r#"{"id":"x","type":"saga.act.v1","data":{"act":"explode"}}"#), &[]);
    bench.read("shop.order.inbox", Some("nobody"), Some(act), &[]);
    let failures = bench.failures();
    assert!(failures.len() == 1 && failures[0].contains("UNDECODABLE"), "{failures:?}");
    assert_eq!(bench.memory.counts.get("saga_act_refused"), Some(&1));
}

/// The saga began with another definition than the one that runs.
fn age(bench: &mut Bench) {
    let entity = bench.memory.entities.iter_mut().find(|((store, _), _)| bench.world.plan.stores[*store].name == "order");
    let Value::Map(row) = &mut entity.expect("the saga").1.value else { panic!("a row is a map") };
    row.insert("definition".into(), "before".into());
}

#[test]
fn a_running_saga_of_another_definition_halts_the_task_and_one_that_is_over_does_not() {
    let placed =
        r#"{"id":"r-1","type":"order.placed.v1","data":{"orderId":"a","amount":5,"items":[{"sku":"ale","quantity":1}]}}"#;
    let again = placed.replace("r-1", "r-2");
    let mut bench = shop();
    bench.read("orders", Some("a"), Some(placed), &[]);
    age(&mut bench);
    bench.read("orders", Some("a"), Some(&again), &[]);
    let failures = bench.failures();
    assert!(failures[0].contains("SAGA_DEFINITION") && failures[0].contains("engine"), "{failures:?}");

    let mut bench = shop();
    bench.read("orders", Some("a"), Some(placed), &[]);
    let abort = r#"{"id":"act-1","type":"saga.act.v1","data":{"act":"abort"}}"#;
    bench.read("shop.order.inbox", Some("a"), Some(abort), &[]);
    bench.read("shop.order.inbox", Some("a"), Some(&abort.replace("act-1", "act-2")), &[]);
    assert_eq!(status(&bench, "a"), "cancelled");
    age(&mut bench);
    let row = bench.state("order", "a");
    bench.read("orders", Some("a"), Some(&again), &[]);
    bench.read("shop.order.inbox", Some("a"), Some(&abort.replace("act-1", "act-3")), &[]);
    assert_eq!((bench.failures(), bench.state("order", "a")), (Vec::new(), row));
    bench.pass(25 * 3_600_000);
    assert_eq!((bench.failures(), bench.state("order", "a")), (Vec::new(), None));
    assert_eq!(counts(&bench), Counts::default());
}
