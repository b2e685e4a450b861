//! Topics in Avro, from records to events and from messages to records.

use crate::codec::{
    Contract, Decoder, Document, Draft, Encoder, Envelope, Event, Format, Language, Lookup, Registered, Schema, SchemaId,
    Schemas, VALUE_SCHEMA_HEADER,
};
use crate::failure::Failure;
use crate::record::{HeaderRef, RecordRef, Text, Value, json};
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const V1: &str = r#"{"type":"record","name":"OrderCreated","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"total","type":"int"}]}"#;
const V2: &str = r#"{"type":"record","name":"OrderCreated","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"total","type":"double"},{"name":"currency","type":"string","default":"EUR"}]}"#;
const PAID: &str = r#"{"type":"record","name":"OrderPaid","namespace":"shop","fields":[{"name":"id","type":"string"}]}"#;

/// Knows what it is told, and counts questions.
#[derive(Debug, Default)]
struct Known {
    schemas: Mutex<BTreeMap<SchemaId, Lookup>>,
    asked: Mutex<u32>,
}

impl Known {
    fn put(&self, id: u32, text: &str, language: Language) {
        let document = Document::alone(language, text);
        lock(&self.schemas).insert(SchemaId::Number(id), Lookup::Found(Arc::new(document)));
    }
}

impl Schemas for Known {
    fn find(&self, id: SchemaId) -> Lookup {
        *lock(&self.asked) += 1;
        lock(&self.schemas).get(&id).cloned().unwrap_or(Lookup::Absent)
    }
}

fn known() -> Arc<Known> {
    let known = Known::default();
    known.put(1, V1, Language::Avro);
    known.put(2, V2, Language::Avro);
    known.put(3, PAID, Language::Avro);
    known.put(4, "{}", Language::Json);
    known.put(5, "\"strin\"", Language::Avro);
    known.put(6, &V1.replace("\"int\"", "\"boolean\""), Language::Avro);
    lock(&known.schemas).insert(SchemaId::Number(7), Lookup::Pending);
    Arc::new(known)
}

fn contract(schemas: &Arc<Known>, types: &[(&str, Option<&str>)]) -> Contract {
    let schema = |text: &str| Schema::compile_avro(Document::alone(Language::Avro, text)).expect("a sound schema");
    Contract {
        envelope: Envelope::None { type_header: Some("kind".into()) },
        format: Format::Avro,
        types: Some(types.iter().map(|(name, text)| (Text::new(name), text.map(schema))).collect()),
        registered: Registered {
            schemas: Some(schemas.clone()),
            ids: vec![("order.created.v1".into(), 2), ("order.paid.v1".into(), 3)],
            ..Registered::default()
        },
    }
}

fn decode(decoder: &Decoder, value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> Result<Event, Failure> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| HeaderRef { name, value: Some(value) }).collect();
    let record = RecordRef { topic: "orders", partition: 0, offset: 1, timestamp: 0, key: None, value, headers: &headers };
    decoder.decode(&record).map(|event| event.expect("a tombstone is an event too"))
}

fn draft(kind: &str) -> Draft<'_> {
    Draft {
        id: "1",
        kind,
        source: "shop",
        time: Timestamp::UNIX_EPOCH,
        correlation_id: "1",
        causation_id: None,
        metadata: None,
        data: &Value::Null,
    }
}

/// `type data`, or `class CODE message`.
fn told(result: Result<Event, Failure>) -> String {
    match result {
        Ok(event) => format!("{} {}", event.kind, json::text(&event.data).expect("JSON")),
        Err(failure) => format!("{} {} {}", failure.class().name(), failure.code(), failure.message()),
    }
}

/// A value, headers, and what comes of them.
type Row<'a> = (&'a [u8], Vec<(&'a str, &'a [u8])>, &'a str);

