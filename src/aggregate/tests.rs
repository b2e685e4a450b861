//! What an aggregate does with one message: decisions, refusals, replies, events and the states that follow from them.

use super::compile;
use crate::node::Outcome::{PassedOver, Processed, Refused, Repeated};
use crate::node::testing::Bench;
use crate::record::{Header, RecordRef, json};

fn bench(yaml: &str) -> Bench {
    Bench::of_text(yaml, compile)
}

const STOCK: &str = r#"
skald: 1
topology: shop
params: { low: 3 }
reply_to: ["*.replies", "shop.*"]
topics:
  stock.commands:
    partitions: 4
    key: data.sku
    types:
      stock.add.v1: { type: object, required: [sku, quantity], properties: { sku: { type: string }, quantity: { type: integer } } }
      stock.reserve.v1:
        type: object
        required: [sku, quantity, orderId]
        properties: { sku: { type: string }, quantity: { type: integer }, orderId: { type: string } }
      stock.close.v1: { type: object, required: [sku], properties: { sku: { type: string } } }
      stock.break.v1: { type: object, required: [sku, by], properties: { sku: { type: string }, by: { type: integer } } }
      stock.note.v1: { type: object, required: [sku], properties: { sku: { type: string }, text: { type: string } } }
  stock.events:
    partitions: 4
    key: data.sku
    types: { stock.added.v1: {}, stock.reserved.v1: {}, stock.closed.v1: {}, stock.refused.v1: {} }
  stock.levels: { types: { stock.level.v1: {} } }
  alarms: { types: { stock.failed.v1: {} } }
aggregates:
  stock:
    from: stock.commands
    key: data.sku
    events: stock.events
    initial: { quantity: 0, reserved: {} }
    decide:
      stock.add.v1:
        emit: { type: stock.added.v1, data: =data }
        reply: { before: =state.quantity, version: =version }
      stock.reserve.v1:
        let:
          held: data.orderId in state.reserved
          available: state.quantity - sum(values(state.reserved))
        require:
          - that: held || available >= data.quantity
            code: INSUFFICIENT_INVENTORY
            message: "wanted: {data.quantity}, there: {available}"
            details: { sku: =key, available: =available }
            emit: { type: stock.refused.v1, data: { sku: =key, orderId: =data.orderId } }
        emit:
          type: stock.reserved.v1
          when: "!held"
          data: =data
      stock.close.v1:
        when: version > 0
        require:
          - { that: size(state.reserved) == 0, code: IN_USE, dead_letter: true }
        emit: { type: stock.closed.v1, data: { sku: =key } }
      stock.break.v1:
        emit: { type: stock.added.v1, data: { sku: =key, quantity: =1 / data.by } }
    evolve:
      stock.added.v1:
        set: { quantity: =state.quantity + data.quantity }
      stock.reserved.v1:
        set:
          reserved: "=merge(state.reserved, {data.orderId: data.quantity})"
      stock.closed.v1: { delete: true }
    updates:
      type: stock.level.v1
      key: key
      data: { sku: =key, state: =state, version: =version, cause: =event.type, at: =ctx.time, low: =params.low }
    errors:
      emit: { type: stock.failed.v1, key: key, data: { code: =error.code, kind: =error.details.kind, of: =data, node: =error.node } }
"#;

