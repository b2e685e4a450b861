//! What was written as an old type is read as the newest one.

use super::*;
use crate::node::Node;
use crate::node::testing::Bench;
use crate::record::json;

const TEXT: &str = r#"
skald: 1
topology: shop
topics:
  orders:
    types:
      order.v1: { type: object, properties: { id: { type: string }, total: { type: string } }, required: [id, total] }
      order.v2: { type: object, properties: { id: { type: string }, cents: { type: integer } }, required: [id, cents] }
      order.v3:
        type: object
        properties: { id: { type: string }, amount: { type: number, maximum: 1000 }, by: {} }
        required: [id, amount]
        additionalProperties: false
      other.v1: {}
  unchecked:
    validate: false
    types: { order.v1: {}, order.v2: {}, order.v3: { type: object, required: [never] } }
  plain: { envelope: none, type_header: type, types: [order.v1, order.v2] }
  untyped: {}
  apart: { types: [other.v1] }
upcasters:
  order.v2: { to: order.v3, data: { id: =data.id, amount: =data.cents / 100.0, by: =event.source } }
  order.v1: { to: order.v2, data: { id: =data.id, cents: =int(data.total) * 100 } }
"#;

fn no_node(_: &Arc<World>, _: usize) -> Option<Box<dyn Node>> {
    None
}

fn world() -> Arc<World> {
    Bench::of_text(TEXT, no_node).world.clone()
}

fn read(world: &Arc<World>, topic: &str, value: Option<&str>) -> Result<Option<Event>, Failure> {
    let headers = [crate::record::HeaderRef { name: "type", value: Some(b"order.v1") }];
    let value = value.map(str::as_bytes);
    let record = RecordRef { topic, partition: 1, offset: 7, timestamp: 5, key: Some(b"k"), value, headers: &headers };
    world.reader(world.topic(topic)).decode(&record)
}

fn envelope(kind: &str, data: &str) -> String {
    format!(
        r#"{{"id":"e7","type":"{kind}","version":"9","source":"till","timestamp":"2026-01-02T03:04:05Z","data":{data},"metadata":{{"correlationId":"c","causationId":"d","x":1}}}}"#
    )
}

#[test]
fn old_types_become_the_newest_and_the_envelope_stays() {
    let world = world();
    let newest = envelope("order.v3", r#"{"id":"a","amount":5.0,"by":"till"}"#);
    let expected = read(&world, "orders", Some(&newest)).expect("it is right").expect("a value");
    for (kind, data) in [("order.v1", r#"{"id":"a","total":"5"}"#), ("order.v2", r#"{"id":"a","cents":500}"#)] {
        let event = read(&world, "orders", Some(&envelope(kind, data))).expect("it can be made newer").expect("a value");
        assert_eq!(format!("{event:?}"), format!("{expected:?}"), "{kind}");
    }
    let other = read(&world, "orders", Some(&envelope("other.v1", "{}"))).expect("it is right").expect("a value");
    assert_eq!(other.kind, "other.v1");
}

#[test]
fn what_cannot_be_made_newer_is_the_records_own_failure() {
    let world = world();
    for (kind, data, said, upcaster) in [
        ("order.v1", r#"{"id":"a","total":"x"}"#, "EXPRESSION_ERROR (permanent in upcast): upcaster `order.v1`: ", "order.v1"),
        ("order.v2", r#"{"id":"a","cents":100100}"#, "SCHEMA_INVALID (permanent in upcast): upcaster `order.v2`: ", "order.v2"),
        ("order.v2", r#"{"id":"a"}"#, "SCHEMA_INVALID (undecodable in decode): ", ""),
    ] {
        let failure = read(&world, "orders", Some(&envelope(kind, data))).expect_err("it is not right");
        assert!(failure.to_string().starts_with(said), "{failure}");
        let named = failure.details().get("upcaster").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(named, upcaster, "{failure}");
        assert!(!failure.to_string().contains("100100"), "a payload is in no message: {failure}");
    }
}

#[test]
fn only_topics_that_may_hold_old_types_are_looked_at() {
    let world = world();
    for (topic, kind) in [("orders", "order.v3"), ("unchecked", "order.v3"), ("untyped", "order.v3"), ("apart", "order.v1")] {
        let event = read(&world, topic, Some(&envelope("order.v1", r#"{"id":"a","total":"5"}"#)));
        let event = event.expect("it can be read").expect("a value");
        assert_eq!(event.kind, kind, "{topic}");
        assert_eq!(world.reader(world.topic(topic)).upcasts.is_some(), kind == "order.v3", "{topic}");
    }
    assert!(world.reader(Some(world.topology.topics.len())).upcasts.is_none(), "a topic of the engine's own");
    assert!(world.reader(None).upcasts.is_some(), "a topic that a pattern found");
}

#[test]
fn what_has_no_value_has_none_in_the_newest_type_either() {
    let event = read(&world(), "plain", None).expect("a tombstone is no failure").expect("it says its type");
    assert_eq!((event.kind.as_str(), event.data), ("order.v3", Value::Null));
}

proptest::proptest! {
    #[test]
    fn a_chain_gives_what_its_steps_give(total in 0i64..1_000) {
        let world = world();
        let old = envelope("order.v1", &format!(r#"{{"id":"a","total":"{total}"}}"#));
        let event = read(&world, "orders", Some(&old)).expect("it can be made newer").expect("a value");
        let expected = format!(r#"{{"amount":{total}.0,"by":"till","id":"a"}}"#);
        proptest::prop_assert_eq!(json::text(&event.data).expect("JSON"), expected);
    }
}
