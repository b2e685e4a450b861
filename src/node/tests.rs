//! What every kind of node shares: origins of repartitioned records, instances, names in scope, the roads of failures.

use super::testing::Bench;
use super::*;
use crate::codec::KeyFormat;
use crate::failure::{Class, Stage};
use crate::record::{HeaderRef, RecordRef, Value};
use proptest::prelude::*;

fn record<'a>(topic: &'a str, key: Option<&'a [u8]>, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
    RecordRef { topic, partition: 3, offset: 17, timestamp: -1, key, value: Some(b"v"), headers }
}

#[test]
fn an_origin_that_is_none_is_undecodable() {
    for header in ["", "1", "1/2/3", "1/2/3/", "x/2/3/t", "-1/2/3/t", "1/-2/3/t", "1/2/x/t", "1/2/99999999999999999999/t"] {
        let headers = [HeaderRef { name: ORIGIN_HEADER, value: Some(header.as_bytes()) }];
        let failure = first_read(&record("r", None, &headers), &mut Vec::new()).expect_err(header);
        assert_eq!((failure.class(), failure.code().as_str()), (Class::Undecodable, "UNDECODABLE"), "{header}");
    }
    let null = [HeaderRef { name: ORIGIN_HEADER, value: None }];
    assert!(first_read(&record("r", None, &null), &mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn a_repartitioned_record_is_as_it_was_first_read(
        topic in "[a-zA-Z0-9._-]{1,40}", partition in 0..i32::MAX, offset in 0..i64::MAX, timestamp in any::<i64>(),
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), header in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let headers = [HeaderRef { name: "a", value: Some(&header) }, HeaderRef { name: "b", value: None }];
        let first = RecordRef { topic: &topic, partition, offset, timestamp, key: key.as_deref(), value: Some(&header), headers: &headers };
        let mut origin = Vec::new();
        super::write_origin(&first, &mut origin);
        let passed = super::outbox::with_header(&first, HeaderRef { name: ORIGIN_HEADER, value: Some(&origin) });
        let passed = RecordRef { topic: "t.n.repartition", partition: 0, offset: 1, key: Some(b"other"), headers: &passed, ..first };
        let mut kept = Vec::new();
        prop_assert_eq!(first_read(&passed, &mut kept).expect("a good header").to_record(), first.to_record());
    }

    #[test]
    fn any_origin_is_read_or_refused(header in prop::collection::vec(any::<u8>(), 0..40)) {
        let headers = [HeaderRef { name: ORIGIN_HEADER, value: Some(&header) }];
        drop(first_read(&record("r", None, &headers), &mut Vec::new()));
    }
}

const KEYS: &str = r#"
skald: 1
topology: t
topics:
  own: { partitions: 4 }
  declared: { partitions: 4, key: data.k }
  json: { partitions: 4, key_format: json, key: data.k }
  out: { types: { out.v1: {} } }
aggregates:
  by-own: { from: own, evolve: { a.v1: { set: { n: =data.n } } } }
  by-declared: { from: declared, evolve: { a.v1: { set: { n: =data.n } } } }
  by-json: { from: json, evolve: { a.v1: { set: { n: =data.n, key: =key } } } }
"#;

const READS: &str = r#"
skald: 1
topology: t
topics:
  keyed: { partitions: 4, key: data.k, validate: false }
  checked: { types: { a.v1: { type: object } } }
  passed: {}
  changed: {}
  given: {}
  sent: {}
  out: { key: data.o }
aggregates:
  fold:
    from: keyed
    initial: { n: 0 }
    evolve:
      a.v1: { let: { half: data.n / 2 }, set: { n: =half, deep: =data.deep.inner, there: =has(data.maybe) } }
    updates: { type: b.v1, to: out, data: { o: =state.n } }
    errors: { emit: { type: c.v1, to: sent, data: { why: =error.code, of: =data.told } } }
  checks: { from: checked, evolve: { a.v1: { set: { n: =data.n } } } }
pipelines:
  passes: { from: passed, steps: [ { filter: data.f }, { emit: { to: out } } ] }
  sends:
    from: changed
    steps:
      - { name: seen, dedupe: { by: data.id, within: 1m } }
      - branch: [ { when: data.b, steps: [ { map: { m: =data.c } }, { emit: { type: b.v1, to: sent } } ] } ]
      - map: { o: =data.d }
      - set: { p: =data.o }
      - emit: { type: b.v1, to: out }
  gives: { from: given, steps: [ { filter: data.f }, { emit: { type: b.v1, to: sent } } ] }
"#;

#[test]
fn the_fields_that_nodes_read_are_those_of_all_their_expressions() {
    let bench = Bench::of_text(READS, no_node);
    for (topic, expected) in [
        ("keyed", Some("deep k maybe n told")),
        ("checked", Some("n")),
        // As it is it is passed on as bytes, under the key that its topic computes.
        ("passed", Some("f o")),
        // The data of after a `map` is another one.
        ("changed", Some("b c d id o")),
        ("given", None),
        // Nobody takes it here.
        ("sent", None),
    ] {
        let fields = super::reads::fields_read(&bench.world, bench.world.topic(topic).expect("a topic of the file"));
        let fields = fields.map(|mut fields| {
            fields.sort();
            fields.join(" ")
        });
        assert_eq!(fields.as_deref(), expected, "{topic}");
    }
    let value = br#"{"type":"a.v1","data":{"k":"a","n":1,"unread":[1e5,"\n"]}}"#;
    let given = RecordRef { value: Some(value), ..record("keyed", Some(b"a"), &[]) };
    let event =
        bench.world.reader_of_nodes(bench.world.topic("keyed").unwrap()).decode(&given).expect("decodes").expect("a value");
    assert_eq!(crate::record::json::text(&event.data).unwrap(), r#"{"k":"a","n":1}"#);
    // Its schema looks at all of it.
    let event =
        bench.world.reader_of_nodes(bench.world.topic("checked").unwrap()).decode(&given).expect("decodes").expect("a value");
    assert!(event.data.get("unread").is_some());
}

fn no_node(_: &std::sync::Arc<World>, _: usize) -> Option<Box<dyn Node>> {
    None
}

#[test]
fn the_instance_is_found_by_the_record_where_no_key_is_given() {
    let bench = Bench::of_text(KEYS, no_node);
    let world = &bench.world;
    for (topic, key, data, expected) in [
        ("own", Some("a"), r#"{"k":"b"}"#, Ok("a")),
        ("own", Some(""), "{}", Err("MISSING_KEY")),
        ("own", None, "{}", Err("MISSING_KEY")),
        ("declared", Some("a"), r#"{"k":"a"}"#, Ok("a")),
        ("declared", Some("7"), r#"{"k":7}"#, Ok("7")),
        ("declared", Some("a"), r#"{"k":"b"}"#, Err("KEY_MISMATCH")),
        ("declared", None, r#"{"k":"b"}"#, Err("KEY_MISMATCH")),
        ("declared", Some("a"), "{}", Err("EXPRESSION_ERROR")),
        ("declared", Some("a"), r#"{"k":null}"#, Err("MISSING_KEY")),
        ("declared", Some("a"), r#"{"k":["a"]}"#, Err("MISSING_KEY")),
        ("json", Some("\"a\""), r#"{"k":"a"}"#, Ok("\"a\"")),
        ("json", Some("a"), r#"{"k":"a"}"#, Err("KEY_MISMATCH")),
    ] {
        let value = format!(r#"{{"type":"a.v1","data":{data}}}"#);
        let partition = key.map_or(0, |key| crate::record::partition_of(key.as_bytes(), 4));
        let record = RecordRef { partition, value: Some(value.as_bytes()), ..record(topic, key.map(str::as_bytes), &[]) };
        let index = world.topic(topic);
        let event = world.decoder(index).decode(&record).expect("decodes").expect("a value");
        let model = world.topology.aggregates.iter().find(|node| node.name.ends_with(topic)).expect("a node per topic");
        let input = Input { topic: index, partitions: Some(4), record: &record, event: &event };
        let found = instance_key(world, &model.sources, model.key.as_ref(), &input);
        let found = found.map(|key| String::from_utf8(key.bytes.into_owned()).expect("UTF-8"));
        assert_eq!(
            found.map_err(|failure| failure.code().to_string()),
            expected.map(str::to_owned).map_err(str::to_owned),
            "{topic} {key:?} {data}"
        );

        // In another partition than the key's it is another task's.
        if expected.is_ok() {
            let moved = RecordRef { partition: (partition + 1) % 4, ..record };
            let input = Input { record: &moved, ..input };
            let failure = instance_key(world, &model.sources, model.key.as_ref(), &input).expect_err("misplaced");
            assert_eq!((failure.class(), failure.code().as_str()), (Class::Undecodable, "KEY_MISMATCH"));
        }
    }
}

const NAMES: &str = r#"
skald: 1
topology: t
params: { limit: 3 }
topics: { in: {}, out: { types: { out.v1: {} } } }
pipelines:
  p:
    from: in
    steps:
      - emit:
          type: out.v1
          data:
            event: =event
            record: =record
            ctx: =ctx
            headers: =headers
            key: =key
            params: =params
"#;

#[test]
fn names_say_what_is_known_of_the_record() {
    let bench = Bench::of_text(NAMES, no_node);
    let world = &bench.world;
    let headers = [
        HeaderRef { name: "a", value: Some(b"1") },
        HeaderRef { name: "a", value: Some(b"2") },
        HeaderRef { name: "bytes", value: Some(b"\xff") },
        HeaderRef { name: "null", value: None },
    ];
    let value = br#"{"id":"e1","type":"t.v1","timestamp":"2026-01-02T03:04:05Z","metadata":{"correlationId":"c","m":1}}"#;
    let record = RecordRef { timestamp: 1_795_248_000_000, value: Some(value), ..record("in", Some(b"k"), &headers) };
    let event = world.decoder(None).decode(&record).expect("decodes").expect("a value");
    let mut frame = Frame::new(world, &event, 0).with_record(&record, KeyFormat::String);
    let mut outbox = Outbox::new(world, &world.topology.name, &record, &event);
    let Some(crate::topology::model::Operator::Emit(messages)) = &world.topology.pipelines[0].steps[0].operator else {
        panic!("an `emit`")
    };
    let mut drafts = Vec::new();
    outbox.draft(&messages[0], &mut frame, &mut drafts).expect("drafts");
    let id = crate::codec::position_id("in", 3, 17);
    assert_eq!(
        crate::record::json::text(&drafts[0].event.data).expect("JSON"),
        format!(
            r#"{{"ctx":{{"id":"{id}","time":"2026-11-21T08:00:00Z"}},"event":{{"correlationId":"c","id":"e1","metadata":{{"m":1}},"source":"","time":"2026-01-02T03:04:05Z","type":"t.v1"}},"headers":{{"a":"2"}},"key":"k","params":{{"limit":3}},"record":{{"offset":17,"partition":3,"timestamp":"2026-11-21T08:00:00Z","topic":"in"}}}}"#
        )
    );
    // A key that is no text is an error of whoever reads it, and of nobody else.
    let bytes = RecordRef { key: Some(b"\xff"), ..record };
    let frame = Frame::new(world, &event, 0).with_record(&bytes, KeyFormat::String);
    assert_eq!(frame.key().expect_err("no text").code(), "UNDECODABLE");
    assert_eq!(frame.data(), &Value::Null);
}

#[test]
fn failures_take_the_road_of_their_class() {
    use crate::topology::model::{Errors, Then};
    let failure = |class| Failure::new(class, "X", Stage::Step, "x");
    let lenient = Errors::default();
    let strict = Errors { undecodable: Then::Stop, ..Errors::default() };
    let holding = Errors { then: Then::Park, ..Errors::default() };
    let bench = Bench::of_text(KEYS, no_node);
    for (errors, parks, class, expected) in [
        (&lenient, false, Class::Undecodable, Road::DeadLetter),
        (&lenient, false, Class::Permanent, Road::DeadLetter),
        (&lenient, false, Class::Engine, Road::Stop),
        (&strict, false, Class::Undecodable, Road::Stop),
        (&strict, false, Class::Permanent, Road::DeadLetter),
        (&Errors { then: Then::Stop, ..Errors::default() }, false, Class::Permanent, Road::Stop),
        (&holding, true, Class::Permanent, Road::Hold),
        // Before a repartition topic, where no key is known yet.
        (&holding, false, Class::Permanent, Road::DeadLetter),
    ] {
        let policy = Policy { world: &bench.world, node: &"n".into(), errors, parks };
        assert_eq!(policy.road(&failure(class)), expected, "{class:?}");
    }
}

#[test]
fn topics_of_the_engine_are_not_for_messages_to_name() {
    let bench = Bench::of_text(KEYS, no_node);
    for (topic, expected) in [
        ("out", true),
        ("elsewhere.replies", true),
        ("t.by-own.snapshots", false),
        ("t.dlq", false),
        ("__transaction_state", false),
        ("a b", false),
        ("..", false),
        ("", false),
    ] {
        assert_eq!(bench.world.may_write(topic), expected, "{topic}");
    }
    assert!(!bench.world.may_write(&"a".repeat(250)));
}