#[test]
fn records_are_read_by_the_schema_of_their_id_as_the_topic_has_it() {
    let schemas = known();
    let types = [("order.created.v1", Some(V2)), ("order.paid.v1", Some(PAID))];
    let decoder = Decoder::new(contract(&schemas, &types));
    let header: (&str, &[u8]) = ("kind", b"order.paid.v1");
    let created = "order.created.v1 {\"currency\":\"EUR\",\"id\":\"a\",\"total\":3.0}";
    let cases: Vec<Row<'_>> = vec![
        (b"\0\0\0\0\x01\x02a\x06", vec![], created),
        (b"\0\0\0\0\x03\x02a", vec![], "order.paid.v1 {\"id\":\"a\"}"),
        (b"\0\0\0\0\x03\x02a", vec![header], "order.paid.v1 {\"id\":\"a\"}"),
        (
            b"\0\0\0\0\x01\x02a\x06",
            vec![header],
            "undecodable SCHEMA_INVALID what schema 1 writes cannot be read as `order.paid.v1`: \
             record `shop.OrderCreated` where the reader has record `shop.OrderPaid`",
        ),
        (b"\0\0\0\0\x09\x02a", vec![], "undecodable UNDECODABLE the schema registry has no schema 9"),
        (
            b"\0\0\0\0\x04\x02a",
            vec![],
            "undecodable UNDECODABLE schema 4 cannot be used: it is JSON, and the topic is read as avro",
        ),
        (b"\0\0\0\0\x07\x02a", vec![], "engine SCHEMA_PENDING the schema registry has not told yet what schema 7 is"),
        (b"\0\0\0\0\x01\x02a", vec![], "undecodable UNDECODABLE no value of schema 1: byte 2: the bytes end within a value"),
        (b"\0\0\0\0\x01\x02a\x06\x06", vec![], "undecodable UNDECODABLE no value of schema 1: byte 3: 1 bytes are left over"),
        (b"{\"id\":1}", vec![], "undecodable UNDECODABLE the value begins with 0x7b, a schema's id with 0x00"),
        (b"\0\0\0", vec![], "undecodable UNDECODABLE 3 bytes are too few for the id of a schema"),
        (b"\x02a\x06", vec![(VALUE_SCHEMA_HEADER, b"\0\0\0\0\x01")], created),
        (b"\x02a", vec![(VALUE_SCHEMA_HEADER, b"\x01short")], "undecodable UNDECODABLE header `__value_schema_id` has no GUID"),
    ];
    for (value, headers, expected) in cases {
        assert_eq!(told(decode(&decoder, Some(value), &headers)), expected, "{value:?}");
    }
    let broken = told(decode(&decoder, Some(b"\0\0\0\0\x05"), &[]));
    assert!(broken.starts_with("undecodable UNDECODABLE schema 5 cannot be used: "), "{broken}");
    let other = told(decode(&decoder, Some(b"\0\0\0\0\x06\x02a\x01"), &[]));
    assert!(
        other.starts_with("undecodable SCHEMA_INVALID what schema 6 writes cannot be read as `order.created.v1`"),
        "{other}"
    );
    assert_eq!(told(decode(&decoder, None, &[])), "orders null", "a tombstone");
}

#[test]
fn a_guid_in_a_header_names_the_schema() {
    let schemas = known();
    let guid = uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let document = Document::alone(Language::Avro, V1);
    lock(&schemas.schemas).insert(SchemaId::Guid(guid), Lookup::Found(Arc::new(document)));
    let decoder = Decoder::new(contract(&schemas, &[("order.created.v1", Some(V1))]));
    let header = [&[1], guid.as_bytes().as_slice()].concat();
    let found = told(decode(&decoder, Some(b"\x02a\x06"), &[(VALUE_SCHEMA_HEADER, &header)]));
    assert_eq!(found, "order.created.v1 {\"id\":\"a\",\"total\":3}");
}

#[test]
fn a_topic_without_schemas_is_read_as_its_writers_meant_it() {
    let schemas = known();
    let decoder = Decoder::new(contract(&schemas, &[]));
    assert_eq!(told(decode(&decoder, Some(b"\0\0\0\0\x01\x02a\x06"), &[])), "orders {\"id\":\"a\",\"total\":3}");
    let unnamed = Decoder::new(Contract { registered: Registered::default(), ..contract(&schemas, &[]) });
    let why = "undecodable UNDECODABLE the value has the id of a schema, and no schema registry is named";
    assert_eq!(told(decode(&unnamed, Some(b"\0\0\0\0\x01\x02a\x06"), &[])), why);
}