fn message(kind: &str, data: &str) -> String {
    format!(r#"{{"id":"{kind}-{data_id}","type":"{kind}","data":{data}}}"#, data_id = data.len())
}

fn command(bench: &mut Bench, id: &str, kind: &str, data: &str, headers: &[(&str, &str)]) -> Vec<crate::node::Outcome> {
    let value = format!(r#"{{"id":"{id}","type":"{kind}","data":{data},"metadata":{{"correlationId":"c-{id}"}}}}"#);
    bench.read("stock.commands", Some("a"), Some(&value), headers)
}

#[test]
fn an_order_that_holds_stock_is_accepted_again_and_booked_once() {
    let mut bench = bench(STOCK);
    assert_eq!(command(&mut bench, "1", "stock.add.v1", r#"{"sku":"a","quantity":5}"#, &[]), [Processed]);
    assert_eq!(command(&mut bench, "2", "stock.reserve.v1", r#"{"sku":"a","quantity":3,"orderId":"o1"}"#, &[]), [Processed]);
    assert_eq!(bench.state("stock", "a"), Some((r#"{"quantity":5,"reserved":{"o1":3}}"#.into(), 2)));
    bench.sent();

    assert_eq!(command(&mut bench, "3", "stock.reserve.v1", r#"{"sku":"a","quantity":3,"orderId":"o1"}"#, &[]), [Processed]);
    assert_eq!(bench.sent(), [""; 0], "accepted, and nothing is booked");
    assert_eq!(bench.state("stock", "a"), Some((r#"{"quantity":5,"reserved":{"o1":3}}"#.into(), 2)));
    assert_eq!(bench.failures(), [""; 0]);
}

#[test]
fn events_are_written_and_each_is_followed_by_the_updates_of_its_state() {
    let mut bench = bench(STOCK);
    command(&mut bench, "1", "stock.add.v1", r#"{"sku":"a","quantity":5}"#, &[]);
    assert_eq!(
        bench.sent(),
        [
            r#"stock.events a stock.added.v1 {"quantity":5,"sku":"a"}"#,
            r#"stock.levels a stock.level.v1 {"at":"2026-11-21T08:00:00Z","cause":"stock.added.v1","low":3,"sku":"a","state":{"quantity":5,"reserved":{}},"version":1}"#,
        ]
    );
}

#[test]
fn a_refusal_emits_in_place_of_the_handler_and_tells_the_asker() {
    let mut bench = bench(STOCK);
    bench.memory.others.insert("web.replies".into());
    let asked = [("reply-to", "web.replies"), ("reply-key", "r1"), ("traceparent", "00-x")];
    let outcomes = command(&mut bench, "1", "stock.reserve.v1", r#"{"sku":"a","quantity":1,"orderId":"o1"}"#, &asked);
    assert_eq!(outcomes, [Refused("INSUFFICIENT_INVENTORY".into())]);
    let reply = bench.memory.sent.last().expect("a reply").clone();
    assert_eq!(reply.headers, [Header::text("traceparent", "00-x")]);
    let value = json::read(reply.value.as_deref().expect("a value")).expect("JSON");
    let metadata = value.get("metadata").expect("metadata");
    assert_eq!((metadata.get("correlationId"), metadata.get("causationId")), (Some(&"c-1".into()), Some(&"1".into())));
    assert_eq!(
        bench.sent(),
        [
            r#"stock.events a stock.refused.v1 {"orderId":"o1","sku":"a"}"#,
            r#"web.replies r1 reply.rejected {"code":"INSUFFICIENT_INVENTORY","details":{"available":0,"sku":"a"},"message":"wanted: 1, there: 0"}"#,
        ]
    );
    assert_eq!(bench.state("stock", "a"), None, "a refusal changes nothing");
    assert_eq!(bench.failures(), [""; 0]);
    assert_eq!(bench.memory.letters, []);
}

#[test]
fn a_request_that_is_known_is_not_decided_again() {
    let mut bench = bench(STOCK);
    bench.memory.others.extend(["web.replies".into(), "other.replies".into()]);
    let asked = [("reply-to", "web.replies")];
    let data = r#"{"sku":"a","quantity":5}"#;
    assert_eq!(command(&mut bench, "1", "stock.add.v1", data, &asked), [Processed]);
    let first = bench.memory.sent.last().expect("a reply").clone();
    assert_eq!(bench.sent().last().expect("a reply"), r#"web.replies a reply.accepted {"before":0,"version":0} {"version":1}"#);

    assert_eq!(
        command(&mut bench, "1", "stock.add.v1", data, &[("reply-to", "other.replies"), ("reply-key", "k")]),
        [Repeated]
    );
    let again = bench.memory.sent.pop().expect("a reply");
    assert_eq!((&*again.topic, again.key.as_deref()), ("other.replies", Some(&b"k"[..])), "where this one asks for it");
    let id = |value: &Option<bytes::Bytes>| json::read(value.as_deref().expect("a value")).expect("JSON").get("id").cloned();
    assert_eq!(id(&again.value), id(&first.value), "the same reply");
    assert_eq!(bench.sent(), [""; 0]);
    assert_eq!(bench.state("stock", "a").expect("a state").1, 1);

    // No request: a message that comes twice is decided twice.
    assert_eq!(command(&mut bench, "1", "stock.add.v1", data, &[]), [Processed]);
    // An hour later it is unknown again.
    bench.memory.now += 3_600_001;
    assert_eq!(command(&mut bench, "1", "stock.add.v1", data, &asked), [Processed]);
    assert_eq!(bench.state("stock", "a").expect("a state").1, 3);
}

#[test]
fn replies_go_where_the_topology_lets_them() {
    let mut bench = bench(STOCK);
    let data = r#"{"sku":"a","quantity":1}"#;
    for (id, topic, counted) in [
        ("1", "secrets", Some("reply_not_allowed")),
        ("2", "shop.stock.snapshots", Some("reply_not_allowed")),
        ("3", "shop.dlq", Some("reply_not_allowed")),
        ("4", "__consumer_offsets.replies", Some("reply_not_allowed")),
        ("5", "a/b.replies", Some("reply_not_allowed")),
        ("6", "gone.replies", Some("reply_undeliverable")),
        ("7", "", None),
    ] {
        bench.memory.counts.clear();
        assert_eq!(command(&mut bench, id, "stock.add.v1", data, &[("reply-to", topic)]), [Processed], "{topic}");
        assert_eq!(bench.memory.counts.keys().copied().collect::<Vec<_>>(), Vec::from_iter(counted), "{topic}");
        assert!(bench.sent().iter().all(|line| !line.contains("reply.")), "{topic}");
    }
    assert_eq!(bench.failures(), [""; 0]);
}

#[test]
fn an_expected_version_must_be_the_version() {
    let mut bench = bench(STOCK);
    bench.memory.others.insert("web.replies".into());
    let send = |bench: &mut Bench, expected: &str| {
        let value = format!(
            r#"{{"type":"stock.add.v1","data":{{"sku":"a","quantity":1}},"metadata":{{"expectedVersion":{expected}}}}}"#
        );
        bench.read("stock.commands", Some("a"), Some(&value), &[("reply-to", "web.replies")])
    };
    assert_eq!(send(&mut bench, "0"), [Processed]);
    assert_eq!(send(&mut bench, "null"), [Processed]);
    bench.sent();
    for wrong in ["0", "3", "\"2\"", "2.5"] {
        assert_eq!(send(&mut bench, wrong), [Refused("VERSION_CONFLICT".into())], "{wrong}");
        let expected = format!(
            r#"web.replies a reply.rejected {{"code":"VERSION_CONFLICT","details":{{"actual":2,"expected":{wrong}}},"message":"the version is 2, another one was expected"}}"#
        );
        assert_eq!(bench.sent(), [expected]);
    }
    assert_eq!(send(&mut bench, "2"), [Processed]);
}

#[test]
fn what_is_not_for_this_state_is_passed_over_and_a_request_is_told() {
    let mut bench = bench(STOCK);
    bench.memory.others.insert("web.replies".into());
    assert_eq!(command(&mut bench, "1", "stock.close.v1", r#"{"sku":"a"}"#, &[]), [PassedOver]);
    let outcomes = command(&mut bench, "2", "stock.close.v1", r#"{"sku":"a"}"#, &[("reply-to", "web.replies")]);
    assert_eq!(outcomes, [Refused("NOT_APPLICABLE".into())]);
    assert_eq!(
        bench.sent(),
        [
            r#"web.replies a reply.rejected {"code":"NOT_APPLICABLE","details":null,"message":"not for the state that it is in"}"#
        ]
    );
}

#[test]
fn a_deleted_instance_is_gone_and_starts_anew() {
    let mut bench = bench(STOCK);
    command(&mut bench, "1", "stock.add.v1", r#"{"sku":"a","quantity":5}"#, &[]);
    bench.sent();
    assert_eq!(command(&mut bench, "2", "stock.close.v1", r#"{"sku":"a"}"#, &[]), [Processed]);
    assert_eq!(bench.state("stock", "a"), None);
    let sent = bench.sent();
    assert!(sent[1].contains(r#""state":null,"version":0"#), "{sent:?}");
    command(&mut bench, "3", "stock.add.v1", r#"{"sku":"a","quantity":1}"#, &[]);
    assert_eq!(bench.state("stock", "a"), Some((r#"{"quantity":1,"reserved":{}}"#.into(), 1)));
}

#[test]
fn a_refusal_marked_so_is_a_dead_letter_too() {
    let mut bench = bench(STOCK);
    command(&mut bench, "1", "stock.add.v1", r#"{"sku":"a","quantity":5}"#, &[]);
    command(&mut bench, "2", "stock.reserve.v1", r#"{"sku":"a","quantity":3,"orderId":"o1"}"#, &[]);
    assert_eq!(command(&mut bench, "3", "stock.close.v1", r#"{"sku":"a"}"#, &[]), [Refused("IN_USE".into())]);
    let codes: Vec<_> = bench.memory.letters.iter().map(|failure| failure.code().to_string()).collect();
    assert_eq!(codes, ["IN_USE"]);
    assert_eq!(bench.failures(), [""; 0], "the decision stands");
}

#[test]
fn a_failing_expression_takes_everything_back_and_says_where() {
    let mut bench = bench(STOCK);
    bench.memory.others.insert("web.replies".into());
    command(&mut bench, "1", "stock.add.v1", r#"{"sku":"a","quantity":5}"#, &[]);
    bench.sent();
    assert_eq!(command(&mut bench, "2", "stock.break.v1", r#"{"sku":"a","by":0}"#, &[("reply-to", "web.replies")]), []);
    let failures = bench.failures();
    assert!(failures[0].starts_with("stock EXPRESSION_ERROR (permanent in encode): "), "{failures:?}");
    let sent = bench.sent();
    assert!(sent[0].starts_with(r#"web.replies a reply.rejected {"code":"EXPRESSION_ERROR","details":{"at":"#), "{sent:?}");
    assert_eq!(
        sent[1],
        r#"alarms a stock.failed.v1 {"code":"EXPRESSION_ERROR","kind":"DIVIDE_BY_ZERO","node":"stock","of":{"by":0,"sku":"a"}}"#
    );
    assert_eq!(bench.state("stock", "a").expect("a state").1, 1);
}

#[test]
fn keys_that_lie_are_refused() {
    let mut bench = bench(STOCK);
    let value = message("stock.add.v1", r#"{"sku":"a","quantity":1}"#);
    bench.read("stock.commands", Some("b"), Some(&value), &[]);
    assert_eq!(bench.failures(), ["stock KEY_MISMATCH (undecodable in key): the record's key is not its `data.sku`"]);
    bench.read("stock.commands", None, Some(&value), &[]);
    assert_eq!(bench.failures(), ["stock KEY_MISMATCH (undecodable in key): the record's key is not its `data.sku`"]);
    let right = crate::record::partition_of(b"a", 4);
    let record = RecordRef {
        topic: "stock.commands",
        partition: (right + 1) % 4,
        offset: 9,
        timestamp: 0,
        key: Some(b"a"),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    bench.read_at(&record);
    let failures = bench.failures();
    assert!(failures[0].starts_with("stock KEY_MISMATCH") && failures[0].contains("another partitioner"), "{failures:?}");
    let empty = message("stock.add.v1", r#"{"sku":"","quantity":1}"#);
    bench.read("stock.commands", Some(""), Some(&empty), &[]);
    assert_eq!(bench.failures(), ["stock MISSING_KEY (permanent in key): the key is empty"]);
    assert_eq!(bench.memory.entities.len(), 0);
}

#[test]
fn what_an_aggregate_does_not_handle_is_passed_over() {
    let mut bench = bench(STOCK);
    assert_eq!(bench.read("stock.commands", Some("a"), None, &[]), [PassedOver], "no value");
    let other = message("stock.unknown.v1", "{}");
    assert_eq!(bench.read("stock.commands", Some("a"), Some(&other), &[]), [PassedOver]);
    let invalid = message("stock.add.v1", r#"{"sku":"a","quantity":"many"}"#);
    assert_eq!(bench.read("stock.commands", Some("a"), Some(&invalid), &[]), []);
    let failures = bench.failures();
    assert!(failures[0].starts_with("stock SCHEMA_INVALID (undecodable in decode)"), "{failures:?}");
    assert_eq!(bench.sent(), [""; 0], "nobody asked, and errors are told of what could be decoded");

    bench.memory.others.insert("web.replies".into());
    bench.read("stock.commands", Some("a"), Some(&invalid), &[("reply-to", "web.replies")]);
    let sent = bench.sent();
    assert!(sent[0].starts_with(r#"web.replies a reply.rejected {"code":"SCHEMA_INVALID","details":null"#), "{sent:?}");
    bench.read("stock.commands", Some("a"), Some("no JSON"), &[("reply-to", "web.replies")]);
    assert_eq!(bench.sent(), [""; 0], "of what is no message nobody knows who asked");
    let foreign = message("stock.note.v1", r#"{"sku":"a","text":5}"#);
    bench.read("stock.commands", Some("a"), Some(&foreign), &[("reply-to", "web.replies")]);
    assert_eq!(bench.failures().len(), 3);
    assert_eq!(bench.sent(), [""; 0], "what a node does not handle is not for it to answer");
}

#[test]
fn a_record_processed_again_writes_the_same_bytes() {
    let run = || {
        let mut bench = bench(STOCK);
        bench.memory.others.insert("web.replies".into());
        let asked = [("reply-to", "web.replies")];
        bench.read("stock.commands", Some("a"), Some(r#"{"type":"stock.add.v1","data":{"sku":"a","quantity":5}}"#), &asked);
        bench.memory.now += 1_000_000;
        bench.read("stock.commands", Some("a"), Some(r#"{"type":"stock.close.v1","data":{"sku":"a"}}"#), &asked);
        bench.memory.sent
    };
    let (first, mut later) = (run(), run());
    assert_eq!(first, later);
    let ids: std::collections::BTreeSet<_> = later
        .drain(..)
        .map(|record| {
            json::read(record.value.as_deref().expect("a value"))
                .expect("JSON")
                .get("id")
                .and_then(|id| id.as_str().map(str::to_owned))
        })
        .collect();
    assert_eq!(ids.len(), first.len(), "and each message has an id of its own");
}

const FOLD: &str = r#"
skald: 1
topology: totals
topics:
  orders: { partitions: 4, types: { order.created.v1: {}, order.gone.v1: {} } }
aggregates:
  customers:
    from: orders
    key: data.customer
    initial: { count: 0, total: 0.0, last: null }
    schema:
      type: object
      required: [count, total]
      properties: { count: { type: integer, maximum: 3 }, total: { type: number }, last: {} }
    evolve:
      order.created.v1:
        set: { count: =state.count + 1, total: =state.total + data.amount, last: =event.id }
      order.gone.v1: { unset: last, set: { count: =state.count } }
"#;

#[test]
fn a_fold_of_another_key_is_repartitioned_and_sees_the_record_as_it_was() {
    let mut bench = bench(FOLD);
    let value = r#"{"id":"e1","type":"order.created.v1","data":{"customer":7,"amount":2}}"#;
    assert_eq!(bench.read("orders", Some("o1"), Some(value), &[("h", "1")]), [Processed]);
    let passed = bench.memory.sent.remove(0);
    assert_eq!(&*passed.topic, "totals.customers.repartition");
    assert_eq!((passed.key.as_deref(), passed.value.as_deref()), (Some(&b"7"[..]), Some(value.as_bytes())));
    assert_eq!(bench.state("customers", "7"), None);

    let headers: Vec<_> = passed.headers.iter().map(Header::as_ref).collect();
    let behind = RecordRef {
        topic: &passed.topic,
        partition: crate::record::partition_of(b"7", 4),
        offset: 0,
        timestamp: passed.timestamp,
        key: passed.key.as_deref(),
        value: passed.value.as_deref(),
        headers: &headers,
    };
    assert_eq!(bench.read_at(&behind), [Processed]);
    assert_eq!(bench.state("customers", "7"), Some((r#"{"count":1,"last":"e1","total":2.0}"#.into(), 1)));

    // Without the header nothing is known of it.
    bench.read_at(&RecordRef { headers: &[], ..behind });
    let failures = bench.failures();
    assert!(failures[0].contains("`__skald.origin` is missing or wrong"), "{failures:?}");
    // A key that cannot be computed fails before the record is passed on.
    bench.read("orders", Some("o1"), Some(r#"{"type":"order.created.v1","data":{"customer":null}}"#), &[]);
    assert_eq!(bench.failures(), ["customers.repartition MISSING_KEY (permanent in key): the key is null"]);
}

#[test]
fn a_state_must_fit_its_schema_and_unset_takes_fields_away() {
    let yaml = FOLD.replace("types: { order", "key: data.customer, types: { order");
    let mut bench = bench(&yaml);
    let created = r#"{"type":"order.created.v1","data":{"customer":"c","amount":1}}"#;
    for _ in 0..3 {
        assert_eq!(bench.read("orders", Some("c"), Some(created), &[]), [Processed]);
    }
    assert_eq!(bench.read("orders", Some("c"), Some(created), &[]), []);
    let failures = bench.failures();
    assert!(
        failures[0].starts_with("customers SCHEMA_INVALID (permanent in evolve): the state after `order.created.v1`"),
        "{failures:?}"
    );
    assert_eq!(bench.read("orders", Some("c"), Some(r#"{"type":"order.gone.v1","data":{"customer":"c"}}"#), &[]), [Processed]);
    assert_eq!(bench.state("customers", "c"), Some((r#"{"count":3,"total":3.0}"#.into(), 4)));
}

const USERS: &str = r#"
skald: 1
topology: shop
topics:
  users.events: { partitions: 4 }
repositories:
  users:
    key: data.id
    events: users.events
    schema:
      type: object
      required: [id, name]
      properties: { id: { type: string }, name: { type: string, minLength: 2 }, age: { type: integer } }
"#;

#[test]
fn a_repository_creates_updates_and_deletes_entities() {
    let mut bench = bench(USERS);
    bench.memory.others.insert("web.replies".into());
    for (kind, data, expected, state) in [
        ("update", r#"{"id":"u1","name":"Bo"}"#, "NOT_FOUND", None),
        ("create", r#"{"id":"u1","name":"B"}"#, "SCHEMA_INVALID", None),
        ("create", r#"{"id":"u1","name":"Bo","age":7}"#, "", Some((r#"{"age":7,"id":"u1","name":"Bo"}"#, 1))),
        ("create", r#"{"id":"u1","name":"Bo"}"#, "ALREADY_EXISTS", Some((r#"{"age":7,"id":"u1","name":"Bo"}"#, 1))),
        ("update", r#"{"id":"u1","name":"Bea"}"#, "", Some((r#"{"age":7,"id":"u1","name":"Bea"}"#, 2))),
        ("update", r#"{"id":"u1","age":null}"#, "", Some((r#"{"id":"u1","name":"Bea"}"#, 3))),
        ("update", r#"{"id":"u1","name":null}"#, "SCHEMA_INVALID", Some((r#"{"id":"u1","name":"Bea"}"#, 3))),
        ("delete", r#"{"id":"u1"}"#, "", None),
        ("delete", r#"{"id":"u1"}"#, "NOT_FOUND", None),
    ] {
        let value = format!(r#"{{"type":"users.{kind}","data":{data}}}"#);
        let outcomes = bench.read("shop.users.commands", Some("u1"), Some(&value), &[("reply-to", "web.replies")]);
        let wanted = if expected.is_empty() { Processed } else { Refused(expected.into()) };
        assert_eq!(outcomes, [wanted], "{kind} {data}: {:?}", bench.failures());
        assert_eq!(bench.state("users", "u1"), state.map(|(state, version)| (state.to_owned(), version)), "{kind} {data}");
    }
    let sent = bench.sent();
    let events: Vec<_> = sent.iter().filter(|line| line.starts_with("users.events")).collect();
    assert_eq!(
        events,
        [
            r#"users.events u1 users.created {"entity":{"age":7,"id":"u1","name":"Bo"},"entityId":"u1"}"#,
            r#"users.events u1 users.updated {"changes":{"id":"u1","name":"Bea"},"entity":{"age":7,"id":"u1","name":"Bea"},"entityId":"u1"}"#,
            r#"users.events u1 users.updated {"changes":{"age":null,"id":"u1"},"entity":{"id":"u1","name":"Bea"},"entityId":"u1"}"#,
            r#"users.events u1 users.deleted {"entity":{"id":"u1","name":"Bea"},"entityId":"u1"}"#,
        ]
    );
}

const CART: &str = r#"
skald: 1
topology: shop
topics:
  carts: { partitions: 4, key: data.cart, types: [cart.changed.v1, cart.bought.v1] }
  mails: { types: [cart.forgotten.v1] }
  sizes: { types: [cart.size.v1] }
aggregates:
  cart:
    from: carts
    ttl: 30m
    initial: { changes: 0 }
    decide:
      cart.changed.v1:
        emit:
          - { type: cart.grown.v1 }
          - type: cart.forgotten.v1
            delay: =duration(data.wait)
            timer: forgotten
            data: { cart: =key, changes: =state.changes + 1, wait: =data.wait }
          - { type: cart.forgotten.v1, when: has(data.also), delay: 5m, data: { also: =data.also } }
      cart.bought.v1:
        require: { that: state.changes > 0, code: EMPTY }
        cancel_timer: forgotten
    evolve:
      cart.grown.v1: { set: { changes: =state.changes + 1 } }
    updates: { type: cart.size.v1, data: { state: =state, version: =version, cause: =event.type, at: =ctx.time } }
"#;

fn cart(bench: &mut Bench, kind: &str, data: &str) -> Vec<crate::node::Outcome> {
    let value = format!(r#"{{"type":"{kind}","data":{data}}}"#);
    bench.read("carts", Some("c"), Some(&value), &[])
}

fn mails(bench: &mut Bench) -> Vec<String> {
    bench.sent().into_iter().filter(|line| line.starts_with("mails")).collect()
}

#[test]
fn a_delayed_message_is_sent_when_its_time_has_come_unless_it_is_replaced_or_taken_away() {
    let mut bench = bench(CART);
    let minute = 60_000;
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"10m"}"#);
    assert_eq!(mails(&mut bench), [""; 0], "not yet");
    bench.pass(5 * minute);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"10m","also":1}"#);
    bench.pass(6 * minute);
    assert_eq!(mails(&mut bench), [r#"mails c cart.forgotten.v1 {"also":1}"#], "the first one of `forgotten` was replaced");
    bench.pass(4 * minute);
    let sent = bench.memory.sent.clone();
    assert_eq!(mails(&mut bench), [r#"mails c cart.forgotten.v1 {"cart":"c","changes":2,"wait":"10m"}"#]);
    let record = sent.last().expect("the mail");
    assert_eq!(record.timestamp, bench.memory.now, "it is of the moment when it is sent");
    let value = json::read(record.value.as_deref().expect("a value")).expect("JSON");
    assert_eq!(value.get("timestamp"), Some(&"2026-11-21T08:15:00Z".into()));

    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"10m"}"#);
    assert_eq!(cart(&mut bench, "cart.bought.v1", r#"{"cart":"c"}"#), [Processed]);
    bench.pass(20 * minute);
    assert_eq!(mails(&mut bench), [""; 0], "taken away");
    assert_eq!(bench.failures(), [""; 0]);
}

#[test]
fn a_refusal_takes_no_timer_away_and_no_delay_is_at_once() {
    let mut bench = bench(CART);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"1m"}"#);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"0s"}"#);
    assert_eq!(mails(&mut bench), [r#"mails c cart.forgotten.v1 {"cart":"c","changes":2,"wait":"0s"}"#]);
    bench.pass(120_000);
    assert_eq!(mails(&mut bench), [""; 0], "it took the place of the one that waited");
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"soon"}"#);
    assert_eq!(bench.failures().len(), 1, "a text that is no duration");
    // Another cart, which is empty.
    let value = r#"{"type":"cart.bought.v1","data":{"cart":"d"}}"#;
    assert_eq!(bench.read("carts", Some("d"), Some(value), &[]), [Refused("EMPTY".into())]);
}

#[test]
fn a_delayed_message_whose_topic_is_gone_is_its_own_dead_letter() {
    let mut bench = bench(CART);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"1m"}"#);
    bench.memory.value_bytes_max = 10;
    bench.pass(60_000);
    let codes: Vec<_> = bench.memory.letters.iter().map(|letter| letter.code().to_string()).collect();
    assert_eq!(codes, ["TOO_LARGE"]);
    assert_eq!(bench.memory.counts["delayed_message_failed"], 1);
    bench.memory.value_bytes_max = 0;
    bench.pass(600_000);
    assert_eq!(mails(&mut bench), [""; 0], "it is not tried again");
}

#[test]
fn a_state_that_does_not_change_for_its_ttl_is_removed_and_told_of() {
    let mut bench = bench(CART);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"0s"}"#);
    bench.pass(29 * 60_000);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"0s"}"#);
    bench.sent();
    bench.pass(29 * 60_000);
    assert_eq!(bench.state("cart", "c"), Some((r#"{"changes":2}"#.into(), 2)), "the change counts");
    // Read, and not changed.
    cart(&mut bench, "cart.bought.v1", r#"{"cart":"c"}"#);
    bench.pass(60_000);
    assert_eq!(bench.state("cart", "c"), None);
    let last = r#"{"at":"2026-11-21T08:59:00Z","cause":"cart.expired","state":null,"version":0}"#;
    assert_eq!(bench.sent(), [format!("sizes c cart.size.v1 {last}")]);
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"0s"}"#);
    assert_eq!(bench.state("cart", "c"), Some((r#"{"changes":1}"#.into(), 1)), "it begins anew");
}

#[test]
fn a_state_of_a_file_that_had_a_ttl_stays_when_it_has_none() {
    let mut bench = bench(&CART.replace("    ttl: 30m\n", ""));
    cart(&mut bench, "cart.changed.v1", r#"{"cart":"c","wait":"0s"}"#);
    for entity in bench.memory.entities.values_mut() {
        assert_eq!(entity.expires_at, None);
        entity.expires_at = Some(bench.memory.now + 1000);
    }
    bench.pass(5000);
    assert_eq!(bench.state("cart", "c"), Some((r#"{"changes":1}"#.into(), 1)));
    assert!(bench.memory.entities.values().all(|entity| entity.expires_at.is_none()));
}

const SHAPES: &str = r#"
skald: 1
topology: t
topics:
  in: { partitions: 4, key: data.k, types: { a.v1: { type: object, properties: { k: { type: string }, by: { type: integer } }, required: [k, by] } } }
aggregates:
  sums:
    from: in
    initial: { sum: { EUR: 0 }, of: "" }
    schema: { type: object, properties: { sum: { type: object }, of: { type: string, maxLength: 5 } }, required: [sum, of] }
    state_version: 3
    upcast:
      1: { cents: =state.euros * 100 }
      2: { sum: { EUR: =state.cents }, of: =key }
    evolve:
      a.v1: { set: { sum: { EUR: =state.sum.EUR + data.by } } }
"#;

fn stored(bench: &mut Bench, key: &str, state_version: u32, value: &str) {
    let value = json::read(value.as_bytes()).expect("JSON");
    let entity =
        crate::state::Entity { value, version: 4, last_event: Some("e".into()), state_version, expires_at: Some(i64::MAX) };
    bench.memory.entities.insert((0, key.as_bytes().to_vec()), entity);
}

#[test]
fn a_state_of_an_older_shape_is_met_in_the_present_one_and_written_with_its_next_change() {
    for (version, value) in [(1, r#"{"euros":2}"#), (2, r#"{"cents":200}"#), (3, r#"{"of":"k","sum":{"EUR":200}}"#)] {
        let mut bench = bench(SHAPES);
        stored(&mut bench, "k", version, value);
        let read = bench.read("in", Some("k"), Some(r#"{"type":"a.v1","data":{"k":"k","by":5}}"#), &[]);
        assert_eq!((read, bench.failures()), (vec![Processed], vec![]), "{version}");
        assert_eq!(bench.state("sums", "k"), Some((r#"{"of":"k","sum":{"EUR":205}}"#.into(), 5)), "{version}");
        assert_eq!(bench.memory.entities[&(0, b"k".to_vec())].state_version, 3);
    }
}

#[test]
fn a_state_that_cannot_be_met_loses_nothing() {
    for (key, version, value, said) in [
        ("k", 1, r#"{"euros":"x"}"#, "sums EXPRESSION_ERROR (permanent in upcast): state of `sums`, from version 1: "),
        ("k", 2, "{}", "sums EXPRESSION_ERROR (permanent in upcast): state of `sums`, from version 2: "),
        (
            "longer",
            2,
            r#"{"cents":200}"#,
            "sums SCHEMA_INVALID (permanent in upcast): a state of version 2 of `sums` becomes one",
        ),
        ("k", 4, "{}", "sums STATE_VERSION (engine in upcast): a state of version 4 is stored, and this file has version 3"),
        (
            "k",
            0,
            "{}",
            "sums STATE_VERSION (engine in upcast): a state of version 0 is stored, and `upcast` has no step from it",
        ),
    ] {
        let mut bench = bench(SHAPES);
        stored(&mut bench, key, version, value);
        let before = bench.state("sums", key);
        let event = format!(r#"{{"type":"a.v1","data":{{"k":"{key}","by":5}}}}"#);
        bench.read("in", Some(key), Some(&event), &[]);
        let failures = bench.failures();
        assert!(matches!(failures.as_slice(), [one] if one.starts_with(said)), "{failures:?}");
        assert_eq!(bench.state("sums", key), before);
    }
}

proptest::proptest! {
    #[test]
    fn states_come_out_the_same_whether_they_are_migrated_when_read_or_before(
        states in proptest::collection::btree_map("[a-e]", (1..=2u32, 0..1000i64), 0..5),
        events in proptest::collection::vec(("[a-e]", 0..9i64, proptest::prelude::any::<bool>()), 0..20),
    ) {
        let run = |first: bool, between: bool| {
            let mut bench = bench(SHAPES);
            for (key, (version, amount)) in &states {
                let value = if *version == 1 { format!(r#"{{"euros":{amount}}}"#) } else { format!(r#"{{"cents":{amount}}}"#) };
                stored(&mut bench, key, *version, &value);
            }
            let world = bench.world.clone();
            let node = compile(&world, 0).expect("an aggregate");
            let sweep = |bench: &mut Bench, key: &str| {
                node.migrate(key.as_bytes(), &mut bench.memory).expect("it can be migrated");
            };
            if first {
                states.keys().for_each(|key| sweep(&mut bench, key));
            }
            for (key, by, swept) in &events {
                if between && *swept {
                    sweep(&mut bench, key);
                }
                bench.read("in", Some(key), Some(&format!(r#"{{"type":"a.v1","data":{{"k":"{key}","by":{by}}}}}"#)), &[]);
            }
            states.keys().for_each(|key| sweep(&mut bench, key));
            assert_eq!(bench.failures(), Vec::<String>::new());
            bench.memory.entities
        };
        let at_once = run(true, false);
        for lazily in [run(false, false), run(false, true)] {
            proptest::prop_assert_eq!(format!("{:?}", at_once), format!("{:?}", lazily));
        }
    }
}

#[test]
fn what_a_failure_would_say_later_is_called_off_by_a_decision() {
    let mut bench = bench(
        r#"
skald: 1
topology: t
topics:
  tills: { key: data.till, types: [till.count.v1, till.close.v1] }
  nags: { types: [nag.v1] }
aggregates:
  tills:
    from: tills
    initial: { n: 0 }
    decide:
      till.count.v1: { emit: { type: till.counted.v1, data: { n: =100 / data.by } } }
      till.close.v1: { cancel_timer: nag }
    evolve:
      till.counted.v1: { set: { n: =state.n + data.n } }
    errors:
      emit: { type: nag.v1, to: nags, delay: 1h, timer: nag, data: { till: =key, code: =error.code } }
"#,
    );
    let read = |bench: &mut Bench, till: &str, kind: &str, by: u32| {
        let value = format!(r#"{{"id":"{till}-{kind}","type":"{kind}","data":{{"till":"{till}","by":{by}}}}}"#);
        bench.read("tills", Some(till), Some(&value), &[]);
    };
    for till in ["a", "b"] {
        read(&mut bench, till, "till.count.v1", 0);
    }
    read(&mut bench, "b", "till.close.v1", 0);
    assert_eq!(bench.sent(), [""; 0]);
    bench.pass(3_600_000);
    assert_eq!(bench.sent(), [r#"nags a nag.v1 {"code":"EXPRESSION_ERROR","till":"a"}"#]);
}