#[test]
fn a_schema_is_asked_for_once_and_one_that_comes_late_is_found() {
    let schemas = known();
    let decoder = Decoder::new(contract(&schemas, &[("order.created.v1", Some(V2))]));
    for _ in 0..3 {
        assert!(told(decode(&decoder, Some(b"\0\0\0\0\x07\x02a\x06"), &[])).starts_with("engine"));
    }
    assert_eq!(*lock(&schemas.asked), 3, "what is not known yet is not remembered");
    schemas.put(7, V1, Language::Avro);
    for _ in 0..100 {
        assert!(told(decode(&decoder, Some(b"\0\0\0\0\x07\x02a\x06"), &[])).starts_with("order.created.v1"));
    }
    assert_eq!(*lock(&schemas.asked), 4);
}

#[test]
fn messages_are_written_behind_the_id_of_their_schema() {
    let schemas = known();
    let types = [("order.created.v1", Some(V2)), ("order.paid.v1", Some(PAID)), ("order.other.v1", None)];
    let encoder = Encoder::new(contract(&schemas, &types)).expect("it can be written");
    let write = |kind: &str, data: &str| {
        let data = encoder.accept(kind, json::read(data.as_bytes()).expect("JSON")).map_err(|failure| failure.to_string())?;
        let draft = Draft { data: &data, ..draft(kind) };
        let mut bytes = Vec::new();
        encoder.value(&draft, &mut bytes).map_err(|failure| failure.to_string()).map(|some| some.then_some(bytes))
    };
    assert_eq!(write("order.paid.v1", r#"{"id":"a"}"#), Ok(Some(b"\0\0\0\0\x03\x02a".to_vec())));
    assert_eq!(write("order.paid.v1", "null"), Ok(None), "a tombstone");
    let written = write("order.created.v1", r#"{"id":"a","total":3}"#).expect("it fits").expect("a value");
    let decoder = Decoder::new(contract(&schemas, &types));
    assert_eq!(
        told(decode(&decoder, Some(&written), &[("kind", b"order.created.v1")])),
        "order.created.v1 {\"currency\":\"EUR\",\"id\":\"a\",\"total\":3.0}"
    );
    let refused = "SCHEMA_INVALID (permanent in encode): ";
    assert_eq!(
        write("order.paid.v1", r#"{"id":1}"#),
        Err(format!("{refused}data of `order.paid.v1` does not fit its schema: at `/id`: an int where a string is wanted"))
    );
    for kind in ["order.other.v1", "order.unknown.v1"] {
        assert_eq!(
            write(kind, "{}"),
            Err(format!("{refused}values of the topic have schemas, and it declares none for `{kind}`"))
        );
    }
    assert_eq!(encoder.accept("order.paid.v1", Value::Null), Ok(Value::Null));
    let mut unchecked = contract(&schemas, &types);
    unchecked.registered.unchecked = true;
    let unchecked = Encoder::new(unchecked).expect("it can be written");
    let refused = unchecked.accept("order.paid.v1", json::read(br#"{"id":1}"#).expect("JSON"));
    assert!(refused.is_err(), "Avro always is what its schema says");
}

const PLACED: &str =
    r#"{"title":"Placed","type":"object","properties":{"id":{"type":"string"},"total":{"type":"number"}},"required":["id"]}"#;
const LEFT: &str = r#"{"title":"Left","type":"object","properties":{"id":{"type":"string"}}}"#;

/// A topic of JSON whose values carry the ids of their schemas.
fn framed(types: &[(&str, Option<&str>)]) -> Contract {
    let schemas = Known::default();
    schemas.put(1, PLACED, Language::Json);
    schemas.put(2, LEFT, Language::Json);
    schemas.put(3, V1, Language::Avro);
    schemas.put(4, r#"{"$ref":"other.json"}"#, Language::Json);
    schemas.put(5, r#"{"type":"object","properties":{"id":{"type":"integer"}}}"#, Language::Json);
    lock(&schemas.schemas).insert(SchemaId::Number(7), Lookup::Pending);
    let schema = |text: &str| Schema::compile(&serde_json::from_str(text).expect("JSON")).expect("a sound schema");
    Contract {
        envelope: Envelope::None { type_header: Some("kind".into()) },
        format: Format::Json,
        types: (!types.is_empty()).then(|| types.iter().map(|(name, text)| (Text::new(name), text.map(schema))).collect()),
        registered: Registered {
            schemas: Some(Arc::new(schemas)),
            ids: vec![("placed.v1".into(), 1)],
            framed: true,
            unchecked: false,
        },
    }
}

#[test]
fn json_behind_an_id_is_named_by_its_writers_schema_and_checked_by_the_declared_one() {
    let decoder = Decoder::new(framed(&[("placed.v1", Some(PLACED)), ("left.v1", Some(LEFT)), ("free.v1", None)]));
    let misfit = "undecodable SCHEMA_INVALID data of `placed.v1` does not fit its schema: ";
    let cases: Vec<Row<'_>> = vec![
        (b"\0\0\0\0\x01{\"id\":\"a\",\"total\":3}", vec![], "placed.v1 {\"id\":\"a\",\"total\":3.0}"),
        (b"\0\0\0\0\x02{\"id\":\"a\",\"total\":3}", vec![], "left.v1 {\"id\":\"a\",\"total\":3}"),
        // Who says the type holds, whichever schema it was written with.
        (b"\0\0\0\0\x02{\"id\":\"a\",\"total\":3}", vec![("kind", b"placed.v1")], "placed.v1 {\"id\":\"a\",\"total\":3.0}"),
        (b"\0\0\0\0\x01{}", vec![], misfit),
        // A type without a schema is what its writer's says.
        (b"\0\0\0\0\x01{\"id\":\"a\",\"total\":3}", vec![("kind", b"free.v1")], "free.v1 {\"id\":\"a\",\"total\":3.0}"),
        (
            b"\0\0\0\0\x04{}",
            vec![("kind", b"free.v1")],
            "undecodable SCHEMA_INVALID what schema 4 writes cannot be read as `free.v1`: ",
        ),
        (b"\0\0\0\0\x04{\"id\":\"a\"}", vec![("kind", b"left.v1")], "left.v1 {\"id\":\"a\"}"),
        (b"\0\0\0\0\x05{\"id\":1}", vec![], "orders {\"id\":1}"),
        (b"\0\0\0\0\x01{", vec![], "undecodable UNDECODABLE no value of schema 1: "),
        (b"{\"id\":\"a\"}", vec![], "undecodable UNDECODABLE the value begins with 0x7b, a schema's id with 0x00"),
        (
            b"\0\0\0\0\x03{}",
            vec![],
            "undecodable UNDECODABLE schema 3 cannot be used: it is AVRO, and the topic is read as json",
        ),
        (b"\0\0\0\0\x07{}", vec![], "engine SCHEMA_PENDING "),
        (b"\0\0\0\0\x09{}", vec![], "undecodable UNDECODABLE the schema registry has no schema 9"),
    ];
    for (value, headers, expected) in cases {
        let found = told(decode(&decoder, Some(value), &headers));
        assert!(found.starts_with(expected), "{}: {found}", String::from_utf8_lossy(value));
    }
    let mut unchecked = framed(&[("placed.v1", Some(PLACED)), ("left.v1", Some(LEFT))]);
    unchecked.registered.unchecked = true;
    let found = told(decode(&Decoder::new(unchecked), Some(b"\0\0\0\0\x01{\"total\":3}"), &[]));
    assert_eq!(found, "placed.v1 {\"total\":3}", "named by its schema all the same");
}

#[test]
fn json_is_written_behind_the_id_of_its_schema() {
    let encoder = Encoder::new(framed(&[("placed.v1", Some(PLACED)), ("free.v1", None)])).expect("it can be written");
    let write = |kind: &str, data: &str| {
        let data = encoder.accept(kind, json::read(data.as_bytes()).expect("JSON")).map_err(|failure| failure.to_string())?;
        let draft = Draft { data: &data, ..draft(kind) };
        let mut bytes = Vec::new();
        encoder.value(&draft, &mut bytes).map_err(|failure| failure.to_string()).map(|some| some.then_some(bytes))
    };
    assert_eq!(write("placed.v1", r#"{"id":"a","total":3}"#), Ok(Some(b"\0\0\0\0\x01{\"id\":\"a\",\"total\":3.0}".to_vec())));
    assert_eq!(write("placed.v1", "null"), Ok(None), "a tombstone");
    let refused = "SCHEMA_INVALID (permanent in encode): ";
    assert!(write("placed.v1", "{}").expect_err("a field is missing").starts_with(refused));
    assert_eq!(
        write("free.v1", "{}"),
        Err(format!("{refused}values of the topic have schemas, and it declares none for `free.v1`"))
    );
}
